"""The client of kootask: it tells how a KooDrive task stands, and watches one until it is finished.

    async with kootask.Client("kootask.example:9090", token=token) as client:
        async for task in client.watch("1534087020903704705"):
            print(kootask.TaskStatus.Name(task.status))

A watch goes on when the server is redeployed or the connection breaks: it begins anew after the delay that the server asked
for, and hands out no task twice. What it cannot go on after it raises as an Error.

A task that failed is a value: its status says so. The option failed_task_as_error makes it an Error.
"""

from grpc import StatusCode

from kootask._gen.task_pb2 import Heartbeat, ResultCode, Task, TaskStatus, TaskType
from kootask.caller import CallerToken
from kootask.client import Client
from kootask.error import Error, Violation
from kootask.event import Event, Resume
from kootask.reason import Reason

__all__ = [
    "CallerToken",
    "Client",
    "Error",
    "Event",
    "Heartbeat",
    "Reason",
    "ResultCode",
    "Resume",
    "StatusCode",
    "Task",
    "TaskStatus",
    "TaskType",
    "Violation",
]
