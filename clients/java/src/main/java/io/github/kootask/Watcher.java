package io.github.kootask;

import io.grpc.CallOptions;
import io.grpc.Context;
import io.grpc.Contexts;
import io.grpc.Deadline;
import io.grpc.Metadata;
import io.grpc.Status;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/**
 * One watch of any number of tasks, over all its streams. It belongs to the thread that iterates,
 * which does everything but receive; any thread may close it.
 *
 * <p>A task belongs to a part until that has returned its end. A task that was dropped with a delay
 * gets a new part, and the other tasks keep their stream: on a new one, fewer failed polls would
 * drop them.
 */
final class Watcher {
    private static final Status SILENT =
            Status.UNAVAILABLE.withDescription("kootask has been silent for too long");
    private static final Status NO_END =
            Status.UNAVAILABLE.withDescription("the stream ended before every task had ended");
    private static final Status LATE =
            Status.DEADLINE_EXCEEDED.withDescription("the timeout of the watch has passed");
    // Ends the wait for an arrival when the context ends. Its null is not a part's null between two
    // streams: the watch ends before it looks for the part.
    private static final Stream.Arrival WAKE = new Stream.Arrival(null, null, null, null);

    private final Client client;
    private final Source<?, ?> source;
    private final Metadata headers;
    private final Deadline deadline; // Null: none.
    private final Context.CancellableContext context =
            Context.current().withCancellation(); // Ends with the watch.

    private final Map<String, Watched> tasks = new LinkedHashMap<>(); // In the order of the ids.
    private final List<Part> parts = new ArrayList<>(); // Those that have not ended.
    private final Parked parked = new Parked();
    private final BlockingQueue<Stream.Arrival> arrivals = new LinkedBlockingQueue<>();

    private boolean begun;
    private Part handed; // The part whose message the consumer has got. Null: none.
    private TaskException failure; // The error that ended the watch. Null until then.

    Watcher(Client client, Source<?, ?> source, Collection<String> ids, Options options) {
        this.client = client;
        this.source = source;
        headers = options.headers();
        deadline = options.deadline(client.clock());
        for (String id : ids) {
            tasks.putIfAbsent(id, new Watched(id, source.failedTaskAsError()));
        }
    }

    /** Waits for the next event. Null: each task has ended. */
    Event next() {
        if (failure != null) {
            throw failure;
        }
        begin();
        if (context.isCancelled() && !isFinished()) {
            throw end(cancelled()); // Even if a message has come meanwhile.
        }
        if (handed != null) {
            handed.listen();
            handed = null;
        }
        try {
            while (!isFinished()) {
                Event event = step();
                if (event != null) {
                    return event;
                }
            }
        } catch (InterruptedException e) {
            throw end(TaskException.interrupted(e));
        }
        close("each task has ended");
        return null;
    }

    private boolean isFinished() {
        return parts.isEmpty() && parked.alarm() == null;
    }

    /** Registers the watch when it begins, so that one that never begins is not kept in memory. */
    private void begin() {
        if (begun) {
            return;
        }
        begun = true;
        context.addListener(c -> arrivals.add(WAKE), Runnable::run);
        client.endOnClose(context);
        if (tasks.isEmpty()) {
            parts.add(new Part(client, List.of())); // kootask says what is wrong.
        }
        watch(List.copyOf(tasks.values()));
    }

    /** Begins to watch tasks, with as many streams as it takes. */
    private void watch(List<Watched> some) {
        for (int i = 0; i < some.size(); i += Source.PER_STREAM) {
            int end = Math.min(i + Source.PER_STREAM, some.size());
            parts.add(new Part(client, some.subList(i, end)));
        }
    }

    private TaskException cancelled() {
        return TaskException.of(Contexts.statusFromCancelled(context), null);
    }

    /** Ends the watch and all its streams, if it has not ended yet. */
    void close(String why) {
        context.cancel(Status.CANCELLED.withDescription(why).asException());
    }

    private TaskException end(TaskException cause) {
        failure = cause;
        close(cause.description());
        return cause;
    }

    /** Does what is due, or else waits for the next arrival. Null: there is no event in that. */
    private Event step() throws InterruptedException {
        if (parked.alarm() != null && parked.alarm().isExpired()) {
            watch(parked.takeDue());
        }
        for (Part part : parts) {
            if (part.due().isExpired() && !hasArrival(part)) {
                return part.isOpen() ? resume(part, TaskException.of(SILENT, null)) : open(part);
            }
        }
        Stream.Arrival arrival = clock().poll(arrivals, untilDue());
        if (context.isCancelled()) {
            throw end(cancelled());
        }
        if (arrival != null) {
            return take(arrival);
        }
        if (deadline != null && deadline.isExpired()) {
            throw end(TaskException.of(LATE, null));
        }
        return null;
    }

    private boolean hasArrival(Part part) {
        return part.isOpen() && arrivals.stream().anyMatch(a -> part.has(a.stream()));
    }

    private Clock clock() {
        return client.clock();
    }

    /** Returns the nanoseconds until something is due. */
    private long untilDue() {
        Deadline first = deadline == null ? parked.alarm() : deadline;
        if (parked.alarm() != null) {
            first = first.minimum(parked.alarm());
        }
        for (Part part : parts) {
            first = first == null ? part.due() : first.minimum(part.due());
        }
        return first.timeRemaining(TimeUnit.NANOSECONDS);
    }

    /** Opens the next stream of a part, unless it waits for a connection. */
    private Event open(Part part) throws InterruptedException {
        if (part.waitsForConnection()) {
            return null;
        }
        part.begin();
        Metadata all = new Metadata();
        all.merge(headers);
        try {
            client.callerToken().addTo(all, part.renewToken());
        } catch (TaskException e) {
            return resume(part, e);
        }
        Context previous = context.attach();
        try {
            CallOptions options = CallOptions.DEFAULT.withDeadline(deadline);
            var stream = new Stream<>(source, client.channel(), options, arrivals);
            stream.start(all, part.ids());
            part.follow(stream);
        } finally {
            context.detach(previous);
        }
        return null;
    }

    private Event take(Stream.Arrival arrival) throws InterruptedException {
        Part part = parts.stream().filter(p -> p.has(arrival.stream())).findFirst().orElse(null);
        if (part == null) {
            return null; // The stream was left.
        }
        if (arrival.message() == null) {
            Status end = arrival.end().isOk() ? NO_END : arrival.end();
            return resume(part, TaskException.of(end, arrival.trailers()));
        }
        client.meet();
        Event event = part.take(arrival.message());
        if (part.isFinished()) {
            part.leave("each task has ended");
            parts.remove(part);
        } else if (event == null) {
            part.listen();
        } else {
            handed = part;
        }
        if (event instanceof Event.Dropped d && d.cause().retryAfter().isPresent()) {
            Watched task = tasks.get(d.cause().taskId());
            task.rest(d.cause(), clock());
            parked.add(task);
        }
        return event;
    }

    /** Decides whether to resume after the end of a part's stream. */
    private Event resume(Part part, TaskException end) throws InterruptedException {
        part.leave(end.description());
        client.meet(end);
        if (context.isCancelled()) {
            throw end(cancelled());
        }
        TaskException cause = part.causeOf(end);
        Duration delay = part.delay(cause);
        if (delay == null || deadline != null && deadline.isExpired()) {
            parts.forEach(p -> p.leave(end.description())); // The context ends the probe, too.
            TaskException explained = client.explain(cause, deadline, context);
            throw end(context.isCancelled() ? cancelled() : explained);
        }
        part.rest(delay);
        return new Event.Resume(cause, delay, part.ids());
    }
}
