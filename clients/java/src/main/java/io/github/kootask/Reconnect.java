package io.github.kootask;

import io.grpc.ConnectivityState;
import io.grpc.Deadline;
import io.grpc.ManagedChannel;

import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;

/**
 * Reconnects, but not too often. By itself, a channel waits for up to two minutes after a failed
 * attempt and fails all calls until then, although a redeploy is over in seconds.
 */
final class Reconnect {
    private static final long AT_MOST_EVERY_SECONDS = 5;

    private final ManagedChannel channel;
    private final AtomicReference<Deadline> next =
            new AtomicReference<>(Deadline.after(0, TimeUnit.SECONDS));

    Reconnect(ManagedChannel channel) {
        this.channel = channel;
    }

    /**
     * Reports whether the last attempt to connect has failed: a call would fail at once. Connects
     * again in that case, and does not wait for the connection.
     */
    boolean isDown() {
        if (channel.getState(false) != ConnectivityState.TRANSIENT_FAILURE) {
            return false;
        }
        Deadline due = next.get();
        Deadline after = Deadline.after(AT_MOST_EVERY_SECONDS, TimeUnit.SECONDS);
        if (due.isExpired() && next.compareAndSet(due, after)) {
            channel.resetConnectBackoff();
        }
        return true;
    }
}
