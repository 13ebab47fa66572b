use std::{collections::HashSet, mem, pin::Pin, sync::Arc, time::Duration};

use async_stream::stream;
use tokio::time::{Instant, timeout_at};
use tokio_stream::{Stream, StreamExt, StreamMap};

use crate::{
    Error, Event,
    call::{Call, FOREVER},
    resume::retry_after,
    source::{PER_STREAM, Source},
    watched::Watched,
    watcher::{Output, Watcher},
};

/// How long a dropped task may wait, beyond its delay, for the delays of others. They then share a stream: after an outage of
/// KooDrive, each of many tasks would have its own.
const GATHERING: Duration = Duration::from_secs(30);

/// Yields every event of a watch of any number of tasks. Without an id, kootask says what is wrong.
pub(crate) fn events(call: Call, source: Source, ids: Vec<String>) -> impl Stream<Item = Result<Event, Error>> + Send {
    let mut watch = Watch::new(call, source, ids);
    stream! {
        while let Some(event) = watch.next().await {
            match event {
                Ok(event) => yield Ok(event),
                Err(error) => {
                    watch.watchers.clear(); // The explanation takes time.
                    yield Err(watch.call.explain(error).await);
                    return;
                }
            }
        }
    }
}

/// Watch is a watch of any number of tasks. It polls all its watchers in the consumer's task.
///
/// A task belongs to a watcher until its end. A task that was dropped with a delay gets a new watcher, and the other tasks keep
/// their stream: on a new one, fewer failed polls would drop them.
struct Watch {
    call: Arc<Call>,
    source: Source,
    watchers: StreamMap<u64, Pin<Box<dyn Stream<Item = Output> + Send>>>, // By their number.
    started: u64,                                                         // Number of watchers that were started.
    parked: Vec<(Instant, Watched)>, // Tasks to be watched again, from that time on.
}

impl Watch {
    fn new(call: Call, source: Source, ids: Vec<String>) -> Self {
        let mut watch =
            Self { call: Arc::new(call), source, watchers: StreamMap::new(), started: 0, parked: Vec::new() };
        let mut seen = HashSet::new();
        let tasks: Vec<_> = ids.into_iter().filter(|id| seen.insert(id.clone())).map(Watched::new).collect();
        if tasks.is_empty() {
            watch.start(tasks);
        } else {
            watch.start_all(tasks);
        }
        watch
    }

    /// Begins to watch tasks, with as many streams as it takes.
    fn start_all(&mut self, mut tasks: Vec<Watched>) {
        while !tasks.is_empty() {
            let rest = tasks.split_off(tasks.len().min(PER_STREAM));
            self.start(mem::replace(&mut tasks, rest));
        }
    }

    fn start(&mut self, tasks: Vec<Watched>) {
        let watcher = Watcher::new(self.call.clone(), self.source.clone(), tasks);
        self.watchers.insert(self.started, Box::pin(watcher.run()));
        self.started += 1;
    }

    /// Returns the next event, or the error that ends the watch. None: each task has come to its end.
    async fn next(&mut self) -> Option<Result<Event, Error>> {
        loop {
            let alarm = self.alarm();
            if alarm.is_some_and(|at| at <= Instant::now()) {
                self.watch_again();
                continue;
            }
            let output = match alarm {
                None => self.watchers.next().await?.1,
                Some(at) => match self.call.within(timeout_at(at, any(&mut self.watchers))).await {
                    Ok(Ok(output)) => output,
                    Ok(Err(_)) => continue, // The alarm.
                    Err(deadline) => return Some(Err(deadline)),
                },
            };
            return Some(output.map(|(event, dropped)| {
                if let (Event::Dropped(error), Some(task)) = (&event, dropped)
                    && let Some(delay) = error.retry_delay()
                {
                    let after = retry_after(delay, task.drops).min(FOREVER);
                    self.parked.push((Instant::now() + after, task));
                }
                event
            }));
        }
    }

    /// Watches the parked tasks that are due.
    fn watch_again(&mut self) {
        let now = Instant::now();
        let due = self.parked.extract_if(.., |(at, _)| *at <= now).map(|(_, task)| task).collect();
        self.start_all(due);
    }

    /// Returns the time when all parked tasks are due, or the first one has waited long enough for the others. None: no task
    /// is parked.
    fn alarm(&self) -> Option<Instant> {
        let times = || self.parked.iter().map(|(at, _)| *at);
        Some(times().max()?.min(times().min()? + GATHERING))
    }
}

/// Waits for the next output of any watcher, for ever without a watcher.
async fn any<K: Unpin + Clone, S: Stream<Item = Output> + Unpin>(watchers: &mut StreamMap<K, S>) -> Output {
    match watchers.next().await {
        Some((_, output)) => output,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
