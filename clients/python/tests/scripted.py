"""A kootask that follows a script."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo, RequestInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

import kootask
from kootask._gen import task_pb2, task_pb2_grpc

NEW, EXECUTING, SUCCESS, FAILED = (
    kootask.TaskStatus.TASK_STATUS_NEW,
    kootask.TaskStatus.TASK_STATUS_EXECUTING,
    kootask.TaskStatus.TASK_STATUS_SUCCESS,
    kootask.TaskStatus.TASK_STATUS_FAILED,
)


def task(status: kootask.TaskStatus, **fields: Any) -> kootask.Task:
    return kootask.Task(**{"task_id": "9", "status": status, "done": status in (SUCCESS, FAILED), **fields})


def packed(*details: Message) -> list[Packed]:
    result = [Packed() for _ in details]
    for target, detail in zip(result, details, strict=True):
        target.Pack(detail)
    return result


def end(code: grpc.StatusCode, reason: str, retry: float | None = None) -> Status:
    details: list[Message] = [ErrorInfo(domain="koodrive.task.v1", reason=reason), RequestInfo(request_id="mine")]
    if retry is not None:
        delay = Duration()
        delay.FromNanoseconds(round(retry * 1e9))
        details.append(RetryInfo(retry_delay=delay))
    return Status(code=code.value[0], message="No.", details=packed(*details))


class Scripted(task_pb2_grpc.TaskServiceServicer):
    """Follows one list for each stream, and the last one for all further streams.

    Sends a task of that status, to a list one for each id, or that message; ends with a status; waits for so many seconds.
    """

    def __init__(self, *streams: list[Any]) -> None:
        self._streams = streams
        self.metadata: list[dict[str, str]] = []  # Of each stream.
        self.left = asyncio.Semaphore(0)  # Released by each stream that is cancelled.

    async def WatchTask(self, _: Any, context: Any) -> AsyncIterator[task_pb2.WatchTaskResponse]:  # noqa: N802
        async for step in self._follow(context):
            yield step if isinstance(step, task_pb2.WatchTaskResponse) else task_pb2.WatchTaskResponse(task=task(step))

    async def WatchTasks(  # noqa: N802
        self, request: task_pb2.WatchTasksRequest, context: Any
    ) -> AsyncIterator[task_pb2.WatchTasksResponse]:
        async for step in self._follow(context):
            for task_id in request.task_ids:
                yield task_pb2.WatchTasksResponse(task=task(step, task_id=task_id))

    async def _follow(self, context: Any) -> AsyncIterator[Any]:
        steps = self._streams[min(len(self.metadata), len(self._streams) - 1)]
        self.metadata.append(dict(context.invocation_metadata()))
        try:
            for step in steps:
                if isinstance(step, Status):
                    await context.abort_with_status(rpc_status.to_status(step))
                elif isinstance(step, grpc.StatusCode):
                    await context.abort(step, "proxy")
                elif isinstance(step, float):
                    await asyncio.sleep(step)
                else:
                    yield step
        except (asyncio.CancelledError, GeneratorExit):
            self.left.release()
            raise

    async def GetTask(self, _: Any, context: Any) -> task_pb2.GetTaskResponse:  # noqa: N802
        self.metadata.append(dict(context.invocation_metadata()))
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.left.release()
            raise
        raise AssertionError


@asynccontextmanager
async def serving(
    scripted: Scripted, *, add: Any = task_pb2_grpc.add_TaskServiceServicer_to_server, streams: int = 100, **options: Any
) -> AsyncIterator[kootask.Client]:
    """Serve, no more than so many streams over a connection, for a client of it."""
    server = grpc.aio.server(options=[("grpc.max_concurrent_streams", streams)])
    add(scripted, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with kootask.Client(f"127.0.0.1:{port}", plaintext=True, **options) as client:
            yield client
    finally:
        await server.stop(None)


def add_garbage(_: Scripted, server: grpc.aio.Server) -> None:
    """Register a service whose answers cannot be read."""

    async def get(*_: Any) -> bytes:
        return b"\xff"

    async def watch(*_: Any) -> AsyncIterator[bytes]:
        yield b"\xff"

    methods: dict[str, Any] = {
        "GetTask": grpc.unary_unary_rpc_method_handler(get),
        "WatchTask": grpc.unary_stream_rpc_method_handler(watch),
    }
    server.add_registered_method_handlers("koodrive.task.v1.TaskService", methods)


async def seen(events: AsyncIterator[kootask.Event]) -> list[Any]:
    """Return the statuses of tasks, the delays of resumes, and the heartbeats."""
    result: list[Any] = []
    async for event in events:
        if isinstance(event, kootask.Task):
            result.append(event.status)
        else:
            result.append(event.after if isinstance(event, kootask.Resume) else event)
    return result
