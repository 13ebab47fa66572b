package io.github.kootask;

import io.grpc.Context;
import io.grpc.Deadline;

import java.io.IOException;
import java.net.ConnectException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.NoRouteToHostException;
import java.net.Proxy;
import java.net.ProxySelector;
import java.net.SocketException;
import java.net.URI;
import java.net.URISyntaxException;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.security.GeneralSecurityException;
import java.time.Duration;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLEngine;

/** Finds out why no kootask has answered at an address. */
final class Probe {
    private static final Duration LIMIT = Duration.ofSeconds(2);
    private static final Pattern HOST_AND_PORT = Pattern.compile("(?:dns:///)?([^/]+):(\\d{1,5})");

    private final String address;
    private final boolean isTls;
    private final Resolver resolver;
    private final Duration limit;

    /** Finds the addresses of a host. */
    interface Resolver {
        InetAddress[] resolve(String host) throws UnknownHostException;
    }

    /** Makes a probe for a client with or without TLS. */
    Probe(String address, boolean isTls) {
        this(address, isTls, InetAddress::getAllByName, LIMIT);
    }

    /** Makes a probe that takes no longer than the limit. */
    Probe(String address, boolean isTls, Resolver resolver, Duration limit) {
        this.address = address;
        this.isTls = isTls;
        this.resolver = resolver;
        this.limit = limit;
    }

    /**
     * Puts the cause in front of the description of an error, if the address may be wrong. It
     * connects to the address for that, and waits for 2 s at most.
     *
     * @param met kootask has answered before
     * @param deadline of the call; null: none
     * @param context whose end ends the probe; the error is then unchanged
     */
    TaskException explain(TaskException failure, boolean met, Deadline deadline, Context context)
            throws InterruptedException {
        if (!failure.rawReason().isEmpty()) {
            return failure;
        }
        return switch (failure.code()) {
            case UNIMPLEMENTED ->
                    failure.because(
                            address
                                    + " is not kootask's gRPC port, or its kootask is older than"
                                    + " this client");
            case UNAVAILABLE -> met ? failure : failure.because(find(deadline, context));
            default -> failure;
        };
    }

    /** Returns what is wrong with the address. Empty: unknown. */
    private String find(Deadline deadline, Context context) throws InterruptedException {
        Matcher m = HOST_AND_PORT.matcher(address);
        if (!m.matches()) {
            return ""; // It is not an address of the network.
        }
        String host = m.group(1);
        int port = Integer.parseInt(m.group(2));
        ByteBuffer hello;
        try {
            hello = hello(host, port); // Not in the limit: the first one loads many classes.
        } catch (IOException | GeneralSecurityException e) {
            return "";
        }
        // Nothing interrupts a resolver, so only a thread of its own limits the wait for it.
        var look = new FutureTask<>(() -> look(host, port, hello));
        var thread = new Thread(look, "kootask-probe");
        thread.setDaemon(true);
        Context.CancellationListener stop = ended -> look.cancel(true);
        context.addListener(stop, Runnable::run);
        try {
            thread.start();
            return look.get(nanos(deadline), TimeUnit.NANOSECONDS);
        } catch (TimeoutException | CancellationException | ExecutionException e) {
            return ""; // The server does not answer, or this side cannot ask.
        } finally {
            look.cancel(true); // It closes the connection.
            context.removeListener(stop);
        }
    }

    private long nanos(Deadline deadline) {
        long most = limit.toNanos();
        return deadline == null
                ? most
                : Math.min(most, deadline.timeRemaining(TimeUnit.NANOSECONDS));
    }

    private String look(String host, int port, ByteBuffer hello) throws IOException {
        if (isProxied(host, port)) {
            return ""; // A direct connection may fail though the proxy's does not.
        }
        try (SocketChannel server = connect(host, port)) {
            return server == null
                    ? "nothing listens at " + address
                    : compare(speaksTls(server, hello));
        }
    }

    /** Reports whether gRPC connects to the server through a proxy. It asks as gRPC does. */
    private static boolean isProxied(String host, int port) {
        ProxySelector selector = ProxySelector.getDefault();
        try {
            URI uri = new URI("https", null, host, port, null, null, null);
            return selector != null && selector.select(uri).get(0).type() != Proxy.Type.DIRECT;
        } catch (URISyntaxException e) {
            return false; // Such as a host with an underscore.
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
    private SocketChannel connect(String host, int port) throws IOException {
        InetAddress[] all;
        try {
            all = resolver.resolve(host);
        } catch (UnknownHostException e) {
            return null;
        }
        boolean isRefused = false;
        SocketException last = null;
        for (InetAddress one : all) {
            try {
                return SocketChannel.open(new InetSocketAddress(one, port));
            } catch (ConnectException | NoRouteToHostException e) {
                isRefused = true;
            } catch (SocketException e) {
                last = e; // A fault of this side, such as too many open files or no IPv6.
            }
        }
        if (!isRefused && last != null) {
            throw last;
        }
        return null;
    }

    /** Returns the first message of a TLS handshake. */
    private static ByteBuffer hello(String host, int port)
            throws IOException, GeneralSecurityException {
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, null, null);
        SSLEngine engine = context.createSSLEngine(host, port);
        engine.setUseClientMode(true);
        ByteBuffer hello = ByteBuffer.allocate(engine.getSession().getPacketBufferSize());
        engine.wrap(ByteBuffer.allocate(0), hello);
        return hello.flip();
    }

    /** Reports whether the server answers the first message of a TLS handshake with TLS. */
    private static boolean speaksTls(SocketChannel server, ByteBuffer hello) throws IOException {
        server.write(hello);
        ByteBuffer first = ByteBuffer.allocate(1);
        if (server.read(first) < 0) {
            throw new IOException("no answer");
        }
        byte kind = first.get(0);
        return kind == 0x15 || kind == 0x16; // An alert, or the next message of the handshake.
    }
}
