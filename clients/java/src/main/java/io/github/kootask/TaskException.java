package io.github.kootask;

import io.grpc.Metadata;
import io.grpc.Status;

import koodrive.task.v1.ErrorReason;
import koodrive.task.v1.Task;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * A call that failed. Branch on the reason, the code and the presence of {@link #retryAfter}; never
 * parse a message.
 */
public final class TaskException extends RuntimeException {
    private static final long serialVersionUID = 1;

    private final Status.Code code;
    private final String description;
    private final Details details;

    private TaskException(Status.Code code, String description, Details details, Throwable cause) {
        super(text(code, description, details), cause);
        this.code = code;
        this.description = description;
        this.details = details;
    }

    /** The status with which a call has ended. There may be no trailers. */
    static TaskException of(Status status, Metadata trailers) {
        Details details = Details.of(status, trailers);
        String description = status.getDescription() == null ? "" : status.getDescription();
        if (details.reason().isEmpty()) {
            description = describe(description, status);
        }
        return new TaskException(status.getCode(), description, details, status.getCause());
    }

    /**
     * What is worth telling of others' words: the first line, and that of why a connection broke,
     * as "io exception" alone helps nobody.
     */
    private static String describe(String description, Status status) {
        String line = firstLine(description);
        boolean isBroken = status.getCode() == Status.Code.UNAVAILABLE && status.getCause() != null;
        String why = isBroken ? firstLine(status.getCause().getMessage()) : "";
        return why.isEmpty() ? line : line + ": " + why;
    }

    private static String firstLine(String text) {
        return text == null ? "" : text.lines().findFirst().orElse("");
    }

    /** A thread that was interrupted, which it stays. */
    static TaskException interrupted(InterruptedException cause) {
        Thread.currentThread().interrupt();
        return of(
                Status.CANCELLED.withDescription("the thread was interrupted").withCause(cause),
                null);
    }

    /** The error of a task that has failed, as kootask makes it. */
    static TaskException taskFailed(Task task) {
        Map<String, String> metadata =
                Map.of("taskId", task.getTaskId(), "resultCode", task.getKoodriveResultCode());
        Details details = Details.NONE.withReason(ErrorReason.TASK_FAILED.name(), metadata);
        return new TaskException(Status.Code.ABORTED, "The task has failed.", details, null);
    }

    private static String text(Status.Code code, String description, Details details) {
        StringBuilder text =
                new StringBuilder(description)
                        .append(" (")
                        .append(details.reason().isEmpty() ? code : details.reason())
                        .append(')');
        for (Violation v : details.violations()) {
            text.append(' ')
                    .append(v.field())
                    .append(": ")
                    .append(v.reason())
                    .append(' ')
                    .append(v.description());
        }
        return text.toString();
    }

    /** gRPC's code. */
    public Status.Code code() {
        return code;
    }

    /**
     * Why, for programs. {@link ErrorReason#ERROR_REASON_UNSPECIFIED} if kootask did not make the
     * error (gRPC's library did then, a proxy, or the provider of the caller's token), or if its
     * reason is newer than this client: see {@link #rawReason}.
     */
    public ErrorReason reason() {
        var value = ErrorReason.getDescriptor().findValueByName(details.reason());
        return value == null ? ErrorReason.ERROR_REASON_UNSPECIFIED : ErrorReason.valueOf(value);
    }

    /** The reason as kootask sent it, known or not. Empty if kootask did not make the error. */
    public String rawReason() {
        return details.reason();
    }

    /**
     * What happened, for people, without the reason that {@link #getMessage} adds. May be empty.
     */
    public String description() {
        return description;
    }

    /** The same in the language of {@link Options#language}. Empty if the call named none. */
    public String localizedDescription() {
        return details.localized();
    }

    /**
     * After how long calling again may help. Empty if kootask does not say that it helps. It says
     * nothing where the connection broke: that is an error without a reason, whose code is
     * UNAVAILABLE.
     */
    public Optional<Duration> retryAfter() {
        return Optional.ofNullable(details.retryAfter());
    }

    /** What names the call in kootask's log. Empty if kootask did not make the error. */
    public String requestId() {
        return details.requestId();
    }

    /**
     * Further facts, by the names that the contract gives to them: that of a failed task's code is
     * resultCode.
     */
    public Map<String, String> metadata() {
        return details.metadata();
    }

    /** What is wrong with the request, with the reason REQUEST_INVALID. */
    public List<Violation> violations() {
        return details.violations();
    }
}
