"""A watch of the tasks of one stream, over all its streams."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from typing import TYPE_CHECKING, Any

import grpc.aio
from grpc import StatusCode

from kootask import resume
from kootask._gen import task_pb2
from kootask._gen.reason import Reason
from kootask.error import Error, from_dropped, from_rpc
from kootask.event import Event, Heartbeat, Resume
from kootask.pending import Elapsed
from kootask.source import Source, Stream

if TYPE_CHECKING:
    from kootask.call import Call
    from kootask.progress import Progress

SILENCE = 20.0
"""A stream without a message for this many seconds is broken: kootask sends one at least every 15 s."""

# The codes of a broken stream. CANCELLED comes from a proxy: a cancelled caller gets asyncio.CancelledError.
_BROKEN = (StatusCode.UNAVAILABLE, StatusCode.INTERNAL, StatusCode.UNKNOWN, StatusCode.CANCELLED)


class Watch:
    """One watch. It has at most one stream at a time, and reads a message when the next event is requested."""

    def __init__(self, call: Call, source: Source, tasks: Iterable[Progress]) -> None:
        self._call = call
        self._source = source
        self._tasks = {task.task_id: task for task in tasks}  # Those that have not come to their end.
        self._stream: Stream | None = None
        self._caller = ""  # The caller's token of the last stream.
        self._empty = 0  # Consecutive streams that ended before their first message.

    async def events(self) -> AsyncGenerator[Event, None]:
        """Yield all events, until each task has come to its end or an Error is raised.

        Without a task, it opens a stream all the same: kootask says what is wrong.
        """
        ended = False
        try:
            while not ended:
                event: Event | None
                try:
                    event = await self._event(*await self._read())
                    ended = not self._tasks
                except Error as cause:
                    event = await self._resume(cause)
                if event is not None:
                    yield event
                if isinstance(event, Resume):
                    await self._call.sleep(event.after)
        finally:
            self._hang_up()

    async def _event(self, stream: Stream, message: Any) -> Event | None:
        """Return the event of a message. None if it is a repetition, is older, or is of an unknown kind."""
        kind = message.WhichOneof("event")
        if kind == "heartbeat":
            return _heartbeat(message.heartbeat, tuple(self._tasks))
        if kind == "dropped" and (progress := self._tasks.pop(message.dropped.task_id, None)):
            progress.drops += 1
            return from_dropped(message.dropped, await stream.request_id())
        if kind == "task" and (progress := self._tasks.get(self._source.task_id(message.task))):
            news: task_pb2.Task | None = message.task if progress.is_news(message.task) else None
            if progress.finished:
                del self._tasks[progress.task_id]
            return news
        return None

    async def _read(self) -> tuple[Stream, Any]:
        """Wait for the next message, on a new stream if there is none. Raises Error, which ends the stream."""
        try:
            stream = self._stream or await self._open()
            message = await self._call.connection.pending.settle(stream.message(), SILENCE)
        except Elapsed:
            raise Error(StatusCode.UNAVAILABLE, "kootask has been silent for too long") from None
        except grpc.aio.AioRpcError as failure:
            raise from_rpc(failure) from failure
        self._empty = 0
        self._call.connection.met = True
        return stream, message

    async def _open(self) -> Stream:
        self._empty += 1
        self._caller = await self._call.caller_token()
        self._stream = self._source.open(
            self._call.connection.stub(),
            tuple(self._tasks),
            metadata=self._call.metadata(self._caller),
            timeout=self._call.remaining(),
        )
        # A wait in the queue of a busy connection is not silence.
        await self._call.connection.pending.settle(self._stream.connected())
        return self._stream

    def _hang_up(self) -> None:
        if self._stream is not None:
            self._stream.cancel()
            self._stream = None

    async def _resume(self, cause: Error) -> Resume:
        """Return the resumption after a stream that has ended. Raises Error if the watch ends with it."""
        self._hang_up()
        if cause.raw_reason:
            self._call.connection.met = True
        elif failed := next((task.done for task in self._tasks.values() if task.done), None):
            # The failed task was yielded, and the stream broke before the requested error came.
            raise _task_failed(failed) from cause
        self._call.connection.pending.check()
        after = await self._delay(cause)
        if after is None:
            raise cause
        return Resume(cause, after, tuple(self._tasks))

    async def _delay(self, cause: Error) -> float | None:
        """Return the seconds until the watch resumes. None: it does not resume."""
        if cause.retry_after is not None:
            return resume.retry_delay(cause.retry_after, self._empty)
        if cause.reason is Reason.CALLER_UNAUTHENTICATED and self._empty == 0 and await self._renewed():
            return resume.backoff(self._empty)  # All watches with the token end at the same moment.
        if not cause.raw_reason and self._call.connection.met and cause.code in _BROKEN:
            return resume.backoff(self._empty)
        return None

    async def _renewed(self) -> bool:
        """Report whether the caller's token differs from the token of the stream that has ended."""
        try:
            return await self._call.caller_token() != self._caller
        except Error:
            return False


def _heartbeat(message: task_pb2.Heartbeat, task_ids: tuple[str, ...]) -> Heartbeat:
    return Heartbeat(
        observe_time=message.observe_time if message.HasField("observe_time") else None,
        failure_count=message.failure_count,
        failure_reason=message.failure_reason,
        failing_task_ids=tuple(message.failing_task_ids),
        task_ids=task_ids,
    )


def _task_failed(task: task_pb2.Task) -> Error:
    """Return the error that kootask sends for a failed task."""
    error = Error(StatusCode.ABORTED, "The task has failed.", Reason.TASK_FAILED.value)
    error.metadata = {"taskId": task.task_id, "resultCode": task.koodrive_result_code}
    return error
