package io.github.kootask;

import static io.github.kootask.Scripted.drop;
import static io.github.kootask.Scripted.each;
import static io.github.kootask.Scripted.error;
import static io.github.kootask.Scripted.heartbeat;
import static io.github.kootask.Scripted.numbered;
import static io.github.kootask.Scripted.read;
import static io.github.kootask.Scripted.task;
import static io.github.kootask.Scripted.tell;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.Status;
import io.grpc.StatusRuntimeException;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;

/** A watch of many tasks goes on after interruptions and dropped tasks. Time is virtual. */
@Timeout(10)
class ListResumeTest {
    private final VirtualClock clock = new VirtualClock();

    private Scripted scripted(Scripted.Step... steps) throws IOException {
        return new Scripted(clock, () -> "", steps);
    }

    private static StatusRuntimeException drain(long seconds) {
        return error(Status.Code.UNAVAILABLE, "SERVER_DRAINING", seconds);
    }

    private static Scripted.Step success() {
        return each(id -> task(id, "SUCCESS"));
    }

    /** Each stream is one of the tasks that have not ended, whatever the new server knows. */
    @Test
    void resumesWithTheRest() throws Exception {
        try (var scripted =
                scripted(
                        tell(
                                drain(3),
                                task("a", "NEW"),
                                task("b", "EXECUTING"),
                                task("c", "SUCCESS"),
                                drop("d")),
                        // It ends without an end.
                        tell(null, task("b", "NEW"), task("c", "EXECUTING"), drop("d")),
                        tell(drain(3), task("b", "EXECUTING"), task("a", "SUCCESS")),
                        tell(null, task("b", "EXECUTING"), task("b", "SUCCESS")))) {
            assertEquals(
                    List.of(
                            "a NEW",
                            "b EXECUTING",
                            "c SUCCESS",
                            "d dropped",
                            "resume of [a, b]",
                            "resume of [a, b]",
                            "a SUCCESS",
                            "resume of [b]",
                            "b SUCCESS"),
                    read(scripted.client.watchAll(List.of("a", "b", "c", "d"))));
            var both = List.of("a", "b");
            assertEquals(
                    List.of(List.of("a", "b", "c", "d"), both, both, List.of("b")), scripted.lists);
            assertEquals(3, scripted.attempts.get(1));
        }
    }

    /** A task that is dropped with a delay gets a stream of its own. The others keep theirs. */
    @Test
    void droppedTaskIsWatchedAgain() throws Exception {
        Scripted.Step slow =
                (ids, answer) -> {
                    answer.send(task("a", "NEW"));
                    answer.send(task("b", "EXECUTING"));
                    answer.send(drop("b", 5));
                    clock.plan(Duration.ofSeconds(15), () -> answer.send(heartbeat()));
                    clock.plan(Duration.ofSeconds(30), () -> answer.send(heartbeat()));
                    clock.plan(Duration.ofSeconds(45), () -> answer.send(task("a", "SUCCESS")));
                };
        var again = tell(null, task("b", "NEW"), task("b", "EXECUTING"), task("b", "SUCCESS"));
        try (var scripted = scripted(slow, again)) {
            assertEquals(
                    List.of(
                            "a NEW",
                            "b EXECUTING",
                            "b dropped, retry",
                            "b SUCCESS",
                            "heartbeat of [a], failing []",
                            "heartbeat of [a], failing []",
                            "a SUCCESS"),
                    read(scripted.client.watchAll(List.of("a", "b"))));
            assertEquals(List.of(List.of("a", "b"), List.of("b")), scripted.lists);
            assertEquals(List.of(0.0, 5.0), scripted.attempts);
        }
    }

    /** The last task is dropped with a delay: the list is not over. */
    @Test
    void lastTaskIsWatchedAgain() throws Exception {
        var stale = error(Status.Code.UNAVAILABLE, "UPSTREAM_STALE", 9);
        try (var scripted =
                scripted(tell(stale, task("a", "SUCCESS"), drop("b", 9)), tell(null, drop("b")))) {
            assertEquals(
                    List.of("a SUCCESS", "b dropped, retry", "b dropped"),
                    read(scripted.client.watchAll(List.of("a", "b"))));
            assertEquals(List.of(0.0, 9.0), scripted.attempts);
        }
    }

    /** After an outage of KooDrive, those with short delays wait for the others. */
    @Test
    void droppedTasksShareStreams() throws Exception {
        var ids = numbered(250);
        Map<String, Long> delays = new HashMap<>();
        for (int i = 0; i < ids.size(); i++) {
            delays.put(ids.get(i), 5L + i % 30);
        }
        var outage = each(id -> drop(id, delays.get(id)));
        try (var scripted = scripted(outage, outage, outage, success())) {
            assertEquals(500, read(scripted.client.watchAll(ids)).size());
            assertEquals(List.of(100, 100, 100, 100, 50, 50), scripted.sizes());
            assertEquals(34, scripted.attempts.get(5));
        }
    }

    /** A task waits for others for no more than 30 s: the third one comes later. */
    @Test
    void droppedTasksWaitForSomeTime() throws Exception {
        Map<String, Long> delays = Map.of("a", 5L, "b", 20L, "c", 36L);
        try (var scripted = scripted(each(id -> drop(id, delays.get(id))), success())) {
            assertEquals(6, read(scripted.client.watchAll(List.of("a", "b", "c"))).size());
            assertEquals(
                    List.of(List.of("a", "b", "c"), List.of("a", "b"), List.of("c")),
                    scripted.lists);
            assertEquals(List.of(0.0, 35.0, 36.0), scripted.attempts);
        }
    }

    /** A delay of zero is obeyed once, and not in a loop. */
    @Test
    void secondDropBacksOff() throws Exception {
        try (var scripted = scripted(tell(null, drop("a", 0)))) {
            read(
                    scripted.client.watchAll(
                            List.of("a"), Options.none().timeout(Duration.ofMinutes(1))));
            assertEquals(List.of(0.0, 0.0), scripted.attempts.subList(0, 2));
            double second = scripted.attempts.get(2) - scripted.attempts.get(1);
            assertTrue(second >= 2.56 * 0.8 && second <= 2.56 * 1.2, "second delay: " + second);
            int n = scripted.attempts.size();
            assertTrue(n >= 5 && n <= 12, n + " attempts");
        }
    }

    /** A task that was seen in between was not dropped twice in a row. */
    @Test
    void dropAfterAStateDoesNotBackOff() throws Exception {
        var seen = tell(null, task("a", "EXECUTING"), drop("a", 0));
        try (var scripted = scripted(seen, seen, seen, success())) {
            assertEquals(
                    List.of(
                            "a EXECUTING",
                            "a dropped, retry",
                            "a dropped, retry",
                            "a dropped, retry",
                            "a SUCCESS"),
                    read(scripted.client.watchAll(List.of("a"))));
            assertEquals(0, clock.seconds());
        }
    }

    /** A stream that is silent resumes, and the other goes on. */
    @Test
    void silenceBreaksOneStream() throws Exception {
        Scripted.Step lively =
                (ids, answer) -> {
                    for (int i = 1; i <= 40; i++) {
                        clock.plan(Duration.ofSeconds(i), () -> answer.send(heartbeat()));
                    }
                    clock.plan(
                            Duration.ofSeconds(41),
                            () -> ids.forEach(id -> answer.send(task(id, "SUCCESS"))));
                };
        Scripted.Step silent = (ids, answer) -> answer.send(task(ids.get(0), "EXECUTING"));
        try (var scripted = scripted(lively, silent, success())) {
            var ids = numbered(150);
            var seen = new ArrayList<>(read(scripted.client.watchAll(ids)));
            seen.removeIf(s -> s.startsWith("heartbeat") || s.endsWith("SUCCESS"));
            assertEquals(List.of("1100 EXECUTING", "resume of " + ids.subList(100, 150)), seen);
            assertEquals(ids.subList(100, 150), scripted.lists.get(2));
            double at = scripted.attempts.get(2);
            assertTrue(at >= 20.8 && at <= 21.2, "resumed at " + at);
        }
    }

    /** A consumer that takes longer than the limit of silence does not break the streams. */
    @Test
    void slowConsumerBreaksNothing() throws Exception {
        try (var scripted = scripted(success());
                var watch = scripted.client.watchAll(numbered(150))) {
            int n = 0;
            for (Event event : watch) {
                assertTrue(event instanceof Event.Task, Scripted.text(event));
                clock.sleep(Duration.ofSeconds(70));
                n++;
            }
            assertEquals(150, n);
            assertEquals(2, scripted.lists.size());
        }
    }

    /** Each stream has the current token, and resumes if that has changed. */
    @Test
    void callerToken() throws Exception {
        var expired = error(Status.Code.UNAUTHENTICATED, "CALLER_UNAUTHENTICATED", -1);
        var calls = new AtomicInteger();
        try (var scripted =
                new Scripted(
                        clock,
                        () -> calls.getAndIncrement() == 0 ? "first" : "second",
                        tell(expired, task("a", "NEW")),
                        tell(expired, task("a", "EXECUTING")))) {
            assertEquals(
                    List.of(
                            "a NEW",
                            "resume of [a]",
                            "a EXECUTING",
                            "error UNAUTHENTICATED CALLER_UNAUTHENTICATED"),
                    read(scripted.client.watchAll(List.of("a"))));
        }
    }
}
