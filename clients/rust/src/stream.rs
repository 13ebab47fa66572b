use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio_stream::{Stream, StreamExt};

use crate::{Error, Event, Task};

/// The events of a watch: see [`Client::events_with`](crate::Client::events_with) and
/// [`Client::watch_all_with`](crate::Client::watch_all_with).
///
/// The watch starts when the stream is first polled, but the timeout runs from the call that returned it. Dropping the
/// stream cancels the watch.
#[must_use = "a watch does nothing unless it is polled"]
pub struct Events(Pin<Box<dyn Stream<Item = Result<Event, Error>> + Send>>);

/// The tasks of a watch: see [`Client::watch_with`](crate::Client::watch_with). Otherwise it is like [`Events`].
#[must_use = "a watch does nothing unless it is polled"]
pub struct Tasks(pub(crate) Events);

impl Events {
    pub(crate) fn new(events: impl Stream<Item = Result<Event, Error>> + Send + 'static) -> Self {
        Self(Box::pin(events))
    }
}

impl Tasks {
    /// Returns the last task of the watch, which is the finished one.
    pub(crate) async fn last(mut self) -> Result<Task, Error> {
        let mut last = Task::default();
        while let Some(task) = self.try_next().await? {
            last = task;
        }
        Ok(last)
    }
}

impl Stream for Events {
    type Item = Result<Event, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(cx)
    }
}

impl Stream for Tasks {
    type Item = Result<Task, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match ready!(Pin::new(&mut self.0).poll_next(cx)) {
                Some(Ok(Event::Task(task))) => return Poll::Ready(Some(Ok(task))),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Events")
    }
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tasks")
    }
}
