"""The progress of a task in a watch."""

from kootask._gen.task_pb2 import TASK_STATUS_FAILED, TASK_STATUS_NEW, Task


class Progress:
    """The progress of one task, over all its streams."""

    def __init__(self, task_id: str, failed_task_as_error: bool = False) -> None:
        self.task_id = task_id
        self.drops = 0  # Consecutive drops of the task without a state in between.
        self._failed_task_as_error = failed_task_as_error
        self._last: Task | None = None  # Without its observe_time. A copy, because the yielded task belongs to the caller.

    def is_news(self, task: Task) -> bool:
        """Report whether to yield a task, and keep it as the last one.

        A new stream begins with the task as it is, and may come from a server that has seen less than the one before.
        """
        self.drops = 0
        new = Task()
        new.CopyFrom(task)
        new.ClearField("observe_time")
        if self._last is not None and (self._last.done or _rank(new) < _rank(self._last) or new == self._last):
            return False
        self._last = new
        return True

    @property
    def done(self) -> Task | None:
        """The finished task, if it was yielded."""
        return self._last if self._last is not None and self._last.done else None

    @property
    def finished(self) -> bool:
        """Whether the watch of the task is complete. After a failed task, the error follows if it was requested."""
        return self.done is not None and not (self._failed_task_as_error and self.done.status == TASK_STATUS_FAILED)


def _rank(task: Task) -> int:
    if task.done:
        return 2
    return 0 if task.status == TASK_STATUS_NEW else 1
