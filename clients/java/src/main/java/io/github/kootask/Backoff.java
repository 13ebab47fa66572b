package io.github.kootask;

import java.time.Duration;
import java.util.concurrent.ThreadLocalRandom;

/** The delays between attempts. */
final class Backoff {
    // After a broken connection, for which kootask cannot ask for a delay. Jittered by ±20 %.
    private static final double MIN_SECONDS = 1;
    private static final double MAX_SECONDS = 15;
    private static final double GROWTH = 1.6;

    private Backoff() {}

    /** Returns the delay after the nth consecutive stream that broke or had no message. */
    static Duration after(int n) {
        double seconds = Math.min(MIN_SECONDS * Math.pow(GROWTH, n), MAX_SECONDS);
        return Duration.ofNanos(
                (long) (seconds * ThreadLocalRandom.current().nextDouble(0.8, 1.2) * 1e9));
    }

    /**
     * Returns the delay after the nth consecutive error for which kootask asked for a delay. That
     * delay may be 0, which is obeyed once.
     */
    static Duration after(int n, Duration asked) {
        if (n < 2) {
            return asked;
        }
        Duration own = after(n);
        return asked.compareTo(own) > 0 ? asked : own;
    }
}
