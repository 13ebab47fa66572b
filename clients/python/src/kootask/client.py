"""The client."""

from __future__ import annotations

from collections.abc import AsyncGenerator
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
from kootask.watch import Watch


class Client:
    """Calls kootask. One is enough for a process: any number of calls may be under way.

    Making one does not connect: the first call does, and the connection is renewed whenever it breaks. A client belongs to the
    event loop in which its first call is made: RuntimeError is raised in any other. Close it, or use it with async with.

    Make no call before a fork: gRPC's library does not survive it. Let processes spawn, or make the first call in the child.

    Args of each call, all of which may be left out:
        token: the KooDrive credential, None: the client's, empty: none.
        user_id: the KooDrive user on whose behalf the call is made, None: the client's, empty: none.
        language: en-US or zh-CN, in which errors have a localized_message. Empty: they have none.
        failed_task_as_error: makes a task that has failed an Error with the reason TASK_FAILED. A watch hands it out first.
        timeout: how many seconds the call may take, a watch with all its streams: it then ends with an Error whose code is
            DEADLINE_EXCEEDED, at once if there are none. None, or infinity: as long as it takes. ValueError is raised for NaN.
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
        """Make a client. Raises ValueError for tls over plaintext.

        Args:
            addr: kootask's gRPC address, host:port, or any other target that gRPC knows.
            token: the KooDrive credential, with or without "Bearer " in front, of all calls that name no other. Empty: none.
            user_id: the KooDrive user on whose behalf all calls are made that name no other. Empty: none.
            caller_token: returns the token, a JWT without "Bearer ", by which kootask itself knows the caller: token is for
                KooDrive. It may be async, and must not block otherwise. Every call and every stream of a watch asks for it
                anew, so that one that is renewed counts. An empty token is not sent. If it raises, the call ends with an
                Error without a reason, whose code is UNAUTHENTICATED. None: there is no token.
            tls: how the connection is secured, as grpc.ssl_channel_credentials makes it. None: TLS that trusts whom the
                system trusts.
            plaintext: do without TLS; credentials then travel in the clear.
        """
        if plaintext and tls is not None:
            raise ValueError("tls over plaintext")
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
        """End all calls that are under way, with an Error whose code is CANCELLED. No more can be made."""
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
        """Return a task as it stands now.

        It calls once. Raises Error, in which kootask says whether it helps to call again.

        max_age is how many seconds old the answer may be: 0 asks KooDrive in any case. None: a finished task may be a minute
        old, and KooDrive is asked for any other. For the other options see the class.
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
            raise error from failure
        finally:
            rpc.cancel()  # Does nothing to one that is done.
        if answer is None:  # That is what gRPC makes of it.
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
        """Yield a task as it stands, and again after each change, until it is finished.

        None is handed out twice in a row, none is a step back, and one is the last. It resumes, and ends, as events does.
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
        """Yield all that happens while a task is watched. The loop ends after the finished task, or raises Error.

        The watch resumes if kootask asks to be called again, after the delay that it names, and if the connection breaks or
        falls silent. It ends on any other error; as long as the client has had no answer of kootask's at all, it also ends
        if the connection breaks, or there is none.

        When the caller's token expires, which ends a stream with the reason CALLER_UNAUTHENTICATED, the watch resumes if
        caller_token has another one by then. It ends if there is none, and if a stream ends so before a message came.

        To leave the loop, or to be cancelled, ends the call. Who keeps what this returns ends it with aclose, or
        contextlib.aclosing. For the options see the class.
        """
        request = WatchTaskRequest(task_id=task_id, failed_task_as_error=failed_task_as_error)
        return Watch(self._call(token, user_id, language, timeout), request).events()

    def _call(self, token: str | None, user_id: str | None, language: str, timeout: float | None) -> Call:
        return Call(
            connection=self._connection,
            token=self._token if token is None else token,
            user_id=self._user_id if user_id is None else user_id,
            language=language,
            provider=self._caller_token,
            deadline=deadline(timeout),
        )


async def _tasks(events: AsyncGenerator[Event, None]) -> AsyncGenerator[Task, None]:
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Task):
                yield event
