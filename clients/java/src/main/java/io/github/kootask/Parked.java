package io.github.kootask;

import io.grpc.Deadline;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** The tasks of a watch that were dropped with a delay, until they are watched again. */
final class Parked {
    /**
     * The time that a task may wait, beyond its delay, for the delays of others. They then share a
     * stream: after an outage of KooDrive, each of many tasks would have its own.
     */
    private static final long GATHERING_SECONDS = 30;

    private final List<Watched> tasks = new ArrayList<>();
    private Deadline alarm;

    void add(Watched task) {
        tasks.add(task);
        setAlarm();
    }

    /** Returns when to take tasks. Null: there are none. */
    Deadline alarm() {
        return alarm;
    }

    /** Removes the tasks that are due, and returns them. */
    List<Watched> takeDue() {
        List<Watched> due = tasks.stream().filter(t -> t.due().isExpired()).toList();
        tasks.removeIf(due::contains);
        setAlarm();
        return due;
    }

    /** Sets the alarm to when all are due, or the first has waited long enough for the others. */
    private void setAlarm() {
        alarm = null;
        if (!tasks.isEmpty()) {
            Deadline first = tasks.stream().map(Watched::due).min(Deadline::compareTo).get();
            Deadline last = tasks.stream().map(Watched::due).max(Deadline::compareTo).get();
            alarm = last.minimum(first.offset(GATHERING_SECONDS, TimeUnit.SECONDS));
        }
    }
}
