package io.github.kootask;

import io.grpc.ChannelCredentials;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannelBuilder;
import io.grpc.TlsChannelCredentials;
import io.grpc.netty.shaded.io.grpc.netty.NettyChannelBuilder;
import io.grpc.netty.shaded.io.netty.channel.ChannelOption;

import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;

/** Builds a {@link Client}: where kootask is, and which credentials the calls carry. */
public final class ClientBuilder {
    // kootask disconnects clients that ping more often than every 20 s.
    private static final long PING_AFTER_SECONDS = 30;
    private static final long PING_TIMEOUT_SECONDS = 10;

    private static final int CONNECT_TIMEOUT_MILLIS = 5_000; // A redeploy is over in seconds.
    private final String address;
    private ChannelCredentials security = TlsChannelCredentials.create();
    private Options defaults = Options.none();
    private CallerToken callerToken = new CallerToken(() -> "");

    ClientBuilder(String address) {
        this.address = Objects.requireNonNull(address);
    }

    /** Turns TLS off: credentials are sent in plaintext. */
    public ClientBuilder plaintext() {
        return tls(InsecureChannelCredentials.create());
    }

    /**
     * Sets the TLS credentials. Without it, the client trusts the system's certificates. {@link
     * TlsChannelCredentials#newBuilder} sets other certificates and a client certificate.
     */
    public ClientBuilder tls(ChannelCredentials credentials) {
        security = Objects.requireNonNull(credentials);
        return this;
    }

    /** Sets the KooDrive credential of all calls without {@link Options#token}. */
    public ClientBuilder token(String token) {
        defaults = defaults.token(token);
        return this;
    }

    /** Sets the KooDrive user to act for, of all calls without {@link Options#userId}. */
    public ClientBuilder userId(String userId) {
        defaults = defaults.userId(userId);
        return this;
    }

    /**
     * Sets the provider of the token, a JWT without "Bearer ", that authenticates the caller to
     * kootask. ({@link #token} is for KooDrive.) Every call and every stream of a watch calls it on
     * the caller's thread, so a renewed token takes effect. Several may call it at a time. {@link
     * Options#timeout} does not interrupt it. An empty token is not sent. If it throws, the call
     * fails with the code UNAUTHENTICATED and the exception as the cause, which must not contain
     * the token.
     */
    public ClientBuilder callerToken(Callable<String> provider) {
        callerToken = new CallerToken(Objects.requireNonNull(provider));
        return this;
    }

    /**
     * Builds the client. It does not connect: the first call does, and the connection is renewed
     * whenever it breaks.
     *
     * @throws IllegalArgumentException if the address is invalid
     */
    public Client build() {
        ManagedChannelBuilder<?> channel =
                Grpc.newChannelBuilder(address, security)
                        .keepAliveTime(PING_AFTER_SECONDS, TimeUnit.SECONDS)
                        .keepAliveTimeout(PING_TIMEOUT_SECONDS, TimeUnit.SECONDS)
                        .userAgent("kootask-java");
        // The builder for every target of the network.
        if (channel instanceof NettyChannelBuilder netty) {
            netty.withOption(ChannelOption.CONNECT_TIMEOUT_MILLIS, CONNECT_TIMEOUT_MILLIS);
        }
        boolean isTls = !(security instanceof InsecureChannelCredentials);
        Probe probe = new Probe(address, isTls);
        return new Client(channel.build(), defaults, callerToken, probe, new Clock());
    }
}
