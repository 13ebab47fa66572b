package io.github.kootask;

import static io.github.kootask.Scripted.drop;
import static io.github.kootask.Scripted.each;
import static io.github.kootask.Scripted.error;
import static io.github.kootask.Scripted.hang;
import static io.github.kootask.Scripted.heartbeat;
import static io.github.kootask.Scripted.numbered;
import static io.github.kootask.Scripted.read;
import static io.github.kootask.Scripted.task;
import static io.github.kootask.Scripted.tell;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.grpc.Status;
import io.grpc.StatusRuntimeException;

import koodrive.task.v1.ErrorReason;
import koodrive.task.v1.WatchTasksResponse;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeSet;

/** A watch of many tasks: what it returns, and its ends. Time is virtual. */
@Timeout(10)
class ListTest {
    private static final WatchTasksResponse NEWER = WatchTasksResponse.getDefaultInstance();

    private final VirtualClock clock = new VirtualClock();

    private Scripted scripted(Scripted.Step... steps) throws IOException {
        return new Scripted(clock, () -> "", steps);
    }

    /** Checks what the caller sees of one stream, of which only the client knows the end. */
    private void assertSeen(List<String> want, WatchTasksResponse... sent) throws IOException {
        try (var scripted = scripted(hang(sent))) {
            Options options = Options.none().failedTaskAsError();
            var ids = List.of("a", "b", "a");
            assertEquals(want, read(scripted.client.watchAll(ids, options)));
            assertEquals(List.of(List.of("a", "b")), scripted.lists);
            assertEquals(List.of(), scripted.streams);
        }
    }

    @Test
    void toItsEnd() throws Exception {
        assertSeen(
                List.of("a NEW", "b EXECUTING", "a SUCCESS", "b FAILED"),
                task("a", "NEW"),
                task("b", "EXECUTING"),
                task("a", "SUCCESS"),
                task("b", "FAILED"));
    }

    @Test
    void repeatedAndBack() throws Exception {
        assertSeen(
                List.of("a EXECUTING", "b NEW", "a SUCCESS", "b SUCCESS"),
                task("a", "EXECUTING"),
                task("a", "EXECUTING"),
                task("b", "NEW"),
                task("a", "NEW"),
                task("a", "SUCCESS"),
                task("a", "SUCCESS"),
                task("a", "FAILED"),
                task("a", "EXECUTING"),
                drop("a"),
                task("b", "SUCCESS"));
    }

    @Test
    void droppedAndTheOther() throws Exception {
        assertSeen(
                List.of("a dropped", "b EXECUTING", "b SUCCESS"),
                drop("a"),
                drop("a"),
                task("a", "EXECUTING"),
                task("b", "EXECUTING"),
                task("b", "SUCCESS"));
    }

    @Test
    void allDropped() throws Exception {
        assertSeen(
                List.of("b EXECUTING", "b dropped", "a dropped"),
                task("b", "EXECUTING"),
                drop("b"),
                drop("a"));
    }

    @Test
    void heartbeats() throws Exception {
        assertSeen(
                List.of(
                        "heartbeat of [a, b], failing []",
                        "a SUCCESS",
                        "heartbeat of [b], failing [b]",
                        "b SUCCESS"),
                heartbeat(),
                task("a", "SUCCESS"),
                heartbeat("b"),
                task("b", "SUCCESS"));
    }

    @Test
    void newerAndForeign() throws Exception {
        assertSeen(
                List.of("a SUCCESS", "b SUCCESS"),
                NEWER,
                task("c", "SUCCESS"),
                drop("d", 0),
                task("a", "SUCCESS"),
                NEWER,
                task("b", "SUCCESS"));
    }

    @Test
    void manyTasksHaveManyStreams() throws Exception {
        try (var scripted = scripted(each(id -> task(id, "SUCCESS")))) {
            var ids = numbered(250);
            var twice = new ArrayList<>(ids);
            twice.addAll(ids);
            var seen = read(scripted.client.watchAll(twice));
            assertEquals(250, seen.size());
            assertEquals(
                    new TreeSet<>(ids.stream().map(id -> id + " SUCCESS").toList()),
                    new TreeSet<>(seen));
            assertEquals(List.of(100, 100, 50), scripted.sizes());
        }
    }

    /** A stream whose tasks have ended is left, while another goes on. */
    @Test
    void finishedStreamIsLeft() throws Exception {
        Scripted.Step first = (ids, answer) -> ids.forEach(id -> answer.send(task(id, "SUCCESS")));
        try (var scripted = scripted(first, hang());
                var watch = scripted.client.watchAll(numbered(150))) {
            var events = watch.iterator();
            for (int i = 0; i < 100; i++) {
                events.next();
            }
            assertEquals(1, scripted.streams.size());
        }
    }

    @Test
    void droppedTask() throws Exception {
        try (var scripted = scripted(tell(null, drop("a")));
                var watch = scripted.client.watchAll(List.of("a"))) {
            TaskException e =
                    assertInstanceOf(Event.Dropped.class, watch.iterator().next()).cause();
            assertEquals("a", e.taskId());
            assertEquals(Status.Code.NOT_FOUND, e.code());
            assertEquals(ErrorReason.TASK_NOT_FOUND, e.reason());
            assertEquals("task a: No such task. (TASK_NOT_FOUND)", e.getMessage());
            assertEquals("No such task.", e.description());
            assertEquals("不行", e.localizedDescription());
            assertEquals("mine", e.requestId());
            assertEquals(Map.of("upstreamCode", "13000309"), e.metadata());
            assertEquals(Optional.empty(), e.retryAfter());
        }
        try (var scripted = scripted(tell(null, drop("a", 7)));
                var watch = scripted.client.watchAll(List.of("a"))) {
            TaskException e =
                    assertInstanceOf(Event.Dropped.class, watch.iterator().next()).cause();
            assertEquals(Optional.of(Duration.ofSeconds(7)), e.retryAfter());
        }
    }

    /** An error that is true of all tasks ends all streams, in whichever of them it comes. */
    @Test
    void lastingErrors() throws Exception {
        for (var lasting :
                List.of(
                        error(Status.Code.INVALID_ARGUMENT, "REQUEST_INVALID", -1),
                        error(Status.Code.UNAUTHENTICATED, "CREDENTIAL_REJECTED", -1),
                        Status.UNIMPLEMENTED.asRuntimeException())) {
            assertEndsWith(lasting, List.of(), tell(lasting));
            var ended = task("1000", "EXECUTING");
            assertEndsWith(lasting, List.of("1000"), tell(lasting, ended));
            assertEndsWith(lasting, numbered(250), hang(), hang(), tell(lasting));
        }
    }

    private void assertEndsWith(
            StatusRuntimeException lasting, List<String> ids, Scripted.Step... steps)
            throws IOException {
        try (var scripted = scripted(steps)) {
            var watch = scripted.client.watchAll(ids).iterator();
            var e = assertThrows(TaskException.class, () -> watch.forEachRemaining(event -> {}));
            assertEquals(lasting.getStatus().getCode(), e.code());
            assertEquals("", e.taskId());
            assertEquals(steps.length, scripted.lists.size());
            assertEquals(List.of(), scripted.streams);
        }
    }

    /** Closing the watch ends all streams, at whichever event. */
    @Test
    void closing() throws Exception {
        var drain = error(Status.Code.UNAVAILABLE, "SERVER_DRAINING", 60);
        Scripted.Step first = (ids, answer) -> answer.send(task(ids.get(0), "EXECUTING"));
        Scripted.Step third =
                (ids, answer) -> {
                    answer.send(drop(ids.get(0), 60));
                    answer.end(drain);
                };
        for (Class<?> kind : List.of(Event.Task.class, Event.Dropped.class, Event.Resume.class)) {
            try (var scripted = scripted(first, hang(), third);
                    var watch = scripted.client.watchAll(numbered(250))) {
                var events = watch.iterator();
                while (!kind.isInstance(events.next())) {}
                ((Runnable) watch::close).run();
                assertEquals(List.of(), scripted.streams);
                clock.sleep(Duration.ofHours(1));
                var e = assertThrows(TaskException.class, events::hasNext);
                assertEquals(Status.Code.CANCELLED, e.code());
                assertEquals(3, scripted.lists.size());
            }
        }
    }

    /** The timeout ends a list, whatever it waits for. */
    @Test
    void timeout() throws Exception {
        var drain = error(Status.Code.UNAVAILABLE, "SERVER_DRAINING", 3_600);
        for (var step :
                Arrays.<Scripted.Step>asList(
                        hang(task("1000", "EXECUTING")),
                        tell(drain),
                        each(id -> drop(id, 3_600)))) {
            double start = clock.seconds();
            try (var scripted = scripted(step)) {
                Options brief = Options.none().timeout(Duration.ofSeconds(5));
                var seen = read(scripted.client.watchAll(numbered(150), brief));
                assertEquals("error DEADLINE_EXCEEDED ", seen.get(seen.size() - 1));
                assertEquals(start + 5, clock.seconds());
                assertEquals(List.of(), scripted.streams);
            }
        }
    }

    @Test
    void unreachable() throws Exception {
        try (var scripted = scripted(tell(Status.UNAVAILABLE.asRuntimeException()))) {
            assertEquals(
                    List.of("error UNAVAILABLE "), read(scripted.client.watchAll(numbered(250))));
        }
    }
}
