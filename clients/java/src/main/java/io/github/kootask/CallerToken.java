package io.github.kootask;

import io.grpc.Metadata;
import io.grpc.Status;

import java.util.concurrent.Callable;

/** The token that authenticates the caller to kootask. The authorization header is for KooDrive. */
final class CallerToken {
    private static final Metadata.Key<String> HEADER =
            Metadata.Key.of("x-kootask-authorization", Metadata.ASCII_STRING_MARSHALLER);

    private final Callable<String> provider;

    CallerToken(Callable<String> provider) {
        this.provider = provider;
    }

    /** Returns the current token, empty without a provider. */
    String get() throws InterruptedException {
        String token;
        try {
            token = provider.call();
        } catch (InterruptedException e) {
            throw e;
        } catch (Exception e) {
            throw failure("the provider of the caller's token failed", e);
        }
        if (token == null) {
            return "";
        }
        // A header allows no other characters.
        if (!token.chars().allMatch(c -> c > ' ' && c <= '~')) {
            throw failure("the caller's token contains characters other than visible ASCII", null);
        }
        return token;
    }

    /** Reports whether the current token differs from the token of a stream that has ended. */
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
