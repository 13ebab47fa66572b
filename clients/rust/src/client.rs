use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tonic::transport::Channel;

use crate::{
    Builder, CallOptions, Error, Events, Task, Tasks,
    call::{Call, FOREVER},
    caller::CallerToken,
    contract::{GetTaskRequest, task_service_client::TaskServiceClient},
    secret::Secret,
    watch,
};

/// Client calls kootask. It may be used from several tasks at a time, and one is enough for a process: a clone shares
/// the connection. The connection is closed when all clones and all streams are dropped.
///
/// One connection carries 1,000 calls and watches at a time.
#[derive(Clone, Debug)]
pub struct Client(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    builder: Builder,
    tasks: TaskServiceClient<Channel>,
    met: AtomicBool, // kootask has answered at least once.
}

impl Client {
    /// Begins a client of the kootask at this gRPC address, `host:port`.
    pub fn builder(addr: impl Into<String>) -> Builder {
        Builder::new(addr.into())
    }

    pub(crate) fn new(builder: Builder, channel: Channel) -> Self {
        let tasks = TaskServiceClient::new(channel);
        Self(Arc::new(Shared { builder, tasks, met: AtomicBool::new(false) }))
    }

    /// Returns a task, as it is now: [`Client::get_with`] without options.
    pub async fn get(&self, id: &str) -> Result<Task, Error> {
        self.get_with(id, CallOptions::new()).await
    }

    /// Returns a task, as it is now. It calls once. The [`Error`] says whether calling again helps.
    ///
    /// Without a connection, calls are queued, and each failed attempt to connect ends one of them. An attempt may take
    /// 5 s, if the peer does not answer, so the tenth of ten calls fails after 50 s. Set a [`CallOptions::timeout`].
    pub async fn get_with(&self, id: &str, options: CallOptions) -> Result<Task, Error> {
        let message = GetTaskRequest {
            task_id: id.to_owned(),
            max_age: options.max_age.and_then(|age| age.min(FOREVER).try_into().ok()),
            failed_task_as_error: options.failed_task_as_error,
        };
        let call = Call::new(self.clone(), options);
        let request = call.request(message, &call.caller_token().await?)?;
        let mut tasks = self.tasks();
        let response = call.within(tasks.get_task(request)).await?.map_err(|status| call.failed(status))?;
        call.answered();
        Ok(response.into_inner().task.unwrap_or_default())
    }

    /// Yields the task as it is now, then again after each change, until it is finished: [`Client::watch_with`] without
    /// options.
    pub fn watch(&self, id: &str) -> Tasks {
        self.watch_with(id, CallOptions::new())
    }

    /// Yields the task as it is now, then again after each change, until it is finished. It yields no state twice in a row,
    /// never goes back, and yields the finished task last. It resumes and ends like [`Client::events_with`].
    pub fn watch_with(&self, id: &str, options: CallOptions) -> Tasks {
        Tasks(self.events_with(id, options))
    }

    /// Yields every event of a watch: [`Client::events_with`] without options.
    pub fn events(&self, id: &str) -> Events {
        self.events_with(id, CallOptions::new())
    }

    /// Yields every event of a watch. The stream ends after the finished task, or with an [`Error`], which comes last.
    /// Dropping it cancels the watch. It owns its state, so it may outlive the client.
    ///
    /// Within its timeout, the watch resumes in two cases: after an error with a retry delay, when that has passed; and
    /// when the connection breaks or is silent for 20 s. It ends on any other error. Until kootask has answered the client
    /// once, it also ends when a stream breaks.
    ///
    /// When the caller's token expires, the stream ends with the reason `CallerUnauthenticated`. The watch resumes if
    /// [`Builder::caller_token`] returns another token by then. It ends if not, or if the stream ended before its first
    /// message.
    pub fn events_with(&self, id: &str, options: CallOptions) -> Events {
        Events(Box::pin(watch::events(self.clone(), id.to_owned(), options)))
    }

    pub(crate) fn tasks(&self) -> TaskServiceClient<Channel> {
        self.0.tasks.clone()
    }

    pub(crate) fn token(&self) -> &Secret {
        &self.0.builder.token
    }

    pub(crate) fn user_id(&self) -> &str {
        &self.0.builder.user_id
    }

    pub(crate) fn caller_token(&self) -> &CallerToken {
        &self.0.builder.caller_token
    }

    pub(crate) fn meet(&self) {
        self.0.met.store(true, Ordering::Relaxed);
    }

    pub(crate) fn met(&self) -> bool {
        self.0.met.load(Ordering::Relaxed)
    }
}
