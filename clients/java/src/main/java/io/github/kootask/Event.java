package io.github.kootask;

import java.time.Duration;
import java.util.List;

/**
 * One event of a watch. Kinds may be added, so give a switch over them a {@code default}. Programs
 * must not implement this interface.
 */
public interface Event {
    /** The task as it is now, then after each change. */
    record Task(koodrive.task.v1.Task task) implements Event {}

    /**
     * There is no known change.
     *
     * @param heartbeat the contract's message, which also says whether KooDrive answers
     * @param taskIds the ids of the tasks that the heartbeat is about
     */
    record Heartbeat(koodrive.task.v1.Heartbeat heartbeat, List<String> taskIds) implements Event {}

    /**
     * The watch of some tasks was interrupted and resumes by itself.
     *
     * @param cause the error that ended the stream
     * @param after the time until the watch resumes
     * @param taskIds the ids of these tasks
     */
    record Resume(TaskException cause, Duration after, List<String> taskIds) implements Event {}

    /**
     * The watch of one task ended before the task was finished. The other tasks are still watched.
     * With {@link TaskException#retryAfter}, this task is watched again, after that time. Only
     * {@link Client#watchAll} returns it.
     *
     * @param cause the error, with the id of its task in {@link TaskException#taskId}
     */
    record Dropped(TaskException cause) implements Event {}
}
