use std::time::Duration;

use crate::secret::Secret;

/// The options of one call. What is not set is as the [`Client`](crate::Client) has it, or off.
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
    /// Returns options of which none is set.
    pub fn new() -> Self {
        Self::default()
    }

    /// The KooDrive credential of this call: a token, with or without `Bearer ` in front. Empty: none.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(Secret(token.into()));
        self
    }

    /// The KooDrive user on whose behalf this call is made. Empty: none.
    pub fn user_id(mut self, id: impl Into<String>) -> Self {
        self.user_id = Some(id.into());
        self
    }

    /// The language of [`Error::localized_message`](crate::Error::localized_message): `en-US` or `zh-CN`. Not set or
    /// empty: errors have no such message.
    pub fn language(mut self, language: impl Into<String>) -> Self {
        self.language = language.into();
        self
    }

    /// How old the answer of a `get` may be; 0 asks KooDrive in any case. Not set: a finished task may be a minute old,
    /// and KooDrive is asked for any other. A watch does not heed it.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// How long the whole call may take from its beginning on, all resumes of a watch included. Then it fails with
    /// `DeadlineExceeded`. Not set: as long as it takes, which many calls at a time that wait for a connection may
    /// sum up: see [`Client::get_with`](crate::Client::get_with).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Whether a task that has failed is an [`Error`](crate::Error) with the reason `TaskFailed`. A watch hands the task
    /// out first.
    pub fn failed_task_as_error(mut self, yes: bool) -> Self {
        self.failed_task_as_error = yes;
        self
    }
}
