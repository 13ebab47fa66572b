package io.github.kootask;

import koodrive.task.v1.Task;
import koodrive.task.v1.TaskStatus;

/** How far a watch has come, over all its streams. */
final class Progress {
    private final boolean failedTaskAsError;
    private Task last = Task.getDefaultInstance(); // Handed out last.
    private boolean begun;

    Progress(boolean failedTaskAsError) {
        this.failedTaskAsError = failedTaskAsError;
    }

    /**
     * Takes a task if it is neither what was taken last nor older, and reports whether: a new
     * stream begins with the task as it stands, and may come from a server that has not seen as
     * much as the one before.
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
     * Reports whether nothing more comes: after a failed task an error does, if it was asked for.
     */
    boolean isFinished() {
        return last.getDone()
                && !(failedTaskAsError && last.getStatus() == TaskStatus.TASK_STATUS_FAILED);
    }
}
