package io.github.kootask;

import java.time.Duration;

/**
 * One event of a watch. Kinds may be added, so give a switch over them a {@code default}. Programs
 * must not implement this interface.
 */
public interface Event {
    /** The task as it is now, then after each change. */
    record Task(koodrive.task.v1.Task task) implements Event {}

    /** There is no known change. It also says whether KooDrive answers. */
    record Heartbeat(koodrive.task.v1.Heartbeat heartbeat) implements Event {}

    /**
     * The watch was interrupted and resumes by itself.
     *
     * @param cause the error that ended the stream
     * @param after the time until the watch resumes
     */
    record Resume(TaskException cause, Duration after) implements Event {}
}
