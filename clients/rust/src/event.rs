use std::time::Duration;

use crate::{Error, Task, Timestamp, contract};

/// One event of a watch. Kinds of events that are newer than this version are left out.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The task as it is now, then after each change.
    Task(Task),
    /// There is no known change. It also says whether KooDrive answers.
    Heartbeat(Heartbeat),
    /// The watch was interrupted and resumes by itself.
    Resume(Resume),
    /// The error, with its [`Error::task_id`], of a task whose watch ended before the task was finished. The other tasks
    /// are still watched. With a [`Error::retry_delay`], this task is watched again after that time. Only
    /// [`Client::watch_all`](crate::Client::watch_all) yields it.
    Dropped(Error),
}

/// A report that a watch is alive, and whether KooDrive answers.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Heartbeat {
    /// The time at which KooDrive last confirmed the tasks of this heartbeat, by kootask's clock: the oldest such time of
    /// those that were yielded and are not in `failing_task_ids`. None without such a task.
    pub observe_time: Option<Timestamp>,
    /// The number of consecutive failed polls of the task that has failed most often. 0 if no last poll failed.
    pub failure_count: i32,
    /// The name of the reason of the last failure, for example `UPSTREAM_TIMEOUT`. Empty if `failure_count` is 0.
    pub failure_reason: String,
    /// The ids of the tasks whose last poll failed. Empty if `failure_count` is 0.
    pub failing_task_ids: Vec<String>,
    /// The ids of the tasks that this heartbeat is about: those of its stream that have not ended.
    pub task_ids: Vec<String>,
}

impl Heartbeat {
    pub(crate) fn new(heartbeat: contract::Heartbeat, task_ids: Vec<String>) -> Self {
        // A field that the contract adds does not compile until it is here.
        let contract::Heartbeat { observe_time, failure_count, failure_reason, failing_task_ids } = heartbeat;
        Self { observe_time, failure_count, failure_reason, failing_task_ids, task_ids }
    }
}

/// An interruption of a watch.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Resume {
    /// The error that ended the stream.
    pub cause: Error,
    /// The time until the watch resumes.
    pub after: Duration,
    /// The ids of the tasks that this interruption is about: those of the stream that have not ended.
    pub task_ids: Vec<String>,
}
