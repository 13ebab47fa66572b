package io.github.kootask;

import io.grpc.Deadline;

import koodrive.task.v1.ErrorReason;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/** Tasks of a watch that share one stream after another, until each has ended. */
final class Part {
    /** A stream without a message for so long is broken: kootask sends one every 15 s. */
    private static final Duration SILENCE = Duration.ofSeconds(20);

    private static final Duration LOOK = Duration.ofSeconds(1); // While there is no connection.

    private final Client client;
    private final List<Watched> tasks; // Those that have not ended.

    private Stream<?, ?> stream; // Null between two streams.
    private Deadline due; // When the next stream begins, or this one has been silent for too long.
    private Deadline patience; // For a connection. Null: the next stream does not wait for one yet.
    private String callerToken = ""; // Of the last stream.
    private int empty; // Consecutive streams that ended before their first message.

    /** Makes a part whose first stream is due. */
    Part(Client client, List<Watched> tasks) {
        this.client = client;
        this.tasks = new ArrayList<>(tasks);
        due = client.clock().after(Duration.ZERO);
    }

    List<String> ids() {
        return tasks.stream().map(t -> t.id).toList();
    }

    boolean isFinished() {
        return tasks.isEmpty();
    }

    Deadline due() {
        return due;
    }

    boolean isOpen() {
        return stream != null;
    }

    boolean has(Stream<?, ?> stream) {
        return this.stream == stream;
    }

    /**
     * Reports whether the next stream is to wait for a connection. It waits no longer than for a
     * message: a call then fails with the cause, which a waiting call does not report.
     */
    boolean waitsForConnection() {
        if (patience == null) {
            patience = client.clock().after(SILENCE);
        }
        if (!client.hasMet() || patience.isExpired() || !client.reconnect().isDown()) {
            return false;
        }
        due = client.clock().after(LOOK);
        return true;
    }

    /** Returns the caller's token for the next stream. */
    String renewToken() throws InterruptedException {
        callerToken = client.callerToken().get();
        return callerToken;
    }

    /** Notes that a stream is about to begin. */
    void begin() {
        empty++;
        patience = null;
    }

    void follow(Stream<?, ?> next) {
        stream = next;
        listen();
    }

    /** Waits for the next message from now on, because the consumer may take any time for one. */
    void listen() {
        due = client.clock().after(SILENCE);
    }

    /** Returns the event of a message. Null: it is not news. */
    Event take(Message message) {
        empty = 0;
        stream.requestNext();
        if (message.heartbeat() != null) {
            return new Event.Heartbeat(message.heartbeat(), ids());
        }
        for (Watched task : tasks) {
            if (task.id.equals(message.id())) {
                Event event = task.take(message);
                if (task.isFinished() || event instanceof Event.Dropped) {
                    tasks.remove(task);
                }
                return event;
            }
        }
        return null; // The task has ended.
    }

    /** Ends the stream, if there is one. */
    void leave(String why) {
        if (stream != null) {
            stream.cancel(why);
            stream = null;
        }
    }

    void rest(Duration delay) {
        due = client.clock().after(delay);
    }

    /** Returns the error of a stream that has ended with another one. */
    TaskException causeOf(TaskException end) {
        // The failed task was returned, and the stream broke before the requested error.
        return !tasks.isEmpty() && tasks.get(0).awaitsError() && end.rawReason().isEmpty()
                ? tasks.get(0).failedTask()
                : end;
    }

    /** Returns the time until the part resumes. Null: the watch ends. */
    Duration delay(TaskException cause) throws InterruptedException {
        if (cause.retryAfter().isPresent()) {
            return Backoff.after(empty, cause.retryAfter().get());
        }
        if (cause.reason() == ErrorReason.CALLER_UNAUTHENTICATED
                && empty == 0
                && client.callerToken().isOtherThan(callerToken)) {
            return Backoff.after(empty); // All watches with the token end at the same moment.
        }
        if (!cause.rawReason().isEmpty() || !client.hasMet()) {
            return null;
        }
        return switch (cause.code()) {
            // CANCELLED comes from a proxy here: the context has not ended.
            case UNAVAILABLE, INTERNAL, UNKNOWN, CANCELLED -> Backoff.after(empty);
            default -> null;
        };
    }
}
