"""The streams of a watch."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from grpc import StatusCode

from kootask._gen.task_pb2 import Task, WatchTaskRequest, WatchTasksRequest
from kootask.error import Error

if TYPE_CHECKING:
    import grpc.aio

    from kootask._gen.task_pb2_grpc import TaskServiceStub

PER_STREAM = 100
"""The contract's limit on the tasks of a stream."""


class Stream:
    """One stream. Its messages have a oneof event, with the fields task, heartbeat and maybe dropped."""

    def __init__(self, rpc: grpc.aio.UnaryStreamCall[Any, Any]) -> None:
        self._rpc = rpc
        # Not the stream's read(): it loses a message that came before the stream ended.
        self._messages: AsyncIterator[Any] = aiter(rpc)

    async def connected(self) -> None:
        """Wait for a turn on the connection."""
        await self._rpc.wait_for_connection()

    async def message(self) -> Any:
        """Return the next message. Raises Error or gRPC's AioRpcError if there is none."""
        async for message in self._messages:
            if message is None:  # gRPC yields None for an unreadable message.
                raise Error(StatusCode.INTERNAL, "the answer cannot be read")
            return message
        raise Error(StatusCode.UNAVAILABLE, "the stream ended before every task had ended")

    async def request_id(self) -> str:
        """Return the id of the request in kootask's log. Empty without one. Call it after the first message."""
        metadata = await self._rpc.initial_metadata()
        return str(metadata.get("x-request-id", ""))

    def cancel(self) -> None:
        """End the stream."""
        self._rpc.cancel()


class Source(Protocol):
    """Opens streams of tasks."""

    def open(self, stub: TaskServiceStub, ids: Sequence[str], /, **options: Any) -> Stream:
        """Open a stream of the tasks with these ids, with gRPC's options of a call."""

    def task_id(self, task: Task, /) -> str:
        """Return the id under which a task is watched."""


class One:
    """Streams of a single task. It calls WatchTask, which servers without WatchTasks have too."""

    def __init__(self, request: WatchTaskRequest) -> None:
        self._request = request

    def open(self, stub: TaskServiceStub, _: Sequence[str], /, **options: Any) -> Stream:
        """Open a stream of the task."""
        return Stream(stub.WatchTask(self._request, **options))

    def task_id(self, _: Task) -> str:
        """Return the id of the request: no other task can come."""
        return self._request.task_id


class Several:
    """Streams of up to PER_STREAM tasks."""

    def open(self, stub: TaskServiceStub, ids: Sequence[str], /, **options: Any) -> Stream:
        """Open a stream of these tasks."""
        return Stream(stub.WatchTasks(WatchTasksRequest(task_ids=ids), **options))

    def task_id(self, task: Task) -> str:
        """Return the id of the task."""
        return task.task_id
