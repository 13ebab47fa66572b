use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{runtime::Handle, task::JoinSet};
use tonic::transport::Channel;

use crate::{
    Builder, CallOptions, Error, Events, Task, Tasks, address,
    call::{Call, FOREVER},
    caller::CallerToken,
    contract::{GetTaskRequest, task_service_client::TaskServiceClient},
    peer::Peer,
    secret::Secret,
    source, watch,
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
    tasks: TaskServiceClient<Peer>,
    runtime: Handle, // Of the connection.
    met: AtomicBool, // kootask has answered at least once.
}

impl Client {
    /// Begins a client of the kootask at this gRPC address, `host:port`.
    pub fn builder(addr: impl Into<String>) -> Builder {
        Builder::new(addr.into())
    }

    pub(crate) fn new(builder: Builder, channel: Channel, runtime: Handle) -> Self {
        let tasks = TaskServiceClient::new(Peer(channel));
        Self(Arc::new(Shared { builder, tasks, runtime, met: AtomicBool::new(false) }))
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
        match call.within(tasks.get_task(request)).await? {
            Ok(response) => {
                call.answered();
                Ok(response.into_inner().task.unwrap_or_default())
            }
            Err(status) => Err(call.explain(call.failed(status)).await),
        }
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

    /// Returns the task once it is finished: [`Client::wait_with`] without options.
    pub async fn wait(&self, id: &str) -> Result<Task, Error> {
        self.wait_with(id, CallOptions::new()).await
    }

    /// Returns the task once it is finished. It watches the task, so it resumes and fails like [`Client::events_with`]. To
    /// limit the wait, set a [`CallOptions::timeout`]. A failed task is a value, unless
    /// [`CallOptions::failed_task_as_error`] is set.
    pub async fn wait_with(&self, id: &str, options: CallOptions) -> Result<Task, Error> {
        self.watch_with(id, options).last().await
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
        let source = source::one(self.tasks(), options.failed_task_as_error);
        Events::new(watch::events(Call::new(self.clone(), options), source, vec![id.to_owned()]))
    }

    /// Yields every event of a watch of any number of tasks: [`Client::watch_all_with`] without options.
    pub fn watch_all(&self, ids: impl IntoIterator<Item = impl Into<String>>) -> Events {
        self.watch_all_with(ids, CallOptions::new())
    }

    /// Yields every event of a watch of any number of tasks. It opens a stream for every 100 ids, and for the tasks that are
    /// watched again. An id that is named twice is watched once. Each task comes as in [`Client::watch_with`], and the order
    /// of different tasks is not defined. The `task_ids` of an [`Event::Heartbeat`](crate::Event::Heartbeat) or
    /// [`Event::Resume`](crate::Event::Resume) say which tasks it is about.
    ///
    /// The stream ends when each task was yielded finished, or dropped without a retry delay. A task that is dropped with one
    /// is watched again after it, or up to 30 s later, together with others. If it is dropped again before its next state, the
    /// delay is at least that after a broken connection.
    ///
    /// Each of kootask's streams resumes like that of [`Client::events_with`], with the tasks that have not ended. The watch
    /// also ends with an [`Error`], which comes last, if any of them would. An invalid id, or none, is the error
    /// `RequestInvalid`, whose violations count the distinct ids of one stream. Dropping the watch ends all streams.
    /// [`CallOptions::failed_task_as_error`] has no effect.
    pub fn watch_all_with(&self, ids: impl IntoIterator<Item = impl Into<String>>, options: CallOptions) -> Events {
        let call = Call::new(self.clone(), options.failed_task_as_error(false));
        let ids = ids.into_iter().map(Into::into).collect();
        Events::new(watch::events(call, source::several(self.tasks()), ids))
    }

    pub(crate) fn tasks(&self) -> TaskServiceClient<Peer> {
        self.0.tasks.clone()
    }

    pub(crate) fn addr(&self) -> &str {
        &self.0.builder.addr
    }

    /// Returns what is wrong with the address, if that can be found out within the limit.
    pub(crate) async fn probe(&self, limit: Duration) -> Option<String> {
        let Builder { addr, plaintext, .. } = &self.0.builder;
        let mut probe = JoinSet::new(); // It ends the probe when it is dropped.
        // The runtime of the call may lack I/O.
        probe.spawn_on(address::probe(addr.clone(), *plaintext, limit), &self.0.runtime);
        probe.join_next().await?.ok().flatten()
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

#[cfg(test)]
mod tests {
    use tokio::{
        io::AsyncReadExt,
        net::TcpListener,
        time::{Instant, pause},
    };

    use super::*;

    #[tokio::test]
    async fn a_probe_ends_when_it_is_dropped() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap().to_string();
        let client = Client::builder(addr).plaintext().build().unwrap();
        let mut hello = [0; 5];
        let mut peer = tokio::select! {
            _ = client.probe(Duration::from_secs(3600)) => panic!("the probe had no answer"),
            peer = async {
                let mut peer = listener.accept().await.unwrap().0;
                peer.read_exact(&mut hello).await.unwrap();
                peer
            } => peer,
        };
        pause(); // The limit of a probe that is left passes at once.
        let start = Instant::now();
        peer.read_to_end(&mut Vec::new()).await.unwrap();
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}
