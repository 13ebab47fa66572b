package io.github.kootask;

import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.function.Function;

/**
 * A watch that is under way. Iterate over it, once, on one thread at a time, which waits for what
 * comes next; a virtual thread will do. The loop ends after the finished task, and with a {@link
 * TaskException} on any other end: of the code CANCELLED if the watch was closed or the thread
 * interrupted, which stays so. Nothing is asked for that is not taken.
 *
 * <p>Close it, best with try: leaving the loop alone ends nothing.
 *
 * @param <T> the contract's Task, or {@link Event}
 */
public final class Watch<T> implements Iterable<T>, AutoCloseable {
    private final Watcher watcher;
    private final Iterator<T> iterator;

    /** Of the events, those are handed out that are not null as taken. */
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
     * Ends the watch at once, if it is not over: the call is cancelled. Any thread may close it.
     */
    @Override
    public void close() {
        watcher.close("the watch was closed");
    }

    private static final class Events<T> implements Iterator<T> {
        private final Watcher watcher;
        private final Function<Event, T> taken;
        private T next; // Null until it was looked for.

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
