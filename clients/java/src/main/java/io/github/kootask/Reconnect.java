package io.github.kootask;

import io.grpc.ConnectivityState;
import io.grpc.Deadline;
import io.grpc.ManagedChannel;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;

/**
 * Reconnects, but not too often. By itself, a channel waits for up to two minutes after a failed
 * attempt and fails all calls until then, although a redeploy is over in seconds.
 */
final class Reconnect {
    private static final long AT_MOST_EVERY_SECONDS = 5;
    private static final long LOOK_SECONDS = 1;

    private final ManagedChannel channel;
    private final AtomicReference<Deadline> next =
            new AtomicReference<>(Deadline.after(0, TimeUnit.SECONDS));

    Reconnect(ManagedChannel channel) {
        this.channel = channel;
    }

    /** Connects again if the last attempt has failed. It does not wait for the connection. */
    void soon() {
        Deadline due = next.get();
        if (isDown()
                && due.isExpired()
                && next.compareAndSet(
                        due, Deadline.after(AT_MOST_EVERY_SECONDS, TimeUnit.SECONDS))) {
            channel.resetConnectBackoff();
        }
    }

    /**
     * Waits for a connection while attempts fail. Returns without one when the patience or the
     * latch ends: a call then fails at once with the cause, which a call that waits for a ready
     * channel does not report.
     */
    void await(Deadline patience, CountDownLatch ended) throws InterruptedException {
        while (isDown() && !patience.isExpired()) {
            soon();
            if (ended.await(LOOK_SECONDS, TimeUnit.SECONDS)) {
                return;
            }
        }
    }

    private boolean isDown() {
        return channel.getState(false) == ConnectivityState.TRANSIENT_FAILURE;
    }
}
