package io.github.kootask;

import static com.google.common.util.concurrent.Uninterruptibles.awaitUninterruptibly;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.Status;
import io.grpc.inprocess.InProcessChannelBuilder;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

import java.net.InetAddress;
import java.time.Duration;
import java.util.concurrent.CountDownLatch;

/** The ends of a call whose probe waits for a silent resolver. */
@Timeout(10)
class ProbeEndTest {
    private final CountDownLatch over = new CountDownLatch(1);
    private Runnable meanwhile = () -> {}; // What happens while the probe waits.

    private InetAddress[] resolve(String host) {
        meanwhile.run();
        awaitUninterruptibly(over);
        return new InetAddress[0];
    }

    private Probe probe() {
        return new Probe("kootask.example:1", true, this::resolve, Duration.ofHours(1));
    }

    private Scripted scripted(Scripted.Step... steps) throws Exception {
        return new Scripted(new Clock(), () -> "", probe(), steps);
    }

    private static Scripted.Step broken() {
        return Scripted.tell(Status.UNAVAILABLE.asRuntimeException());
    }

    @AfterEach
    void end() {
        over.countDown();
    }

    private static void assertCancelled(String why, Watch<?> watch) {
        var e = assertThrows(TaskException.class, () -> watch.iterator().hasNext());
        assertEquals(Status.Code.CANCELLED, e.code());
        assertEquals(why, e.description());
    }

    @Test
    void closingTheWatch() throws Exception {
        try (var scripted = scripted(broken())) {
            var watch = scripted.client.watch("9");
            meanwhile = watch::close;
            assertCancelled("the watch was closed", watch);
        }
    }

    @Test
    void closingTheClient() throws Exception {
        try (var scripted = scripted(broken())) {
            meanwhile = scripted.client::close;
            assertCancelled("the client was closed", scripted.client.watch("9"));
        }
    }

    @Test
    void interruptingTheThread() throws Exception {
        Thread caller = Thread.currentThread();
        try (var scripted = scripted(broken())) {
            meanwhile = caller::interrupt;
            assertCancelled("the thread was interrupted", scripted.client.watch("9"));
            assertTrue(Thread.interrupted());
        }
    }

    private static Status.Code get(Client client) {
        return assertThrows(TaskException.class, () -> client.get("9")).code();
    }

    @Test
    void get() {
        Thread caller = Thread.currentThread();
        var channel = InProcessChannelBuilder.forName("nothing listens here").build();
        var token = new CallerToken(() -> "");
        try (var client = new Client(channel, Options.none(), token, probe(), new Clock())) {
            meanwhile = caller::interrupt;
            assertEquals(Status.Code.CANCELLED, get(client));
            assertTrue(Thread.interrupted());
            meanwhile = client::close;
            assertEquals(Status.Code.UNAVAILABLE, get(client));
        }
    }

    /** Nobody reads from the other streams any more. */
    @Test
    void otherStreamsEndBefore() throws Exception {
        try (var scripted = scripted(Scripted.hang(), broken())) {
            var watch = scripted.client.watchAll(Scripted.numbered(101));
            meanwhile =
                    () -> {
                        awaitUninterruptibly(scripted.cancelled);
                        watch.close();
                    };
            assertCancelled("the watch was closed", watch);
        }
    }
}
