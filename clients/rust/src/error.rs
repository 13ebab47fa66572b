use std::{collections::HashMap, error::Error as StdError, fmt, sync::Arc, time::Duration};

use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::{ErrorReason, Task, caller::BoxError, contract::DroppedTask};

/// The `ErrorInfo.domain` of kootask's reasons.
const DOMAIN: &str = "koodrive.task.v1";

/// A failed call.
///
/// An error that is not from kootask has a source: the error of the caller's token provider or of gRPC's library. Its text
/// is part of this error's text.
#[derive(Clone, Debug)]
pub struct Error(Box<Parts>); // Results stay small.

#[derive(Clone, Debug)]
struct Parts {
    code: Code,
    reason: String,
    message: String,
    retry_delay: Option<Duration>,
    task_id: String,
    request_id: String,
    metadata: HashMap<String, String>,
    violations: Vec<Violation>,
    localized_message: String,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// The fault of one field of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// The name of the field, for example `task_id`.
    pub field: String,
    /// The kind of fault, for programs.
    pub reason: String,
    /// The fault, for people.
    pub description: String,
}

impl Error {
    /// gRPC's code.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The cause, for programs. None if the reason is newer than this version (see [`Error::reason_name`]), or if the error
    /// is not from kootask, but from gRPC's library, a proxy or the provider of the caller's token.
    pub fn reason(&self) -> Option<ErrorReason> {
        ErrorReason::from_str_name(&self.0.reason).filter(|reason| *reason != ErrorReason::Unspecified)
    }

    /// The name of the reason, for example `TASK_NOT_FOUND`. Empty if the error is not from kootask.
    pub fn reason_name(&self) -> &str {
        &self.0.reason
    }

    /// The message, for people. If the client's address may be wrong, it begins with the fault, as far as the client can find
    /// it.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The time after which calling again may help, from kootask. None if kootask does not say that it helps, and after a
    /// broken connection (an error without a reason, whose code is `Unavailable`), where calling again may help too.
    pub fn retry_delay(&self) -> Option<Duration> {
        self.0.retry_delay
    }

    /// The id of the task in [`Event::Dropped`](crate::Event::Dropped). Empty for other errors.
    pub fn task_id(&self) -> &str {
        &self.0.task_id
    }

    /// The id of the call in kootask's log. Empty if the error is not from kootask.
    pub fn request_id(&self) -> &str {
        &self.0.request_id
    }

    /// Further details, under the contract's names. For example, `resultCode` is the code of a failed task.
    pub fn metadata(&self) -> &HashMap<String, String> {
        &self.0.metadata
    }

    /// The faults of the request, if the reason is `RequestInvalid`.
    pub fn violations(&self) -> &[Violation] {
        &self.0.violations
    }

    /// The message in the language of [`CallOptions::language`](crate::CallOptions::language). Empty without that option.
    pub fn localized_message(&self) -> &str {
        &self.0.localized_message
    }

    /// Returns an error of the client itself.
    pub(crate) fn local(code: Code, message: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            code,
            message: message.into(),
            reason: String::new(),
            retry_delay: None,
            task_id: String::new(),
            request_id: String::new(),
            metadata: HashMap::new(),
            violations: Vec::new(),
            localized_message: String::new(),
            source: None,
        }))
    }

    /// Puts a sentence about the cause in front of the message.
    pub(crate) fn explained(mut self, cause: &str) -> Self {
        self.0.message = format!("{cause}: {}", self.message());
        self
    }

    pub(crate) fn caused_by(mut self, source: impl Into<BoxError>) -> Self {
        self.0.source = Some(Arc::from(source.into()));
        self
    }

    /// Returns the error of a call whose timeout has passed.
    pub(crate) fn deadline() -> Self {
        Self::local(Code::DeadlineExceeded, "the call's timeout has passed")
    }

    /// Returns the error that kootask sends for a failed task.
    pub(crate) fn task_failed(task: &Task) -> Self {
        let mut error = Self::local(Code::Aborted, "The task has failed.");
        error.0.reason = ErrorReason::TaskFailed.as_str_name().to_owned();
        error.0.metadata = HashMap::from([
            ("taskId".to_owned(), task.task_id.clone()),
            ("resultCode".to_owned(), task.koodrive_result_code.clone()),
        ]);
        error
    }

    /// Returns the error of a task that was dropped from the stream of this request.
    pub(crate) fn dropped(dropped: DroppedTask, request_id: String) -> Self {
        let mut error = Self::local(Code::from(dropped.code), dropped.message);
        error.0.reason = dropped.reason;
        error.0.retry_delay = dropped.retry_delay.map(|delay| delay.try_into().unwrap_or_default());
        error.0.task_id = dropped.task_id;
        error.0.request_id = request_id;
        error.0.metadata = dropped.metadata;
        error.0.localized_message = dropped.localized_message;
        error
    }

    /// Converts the status with which a call has ended.
    pub(crate) fn from_status(status: Status) -> Self {
        if let Some(source) = status.source() {
            // It is not from a server. tonic has other codes for a broken connection; gRPC's code is Unavailable.
            let is_broken = matches!(status.code(), Code::Unknown | Code::Cancelled);
            let code = if is_broken { Code::Unavailable } else { status.code() };
            return Self::local(code, chain(source)).caused_by(status);
        }
        let mut error = Self::local(status.code(), status.message());
        let details = status.get_error_details();
        if let Some(info) = details.error_info().filter(|info| info.domain == DOMAIN) {
            error.0.reason = info.reason.clone();
            error.0.metadata = info.metadata.clone();
        }
        error.0.retry_delay = details.retry_info().map(|retry| retry.retry_delay.unwrap_or_default());
        if let Some(request) = details.request_info() {
            error.0.request_id = request.request_id.clone();
        }
        for v in details.bad_request().into_iter().flat_map(|bad| bad.field_violations.iter().cloned()) {
            error.0.violations.push(Violation { field: v.field, reason: v.reason, description: v.description });
        }
        if let Some(localized) = details.localized_message() {
            error.0.localized_message = localized.message.clone();
        }
        error
    }
}

/// Returns the text of an error and of its causes, because tonic's own text is only "transport error".
fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let more = cause.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        next = cause.source();
    }
    text
}

/// The task that was dropped, if it is one, the message, the reason in brackets (or the code without a reason), and the faults
/// of the request.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.task_id().is_empty() {
            write!(f, "task {}: ", self.task_id())?;
        }
        match self.reason_name() {
            "" => write!(f, "{} ({:?})", self.message(), self.code())?,
            reason => write!(f, "{} ({reason})", self.message())?,
        }
        for v in self.violations() {
            write!(f, " {}: {} {}", v.field, v.reason, v.description)?;
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;

    fn error(code: Code, details: ErrorDetails) -> Error {
        Error::from_status(Status::with_error_details(code, "No.", details))
    }

    #[test]
    fn details_are_taken_apart() {
        let mut details = ErrorDetails::with_error_info("REQUEST_INVALID", DOMAIN, [("a".to_owned(), "b".to_owned())]);
        details.set_request_info("mine", "").set_localized_message("en-US", "No!").set_retry_info(None);
        details.add_bad_request_violation("task_id", "It is empty.");
        let error = error(Code::InvalidArgument, details);
        assert_eq!(error.reason(), Some(ErrorReason::RequestInvalid));
        assert_eq!(error.retry_delay(), Some(Duration::ZERO));
        assert_eq!((error.request_id(), error.localized_message()), ("mine", "No!"));
        assert_eq!(error.metadata()["a"], "b");
        assert_eq!(error.to_string(), "No. (REQUEST_INVALID) task_id:  It is empty.");
    }

    #[test]
    fn reasons_are_kootasks_own() {
        let newer = error(Code::NotFound, ErrorDetails::with_error_info("NEWER", DOMAIN, []));
        assert_eq!((newer.reason(), newer.reason_name(), newer.retry_delay()), (None, "NEWER", None));
        let foreign = error(Code::NotFound, ErrorDetails::with_error_info("TASK_NOT_FOUND", "proxy.test", []));
        assert_eq!((foreign.reason(), foreign.reason_name()), (None, ""));
        assert_eq!(foreign.to_string(), "No. (NotFound)");
    }
}
