package io.github.kootask;

import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientInterceptors;
import io.grpc.Context;
import io.grpc.Deadline;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.MetadataUtils;

import koodrive.task.v1.GetTaskResponse;
import koodrive.task.v1.Task;
import koodrive.task.v1.TaskServiceGrpc;

import java.util.Collection;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;

/**
 * Calls kootask. It is safe for concurrent use, and one is enough for a process. Close it.
 *
 * <p>One connection carries 1,000 calls and streams at a time.
 */
public final class Client implements AutoCloseable {
    private static final long CLOSE_SECONDS = 5;

    private final ManagedChannel channel;
    private final Options defaults;
    private final CallerToken callerToken;
    private final Probe probe;
    private final Clock clock;
    private final Reconnect reconnect;
    private final Set<Context.CancellableContext> open =
            ConcurrentHashMap.newKeySet(); // Those that end with the client.
    private volatile boolean met; // kootask has answered at least once.
    private volatile boolean closed;

    Client(
            ManagedChannel channel,
            Options defaults,
            CallerToken callerToken,
            Probe probe,
            Clock clock) {
        this.channel = channel;
        this.defaults = defaults;
        this.callerToken = callerToken;
        this.probe = probe;
        this.clock = clock;
        reconnect = new Reconnect(channel);
    }

    /**
     * Begins to build a client for the kootask at an address.
     *
     * @param address kootask's gRPC address, host:port, or any other target that gRPC knows
     */
    public static ClientBuilder to(String address) {
        return new ClientBuilder(address);
    }

    /** {@link #get(String, Options)} without options. */
    public Task get(String id) {
        return get(id, Options.none());
    }

    /**
     * Returns a task, as it is now. It waits for the answer, and calls once.
     *
     * @throws TaskException if the call fails; it says whether calling again helps. Also if the
     *     thread is interrupted, whose interrupt status stays set
     */
    public Task get(String id, Options options) {
        Options all = options.over(defaults);
        Deadline deadline = all.deadline(clock);
        try {
            Metadata headers = all.headers();
            callerToken.addTo(headers, callerToken.get());
            reconnect.isDown(); // It connects again, and the call does not wait for that.
            Channel identified =
                    ClientInterceptors.intercept(
                            channel, MetadataUtils.newAttachHeadersInterceptor(headers));
            GetTaskResponse response =
                    ClientCalls.blockingUnaryCall(
                            identified,
                            TaskServiceGrpc.getGetTaskMethod(),
                            CallOptions.DEFAULT.withDeadline(deadline),
                            all.getRequest(id));
            meet();
            return response.getTask();
        } catch (StatusRuntimeException e) {
            TaskException failure = TaskException.of(e.getStatus(), e.getTrailers());
            meet(failure);
            throw explainGet(failure, deadline);
        } catch (InterruptedException e) {
            throw TaskException.interrupted(e);
        }
    }

    private TaskException explainGet(TaskException failure, Deadline deadline) {
        try (Context.CancellableContext context = Context.current().withCancellation()) {
            endOnClose(context);
            return explain(failure, deadline, context);
        } catch (InterruptedException e) {
            return TaskException.interrupted(e);
        }
    }

    /** {@link #watch(String, Options)} without options. */
    public Watch<Task> watch(String id) {
        return watch(id, Options.none());
    }

    /**
     * Watches a task: it returns the task as it is now, then again after each change, until it is
     * finished. It returns no state twice in a row, never goes back, and returns the finished task
     * last. It resumes and ends like {@link #events(String, Options)}. Close it: leaving the loop
     * does not end the watch.
     */
    public Watch<Task> watch(String id, Options options) {
        return new Watch<>(
                watcher(id, options), event -> event instanceof Event.Task t ? t.task() : null);
    }

    /** {@link #events(String, Options)} without options. */
    public Watch<Event> events(String id) {
        return events(id, Options.none());
    }

    /**
     * Watches a task and returns every event.
     *
     * <p>The watch resumes in two cases: after an error with {@link TaskException#retryAfter}, when
     * that time has passed; and when the connection breaks or is silent for 20 s. It ends on any
     * other error. Until kootask has answered the client once, it also ends if a stream breaks.
     *
     * <p>When the caller's token expires, the stream ends with the reason CALLER_UNAUTHENTICATED.
     * The watch resumes if {@link ClientBuilder#callerToken} returns another token by then. It ends
     * if not, or if the stream ended before its first message.
     *
     * <p>The watch connects when it is iterated. {@link Options#timeout} counts from this call.
     * Close the watch: leaving the loop does not end it.
     *
     * <p>The watch also ends with the {@link io.grpc.Context} in which it is made. In a gRPC
     * server, use {@code Context.ROOT.call(() -> client.events(id))} for a watch that outlives the
     * call.
     */
    public Watch<Event> events(String id, Options options) {
        return new Watch<>(watcher(id, options), event -> event);
    }

    private Watcher watcher(String id, Options options) {
        Options all = options.over(defaults);
        return new Watcher(this, new Source.One(all.watchRequest(id)), List.of(id), all);
    }

    /** {@link #watchAll(Collection, Options)} without options. */
    public Watch<Event> watchAll(Collection<String> ids) {
        return watchAll(ids, Options.none());
    }

    /**
     * Watches any number of tasks and returns every event, on the thread that iterates. It opens a
     * stream for every 100 ids, and for the tasks that are watched again. An id that is named twice
     * is watched once. Each task comes as in {@link #watch(String, Options)}. The order of
     * different tasks is not defined. A heartbeat or an interruption is about the tasks of one
     * stream, whose ids it has.
     *
     * <p>The loop ends when each task was returned finished, or dropped without {@link
     * TaskException#retryAfter}. A task that is dropped with it is watched again after that time,
     * or up to 30 s later, together with others. If it is dropped again before its next state, the
     * delay is at least that after a broken connection.
     *
     * <p>Each stream resumes as in {@link #events(String, Options)}, with the tasks that have not
     * ended. The watch ends with an exception if any of its streams would. An invalid id, or none,
     * is the error REQUEST_INVALID, whose violations count the distinct ids of one stream.
     *
     * <p>Close the watch, which ends all streams: leaving the loop does not.
     *
     * @throws NullPointerException if an id is null
     */
    public Watch<Event> watchAll(Collection<String> ids, Options options) {
        return new Watch<>(
                new Watcher(this, new Source.Several(), List.copyOf(ids), options.over(defaults)),
                event -> event);
    }

    /** {@link #waitFor(String, Options)} without options. */
    public Task waitFor(String id) {
        return waitFor(id, Options.none());
    }

    /**
     * Returns a task once it is finished. It watches the task, so it resumes and ends like {@link
     * #events(String, Options)}. A failed task is a value, unless {@link Options#failedTaskAsError}
     * is set. {@link Options#timeout} limits the wait.
     *
     * @throws TaskException if the watch ends before the task is finished. Also if the thread is
     *     interrupted, whose interrupt status stays set
     */
    public Task waitFor(String id, Options options) {
        try (Watch<Task> watch = watch(id, options)) {
            Task last = null;
            for (Task task : watch) {
                last = task;
            }
            return last;
        }
    }

    /**
     * Ends all calls in flight, watches with the code CANCELLED, and waits until the connection is
     * closed, at most 5 s. It does not wait on an interrupted thread.
     */
    @Override
    public void close() {
        closed = true;
        open.forEach(Client::end);
        channel.shutdownNow();
        try {
            channel.awaitTermination(CLOSE_SECONDS, TimeUnit.SECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private static void end(Context.CancellableContext context) {
        context.cancel(Status.CANCELLED.withDescription("the client was closed").asException());
    }

    /** Ends a context when the client is closed, unless it has ended before. */
    void endOnClose(Context.CancellableContext context) {
        open.add(context);
        context.addListener(ended -> open.remove(context), Runnable::run);
        if (closed) {
            end(context);
        }
    }

    CallerToken callerToken() {
        return callerToken;
    }

    Channel channel() {
        return channel;
    }

    Clock clock() {
        return clock;
    }

    Reconnect reconnect() {
        return reconnect;
    }

    boolean hasMet() {
        return met;
    }

    void meet() {
        met = true;
    }

    /**
     * Adds why kootask has not answered, if it never has, unless the context of the call ends. The
     * deadline of the call may be null.
     */
    TaskException explain(TaskException failure, Deadline deadline, Context context)
            throws InterruptedException {
        return probe.explain(failure, met, deadline, context);
    }

    void meet(TaskException failure) {
        if (!failure.rawReason().isEmpty()) {
            met = true;
        }
    }
}
