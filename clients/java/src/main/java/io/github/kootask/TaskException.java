package io.github.kootask;

import io.grpc.Metadata;
import io.grpc.Status;

import koodrive.task.v1.DroppedTask;
import koodrive.task.v1.ErrorReason;
import koodrive.task.v1.Task;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * A failed call. Branch on the reason, the code and the presence of {@link #retryAfter}, and never
 * parse a message.
 */
public final class TaskException extends RuntimeException {
    private static final long serialVersionUID = 1;

    private final Status.Code code;
    private final String description;
    private final Details details;
    private final String taskId;

    private TaskException(
            Status.Code code, String description, Details details, String taskId, Throwable cause) {
        super(text(code, description, details, taskId), cause);
        this.code = code;
        this.description = description;
        this.details = details;
        this.taskId = taskId;
    }

    /** Converts the status with which a call has ended. The trailers may be null. */
    static TaskException of(Status status, Metadata trailers) {
        Details details = Details.of(status, trailers);
        String description = status.getDescription() == null ? "" : status.getDescription();
        if (details.reason().isEmpty()) {
            description = describe(description, status);
        }
        return new TaskException(status.getCode(), description, details, "", status.getCause());
    }

    /** Converts the end of one task of a stream that began with the headers. */
    static TaskException dropped(DroppedTask task, Metadata headers) {
        Status.Code code = Status.fromCodeValue(task.getCode()).getCode();
        Details details = Details.of(task, headers);
        return new TaskException(code, task.getMessage(), details, task.getTaskId(), null);
    }

    /** Returns the same error, with a cause in front of its description. Empty: unchanged. */
    TaskException because(String why) {
        if (why.isEmpty()) {
            return this;
        }
        return new TaskException(code, why + ": " + description, details, taskId, getCause());
    }

    /**
     * Returns the first line of a foreign description. For a broken connection it adds the first
     * line of the cause, because "io exception" alone does not help.
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

    /** Returns the error of an interrupted thread, whose interrupt status stays set. */
    static TaskException interrupted(InterruptedException cause) {
        Thread.currentThread().interrupt();
        return of(
                Status.CANCELLED.withDescription("the thread was interrupted").withCause(cause),
                null);
    }

    /** Returns the error that kootask sends for a failed task. */
    static TaskException taskFailed(Task task) {
        Map<String, String> metadata =
                Map.of("taskId", task.getTaskId(), "resultCode", task.getKoodriveResultCode());
        Details details = Details.NONE.withReason(ErrorReason.TASK_FAILED.name(), metadata);
        return new TaskException(Status.Code.ABORTED, "The task has failed.", details, "", null);
    }

    private static String text(
            Status.Code code, String description, Details details, String taskId) {
        StringBuilder text =
                new StringBuilder(taskId.isEmpty() ? "" : "task " + taskId + ": ")
                        .append(description)
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

    /** Returns gRPC's code. */
    public Status.Code code() {
        return code;
    }

    /**
     * Returns the cause, for programs. {@link ErrorReason#ERROR_REASON_UNSPECIFIED} if the reason
     * is newer than this client (see {@link #rawReason}), or if the error is not from kootask, but
     * from gRPC's library, a proxy or the provider of the caller's token.
     */
    public ErrorReason reason() {
        var value = ErrorReason.getDescriptor().findValueByName(details.reason());
        return value == null ? ErrorReason.ERROR_REASON_UNSPECIFIED : ErrorReason.valueOf(value);
    }

    /** Returns the name of the reason, known or not. Empty if the error is not from kootask. */
    public String rawReason() {
        return details.reason();
    }

    /**
     * Returns the text for people, without the reason that {@link #getMessage} adds. It begins with
     * the cause if the client has found that its address is wrong. May be empty.
     */
    public String description() {
        return description;
    }

    /** Returns the text in the language of {@link Options#language}. Empty without that option. */
    public String localizedDescription() {
        return details.localized();
    }

    /**
     * Returns the time after which calling again may help, from kootask. Empty if kootask does not
     * say that it helps, and after a broken connection (an error without a reason, whose code is
     * UNAVAILABLE), where calling again may help too.
     */
    public Optional<Duration> retryAfter() {
        return Optional.ofNullable(details.retryAfter());
    }

    /** Returns the id of the task in {@link Event.Dropped}. Empty for other errors. */
    public String taskId() {
        return taskId;
    }

    /** Returns the id of the call in kootask's log. Empty if the error is not from kootask. */
    public String requestId() {
        return details.requestId();
    }

    /**
     * Returns further details, under the contract's names. For example, resultCode is the code of a
     * failed task.
     */
    public Map<String, String> metadata() {
        return details.metadata();
    }

    /** Returns the faults of the request, if the reason is REQUEST_INVALID. */
    public List<Violation> violations() {
        return details.violations();
    }
}
