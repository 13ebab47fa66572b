use std::time::Duration;

use crate::{Error, Heartbeat, Task};

/// One event of a watch. An event that is newer than this version is not handed out.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The task: first as it stands, then after each change.
    Task(Task),
    /// Nothing has changed. It says how KooDrive does.
    Heartbeat(Heartbeat),
    /// The watch was interrupted and goes on by itself.
    Resume(Resume),
}

/// An interruption of a watch.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Resume {
    /// What ended the stream.
    pub cause: Error,
    /// How long the watch waits before it begins anew.
    pub after: Duration,
}
