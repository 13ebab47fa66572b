use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tonic::{Code, Request, Status, metadata::AsciiMetadataValue};

use crate::{CallOptions, Client, Error, address};

/// The longest duration that is sent or waited, 30 years, because gRPC and the clock have limits.
pub(crate) const FOREVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// Call is one call, over all its streams, with its credentials and its deadline.
pub(crate) struct Call {
    client: Client,
    options: CallOptions,
    deadline: Option<Instant>,
}

impl Call {
    pub(crate) fn new(client: Client, options: CallOptions) -> Self {
        let deadline = options.timeout.map(|timeout| Instant::now() + timeout.min(FOREVER));
        Self { client, options, deadline }
    }

    pub(crate) fn expired(&self) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= Instant::now())
    }

    /// Waits for work, at most until the deadline.
    pub(crate) async fn within<T>(&self, work: impl Future<Output = T>) -> Result<T, Error> {
        match self.deadline {
            None => Ok(work.await),
            Some(_) if self.expired() => Err(Error::deadline()),
            Some(deadline) => timeout_at(deadline, work).await.map_err(|_| Error::deadline()),
        }
    }

    /// Returns the caller's current token, empty without a provider.
    pub(crate) async fn caller_token(&self) -> Result<String, Error> {
        self.within(self.client.caller_token().get()).await?
    }

    /// Returns a message with the metadata of the call.
    pub(crate) fn request<T>(&self, message: T, caller_token: &str) -> Result<Request<T>, Error> {
        let mut request = Request::new(message);
        let bearer = if caller_token.is_empty() { String::new() } else { format!("Bearer {caller_token}") };
        for (name, value) in [
            ("authorization", self.options.token.as_ref().unwrap_or(self.client.token()).0.as_str()),
            ("x-user-id", self.options.user_id.as_deref().unwrap_or(self.client.user_id())),
            ("language", self.options.language.as_str()),
            ("x-kootask-authorization", bearer.as_str()),
        ] {
            if value.is_empty() {
                continue;
            }
            let printable = value.bytes().all(|b| matches!(b, b' '..=b'~')); // tonic sends other bytes as they are.
            let value = printable.then(|| AsciiMetadataValue::try_from(value).ok()).flatten();
            let mut value = value.ok_or_else(|| {
                Error::local(Code::InvalidArgument, format!("{name} contains characters other than printable ASCII"))
            })?;
            value.set_sensitive(name.ends_with("authorization"));
            request.metadata_mut().insert(name, value);
        }
        if let Some(deadline) = self.deadline {
            request.set_timeout(deadline - Instant::now());
        }
        Ok(request)
    }

    pub(crate) fn failed_task_as_error(&self) -> bool {
        self.options.failed_task_as_error
    }

    /// Notes that kootask has answered.
    pub(crate) fn answered(&self) {
        self.client.meet();
    }

    /// Reports whether kootask has ever answered the client.
    pub(crate) fn was_answered(&self) -> bool {
        self.client.met()
    }

    /// Converts the status with which the call or one of its streams has ended.
    pub(crate) fn failed(&self, status: Status) -> Error {
        let error = Error::from_status(status);
        if !error.reason_name().is_empty() {
            self.answered();
        } else if self.expired() {
            return Error::deadline(); // tonic has the deadline too, and reports it as a cancellation.
        }
        error
    }

    /// Completes the error that ends the call: if the client's address may be wrong, it says so.
    pub(crate) async fn explain(&self, error: Error) -> Error {
        if !error.reason_name().is_empty() {
            return error;
        }
        let cause = match error.code() {
            Code::Unimplemented => Some(address::not_kootask(self.client.addr())),
            Code::Unavailable | Code::Internal if !self.was_answered() => {
                self.within(self.client.probe(address::PROBE_TIMEOUT)).await.ok().flatten()
            }
            _ => None,
        };
        match cause {
            Some(cause) => error.explained(&cause),
            None => error,
        }
    }
}
