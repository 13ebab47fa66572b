"""What happens while a task is watched."""

from dataclasses import dataclass
from typing import Union

from kootask._gen.task_pb2 import Heartbeat, Task
from kootask.error import Error


@dataclass(frozen=True)
class Resume:
    """A watch was interrupted, and goes on by itself."""

    cause: Error
    """What ended the stream."""
    after: float
    """How long the watch waits before it begins anew, in seconds."""


Event = Union[Task, Heartbeat, Resume]  # noqa: UP007 # The generated classes need not know |.
"""One event: the task, as it stands or has changed; that nothing has changed, and how KooDrive does; an interruption."""
