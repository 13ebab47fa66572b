#[cfg(feature = "tls")]
use std::fmt;
use std::time::Duration;

use tokio::runtime::Handle;
#[cfg(feature = "tls")]
use tonic::transport::ClientTlsConfig;
use tonic::{Code, transport::Endpoint};

use crate::{
    Client, Error,
    caller::{BoxError, CallerToken},
    secret::Secret,
};

// Keepalive of the connection. kootask disconnects clients that ping more often than every 20 s.
const PING_AFTER: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5); // A redeploy is over in seconds.
/// Bytes that the connection buffers for a slow consumer of a watch. tonic's default is 2 MiB.
const WINDOW: u32 = 64 << 10;

/// Tls holds the client's private key, which does not print.
#[cfg(feature = "tls")]
#[derive(Clone)]
struct Tls(ClientTlsConfig);

#[cfg(feature = "tls")]
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("redacted")
    }
}

/// Builds a [`Client`]: where kootask is, and which credentials the calls carry. See [`Client::builder`].
#[derive(Clone, Debug)]
pub struct Builder {
    pub(crate) addr: String,
    pub(crate) token: Secret,
    pub(crate) user_id: String,
    pub(crate) caller_token: CallerToken,
    pub(crate) plaintext: bool,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
}

impl Builder {
    pub(crate) fn new(addr: String) -> Self {
        Self {
            addr,
            token: Secret::default(),
            user_id: String::new(),
            caller_token: CallerToken::default(),
            plaintext: false,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Connects without TLS. Credentials are then sent in plaintext.
    pub fn plaintext(mut self) -> Self {
        self.plaintext = true;
        self
    }

    /// Sets the TLS configuration, for other roots or a client certificate. Not set: the system's roots.
    ///
    /// A configuration without roots trusts no server. For a client certificate with the system's roots, use
    /// `ClientTlsConfig::new().with_enabled_roots().identity(identity)`. The handshake may take 5 s, whatever the
    /// timeout of the configuration.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, config: ClientTlsConfig) -> Self {
        self.tls = Some(Tls(config));
        self
    }

    /// Sets the KooDrive credential of all calls without their own: a token, with or without `Bearer ` in front. Not set
    /// or empty: none.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Secret(token.into());
        self
    }

    /// Sets the KooDrive user to act for, of all calls without their own. Not set or empty: none.
    pub fn user_id(mut self, id: impl Into<String>) -> Self {
        self.user_id = id.into();
        self
    }

    /// Sets the provider of the token, a JWT without `Bearer `, that authenticates the caller to kootask.
    /// ([`Builder::token`] is for KooDrive.)
    ///
    /// Every call and every stream of a watch calls the provider, so a renewed token takes effect. Several may call it at a
    /// time. An empty token is not sent. If the provider fails, the call fails with an [`Error`] without a reason, with the
    /// code `Unauthenticated`, the provider's error as its source, and that error's text. The text must not contain the
    /// token. Not set: no token.
    pub fn caller_token<F, A, E>(mut self, provider: F) -> Self
    where
        F: Fn() -> A + Send + Sync + 'static,
        A: Future<Output = Result<String, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.caller_token = CallerToken::new(provider);
        self
    }

    /// Returns a client. It does not connect: the first call does, and the connection is renewed whenever it breaks.
    ///
    /// Fails with `InvalidArgument` if the address or the TLS configuration is invalid, and outside of a Tokio runtime.
    /// The connection runs on the runtime in which the client is built.
    ///
    /// Calls from other runtimes work as long as that runtime exists. After its end, calls fail, and a watch in progress
    /// may wait for ever. The runtime needs Tokio's time and I/O enabled, and the runtime of a call needs the time. Tasks
    /// panic without them.
    pub fn build(self) -> Result<Client, Error> {
        let invalid = |err: BoxError| Error::local(Code::InvalidArgument, err.to_string());
        let runtime = Handle::try_current().map_err(|err| invalid(err.into()))?;
        let endpoint = self.endpoint().map_err(invalid)?;
        Ok(Client::new(self, endpoint.connect_lazy(), runtime))
    }

    fn endpoint(&self) -> Result<Endpoint, BoxError> {
        let scheme = if self.plaintext { "http" } else { "https" };
        let endpoint = Endpoint::from_shared(format!("{scheme}://{}", self.addr))
            .ok()
            .filter(|endpoint| {
                let authority = endpoint.uri().authority();
                authority.is_some_and(|a| a.port().is_some() && a.as_str() == self.addr && !a.as_str().contains('@'))
            })
            .ok_or_else(|| format!("kootask's address: {:?} is not host:port", self.addr))?
            .user_agent("kootask-rust")?
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(PING_AFTER)
            .keep_alive_timeout(PING_TIMEOUT)
            .initial_stream_window_size(WINDOW);
        if self.plaintext { Ok(endpoint) } else { self.secure(endpoint) }
    }

    #[cfg(feature = "tls")]
    fn secure(&self, endpoint: Endpoint) -> Result<Endpoint, BoxError> {
        let config = match &self.tls {
            Some(Tls(config)) => config.clone(),
            None => ClientTlsConfig::new().with_native_roots(),
        };
        // Without a limit, a peer that does not answer would block all calls for ever.
        Ok(endpoint.tls_config(config.timeout(CONNECT_TIMEOUT))?)
    }

    #[cfg(not(feature = "tls"))]
    fn secure(&self, _: Endpoint) -> Result<Endpoint, BoxError> {
        Err("kootask's client was built without the feature \"tls\": call plaintext() or enable the feature".into())
    }
}
