package io.github.kootask;

import io.grpc.Deadline;

import java.time.Duration;
import java.util.Comparator;
import java.util.PriorityQueue;
import java.util.concurrent.BlockingQueue;

/**
 * Virtual time for one thread, which passes when the client waits. It needs servers and channels
 * with direct executors: all that they do at a time is then done when the client waits.
 */
final class VirtualClock extends Clock {
    private record Planned(long at, long number, Runnable action) {}

    private static final class Ticker extends Deadline.Ticker {
        long now;

        @Override
        public long nanoTime() {
            return now;
        }
    }

    private final Ticker ticker;
    private final PriorityQueue<Planned> plan =
            new PriorityQueue<>(
                    Comparator.comparingLong(Planned::at).thenComparingLong(Planned::number));
    private long number;

    VirtualClock() {
        this(new Ticker());
    }

    private VirtualClock(Ticker ticker) {
        super(ticker);
        this.ticker = ticker;
    }

    double seconds() {
        return ticker.now / 1e9;
    }

    /** Plans an action of the world outside the client. */
    void plan(Duration after, Runnable action) {
        plan.add(new Planned(ticker.now + after.toNanos(), number++, action));
    }

    /** Lets time pass outside the client. */
    void sleep(Duration time) {
        long end = ticker.now + time.toNanos();
        while (actsBefore(end)) {}
        ticker.now = end;
    }

    private boolean actsBefore(long end) {
        if (plan.isEmpty() || plan.peek().at > end) {
            return false;
        }
        Planned next = plan.remove();
        ticker.now = Math.max(ticker.now, next.at);
        next.action.run();
        return true;
    }

    @Override
    <T> T poll(BlockingQueue<T> queue, long nanos) throws InterruptedException {
        if (Thread.interrupted()) {
            throw new InterruptedException();
        }
        long end = ticker.now + Math.max(0, nanos);
        while (queue.isEmpty() && actsBefore(end)) {}
        if (queue.isEmpty()) {
            ticker.now = end;
        }
        return queue.poll();
    }
}
