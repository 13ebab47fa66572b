package io.github.kootask;

import io.grpc.Deadline;

import java.time.Duration;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.TimeUnit;

/** The time of a client. Tests replace it by virtual time. */
class Clock {
    private final Deadline.Ticker ticker;

    Clock() {
        this(Deadline.getSystemTicker());
    }

    Clock(Deadline.Ticker ticker) {
        this.ticker = ticker;
    }

    final Deadline after(Duration duration) {
        return Deadline.after(TimeUnit.NANOSECONDS.convert(duration), TimeUnit.NANOSECONDS, ticker);
    }

    /** Takes the head of a queue, and waits for it, at most for a time. Null: none has come. */
    <T> T poll(BlockingQueue<T> queue, long nanos) throws InterruptedException {
        return queue.poll(nanos, TimeUnit.NANOSECONDS);
    }
}
