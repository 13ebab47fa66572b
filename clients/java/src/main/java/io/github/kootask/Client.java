package io.github.kootask;

import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientInterceptors;
import io.grpc.ConnectivityState;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.MetadataUtils;

import koodrive.task.v1.GetTaskResponse;
import koodrive.task.v1.Task;
import koodrive.task.v1.TaskServiceGrpc;

import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/** Calls kootask. It is safe for concurrent use, and one is enough for a process. Close it. */
public final class Client implements AutoCloseable {
    private final ManagedChannel channel;
    private final Options defaults;
    private final CallerToken callerToken;
    private final Set<Watcher> watchers = ConcurrentHashMap.newKeySet(); // Those that are not over.
    private volatile boolean met; // kootask has answered, once.
    private volatile boolean closed;

    Client(ManagedChannel channel, Options defaults, CallerToken callerToken) {
        this.channel = channel;
        this.defaults = defaults;
        this.callerToken = callerToken;
    }

    /**
     * Begins a client of the kootask at an address.
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
     * Returns a task as it stands now. It waits for the answer, and calls once.
     *
     * @throws TaskException if the call fails, and if the thread is interrupted, which stays so: it
     *     says whether it helps to call again
     */
    public Task get(String id, Options options) {
        Options all = options.over(defaults);
        try {
            Metadata headers = all.headers();
            callerToken.addTo(headers, callerToken.get());
            Channel identified =
                    ClientInterceptors.intercept(
                            readyChannel(), MetadataUtils.newAttachHeadersInterceptor(headers));
            GetTaskResponse response =
                    ClientCalls.blockingUnaryCall(
                            identified,
                            TaskServiceGrpc.getGetTaskMethod(),
                            CallOptions.DEFAULT.withDeadline(all.deadline()),
                            all.getRequest(id));
            meet();
            return response.getTask();
        } catch (StatusRuntimeException e) {
            TaskException failure = TaskException.of(e.getStatus(), e.getTrailers());
            meet(failure);
            throw failure;
        } catch (InterruptedException e) {
            throw TaskException.interrupted(e);
        }
    }

    /** {@link #watch(String, Options)} without options. */
    public Watch<Task> watch(String id) {
        return watch(id, Options.none());
    }

    /**
     * Watches a task: first comes the task as it stands, then the task after each change, until it
     * is finished. None is handed out twice in a row, none is a step back, and one is the last. It
     * resumes as {@link #events(String, Options)} does.
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
     * Tells all that happens while a task is watched.
     *
     * <p>The watch resumes if kootask asks to be called again, after the delay that it names, and
     * if the connection breaks or falls silent. It ends on any other error; as long as the client
     * has had no answer of kootask's at all, it also ends if a stream breaks. When the caller's
     * token expires, the watch resumes if {@link ClientBuilder#callerToken} has another one by
     * then, unless that happens before a message came.
     *
     * <p>It connects when it is iterated. {@link Options#timeout} counts from here.
     */
    public Watch<Event> events(String id, Options options) {
        return new Watch<>(watcher(id, options), event -> event);
    }

    private Watcher watcher(String id, Options options) {
        Watcher watcher = new Watcher(this, id, options.over(defaults));
        watchers.add(watcher);
        if (closed) {
            end(watcher);
        }
        return watcher;
    }

    /** Ends all calls that are under way: watches with the code CANCELLED. */
    @Override
    public void close() {
        closed = true;
        watchers.forEach(Client::end);
        channel.shutdownNow();
    }

    private static void end(Watcher watcher) {
        watcher.close("the client was closed");
    }

    void forget(Watcher watcher) {
        watchers.remove(watcher);
    }

    CallerToken callerToken() {
        return callerToken;
    }

    /**
     * The channel for an attempt. After an attempt to connect has failed, a channel fails all calls
     * for up to two minutes before the next: an idle one connects at once.
     */
    Channel readyChannel() {
        if (channel.getState(false) == ConnectivityState.TRANSIENT_FAILURE) {
            channel.enterIdle();
        }
        return channel;
    }

    boolean hasMet() {
        return met;
    }

    void meet() {
        met = true;
    }

    void meet(TaskException failure) {
        met = met || !failure.rawReason().isEmpty();
    }
}
