package io.github.kootask;

import static io.github.kootask.Scripted.error;
import static io.github.kootask.Scripted.hang;
import static io.github.kootask.Scripted.task;
import static io.github.kootask.Scripted.tell;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.grpc.Status;

import koodrive.task.v1.TaskStatus;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

import java.time.Duration;
import java.util.List;

/** The scripted server does not implement WaitTask, so a wait that called it would fail. */
@Timeout(10)
class WaitTest {
    private final VirtualClock clock = new VirtualClock();

    private void assertWaits(TaskStatus want, Scripted.Step... steps) throws Exception {
        try (var scripted = new Scripted(clock, () -> "", steps)) {
            assertEquals(want, scripted.client.waitFor("9").getStatus());
            assertEquals(0, scripted.streams.size());
        }
    }

    private void assertFails(String reason, Options options, Scripted.Step... steps)
            throws Exception {
        try (var scripted = new Scripted(clock, () -> "", steps)) {
            var e = assertThrows(TaskException.class, () -> scripted.client.waitFor("9", options));
            assertEquals(reason, e.rawReason());
        }
    }

    @Test
    void returnsTheFinishedTask() throws Exception {
        var drain = error(Status.Code.UNAVAILABLE, "SERVER_DRAINING", 1);
        var life = hang(task("9", "NEW"), task("9", "EXECUTING"), task("9", "SUCCESS"));
        assertWaits(TaskStatus.TASK_STATUS_SUCCESS, life);
        assertWaits(
                TaskStatus.TASK_STATUS_SUCCESS,
                tell(drain, task("9", "NEW")),
                tell(null, task("9", "SUCCESS")));
        assertWaits(TaskStatus.TASK_STATUS_FAILED, tell(null, task("9", "FAILED")));
    }

    @Test
    void throwsTheError() throws Exception {
        var failed = error(Status.Code.ABORTED, "TASK_FAILED", -1);
        assertFails(
                "TASK_FAILED",
                Options.none().failedTaskAsError(),
                tell(failed, task("9", "FAILED")));
        var missing = error(Status.Code.NOT_FOUND, "TASK_NOT_FOUND", -1);
        assertFails("TASK_NOT_FOUND", Options.none(), tell(missing));
        assertFails("TASK_NOT_FOUND", Options.none(), tell(missing, task("9", "EXECUTING")));
    }

    /** The failed task came, and the stream broke before the error that was asked for. */
    @Test
    void makesTheMissingError() throws Exception {
        var broken = Status.UNAVAILABLE.asRuntimeException();
        assertFails(
                "TASK_FAILED",
                Options.none().failedTaskAsError(),
                tell(broken, task("9", "FAILED")));
    }

    /** Nothing but that error comes after a failed task. */
    @Test
    void failedTaskIsTheLast() throws Exception {
        var failed = error(Status.Code.ABORTED, "TASK_FAILED", -1);
        try (var scripted =
                new Scripted(
                        clock, () -> "", tell(failed, task("9", "FAILED"), task("9", "SUCCESS")))) {
            Options options = Options.none().failedTaskAsError();
            assertEquals(
                    List.of("9 FAILED", "error ABORTED TASK_FAILED"),
                    Scripted.read(scripted.client.events("9", options)));
        }
    }

    @Test
    void endsWithTheTimeout() throws Exception {
        var drain = error(Status.Code.UNAVAILABLE, "SERVER_DRAINING", 3_600);
        try (var scripted = new Scripted(clock, () -> "", tell(drain, task("9", "EXECUTING")))) {
            Options minute = Options.none().timeout(Duration.ofMinutes(1));
            var e = assertThrows(TaskException.class, () -> scripted.client.waitFor("9", minute));
            assertEquals(Status.Code.DEADLINE_EXCEEDED, e.code());
            assertEquals(60, clock.seconds());
        }
    }
}
