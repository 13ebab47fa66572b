use std::time::Duration;

use crate::secret::Secret;

/// The options of one call. An option that is not set has the value of the [`Client`](crate::Client), or is off.
#[derive(Clone, Debug, Default)]
pub struct CallOptions {
    pub(crate) token: Option<Secret>,
    pub(crate) user_id: Option<String>,
    pub(crate) language: String,
    pub(crate) max_age: Option<Duration>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) failed_task_as_error: bool,
}

impl CallOptions {
    /// Returns options without any value.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the KooDrive credential of this call: a token, with or without `Bearer ` in front. Empty: none.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(Secret(token.into()));
        self
    }

    /// Sets the KooDrive user to act for. Empty: none.
    pub fn user_id(mut self, id: impl Into<String>) -> Self {
        self.user_id = Some(id.into());
        self
    }

    /// Sets the language of [`Error::localized_message`](crate::Error::localized_message), such as `zh-CN`. Not set or
    /// empty: errors have no such message.
    pub fn language(mut self, language: impl Into<String>) -> Self {
        self.language = language.into();
        self
    }

    /// Sets the maximum age of the answer of a `get`. 0 always asks KooDrive. Not set: a finished task may be up to a minute
    /// old, and KooDrive is asked for any other task. A watch ignores it.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// Sets the maximum duration of the whole call, with all resumes of a watch. After it, the call fails with
    /// `DeadlineExceeded`. Not set: no limit. Calls that wait for a connection may then wait long: see
    /// [`Client::get_with`](crate::Client::get_with).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Turns a failed task into an [`Error`](crate::Error) with the reason `TaskFailed`. A watch yields the task first.
    pub fn failed_task_as_error(mut self, yes: bool) -> Self {
        self.failed_task_as_error = yes;
        self
    }
}
