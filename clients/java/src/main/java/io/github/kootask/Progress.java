package io.github.kootask;

import koodrive.task.v1.Task;
import koodrive.task.v1.TaskStatus;

/** The progress of a watch, over all its streams. */
final class Progress {
    private final boolean failedTaskAsError;
    private Task last = Task.getDefaultInstance(); // Returned last.
    private boolean begun;

    Progress(boolean failedTaskAsError) {
        this.failedTaskAsError = failedTaskAsError;
    }

    /**
     * Keeps a task if it is newer than the last one, and reports whether it is. A new stream begins
     * with the task as it is, and may come from a server that has seen less than the one before.
     */
    boolean take(Task task) {
        if (begun && (rank(task) < rank(last) || isSame(task, last))) {
            return false;
        }
        begun = true;
        last = task;
        return true;
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

    Task last() {
        return last;
    }

    /**
     * Reports whether the watch is complete. After a failed task, the error follows if requested.
     */
    boolean isFinished() {
        return last.getDone()
                && !(failedTaskAsError && last.getStatus() == TaskStatus.TASK_STATUS_FAILED);
    }
}
