"""The Python client of kootask. It reports the status of KooDrive tasks, once or until they are finished.

    async with kootask.Client("kootask.example:9090", token=token) as client:
        async for task in client.watch("1534087020903704705"):
            print(kootask.TaskStatus.Name(task.status))

A watch continues when the server is redeployed or the connection breaks: it resumes after the delay that the server asks for,
and yields no state twice. If it cannot resume, it raises an Error.

watch_all watches any number of tasks. wait returns a task once it is finished.

A failed task is a value with the status FAILED. The option failed_task_as_error turns it into an Error.
"""

from grpc import StatusCode

from kootask._gen.reason import Reason
from kootask._gen.task_pb2 import ResultCode, Task, TaskStatus, TaskType
from kootask.caller import CallerToken
from kootask.client import Client
from kootask.error import Error, Violation
from kootask.event import Event, Heartbeat, Resume

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
