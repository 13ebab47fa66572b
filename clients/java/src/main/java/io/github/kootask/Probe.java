package io.github.kootask;

import io.grpc.Deadline;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;
import java.security.GeneralSecurityException;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLEngine;

/** Finds out why no kootask has answered at an address. */
final class Probe {
    private static final long PATIENCE_MILLIS = 2_000;
    private static final Pattern HOST_AND_PORT = Pattern.compile("(?:dns:///)?([^/]+):(\\d{1,5})");

    private final String address;
    private final boolean isTls;

    /** Makes a probe for a client with or without TLS. */
    Probe(String address, boolean isTls) {
        this.address = address;
        this.isTls = isTls;
    }

    /**
     * Puts the cause in front of the description of an error, if the address may be wrong. It
     * connects to the address for that, and takes 2 s at most.
     *
     * @param met kootask has answered before
     * @param deadline of the call; null: none
     */
    TaskException explain(TaskException failure, boolean met, Deadline deadline) {
        if (!failure.rawReason().isEmpty()) {
            return failure;
        }
        return switch (failure.code()) {
            case UNIMPLEMENTED ->
                    failure.because(
                            address
                                    + " is not kootask's gRPC port, or its kootask is older than"
                                    + " this client");
            case UNAVAILABLE -> met ? failure : failure.because(look(patience(deadline)));
            default -> failure;
        };
    }

    private static Deadline patience(Deadline deadline) {
        long left =
                deadline == null ? PATIENCE_MILLIS : deadline.timeRemaining(TimeUnit.MILLISECONDS);
        return Deadline.after(Math.min(left, PATIENCE_MILLIS), TimeUnit.MILLISECONDS);
    }

    /** Returns the milliseconds that are left, at least 1: 0 means no limit to a socket. */
    private static int left(Deadline patience) {
        return (int) Math.max(1, patience.timeRemaining(TimeUnit.MILLISECONDS));
    }

    /** Returns what is wrong with the address. Empty: unknown. */
    private String look(Deadline patience) {
        Matcher m = HOST_AND_PORT.matcher(address);
        if (!m.matches()) {
            return ""; // It is not an address of the network.
        }
        String host = m.group(1);
        int port = Integer.parseInt(m.group(2));
        try (Socket socket = connect(host, port, patience)) {
            return socket == null
                    ? "nothing listens at " + address
                    : compare(speaksTls(socket, host, port, patience));
        } catch (IOException | GeneralSecurityException | IllegalArgumentException e) {
            return ""; // The server does not answer, or the port is not a port.
        }
    }

    private String compare(boolean speaksTls) {
        if (speaksTls == isTls) {
            return "";
        }
        return isTls
                ? address
                        + " does not speak TLS, and this client does"
                        + " (ClientBuilder.plaintext() turns it off)"
                : address
                        + " speaks TLS, and this client does not"
                        + " (without ClientBuilder.plaintext(), it does)";
    }

    /** Connects to one of a host's addresses. Null: nothing listens there. */
    private static Socket connect(String host, int port, Deadline patience) throws IOException {
        InetAddress[] all;
        try {
            all = InetAddress.getAllByName(host);
        } catch (UnknownHostException e) {
            return null;
        }
        for (InetAddress one : all) {
            Socket socket = new Socket();
            try {
                socket.connect(new InetSocketAddress(one, port), left(patience));
                return socket;
            } catch (IOException e) {
                socket.close();
                if (e instanceof SocketTimeoutException) {
                    throw e; // A firewall may be in between.
                }
            }
        }
        return null;
    }

    /** Reports whether the server answers the first message of a TLS handshake with TLS. */
    private static boolean speaksTls(Socket socket, String host, int port, Deadline patience)
            throws IOException, GeneralSecurityException {
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, null, null);
        SSLEngine engine = context.createSSLEngine(host, port);
        engine.setUseClientMode(true);
        ByteBuffer hello = ByteBuffer.allocate(engine.getSession().getPacketBufferSize());
        engine.wrap(ByteBuffer.allocate(0), hello);
        socket.setSoTimeout(left(patience));
        socket.getOutputStream().write(hello.array(), 0, hello.position());
        int first = socket.getInputStream().read();
        if (first < 0) {
            throw new IOException("no answer");
        }
        return first == 0x15 || first == 0x16; // An alert, or the next message of the handshake.
    }
}
