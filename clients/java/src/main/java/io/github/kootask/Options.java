package io.github.kootask;

import io.grpc.Deadline;
import io.grpc.Metadata;

import koodrive.task.v1.GetTaskRequest;
import koodrive.task.v1.WatchTaskRequest;

import java.time.Duration;
import java.util.Objects;
import java.util.concurrent.TimeUnit;

/**
 * The options of one call, like {@code Options.none().timeout(Duration.ofSeconds(5))}. They do not
 * change: each method returns others. A header's value must be printable ASCII, or an {@link
 * IllegalArgumentException} is thrown.
 */
public final class Options {
    private static final Options NONE = new Options(null, null, null, null, null, false);

    // Null is what was not set.
    private final String token;
    private final String userId;
    private final String language;
    private final Duration maxAge;
    private final Duration timeout;
    private final boolean failedTaskAsError;

    private Options(
            String token,
            String userId,
            String language,
            Duration maxAge,
            Duration timeout,
            boolean failedTaskAsError) {
        this.token = token;
        this.userId = userId;
        this.language = language;
        this.maxAge = maxAge;
        this.timeout = timeout;
        this.failedTaskAsError = failedTaskAsError;
    }

    /** No options: what the client was built with counts. */
    public static Options none() {
        return NONE;
    }

    /** With this KooDrive credential: a token, with or without "Bearer " in front. Empty: none. */
    public Options token(String token) {
        return new Options(
                header("token", token), userId, language, maxAge, timeout, failedTaskAsError);
    }

    /** On behalf of this KooDrive user. Empty: none. */
    public Options userId(String userId) {
        return new Options(
                token, header("user id", userId), language, maxAge, timeout, failedTaskAsError);
    }

    /** Exceptions carry a message in this language: en-US or zh-CN. Empty: none. */
    public Options language(String language) {
        return new Options(
                token, userId, header("language", language), maxAge, timeout, failedTaskAsError);
    }

    /**
     * Lets get return an answer that is so old: zero asks KooDrive in any case. Without it a
     * finished task may be a minute old, and KooDrive is asked for any other. A watch does not heed
     * it.
     */
    public Options maxAge(Duration maxAge) {
        return new Options(
                token,
                userId,
                language,
                Objects.requireNonNull(maxAge),
                timeout,
                failedTaskAsError);
    }

    /**
     * How long the call may take, a watch with all that it resumes; then its code is
     * DEADLINE_EXCEEDED. Without it: for ever.
     */
    public Options timeout(Duration timeout) {
        return new Options(
                token,
                userId,
                language,
                maxAge,
                Objects.requireNonNull(timeout),
                failedTaskAsError);
    }

    /**
     * Makes a task that has failed an exception with the reason TASK_FAILED. A watch hands the task
     * out first.
     */
    public Options failedTaskAsError() {
        return new Options(token, userId, language, maxAge, timeout, true);
    }

    private static String header(String name, String value) {
        // gRPC would send question marks.
        if (!value.chars().allMatch(c -> c >= ' ' && c <= '~')) {
            throw new IllegalArgumentException(
                    "the " + name + " holds something else than printable ASCII characters");
        }
        return value;
    }

    /** These, and the token and the user of others where these name none. */
    Options over(Options defaults) {
        return new Options(
                token == null ? defaults.token : token,
                userId == null ? defaults.userId : userId,
                language,
                maxAge,
                timeout,
                failedTaskAsError);
    }

    Metadata headers() {
        Metadata headers = new Metadata();
        put(headers, "authorization", token);
        put(headers, "x-user-id", userId);
        put(headers, "language", language);
        return headers;
    }

    private static void put(Metadata headers, String name, String value) {
        if (value != null && !value.isEmpty()) {
            headers.put(Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER), value);
        }
    }

    /** When the timeout is over if it begins now. Null: never. */
    Deadline deadline() {
        return timeout == null
                ? null
                : Deadline.after(TimeUnit.NANOSECONDS.convert(timeout), TimeUnit.NANOSECONDS);
    }

    GetTaskRequest getRequest(String id) {
        GetTaskRequest.Builder request =
                GetTaskRequest.newBuilder().setTaskId(id).setFailedTaskAsError(failedTaskAsError);
        if (maxAge != null) {
            request.getMaxAgeBuilder().setSeconds(maxAge.getSeconds()).setNanos(maxAge.getNano());
        }
        return request.build();
    }

    WatchTaskRequest watchRequest(String id) {
        return WatchTaskRequest.newBuilder()
                .setTaskId(id)
                .setFailedTaskAsError(failedTaskAsError)
                .build();
    }
}
