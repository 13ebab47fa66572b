use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use async_stream::stream;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_stream::Stream;
use tonic::{Code, Status, Streaming};

use crate::{
    CallOptions, Client, Error, ErrorReason, Event, Resume, Task, TaskStatus,
    call::Call,
    contract::{WatchTaskRequest, WatchTaskResponse, watch_task_response},
};

/// A stream without a message for this long is broken: kootask sends one at least every 15 s.
const SILENCE: Duration = Duration::from_secs(20);
// Seconds between attempts to resume after a broken connection, for which kootask cannot ask for a delay. Jittered by ±20 %.
const RESUME_MIN: f64 = 1.0;
const RESUME_MAX: f64 = 15.0;
const RESUME_GROWTH: f64 = 1.6;

/// Yields every event of a watch. Its timeout begins now, before the stream is polled.
pub(crate) fn events(
    client: Client,
    id: String,
    options: CallOptions,
) -> impl Stream<Item = Result<Event, Error>> + Send {
    let request = WatchTaskRequest { task_id: id, failed_task_as_error: options.failed_task_as_error };
    let mut watcher = Watcher::new(client, request, options);
    stream! {
        loop {
            let cause = match watcher.open().await {
                Err(cause) => cause,
                Ok(mut stream) => loop {
                    match watcher.receive(stream.message()).await {
                        Err(cause) => break cause,
                        Ok(message) => {
                            if let Some(event) = watcher.news(message) {
                                yield Ok(event);
                            }
                            if watcher.finished() {
                                return;
                            }
                        }
                    }
                },
            };
            let cause = watcher.ended(cause);
            let Some(after) = watcher.delay(&cause).await else {
                yield Err(cause);
                return;
            };
            yield Ok(Event::Resume(Resume { cause, after }));
            if let Err(error) = watcher.call.within(sleep(after)).await {
                yield Err(error);
                return;
            }
        }
    }
}

/// Watcher is one watch, over all its streams.
struct Watcher {
    client: Client,
    call: Call,
    request: WatchTaskRequest,
    last: Option<Task>,   // Yielded last.
    caller_token: String, // Of the last stream.
    empty: u32,           // Consecutive streams that ended before their first message.
    silent_at: Instant,   // Time at which the stream is broken without a message.
}

impl Watcher {
    fn new(client: Client, request: WatchTaskRequest, options: CallOptions) -> Self {
        Self {
            call: Call::new(client.clone(), options),
            client,
            request,
            last: None,
            caller_token: String::new(),
            empty: 0,
            silent_at: Instant::now(),
        }
    }

    async fn open(&mut self) -> Result<Streaming<WatchTaskResponse>, Error> {
        self.empty += 1;
        self.caller_token = self.call.caller_token().await?;
        let request = self.call.request(self.request.clone(), &self.caller_token)?;
        self.silent_at = Instant::now() + SILENCE;
        let mut tasks = self.client.tasks();
        let response = self.listen(tasks.watch_task(request)).await?;
        Ok(response.into_inner())
    }

    async fn receive(
        &mut self,
        message: impl Future<Output = Result<Option<WatchTaskResponse>, Status>>,
    ) -> Result<WatchTaskResponse, Error> {
        if self.empty == 0 {
            self.silent_at = Instant::now() + SILENCE; // The consumer may take any time between messages.
        }
        let message = self.listen(message).await?;
        let message =
            message.ok_or_else(|| Error::local(Code::Unavailable, "the stream ended before the task was finished"))?;
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

    /// Returns the event of a message, unless its task is a repetition or older, or its kind is newer than this version.
    fn news(&mut self, message: WatchTaskResponse) -> Option<Event> {
        match message.event? {
            watch_task_response::Event::Heartbeat(heartbeat) => Some(Event::Heartbeat(heartbeat)),
            watch_task_response::Event::Task(task) => {
                if !is_news(self.last.as_ref(), &task) {
                    return None;
                }
                self.last = Some(task.clone());
                Some(Event::Task(task))
            }
        }
    }

    fn done(&self) -> bool {
        self.last.as_ref().is_some_and(|task| task.done)
    }

    /// Reports whether the watch is complete. After a failed task, the error follows if it was requested.
    fn finished(&self) -> bool {
        let failed = self.last.as_ref().is_some_and(|task| task.status() == TaskStatus::Failed);
        self.done() && !(failed && self.request.failed_task_as_error)
    }

    /// Returns the cause of an interruption, given the error that ended the stream.
    fn ended(&self, cause: Error) -> Error {
        match &self.last {
            // The failed task was yielded, and the stream broke before the requested error came.
            Some(task) if task.done && cause.reason_name().is_empty() => Error::task_failed(task),
            _ => cause,
        }
    }

    /// Returns the time until the watch resumes. None: it does not resume.
    async fn delay(&self, cause: &Error) -> Option<Duration> {
        if self.call.expired() {
            return None;
        }
        if let Some(delay) = cause.retry_delay() {
            // The second stream without a message: kootask may ask for a delay of 0.
            return Some(if self.empty < 2 { delay } else { delay.max(self.backoff()) });
        }
        let resumes = match cause.reason() {
            // All watches with the token end at the same moment.
            Some(ErrorReason::CallerUnauthenticated) => self.empty == 0 && self.renewed().await,
            _ if !cause.reason_name().is_empty() || !self.client.met() => false,
            // Cancelled comes from a proxy here: a caller cancels a watch by dropping it.
            _ => matches!(cause.code(), Code::Unavailable | Code::Internal | Code::Unknown | Code::Cancelled),
        };
        resumes.then(|| self.backoff())
    }

    /// Reports whether the caller's token differs from the token of the stream that has ended.
    async fn renewed(&self) -> bool {
        self.call.caller_token().await.is_ok_and(|token| token != self.caller_token)
    }

    fn backoff(&self) -> Duration {
        let random = RandomState::new().hash_one(()) as f64 / u64::MAX as f64; // A new seed each time: good enough for a jitter.
        backoff(self.empty, random)
    }
}

/// Reports whether a task is newer than the one yielded last. A new stream begins with the task as it is, and may come from
/// a server that has seen less than the one before.
fn is_news(last: Option<&Task>, task: &Task) -> bool {
    let Some(last) = last else { return true };
    rank(task) >= rank(last) && Task { observe_time: task.observe_time, ..last.clone() } != *task
}

fn rank(task: &Task) -> u8 {
    match task.status() {
        _ if task.done => 2,
        TaskStatus::New => 0,
        _ => 1,
    }
}

/// Returns the delay after a stream that broke or brought no message, the `empty`th consecutive one without a message.
fn backoff(empty: u32, random: f64) -> Duration {
    let seconds = (RESUME_MIN * RESUME_GROWTH.powf(f64::from(empty))).min(RESUME_MAX);
    Duration::from_secs_f64(seconds * (0.8 + 0.4 * random))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;

    fn task(status: TaskStatus) -> Task {
        let done = matches!(status, TaskStatus::Success | TaskStatus::Failed);
        Task { task_id: "9".to_owned(), status: status.into(), done, ..Task::default() }
    }

    #[test]
    fn nothing_is_handed_out_twice_or_goes_back() {
        let executing = task(TaskStatus::Executing);
        let later = Task { observe_time: Some(Timestamp { seconds: 1, nanos: 0 }), ..executing.clone() };
        let renamed = Task { task_name: "new".to_owned(), ..executing.clone() };
        let unknown = Task { status: 7, ..task(TaskStatus::Unspecified) };
        for (last, next, news) in [
            (None, &executing, true),
            (Some(&executing), &executing, false),
            (Some(&executing), &later, false),
            (Some(&executing), &renamed, true),
            (Some(&executing), &task(TaskStatus::New), false),
            (Some(&executing), &unknown, true),
            (Some(&unknown), &executing, true),
            (Some(&executing), &task(TaskStatus::Failed), true),
            (Some(&task(TaskStatus::Success)), &executing, false),
        ] {
            assert_eq!(is_news(last, next), news, "{last:?}, then {next:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn consumers_time_is_no_silence() {
        let client = Client::builder("127.0.0.1:1").plaintext().build().unwrap();
        let mut watcher = Watcher::new(client, WatchTaskRequest::default(), CallOptions::new());
        let after = async |seconds| {
            sleep(Duration::from_secs(seconds)).await;
            Ok(Some(WatchTaskResponse::default()))
        };
        for _ in 0..3 {
            watcher.receive(after(19)).await.unwrap();
            sleep(SILENCE * 2).await;
        }
        let error = watcher.receive(after(21)).await.unwrap_err();
        assert_eq!((error.code(), error.message()), (Code::Unavailable, "kootask has been silent for too long"));
    }

    #[test]
    fn backoff_grows_to_its_limit() {
        for (empty, seconds) in [(0, 1.0), (1, 1.6), (2, 2.56), (5, 10.48576), (6, 15.0), (1_000_000, 15.0)] {
            for (random, factor) in [(0.0, 0.8), (0.5, 1.0), (1.0, 1.2)] {
                let got = backoff(empty, random).as_secs_f64();
                assert!((got - seconds * factor).abs() < 1e-6, "{got} s after {empty} streams");
            }
        }
    }
}
