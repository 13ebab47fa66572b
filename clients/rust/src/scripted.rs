//! A kootask for tests, in the place of the contract's streams.

use std::{
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_stream::stream;
use tokio::time::{Instant, sleep};
use tokio_stream::{Stream, StreamExt};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::{
    CallOptions, Client, Error, Event, Events, Task, TaskStatus,
    call::Call,
    contract::{DroppedTask, Heartbeat},
    source::{Message, Receiver, Source},
    watch,
};

/// Act is one thing that a stream does. Its acts are followed by its end without an error.
#[derive(Clone)]
pub(crate) enum Act {
    Send(Message),
    Sleep(u64), // In seconds.
    Fail(Status),
    Hang,
}

/// Step returns the acts of a stream of the tasks with these ids.
pub(crate) type Step = Box<dyn Fn(&[String]) -> Vec<Act> + Send + Sync>;

/// Scripted answers each stream with the next step, of which the last is repeated.
pub(crate) struct Scripted {
    start: Instant,
    steps: Vec<Step>,
    opened: Mutex<Vec<(Vec<String>, Duration)>>, // The ids of each stream, and its time.
    open: AtomicUsize,                           // Streams that have not ended.
}

struct Open(Arc<Scripted>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Scripted {
    pub(crate) fn new(steps: impl IntoIterator<Item = Step>) -> Arc<Self> {
        Arc::new(Self {
            start: Instant::now(),
            steps: steps.into_iter().collect(),
            opened: Mutex::default(),
            open: AtomicUsize::new(0),
        })
    }

    pub(crate) fn source(self: &Arc<Self>) -> Source {
        let script = self.clone();
        Arc::new(move |request| {
            let script = script.clone();
            Box::pin(async move {
                let acts = script.begin(request.into_inner());
                let open = Open(script);
                let receiver = stream! {
                    let _open = open;
                    for act in acts {
                        match act {
                            Act::Send(message) => yield Ok(message),
                            Act::Sleep(seconds) => sleep(Duration::from_secs(seconds)).await,
                            Act::Fail(status) => yield Err(status),
                            Act::Hang => std::future::pending().await,
                        }
                    }
                };
                Ok(Box::pin(receiver) as Receiver)
            })
        })
    }

    fn begin(&self, ids: Vec<String>) -> Vec<Act> {
        self.open.fetch_add(1, Ordering::Relaxed);
        let mut opened = self.opened.lock().unwrap();
        let acts = self.steps[opened.len().min(self.steps.len() - 1)](&ids);
        opened.push((ids, self.start.elapsed()));
        acts
    }

    /// Returns the events of a watch of these tasks. Without a timeout, it has one of a day, so that no fault runs for ever.
    pub(crate) fn watch(self: &Arc<Self>, ids: &[&str], mut options: CallOptions) -> Events {
        options.timeout.get_or_insert(Duration::from_secs(24 * 60 * 60));
        let ids = ids.iter().map(|id| (*id).to_owned()).collect();
        Events::new(watch::events(Call::new(client(), options), self.source(), ids))
    }

    /// Returns the ids of each stream.
    pub(crate) fn lists(&self) -> Vec<Vec<String>> {
        self.opened.lock().unwrap().iter().map(|(ids, _)| ids.clone()).collect()
    }

    /// Returns the numbers of ids of the streams, the largest first.
    pub(crate) fn sizes(&self) -> Vec<usize> {
        let mut sizes: Vec<_> = self.lists().iter().map(Vec::len).collect();
        sizes.sort_by(|a, b| b.cmp(a));
        sizes
    }

    /// Returns the seconds at which each stream was opened.
    pub(crate) fn times(&self) -> Vec<f64> {
        self.opened.lock().unwrap().iter().map(|(_, at)| whole(*at)).collect()
    }

    pub(crate) fn elapsed(&self) -> f64 {
        whole(self.start.elapsed())
    }

    /// Returns the number of streams that have not ended.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

/// Returns seconds without the millisecond by which Tokio's timers may be late.
fn whole(time: Duration) -> f64 {
    (time.as_secs_f64() * 10.0).floor() / 10.0
}

pub(crate) fn client() -> Client {
    Client::builder("127.0.0.1:1").plaintext().build().unwrap()
}

/// Returns the events of a watch as texts, and the error, which must come last.
pub(crate) async fn collect(events: impl Stream<Item = Result<Event, Error>>) -> (Vec<String>, Option<Error>) {
    let mut events = pin!(events);
    let mut seen = Vec::new();
    while let Some(event) = events.next().await {
        seen.push(match event {
            Ok(Event::Task(task)) => said(&task),
            Ok(Event::Heartbeat(beat)) => {
                format!("heartbeat of {:?}, failing {:?}", beat.task_ids, beat.failing_task_ids)
            }
            Ok(Event::Resume(resume)) => format!("resume of {:?}", resume.task_ids),
            Ok(Event::Dropped(error)) => {
                format!("{} dropped, retry {}", error.task_id(), error.retry_delay().is_some())
            }
            Err(error) => {
                assert!(events.next().await.is_none(), "an event after the error");
                return (seen, Some(error));
            }
        });
    }
    (seen, None)
}

pub(crate) fn said(task: &Task) -> String {
    format!("{} {:?}", task.task_id, task.status())
}

pub(crate) fn task(id: &str, status: TaskStatus) -> Task {
    let done = matches!(status, TaskStatus::Success | TaskStatus::Failed);
    Task { task_id: id.to_owned(), status: status.into(), done, ..Task::default() }
}

pub(crate) fn acts(acts: impl Into<Vec<Act>>) -> Step {
    let acts = acts.into();
    Box::new(move |_| acts.clone())
}

pub(crate) fn each(act: impl Fn(&str) -> Act + Send + Sync + 'static) -> Step {
    Box::new(move |ids| ids.iter().map(|id| act(id)).collect())
}

pub(crate) fn tell(id: &str, status: TaskStatus) -> Act {
    Act::Send(Message::Task { id: id.to_owned(), task: task(id, status) })
}

pub(crate) fn beat(failing: &[&str]) -> Act {
    let failing_task_ids: Vec<_> = failing.iter().map(|id| (*id).to_owned()).collect();
    Act::Send(Message::Heartbeat(Heartbeat { failing_task_ids, ..Heartbeat::default() }))
}

/// Returns the end of one task. Without a delay in seconds, a retry does not help.
pub(crate) fn dropped(id: &str, delay: Option<i64>) -> Act {
    let mut dropped = DroppedTask {
        task_id: id.to_owned(),
        code: Code::NotFound.into(),
        reason: "TASK_NOT_FOUND".to_owned(),
        message: "No such task.".to_owned(),
        localized_message: "不行".to_owned(),
        metadata: [("upstreamCode".to_owned(), "13000309".to_owned())].into(),
        ..DroppedTask::default()
    };
    if let Some(seconds) = delay {
        dropped.code = Code::Unavailable.into();
        dropped.reason = "UPSTREAM_STALE".to_owned();
        dropped.retry_delay = Some(prost_types::Duration { seconds, nanos: 0 });
    }
    Act::Send(Message::Dropped(Error::dropped(dropped, "mine".to_owned())))
}

/// Returns one of kootask's errors. Without a delay in seconds, a retry does not help.
pub(crate) fn fail(code: Code, reason: &str, delay: Option<u64>) -> Act {
    let mut details = ErrorDetails::with_error_info(reason, "koodrive.task.v1", []);
    if let Some(seconds) = delay {
        details.set_retry_info(Some(Duration::from_secs(seconds)));
    }
    Act::Fail(Status::with_error_details(code, "No.", details))
}
