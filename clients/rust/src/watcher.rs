use std::{sync::Arc, time::Duration};

use async_stream::stream;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_stream::{Stream, StreamExt};
use tonic::{Code, Status};

use crate::{
    Error, ErrorReason, Event, Heartbeat, Resume, TaskStatus,
    call::Call,
    resume::{resume_after, retry_after},
    source::{Message, Receiver, Source},
    watched::Watched,
};

/// A stream without a message for this long is broken: kootask sends one at least every 15 s.
const SILENCE: Duration = Duration::from_secs(20);

/// What a watcher yields: an event, with the task that it dropped, which the watcher no longer watches. The error that ends
/// the watcher comes last.
pub(crate) type Output = Result<(Event, Option<Watched>), Error>;

/// Watcher watches tasks until each has come to its end, with one stream after another.
pub(crate) struct Watcher {
    call: Arc<Call>,
    source: Source,
    tasks: Vec<Watched>,  // Those that have not come to their end.
    caller_token: String, // Of the last stream.
    empty: u32,           // Consecutive streams that ended before their first message.
    silent_at: Instant,   // Time at which the stream is broken without a message.
}

impl Watcher {
    pub(crate) fn new(call: Arc<Call>, source: Source, tasks: Vec<Watched>) -> Self {
        Self { call, source, tasks, caller_token: String::new(), empty: 0, silent_at: Instant::now() }
    }

    pub(crate) fn run(mut self) -> impl Stream<Item = Output> + Send {
        stream! {
            loop {
                let cause = match self.open().await {
                    Err(cause) => cause,
                    Ok(mut receiver) => loop {
                        match self.receive(receiver.next()).await {
                            Err(cause) => break cause,
                            Ok(message) => {
                                if let Some(output) = self.news(message) {
                                    yield Ok(output);
                                }
                                if self.tasks.is_empty() {
                                    return;
                                }
                            }
                        }
                    },
                };
                let cause = self.ended(cause);
                let Some(after) = self.delay(&cause).await else {
                    yield Err(cause);
                    return;
                };
                yield Ok((Event::Resume(Resume { cause, after, task_ids: self.ids() }), None));
                if let Err(error) = self.call.within(sleep(after)).await {
                    yield Err(error);
                    return;
                }
            }
        }
    }

    async fn open(&mut self) -> Result<Receiver, Error> {
        self.empty += 1;
        self.caller_token = self.call.caller_token().await?;
        let request = self.call.request(self.ids(), &self.caller_token)?;
        self.silent_at = Instant::now() + SILENCE;
        self.listen((self.source)(request)).await
    }

    async fn receive(
        &mut self,
        message: impl Future<Output = Option<Result<Message, Status>>>,
    ) -> Result<Message, Error> {
        if self.empty == 0 {
            self.silent_at = Instant::now() + SILENCE; // The consumer may take any time between messages.
        }
        let message = self.listen(async { message.await.transpose() }).await?;
        let message =
            message.ok_or_else(|| Error::local(Code::Unavailable, "the stream ended before every task had ended"))?;
        self.empty = 0;
        self.call.answered();
        Ok(message)
    }

    /// Waits for the next result of a stream.
    async fn listen<T>(&self, work: impl Future<Output = Result<T, Status>>) -> Result<T, Error> {
        self.call
            .within(timeout_at(self.silent_at, work))
            .await?
            .map_err(|_| Error::local(Code::Unavailable, "kootask has been silent for too long"))?
            .map_err(|status| self.call.failed(status))
    }

    /// Returns the ids of the tasks that have not come to their end.
    fn ids(&self) -> Vec<String> {
        self.tasks.iter().map(|task| task.id.clone()).collect()
    }

    /// Returns the event of a message, unless its task is a repetition, older or not watched, or its kind is newer than this
    /// version.
    fn news(&mut self, message: Message) -> Option<(Event, Option<Watched>)> {
        match message {
            Message::Newer => None,
            Message::Heartbeat(heartbeat) => Some((Event::Heartbeat(Heartbeat::new(heartbeat, self.ids())), None)),
            Message::Dropped(error) => {
                let mut dropped = self.tasks.remove(self.position(error.task_id())?);
                dropped.drops += 1;
                Some((Event::Dropped(error), Some(dropped)))
            }
            Message::Task { id, task } => {
                let at = self.position(&id)?;
                if !self.tasks[at].take(&task) {
                    return None;
                }
                let error_follows = self.call.failed_task_as_error() && task.status() == TaskStatus::Failed;
                if task.done && !error_follows {
                    self.tasks.remove(at);
                }
                Some((Event::Task(task), None))
            }
        }
    }

    fn position(&self, id: &str) -> Option<usize> {
        self.tasks.iter().position(|task| task.id == id)
    }

    /// Returns the cause of an interruption, given the error that ended the stream.
    fn ended(&self, cause: Error) -> Error {
        match self.tasks.first().and_then(Watched::finished) {
            // The failed task was yielded, and the stream broke before the requested error came.
            Some(task) if cause.reason_name().is_empty() => Error::task_failed(task),
            _ => cause,
        }
    }

    /// Returns the time until the watch resumes. None: it does not resume.
    async fn delay(&self, cause: &Error) -> Option<Duration> {
        if self.call.expired() {
            return None;
        }
        if let Some(delay) = cause.retry_delay() {
            return Some(retry_after(delay, self.empty));
        }
        let resumes = match cause.reason() {
            // All watches with the token end at the same moment.
            Some(ErrorReason::CallerUnauthenticated) => self.empty == 0 && self.renewed().await,
            _ if !cause.reason_name().is_empty() || !self.call.was_answered() => false,
            // Cancelled comes from a proxy here: a caller cancels a watch by dropping it.
            _ => matches!(cause.code(), Code::Unavailable | Code::Internal | Code::Unknown | Code::Cancelled),
        };
        resumes.then(|| resume_after(self.empty))
    }

    /// Reports whether the caller's token differs from the token of the stream that has ended.
    async fn renewed(&self) -> bool {
        self.call.caller_token().await.is_ok_and(|token| token != self.caller_token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        CallOptions,
        scripted::{Scripted, client},
    };

    #[tokio::test(start_paused = true)]
    async fn consumers_time_is_no_silence() {
        let call = Arc::new(Call::new(client(), CallOptions::new()));
        let mut watcher = Watcher::new(call, Scripted::new([]).source(), vec![]);
        let after = async |seconds| {
            sleep(Duration::from_secs(seconds)).await;
            Some(Ok(Message::Newer))
        };
        for _ in 0..3 {
            watcher.receive(after(19)).await.unwrap();
            sleep(SILENCE * 2).await;
        }
        let error = watcher.receive(after(21)).await.unwrap_err();
        assert_eq!((error.code(), error.message()), (Code::Unavailable, "kootask has been silent for too long"));
    }
}
