package io.github.kootask;

import io.grpc.Deadline;

import koodrive.task.v1.Task;
import koodrive.task.v1.TaskStatus;

/** A task that is watched, over all streams. */
final class Watched {
    final String id;
    private final boolean failedTaskAsError;
    private Task last; // The last state returned. Null: none.
    private int drops; // Times that it was dropped since its last message with a state.
    private Deadline due; // When to watch it again, if it was dropped with a delay.

    Watched(String id, boolean failedTaskAsError) {
        this.id = id;
        this.failedTaskAsError = failedTaskAsError;
    }

    /** Returns the event of a message. Null: it is not news. */
    Event take(Message message) {
        if (message.dropped() != null) {
            drops++;
            return new Event.Dropped(message.dropped());
        }
        if (message.task() == null) {
            return null; // It is newer than the contract.
        }
        drops = 0;
        if (!isNews(message.task())) {
            return null;
        }
        last = message.task();
        return new Event.Task(last);
    }

    /**
     * Reports whether a task is newer than the last one. A new stream begins with the task as it
     * is, and may come from a server that has seen less than the one before.
     */
    private boolean isNews(Task task) {
        return last == null || !last.getDone() && rank(task) >= rank(last) && !isSame(task, last);
    }

    private static boolean isSame(Task a, Task b) {
        return a.toBuilder()
                .clearObserveTime()
                .build()
                .equals(b.toBuilder().clearObserveTime().build());
    }

    private static int rank(Task task) {
        if (task.getDone()) {
            return 2;
        }
        return task.getStatus() == TaskStatus.TASK_STATUS_NEW ? 0 : 1;
    }

    /**
     * Reports whether the watch is complete. After a failed task, the error follows if requested.
     */
    boolean isFinished() {
        return last != null && last.getDone() && !awaitsError();
    }

    /** Reports whether the error of the failed task, which was returned, is all that is missing. */
    boolean awaitsError() {
        return failedTaskAsError
                && last != null
                && last.getStatus() == TaskStatus.TASK_STATUS_FAILED;
    }

    /** Returns the error that kootask sends for the failed task. */
    TaskException failedTask() {
        return TaskException.taskFailed(last);
    }

    /** Notes that the task was dropped with an error that has a delay. */
    void rest(TaskException cause, Clock clock) {
        due = clock.after(Backoff.after(drops, cause.retryAfter().orElseThrow()));
    }

    Deadline due() {
        return due;
    }
}
