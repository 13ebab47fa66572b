package io.github.kootask;

import static com.google.common.util.concurrent.Uninterruptibles.awaitUninterruptibly;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.grpc.Context;
import io.grpc.Status;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ProxySelector;
import java.net.ServerSocket;
import java.net.UnknownHostException;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;

/** The causes that are found at a wrong address. */
@Timeout(10)
class ProbeTest {
    private static final byte[] ALERT = {0x15, 3, 3, 0, 2, 2, 40};
    private static final byte[] SETTINGS = {0, 0, 0, 4, 0, 0, 0, 0, 0};

    private static final Duration AGES = Duration.ofHours(1);

    private static String explain(Probe probe, Status status, boolean met)
            throws InterruptedException {
        TaskException e = TaskException.of(status.withDescription("io exception"), null);
        return probe.explain(e, met, null, Context.ROOT).description();
    }

    /** Makes a probe that waits as long as a busy machine takes. */
    private static Probe probe(String address, boolean isTls) {
        return new Probe(address, isTls, InetAddress::getAllByName, AGES);
    }

    private static InetAddress[] addresses(String... all) throws UnknownHostException {
        var result = new InetAddress[all.length];
        for (int i = 0; i < all.length; i++) {
            result[i] = InetAddress.getByName(all[i]);
        }
        return result;
    }

    private static InetAddress[] unknown(String host) throws UnknownHostException {
        throw new UnknownHostException(host);
    }

    private static int closedPort() throws IOException {
        try (var server = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            return server.getLocalPort();
        }
    }

    /** Explains an error at a server that answers the first bytes with others. */
    private static String at(boolean isTls, byte[] answer, Status status, boolean met)
            throws Exception {
        try (var server = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            new Thread(() -> answer(server, answer)).start();
            String address = "127.0.0.1:" + server.getLocalPort();
            return explain(probe(address, isTls), status, met).replace(address, "ADDR");
        }
    }

    private static void answer(ServerSocket server, byte[] answer) {
        try (var connection = server.accept()) {
            connection.getInputStream().read();
            connection.getOutputStream().write(answer);
            connection.getInputStream().readAllBytes();
        } catch (IOException e) {
            // The test has ended.
        }
    }

    @Test
    void nothingListens() throws Exception {
        String address = "127.0.0.1:" + closedPort();
        for (var probe : new Probe[] {probe(address, false), probe(address, true)}) {
            assertEquals(
                    "nothing listens at " + address + ": io exception",
                    explain(probe, Status.UNAVAILABLE, false));
            assertEquals("io exception", explain(probe, Status.UNAVAILABLE, true));
            assertEquals("io exception", explain(probe, Status.DEADLINE_EXCEEDED, false));
        }
    }

    @Test
    void noSuchHost() throws Exception {
        for (String host : new String[] {"kootask.example", "my_kootask"}) {
            var probe = new Probe(host + ":1", true, ProbeTest::unknown, AGES);
            assertEquals(
                    "nothing listens at " + host + ":1: io exception",
                    explain(probe, Status.UNAVAILABLE, false));
        }
    }

    /** No connection to a group of hosts leaves this machine, as with too many open files. */
    @Test
    void localFault() throws Exception {
        String address = "kootask.example:" + closedPort();
        var local = new Probe(address, true, host -> addresses("224.0.0.1"), AGES);
        assertEquals("io exception", explain(local, Status.UNAVAILABLE, false));
        var both = new Probe(address, true, host -> addresses("127.0.0.1", "224.0.0.1"), AGES);
        assertEquals(
                "nothing listens at " + address + ": io exception",
                explain(both, Status.UNAVAILABLE, false));
    }

    @Test
    void silentServer() throws Exception {
        try (var server = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            var probe =
                    new Probe(
                            "kootask.example:" + server.getLocalPort(),
                            true,
                            host -> addresses("127.0.0.1"),
                            Duration.ofMillis(1));
            assertEquals("io exception", explain(probe, Status.UNAVAILABLE, false));
        }
    }

    @Test
    void silentResolver() throws Exception {
        var end = new CountDownLatch(1);
        Probe.Resolver silent =
                host -> {
                    awaitUninterruptibly(end);
                    return addresses("127.0.0.1");
                };
        var probe = new Probe("kootask.example:1", true, silent, Duration.ofMillis(1));
        assertEquals("io exception", explain(probe, Status.UNAVAILABLE, false));
        end.countDown();
    }

    /** The connection of a probe ends with it. The server's thread ends only then. */
    @Test
    void interrupt() throws Exception {
        Thread caller = Thread.currentThread();
        try (var server = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            var read = new CompletableFuture<Void>();
            new Thread(
                            () -> {
                                try (var connection = server.accept()) {
                                    connection.getInputStream().read();
                                    caller.interrupt();
                                    connection.getInputStream().readAllBytes();
                                    read.complete(null);
                                } catch (IOException e) {
                                    read.completeExceptionally(e);
                                }
                            })
                    .start();
            var probe =
                    new Probe(
                            "kootask.example:" + server.getLocalPort(),
                            true,
                            host -> addresses("127.0.0.1"),
                            AGES);
            assertThrows(
                    InterruptedException.class, () -> explain(probe, Status.UNAVAILABLE, false));
            read.get();
        }
    }

    /** gRPC connects through the proxy. */
    @Test
    void proxy() throws Exception {
        var probe = new Probe("kootask.example:1", true, ProbeTest::unknown, AGES);
        ProxySelector before = ProxySelector.getDefault();
        try {
            ProxySelector.setDefault(ProxySelector.of(new InetSocketAddress("127.0.0.1", 1)));
            assertEquals("io exception", explain(probe, Status.UNAVAILABLE, false));
        } finally {
            ProxySelector.setDefault(before);
        }
    }

    @Test
    void plaintextAgainstTls() throws Exception {
        assertEquals(
                "ADDR speaks TLS, and this client does not"
                        + " (without ClientBuilder.plaintext(), it does): io exception",
                at(false, ALERT, Status.UNAVAILABLE, false));
        assertEquals("io exception", at(true, ALERT, Status.UNAVAILABLE, false));
    }

    @Test
    void tlsAgainstPlaintext() throws Exception {
        assertEquals(
                "ADDR does not speak TLS, and this client does"
                        + " (ClientBuilder.plaintext() turns it off): io exception",
                at(true, SETTINGS, Status.UNAVAILABLE, false));
        assertEquals("io exception", at(false, SETTINGS, Status.UNAVAILABLE, false));
    }

    @Test
    void anotherPort() throws Exception {
        var probe = new Probe("kootask.example:8080", false);
        for (boolean met : new boolean[] {false, true}) {
            assertEquals(
                    "kootask.example:8080 is not kootask's gRPC port, or its kootask is older"
                            + " than this client: io exception",
                    explain(probe, Status.UNIMPLEMENTED, met));
        }
    }

    /** Of a Unix socket and the like, nothing is known. */
    @Test
    void otherTargets() throws Exception {
        for (String address : new String[] {"unix:/tmp/kootask", "xds:///kootask:1", "kootask"}) {
            assertEquals(
                    "io exception", explain(new Probe(address, false), Status.UNAVAILABLE, false));
        }
    }
}
