package io.github.kootask;

import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.function.Function;

/**
 * A watch in progress. Iterate over it once, on one thread at a time. The loop blocks its thread
 * until the next event; virtual threads work well. It ends after the finished task, and with a
 * {@link TaskException} on any other end. Its code is CANCELLED if the watch was closed or the
 * thread was interrupted, whose interrupt status stays set. Messages are requested one by one.
 *
 * <p>Close it, preferably with try: leaving the loop does not end the watch.
 *
 * @param <T> the contract's Task, or {@link Event}
 */
public final class Watch<T> implements Iterable<T>, AutoCloseable {
    private final Watcher watcher;
    private final Iterator<T> iterator;

    /** Events that the function maps to null are left out. */
    Watch(Watcher watcher, Function<Event, T> taken) {
        this.watcher = watcher;
        this.iterator = new Events<>(watcher, taken);
    }

    /** Returns the same iterator each time. */
    @Override
    public Iterator<T> iterator() {
        return iterator;
    }

    /**
     * Ends the watch at once and cancels its call. It has no effect on a finished watch. Any thread
     * may close it.
     */
    @Override
    public void close() {
        watcher.close("the watch was closed");
    }

    private static final class Events<T> implements Iterator<T> {
        private final Watcher watcher;
        private final Function<Event, T> taken;
        private T next; // Null until hasNext has read it.

        Events(Watcher watcher, Function<Event, T> taken) {
            this.watcher = watcher;
            this.taken = taken;
        }

        @Override
        public boolean hasNext() {
            while (next == null) {
                Event event = watcher.next();
                if (event == null) {
                    return false;
                }
                next = taken.apply(event);
            }
            return true;
        }

        @Override
        public T next() {
            if (!hasNext()) {
                throw new NoSuchElementException();
            }
            T result = next;
            next = null;
            return result;
        }
    }
}
