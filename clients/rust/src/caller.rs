use std::{fmt, pin::Pin, sync::Arc};

use tonic::Code;

use crate::Error;

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

type Answer = Pin<Box<dyn Future<Output = Result<String, BoxError>> + Send>>;

/// CallerToken provides the token that authenticates the caller to kootask. `authorization` is for KooDrive.
#[derive(Clone, Default)]
pub(crate) struct CallerToken(Option<Arc<dyn Fn() -> Answer + Send + Sync>>);

impl CallerToken {
    pub(crate) fn new<F, A, E>(provider: F) -> Self
    where
        F: Fn() -> A + Send + Sync + 'static,
        A: Future<Output = Result<String, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        Self(Some(Arc::new(move || {
            let answer = provider();
            Box::pin(async { answer.await.map_err(Into::into) })
        })))
    }

    /// Returns the current token, empty without a provider.
    pub(crate) async fn get(&self) -> Result<String, Error> {
        let Some(provider) = &self.0 else { return Ok(String::new()) };
        let failed = |why: &str| Error::local(Code::Unauthenticated, format!("the caller's token: {why}"));
        let token = provider().await.map_err(|err| failed(&err.to_string()).caused_by(err))?;
        if !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(failed("it contains characters other than visible ASCII"));
        }
        Ok(token)
    }
}

impl fmt::Debug for CallerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_none() { "none" } else { "provider" })
    }
}
