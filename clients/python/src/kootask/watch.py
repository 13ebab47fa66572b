"""A watch of a task, over all its streams."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TYPE_CHECKING

import grpc.aio
from grpc import StatusCode

from kootask._gen.reason import Reason
from kootask._gen.task_pb2 import Task, WatchTaskRequest, WatchTaskResponse
from kootask.error import Error, from_rpc
from kootask.event import Event, Resume
from kootask.pending import Elapsed
from kootask.progress import Progress

if TYPE_CHECKING:
    from kootask.call import Call

SILENCE = 20.0
"""A stream without a message for this many seconds is broken: kootask sends one at least every 15 s."""

# Seconds between attempts to resume after a broken connection, for which kootask cannot ask for a delay. Jittered by ±20 %.
_RESUME_MIN, _RESUME_MAX, _RESUME_GROWTH = 1.0, 15.0, 1.6

# The codes of a broken stream. CANCELLED comes from a proxy: a cancelled caller gets asyncio.CancelledError.
_BROKEN = (StatusCode.UNAVAILABLE, StatusCode.INTERNAL, StatusCode.UNKNOWN, StatusCode.CANCELLED)


class Watch:
    """One watch. It has at most one stream at a time, and reads a message when the next event is requested."""

    def __init__(self, call: Call, request: WatchTaskRequest) -> None:
        self._call = call
        self._request = request
        self._progress = Progress(request.failed_task_as_error)
        self._stream: grpc.aio.UnaryStreamCall[WatchTaskRequest, WatchTaskResponse] | None = None
        self._messages: AsyncIterator[WatchTaskResponse]  # Of the stream.
        self._caller = ""  # The caller's token of the last stream.
        self._empty = 0  # Consecutive streams that ended before their first message.

    async def events(self) -> AsyncGenerator[Event, None]:
        """Yield all events, until the task is finished or an Error is raised."""
        try:
            while not self._progress.finished:
                event: Event | None
                try:
                    event = self._event(await self._read())
                except Error as cause:
                    event = await self._resume(cause)
                if event is not None:
                    yield event
                if isinstance(event, Resume):
                    await self._call.sleep(event.after)
        finally:
            self._hang_up()

    def _event(self, message: WatchTaskResponse) -> Event | None:
        """Return the event of a message. None if it is a repetition, is older, or is of an unknown kind."""
        if message.HasField("heartbeat"):
            return message.heartbeat
        return message.task if message.HasField("task") and self._progress.is_news(message.task) else None

    async def _read(self) -> WatchTaskResponse:
        """Wait for the next message, on a new stream if there is none. Raises Error, which ends the stream."""
        try:
            if self._stream is None:
                await self._open()
            message = await self._call.connection.pending.settle(_next(self._messages), SILENCE)
        except Elapsed:
            raise Error(StatusCode.UNAVAILABLE, "kootask has been silent for too long") from None
        except grpc.aio.AioRpcError as failure:
            raise from_rpc(failure) from failure
        self._empty = 0
        self._call.connection.met = True
        return message

    async def _open(self) -> None:
        self._empty += 1
        self._caller = await self._call.caller_token()
        stream = self._call.connection.stub().WatchTask(
            self._request, metadata=self._call.metadata(self._caller), timeout=self._call.remaining()
        )
        self._stream, self._messages = stream, aiter(stream)
        # A wait in the queue of a busy connection is not silence.
        await self._call.connection.pending.settle(stream.wait_for_connection())

    def _hang_up(self) -> None:
        if self._stream is not None:
            self._stream.cancel()
            self._stream = None

    async def _resume(self, cause: Error) -> Resume:
        """Return the resumption after a stream that has ended. Raises Error if the watch ends with it."""
        self._hang_up()
        if cause.raw_reason:
            self._call.connection.met = True
        elif self._progress.done:
            # The failed task was yielded, and the stream broke before the requested error came.
            raise _task_failed(self._progress.done) from cause
        self._call.connection.pending.check()
        after = await self._delay(cause)
        if after is None:
            raise cause
        return Resume(cause, after)

    async def _delay(self, cause: Error) -> float | None:
        """Return the seconds until the watch resumes. None: it does not resume."""
        if cause.retry_after is not None:
            if self._empty < 2:
                return cause.retry_after
            return max(cause.retry_after, self._backoff())  # kootask may ask for a delay of 0.
        if cause.reason is Reason.CALLER_UNAUTHENTICATED and self._empty == 0 and await self._renewed():
            return self._backoff()  # All watches with the token end at the same moment.
        if not cause.raw_reason and self._call.connection.met and cause.code in _BROKEN:
            return self._backoff()
        return None

    async def _renewed(self) -> bool:
        """Report whether the caller's token differs from the token of the stream that has ended."""
        try:
            return await self._call.caller_token() != self._caller
        except Error:
            return False

    def _backoff(self) -> float:
        """Return the delay after a stream that broke or brought no message."""
        return min(_RESUME_MIN * _RESUME_GROWTH ** min(self._empty, 10), _RESUME_MAX) * random.uniform(0.8, 1.2)


async def _next(messages: AsyncIterator[WatchTaskResponse | None]) -> WatchTaskResponse:
    """Return the next message. Raises Error if there is none."""
    # Not the stream's read(): it loses a message that came before the stream ended.
    async for message in messages:
        if message is None:  # gRPC yields None for an unreadable message.
            raise Error(StatusCode.INTERNAL, "the answer cannot be read")
        return message
    raise Error(StatusCode.UNAVAILABLE, "the stream ended before the task was finished")


def _task_failed(task: Task) -> Error:
    """Return the error that kootask sends for a failed task."""
    error = Error(StatusCode.ABORTED, "The task has failed.", Reason.TASK_FAILED.value)
    error.metadata = {"taskId": task.task_id, "resultCode": task.koodrive_result_code}
    return error
