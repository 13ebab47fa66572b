"""The events of a watch."""

from dataclasses import dataclass
from typing import Union

from kootask._gen.task_pb2 import Heartbeat, Task
from kootask.error import Error


@dataclass(frozen=True)
class Resume:
    """The watch was interrupted and resumes by itself."""

    cause: Error
    """The error that ended the stream."""
    after: float
    """The seconds until the watch resumes."""


Event = Union[Task, Heartbeat, Resume]  # noqa: UP007 # The generated classes need not know |.
"""One event: the task, now and after each change; a heartbeat, which says whether KooDrive answers; an interruption."""
