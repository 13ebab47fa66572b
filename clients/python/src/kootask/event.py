"""The events of a watch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Union

from google.protobuf.timestamp_pb2 import Timestamp

from kootask._gen.task_pb2 import Task
from kootask.error import Error


@dataclass(frozen=True)
class Heartbeat:
    """No change is known. It reports whether KooDrive answers. The contract describes all fields but task_ids."""

    observe_time: Timestamp | None
    """The time at which KooDrive last confirmed the task, or confirmed all tasks that are not failing. None before the first
    task."""
    failure_count: int
    """The consecutive failed polls, of the task that has failed most often. 0 if KooDrive answers."""
    failure_reason: str
    """The reason of the last failure, for example UPSTREAM_TIMEOUT. Empty if KooDrive answers."""
    failing_task_ids: Sequence[str]
    """The ids of the tasks whose last poll failed."""
    task_ids: Sequence[str]
    """The ids of the tasks that the heartbeat is about: those of one stream that have not come to their end."""


@dataclass(frozen=True)
class Resume:
    """The watch was interrupted and resumes by itself."""

    cause: Error
    """The error that ended the stream."""
    after: float
    """The seconds until the watch resumes."""
    task_ids: Sequence[str]
    """The ids of the tasks that are interrupted: those of the stream that have not come to their end."""


Event = Union[Task, Heartbeat, Resume, Error]  # noqa: UP007 # The generated classes need not know |.
"""One event: a task, now and after each change; a heartbeat; an interruption; or the Error of a dropped task, with its task_id.

The watch of a dropped task ended before the task was finished. The other tasks are still watched. If retry_after is set, this
task is watched again, after that time. Only watch_all yields it."""
