package io.github.kootask;

import io.grpc.CallOptions;
import io.grpc.Context;
import io.grpc.Contexts;
import io.grpc.Deadline;
import io.grpc.Metadata;
import io.grpc.Status;

import koodrive.task.v1.ErrorReason;
import koodrive.task.v1.WatchTaskRequest;
import koodrive.task.v1.WatchTaskResponse;

import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;

/**
 * One watch, over all its streams. It belongs to the thread that iterates; any thread may close it.
 */
final class Watcher {
    // Seconds between attempts to resume after a broken connection, for which kootask cannot ask
    // for
    // a delay. Jittered by ±20 %.
    private static final double RESUME_MIN_SECONDS = 1;
    private static final double RESUME_MAX_SECONDS = 15;
    private static final double RESUME_GROWTH = 1.6;

    private final Client client;
    private final WatchTaskRequest request;
    private final Metadata headers;
    private final Deadline deadline; // Null: none.
    private final Progress progress;
    private final Context.CancellableContext context =
            Context.current().withCancellation(); // Ends with the watch.
    private final CountDownLatch ended =
            new CountDownLatch(1); // Counted down when the context ends.

    private boolean begun;
    private Stream stream; // Null between two streams.
    private Duration pause = Duration.ZERO; // Before the next stream.
    private String callerToken = ""; // Of the last stream.
    private int empty; // Consecutive streams that ended before their first message.
    private TaskException failure; // The error that ended the watch. Null until then.

    Watcher(Client client, String id, Options options) {
        this.client = client;
        request = options.watchRequest(id);
        headers = options.headers();
        deadline = options.deadline();
        progress = new Progress(request.getFailedTaskAsError());
    }

    /** Waits for the next event. Null: the task is finished. */
    Event next() {
        if (failure != null) {
            throw failure;
        }
        begin();
        if (context.isCancelled() && !progress.isFinished()) {
            throw end(cancelled()); // Even if a message has come meanwhile.
        }
        try {
            rest();
            return follow();
        } catch (InterruptedException e) {
            throw end(TaskException.interrupted(e));
        }
    }

    /** Registers the watch when it begins, so that one that never begins is not kept in memory. */
    private void begin() {
        if (!begun) {
            begun = true;
            context.addListener(c -> ended.countDown(), Runnable::run);
            client.remember(this);
        }
    }

    private TaskException cancelled() {
        return TaskException.of(Contexts.statusFromCancelled(context), null);
    }

    /** Ends the watch, if it has not ended yet. */
    void close(String why) {
        context.cancel(Status.CANCELLED.withDescription(why).asException());
        client.forget(this);
    }

    private TaskException end(TaskException cause) {
        failure = cause;
        close(cause.description());
        return cause;
    }

    /** Waits before the next stream. */
    private void rest() throws InterruptedException {
        long nanos = TimeUnit.NANOSECONDS.convert(pause);
        pause = Duration.ZERO;
        if (nanos <= 0) {
            return;
        }
        long left =
                deadline == null ? Long.MAX_VALUE : deadline.timeRemaining(TimeUnit.NANOSECONDS);
        if (ended.await(Math.min(nanos, left), TimeUnit.NANOSECONDS)) {
            throw end(cancelled());
        }
        if (left <= nanos) {
            Status late =
                    Status.DEADLINE_EXCEEDED.withDescription("the timeout of the watch has passed");
            throw end(TaskException.of(late, null));
        }
    }

    /** Reads until there is an event. */
    private Event follow() throws InterruptedException {
        try {
            while (!progress.isFinished()) {
                WatchTaskResponse message = read();
                if (message.hasHeartbeat()) {
                    return new Event.Heartbeat(message.getHeartbeat());
                }
                if (message.hasTask() && progress.take(message.getTask())) {
                    return new Event.Task(message.getTask());
                }
            }
        } catch (TaskException e) {
            return resume(e);
        }
        close("the task is finished");
        return null;
    }

    private WatchTaskResponse read() throws InterruptedException {
        if (stream == null) {
            empty++;
            stream = open();
        }
        WatchTaskResponse message = stream.read();
        empty = 0;
        client.meet();
        return message;
    }

    private Stream open() throws InterruptedException {
        callerToken = client.callerToken().get();
        Metadata all = new Metadata();
        all.merge(headers);
        client.callerToken().addTo(all, callerToken);
        if (client.hasMet()) {
            client.reconnect().await(patience(), ended);
        }
        Context previous = context.attach();
        try {
            return new Stream(
                    client.channel(),
                    CallOptions.DEFAULT.withDeadline(deadline),
                    all,
                    request,
                    client.silence());
        } finally {
            context.detach(previous);
        }
    }

    /** Returns the deadline for a connection: no later than that for a message. */
    private Deadline patience() {
        Deadline silent = Deadline.after(client.silence().toNanos(), TimeUnit.NANOSECONDS);
        return deadline == null ? silent : silent.minimum(deadline);
    }

    /** Decides whether to resume after the end of a stream. */
    private Event resume(TaskException end) throws InterruptedException {
        stream = null;
        client.meet(end);
        if (context.isCancelled()) {
            throw end(cancelled());
        }
        TaskException cause = end;
        if (progress.last().getDone() && end.rawReason().isEmpty()) {
            // The failed task was returned, and the stream broke before the requested error.
            cause = TaskException.taskFailed(progress.last());
        }
        Duration delay = delay(cause);
        if (delay == null || deadline != null && deadline.isExpired()) {
            throw end(cause);
        }
        pause = delay;
        return new Event.Resume(cause, delay);
    }

    /** Returns the time until the watch resumes. Null: it does not resume. */
    private Duration delay(TaskException cause) throws InterruptedException {
        if (cause.retryAfter().isPresent()) {
            Duration asked = cause.retryAfter().get();
            if (empty < 2) {
                return asked;
            }
            // The second stream without a message: kootask may ask for a delay of 0.
            Duration own = backoff();
            return asked.compareTo(own) > 0 ? asked : own;
        }
        if (cause.reason() == ErrorReason.CALLER_UNAUTHENTICATED
                && empty == 0
                && client.callerToken().isOtherThan(callerToken)) {
            return backoff(); // All watches with the token end at the same moment.
        }
        if (!cause.rawReason().isEmpty() || !client.hasMet()) {
            return null;
        }
        return switch (cause.code()) {
            // CANCELLED comes from a proxy here: the context has not ended.
            case UNAVAILABLE, INTERNAL, UNKNOWN, CANCELLED -> backoff();
            default -> null;
        };
    }

    /** Returns the delay after a stream that broke or brought no message. */
    private Duration backoff() {
        double seconds =
                Math.min(RESUME_MIN_SECONDS * Math.pow(RESUME_GROWTH, empty), RESUME_MAX_SECONDS);
        return Duration.ofNanos(
                (long) (seconds * ThreadLocalRandom.current().nextDouble(0.8, 1.2) * 1e9));
    }
}
