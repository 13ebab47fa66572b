package io.github.kootask;

import static io.github.kootask.Scripted.hang;
import static io.github.kootask.Scripted.heartbeat;
import static io.github.kootask.Scripted.task;
import static io.github.kootask.Scripted.tell;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.Context;
import io.grpc.Status;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

import java.io.IOException;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/** Ends of a watch from outside, in Java's ways. The conformance suite tests the rest. */
@Timeout(10)
class WatchTest {
    private static final Status.Code CANCELLED = Status.Code.CANCELLED;

    private static final Scripted.Step STAY = hang(task("9", "EXECUTING"));
    private static final Scripted.Step BREAK_OFF =
            tell(Status.UNAVAILABLE.asRuntimeException(), task("9", "EXECUTING"));

    private static Scripted scripted(Scripted.Step step) throws IOException {
        return new Scripted(new Clock(), () -> "", step);
    }

    /** Ends a watch by an action after its first task and its first interruption. */
    private static void endedBy(Scripted scripted, Watch<Event> watch, int events, Runnable end)
            throws Exception {
        for (int i = 0; i < events; i++) {
            watch.iterator().next();
        }
        CompletableFuture.delayedExecutor(200, TimeUnit.MILLISECONDS).execute(end);
        var failure = assertThrows(TaskException.class, () -> watch.iterator().hasNext());
        assertEquals(CANCELLED, failure.code());
        if (events == 1) {
            assertTrue(scripted.cancelled.await(5, TimeUnit.SECONDS), "the call goes on");
        }
    }

    @Test
    void closeEndsAStream() throws Exception {
        try (var scripted = scripted(STAY);
                var watch = scripted.client.events("9")) {
            endedBy(scripted, watch, 1, watch::close);
        }
    }

    @Test
    void closeEndsAWait() throws Exception {
        try (var scripted = scripted(BREAK_OFF);
                var watch = scripted.client.events("9")) {
            endedBy(scripted, watch, 2, watch::close);
        }
    }

    @Test
    void interruptEndsAStreamAndStays() throws Exception {
        Thread thread = Thread.currentThread();
        try (var scripted = scripted(STAY);
                var watch = scripted.client.events("9")) {
            watch.iterator().next();
            CompletableFuture.delayedExecutor(200, TimeUnit.MILLISECONDS)
                    .execute(thread::interrupt);
            var failure = assertThrows(TaskException.class, () -> watch.iterator().hasNext());
            assertTrue(Thread.interrupted(), "the interrupt is lost");
            assertEquals(CANCELLED, failure.code());
            assertTrue(scripted.cancelled.await(5, TimeUnit.SECONDS), "the call goes on");
        }
    }

    @Test
    void clientEndsItsWatches() throws Exception {
        try (var scripted = scripted(BREAK_OFF);
                var watch = scripted.client.events("9")) {
            endedBy(scripted, watch, 2, scripted.client::close);
            try (var late = scripted.client.watch("9")) {
                var failure = assertThrows(TaskException.class, () -> late.iterator().hasNext());
                assertEquals(CANCELLED, failure.code());
            }
        }
    }

    @Test
    void contextEndsAWatch() throws Exception {
        try (var scripted = scripted(BREAK_OFF);
                var context = Context.current().withCancellation()) {
            try (var watch = context.call(() -> scripted.client.events("9"))) {
                endedBy(scripted, watch, 2, () -> context.cancel(null));
            }
        }
    }

    @Test
    void timeoutEndsAWait() throws Exception {
        Options brief = Options.none().timeout(Duration.ofMillis(300));
        try (var scripted = scripted(BREAK_OFF);
                var watch = scripted.client.watch("9", brief)) {
            watch.iterator().next();
            var failure = assertThrows(TaskException.class, () -> watch.iterator().hasNext());
            assertEquals(Status.Code.DEADLINE_EXCEEDED, failure.code());
        }
    }

    @Test
    void providerOfTheTokenFails() throws Exception {
        var cause = new IOException("disk");
        try (var scripted =
                        new Scripted(
                                new Clock(),
                                () -> {
                                    throw cause;
                                },
                                STAY);
                var watch = scripted.client.watch("9")) {
            var failure = assertThrows(TaskException.class, () -> watch.iterator().hasNext());
            assertEquals(Status.Code.UNAUTHENTICATED, failure.code());
            assertEquals(cause, failure.getCause());
            assertTrue(failure.rawReason().isEmpty());
        }
    }

    @Test
    void consumersTimeIsNoSilence() throws Exception {
        var clock = new VirtualClock();
        try (var scripted = new Scripted(clock, () -> "", STAY);
                var watch = scripted.client.events("9")) {
            var events = watch.iterator();
            assertInstanceOf(Event.Task.class, events.next());
            clock.sleep(Duration.ofSeconds(70));
            clock.plan(Duration.ofSeconds(19), () -> scripted.streams.get(0).send(heartbeat()));
            assertInstanceOf(Event.Heartbeat.class, events.next());
            var resume = assertInstanceOf(Event.Resume.class, events.next());
            assertEquals(Status.Code.UNAVAILABLE, resume.cause().code());
            assertEquals(70 + 19 + 20, clock.seconds());
        }
    }

    @Test
    void closeCountsMoreThanWhatHasCome() throws Exception {
        try (var scripted = scripted(hang(task("9", "EXECUTING"), task("9", "SUCCESS")));
                var watch = scripted.client.watch("9")) {
            watch.iterator().next();
            ((Runnable) watch::close).run();
            var failure = assertThrows(TaskException.class, () -> watch.iterator().hasNext());
            assertEquals(CANCELLED, failure.code());
        }
    }

    @Test
    void causesAreTold() {
        assertEquals("io exception", broken("io exception", new IOException()));
        assertEquals("io exception: reset", broken("io exception", new IOException("reset\nat x")));
    }

    private static String broken(String description, Exception cause) {
        Status status = Status.UNAVAILABLE.withDescription(description).withCause(cause);
        return TaskException.of(status, null).description();
    }

    @Test
    void headersDoNotPrint() {
        var failure =
                assertThrows(IllegalArgumentException.class, () -> Options.none().token("sécret"));
        assertFalse(failure.getMessage().contains("cret"));
    }
}
