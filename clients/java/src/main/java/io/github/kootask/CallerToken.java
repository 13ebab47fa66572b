package io.github.kootask;

import io.grpc.Metadata;
import io.grpc.Status;

import java.util.concurrent.Callable;

/** The token by which kootask knows the caller: authorization is KooDrive's. */
final class CallerToken {
    private static final Metadata.Key<String> HEADER =
            Metadata.Key.of("x-kootask-authorization", Metadata.ASCII_STRING_MARSHALLER);

    private final Callable<String> provider;

    CallerToken(Callable<String> provider) {
        this.provider = provider;
    }

    /** The token as it is now, empty if there is none. */
    String get() throws InterruptedException {
        String token;
        try {
            token = provider.call();
        } catch (InterruptedException e) {
            throw e;
        } catch (Exception e) {
            throw failure("the caller's token cannot be had", e);
        }
        if (token == null) {
            return "";
        }
        // A header may hold no more than that.
        if (!token.chars().allMatch(c -> c > ' ' && c <= '~')) {
            throw failure(
                    "the caller's token holds something else than visible ASCII characters", null);
        }
        return token;
    }

    /** Reports whether there is another token by now than that of a stream that has ended. */
    boolean isOtherThan(String token) throws InterruptedException {
        try {
            return !get().equals(token);
        } catch (TaskException e) {
            return false;
        }
    }

    void addTo(Metadata headers, String token) {
        if (!token.isEmpty()) {
            headers.put(HEADER, "Bearer " + token);
        }
    }

    private static TaskException failure(String description, Exception cause) {
        return TaskException.of(
                Status.UNAUTHENTICATED.withDescription(description).withCause(cause), null);
    }
}
