package io.github.kootask;

import java.time.Duration;

/**
 * What happens while a task is watched. Kinds may be added, so a switch over them takes a {@code
 * default}; programs are not to add their own.
 */
public interface Event {
    /** The task: first as it stands, then after each change. */
    record Task(koodrive.task.v1.Task task) implements Event {}

    /** Nothing has changed; and how KooDrive does. */
    record Heartbeat(koodrive.task.v1.Heartbeat heartbeat) implements Event {}

    /**
     * The watch was interrupted and goes on by itself.
     *
     * @param cause what ended the stream
     * @param after how long the watch waits before it begins anew
     */
    record Resume(TaskException cause, Duration after) implements Event {}
}
