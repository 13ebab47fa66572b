"""The client."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from types import TracebackType

import grpc
from grpc import StatusCode
from grpc.aio import AioRpcError

from kootask._gen.task_pb2 import GetTaskRequest, Task, WatchTaskRequest
from kootask.call import Call, deadline
from kootask.caller import CallerToken
from kootask.connection import Connection
from kootask.error import Error, from_rpc
from kootask.event import Event
from kootask.progress import Progress
from kootask.source import One
from kootask.watch import Watch
from kootask.watch_all import WatchAll


class Client:
    """Calls kootask. One is enough for a process: any number of calls may be in flight.

    The constructor does not connect: the first call does, and the connection is renewed whenever it breaks. A client belongs
    to the event loop of its first call, and raises RuntimeError in any other. Close it, or use it with async with.

    gRPC's library does not survive a fork. Start processes with spawn, or make the first call in the child.

    Optional args of each call:
        token: the KooDrive credential. None: the client's. Empty: no credential.
        user_id: the KooDrive user to act for. None: the client's. Empty: no user.
        language: the language of an Error's localized_message, such as zh-CN. Empty: errors have no localized_message.
        failed_task_as_error: turns a failed task into an Error with the reason TASK_FAILED. A watch yields the task first.
        timeout: the maximum duration of the call in seconds, for a watch with all its streams. After it, the call raises an
            Error whose code is DEADLINE_EXCEEDED. None or infinity: no limit. Raises ValueError for NaN.
    """

    def __init__(
        self,
        addr: str,
        *,
        token: str = "",
        user_id: str = "",
        caller_token: CallerToken | None = None,
        tls: grpc.ChannelCredentials | None = None,
        plaintext: bool = False,
    ) -> None:
        """Make a client. Raises ValueError for tls together with plaintext.

        Args:
            addr: kootask's gRPC address, host:port, or any other target that gRPC knows.
            token: the KooDrive credential, with or without "Bearer " in front, of all calls without their own. Empty: none.
            user_id: the KooDrive user to act for, of all calls without their own. Empty: none.
            caller_token: returns the token, a JWT without "Bearer ", that authenticates the caller to kootask. (token is for
                KooDrive.) It may be async; if it is not, it must not block. Every call and every stream of a watch calls it,
                so a renewed token takes effect. An empty token is not sent. If it raises, the call raises an Error without
                a reason, whose code is UNAUTHENTICATED. None: no token.
            tls: the credentials of the connection, from grpc.ssl_channel_credentials. None: TLS with the system's roots.
            plaintext: turns TLS off; credentials are then sent in plaintext.
        """
        if plaintext and tls is not None:
            raise ValueError("tls and plaintext exclude each other")
        self._connection = Connection(addr, tls, plaintext)
        self._token = token
        self._user_id = user_id
        self._caller_token = caller_token

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End all calls in flight with an Error whose code is CANCELLED. Later calls fail in the same way."""
        await self._connection.close()

    async def get(
        self,
        task_id: str,
        *,
        token: str | None = None,
        user_id: str | None = None,
        language: str = "",
        max_age: float | None = None,
        failed_task_as_error: bool = False,
        timeout: float | None = None,
    ) -> Task:
        """Return a task, as it is now.

        It calls once. Raises Error, which says whether calling again helps.

        max_age is the maximum age of the answer in seconds; 0 always asks KooDrive. None: a finished task may be up to a
        minute old, and KooDrive is asked for any other task. The class describes the other options.
        """
        call = self._call(token, user_id, language, timeout)
        request = GetTaskRequest(task_id=task_id, failed_task_as_error=failed_task_as_error)
        if max_age is not None:
            request.max_age.FromNanoseconds(round(max_age * 1e9))
        metadata = call.metadata(await call.caller_token())
        rpc = self._connection.stub().GetTask(request, metadata=metadata, timeout=call.remaining())
        try:
            answer = await self._connection.pending.settle(rpc)
        except AioRpcError as failure:
            error = from_rpc(failure)
            self._connection.met |= bool(error.raw_reason)
            await call.explain(error)
            raise error from failure
        finally:
            rpc.cancel()  # Has no effect on a finished call.
        if answer is None:  # gRPC returns None for an unreadable answer.
            raise Error(StatusCode.INTERNAL, "the answer cannot be read")
        self._connection.met = True
        task: Task = answer.task
        return task

    def watch(
        self,
        task_id: str,
        *,
        token: str | None = None,
        user_id: str | None = None,
        language: str = "",
        failed_task_as_error: bool = False,
        timeout: float | None = None,
    ) -> AsyncGenerator[Task, None]:
        """Yield a task as it is now, then again after each change, until it is finished.

        It yields no state twice in a row, never goes back, and yields the finished task last. It resumes and ends like events.
        """
        return _tasks(
            self.events(
                task_id,
                token=token,
                user_id=user_id,
                language=language,
                failed_task_as_error=failed_task_as_error,
                timeout=timeout,
            )
        )

    def events(
        self,
        task_id: str,
        *,
        token: str | None = None,
        user_id: str | None = None,
        language: str = "",
        failed_task_as_error: bool = False,
        timeout: float | None = None,
    ) -> AsyncGenerator[Event, None]:
        """Yield every event of a watch. The loop ends after the finished task, or raises Error.

        The watch resumes after an error with retry_after, when that time has passed, and when the connection breaks or is
        silent for 20 s. It raises any other error. Until kootask has answered the client once, it also ends if the connection
        breaks or cannot be made.

        When the caller's token expires, the stream ends with the reason CALLER_UNAUTHENTICATED. The watch resumes if
        caller_token returns another token by then. It ends if not, or if the stream ended before its first message.

        Leaving the loop or cancelling its asyncio task ends the call. If you keep the generator in a variable, close it with
        aclose or contextlib.aclosing. The class describes the options.
        """
        source = One(WatchTaskRequest(task_id=task_id, failed_task_as_error=failed_task_as_error))
        progress = Progress(task_id, failed_task_as_error)
        call = self._call(token, user_id, language, timeout)
        return _explained(call, Watch(call, source, [progress]).events())

    def watch_all(
        self,
        task_ids: Iterable[str],
        *,
        token: str | None = None,
        user_id: str | None = None,
        language: str = "",
        timeout: float | None = None,
    ) -> AsyncGenerator[Event, None]:
        """Yield every event of a watch of any number of tasks.

        It opens a stream for every 100 ids, and for the tasks that are watched again. An id that is named twice is watched
        once. Each task comes as in watch, and the order of different tasks is not defined. The tasks that a Heartbeat or Resume
        is about are in its task_ids.

        An event that is an Error, with a task_id, is the drop of that task; the others are still watched. If it has a
        retry_after, the task is watched again after that time, or up to 30 s later, together with others. If the task is
        dropped again before its next state, the delay is at least that after a broken connection.

        The loop ends when each task was yielded finished, or dropped without retry_after. Each stream resumes like that of
        events, with the tasks that have not ended. If any stream raises Error, the loop raises it, and all streams end. An
        invalid id, or none, is the reason REQUEST_INVALID, whose violations count the distinct ids of one stream.
        Raises TypeError for a single id.

        Leaving the loop ends all streams, in the same way as for events. The class describes the options.
        """
        if isinstance(task_ids, str):
            raise TypeError("task_ids must be a list of ids, not one id")
        call = self._call(token, user_id, language, timeout)
        return _explained(call, WatchAll(call, task_ids).events())

    async def wait(
        self,
        task_id: str,
        *,
        token: str | None = None,
        user_id: str | None = None,
        language: str = "",
        failed_task_as_error: bool = False,
        timeout: float | None = None,
    ) -> Task:
        """Return a task once it is finished.

        It watches the task, so it resumes and raises like events. The class describes the options.
        """
        tasks = self.watch(
            task_id,
            token=token,
            user_id=user_id,
            language=language,
            failed_task_as_error=failed_task_as_error,
            timeout=timeout,
        )
        return [task async for task in tasks][-1]

    def _call(self, token: str | None, user_id: str | None, language: str, timeout: float | None) -> Call:
        return Call(
            connection=self._connection,
            token=self._token if token is None else token,
            user_id=self._user_id if user_id is None else user_id,
            language=language,
            provider=self._caller_token,
            deadline=deadline(timeout),
        )


async def _explained(call: Call, events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
    """Yield the events of a watch. Explain its error once all its streams have ended, so that many streams have one search."""
    async with aclosing(events):
        try:
            async for event in events:
                yield event
        except Error as error:
            await call.explain(error)
            raise


async def _tasks(events: AsyncGenerator[Event, None]) -> AsyncGenerator[Task, None]:
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Task):
                yield event
