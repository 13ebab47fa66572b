package io.github.kootask;

import io.grpc.Deadline;
import io.grpc.Metadata;

import koodrive.task.v1.GetTaskRequest;
import koodrive.task.v1.WatchTaskRequest;

import java.time.Duration;
import java.util.Objects;

/**
 * The options of one call, such as {@code Options.none().timeout(Duration.ofSeconds(5))}. They are
 * immutable: each method returns a changed copy. A header's value must be printable ASCII;
 * otherwise the method throws an {@link IllegalArgumentException}.
 */
public final class Options {
    private static final Options NONE = new Options(null, null, null, null, null, false);

    // Null: not set.
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

    /** Returns no options: the client's own values apply. */
    public static Options none() {
        return NONE;
    }

    /** Sets the KooDrive credential: a token, with or without "Bearer " in front. Empty: none. */
    public Options token(String token) {
        return new Options(
                header("token", token), userId, language, maxAge, timeout, failedTaskAsError);
    }

    /** Sets the KooDrive user to act for. Empty: none. */
    public Options userId(String userId) {
        return new Options(
                token, header("user id", userId), language, maxAge, timeout, failedTaskAsError);
    }

    /**
     * Sets the language of {@link TaskException#localizedDescription}, such as zh-CN. Empty: none.
     */
    public Options language(String language) {
        return new Options(
                token, userId, header("language", language), maxAge, timeout, failedTaskAsError);
    }

    /**
     * Sets the maximum age of the answer of get. Zero always asks KooDrive. Without it, a finished
     * task may be up to a minute old, and KooDrive is asked for any other task. A watch ignores it.
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
     * Sets the maximum duration of the call, for a watch with all its resumes. After it, the call
     * fails with the code DEADLINE_EXCEEDED. Without it, there is no limit.
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
     * Turns a failed task into an exception with the reason TASK_FAILED. A watch returns the task
     * first. It has no effect on {@link Client#watchAll}.
     */
    public Options failedTaskAsError() {
        return new Options(token, userId, language, maxAge, timeout, true);
    }

    private static String header(String name, String value) {
        // gRPC would send question marks.
        if (!value.chars().allMatch(c -> c >= ' ' && c <= '~')) {
            throw new IllegalArgumentException(
                    "the " + name + " contains characters other than printable ASCII");
        }
        return value;
    }

    /** Returns these options, with the token and the user of others where these have none. */
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

    /** Returns the deadline of a timeout that begins now. Null: none. */
    Deadline deadline(Clock clock) {
        return timeout == null ? null : clock.after(timeout);
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
