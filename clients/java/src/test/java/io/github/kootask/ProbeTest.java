package io.github.kootask;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.grpc.Status;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;

/** The causes that are found at a wrong address. */
@Timeout(10)
class ProbeTest {
    private static final byte[] ALERT = {0x15, 3, 3, 0, 2, 2, 40};
    private static final byte[] SETTINGS = {0, 0, 0, 4, 0, 0, 0, 0, 0};

    private static String explain(Probe probe, Status status, boolean met) {
        TaskException e = TaskException.of(status.withDescription("io exception"), null);
        return probe.explain(e, met, null).description();
    }

    /** Explains an error at a server that answers the first bytes with others. */
    private static String at(boolean isTls, byte[] answer, Status status, boolean met)
            throws IOException {
        try (var server = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            new Thread(() -> answer(server, answer)).start();
            String address = "127.0.0.1:" + server.getLocalPort();
            return explain(new Probe(address, isTls), status, met).replace(address, "ADDR");
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
        int port;
        try (var server = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            port = server.getLocalPort();
        }
        String address = "127.0.0.1:" + port;
        for (var probe : new Probe[] {new Probe(address, false), new Probe(address, true)}) {
            assertEquals(
                    "nothing listens at " + address + ": io exception",
                    explain(probe, Status.UNAVAILABLE, false));
            assertEquals("io exception", explain(probe, Status.UNAVAILABLE, true));
            assertEquals("io exception", explain(probe, Status.DEADLINE_EXCEEDED, false));
        }
        assertEquals(
                "nothing listens at nowhere.invalid:1: io exception",
                explain(new Probe("nowhere.invalid:1", true), Status.UNAVAILABLE, false));
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
    void anotherPort() {
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
    void otherTargets() {
        for (String address : new String[] {"unix:/tmp/kootask", "xds:///kootask:1", "kootask"}) {
            assertEquals(
                    "io exception", explain(new Probe(address, false), Status.UNAVAILABLE, false));
        }
    }
}
