use std::time::Duration;

use crate::{Error, Heartbeat, Task};

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
}

/// An interruption of a watch.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Resume {
    /// The error that ended the stream.
    pub cause: Error,
    /// The time until the watch resumes.
    pub after: Duration,
}
