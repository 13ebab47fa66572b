use crate::{Task, TaskStatus};

/// Watched is a task that is watched.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) id: String,
    last: Option<Task>,    // Yielded last.
    pub(crate) drops: u32, // Times that it was dropped since its last message with a task.
}

impl Watched {
    pub(crate) fn new(id: String) -> Self {
        Self { id, last: None, drops: 0 }
    }

    /// Notes a task that kootask has sent, and reports whether it is to be yielded.
    pub(crate) fn take(&mut self, task: &Task) -> bool {
        self.drops = 0;
        let news = is_news(self.last.as_ref(), task);
        if news {
            self.last = Some(task.clone());
        }
        news
    }

    /// Returns the finished task, if it was yielded.
    pub(crate) fn finished(&self) -> Option<&Task> {
        self.last.as_ref().filter(|task| task.done)
    }
}

/// Reports whether a task is newer than the one yielded last. A new stream begins with the task as it is, and may come from
/// a server that has seen less than the one before.
fn is_news(last: Option<&Task>, task: &Task) -> bool {
    let Some(last) = last else { return true };
    !last.done && rank(task) >= rank(last) && Task { observe_time: task.observe_time, ..last.clone() } != *task
}

fn rank(task: &Task) -> u8 {
    match task.status() {
        _ if task.done => 2,
        TaskStatus::New => 0,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Timestamp, scripted::task};

    #[test]
    fn nothing_is_handed_out_twice_or_goes_back() {
        let task = |status| task("9", status);
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
            (Some(&task(TaskStatus::Success)), &task(TaskStatus::Failed), false),
        ] {
            assert_eq!(is_news(last, next), news, "{last:?}, then {next:?}");
        }
    }
}
