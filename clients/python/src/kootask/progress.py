"""How far a watch has come."""

from kootask._gen.task_pb2 import TASK_STATUS_FAILED, TASK_STATUS_NEW, Task


class Progress:
    """The task that was handed out last, and what follows from that."""

    def __init__(self, failed_task_as_error: bool) -> None:
        self._failed_task_as_error = failed_task_as_error
        self._last: Task | None = None  # Without its observe_time. A copy: what was handed out is the caller's.

    def is_news(self, task: Task) -> bool:
        """Tell whether to hand a task out, which then is the last one.

        A new stream begins with the task as it stands, and may come from a server that has not seen as much as the one
        before.
        """
        new = Task()
        new.CopyFrom(task)
        new.ClearField("observe_time")
        if self._last is not None and (_rank(new) < _rank(self._last) or new == self._last):
            return False
        self._last = new
        return True

    @property
    def done(self) -> Task | None:
        """The finished task, if it was handed out."""
        return self._last if self._last is not None and self._last.done else None

    @property
    def finished(self) -> bool:
        """Whether nothing more comes: after a failed task an error does, if it was asked for."""
        return self.done is not None and not (self._failed_task_as_error and self.done.status == TASK_STATUS_FAILED)


def _rank(task: Task) -> int:
    if task.done:
        return 2
    return 0 if task.status == TASK_STATUS_NEW else 1
