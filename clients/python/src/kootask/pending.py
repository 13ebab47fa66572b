"""The waits of a client."""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

from grpc import StatusCode

from kootask.error import Error

_T = TypeVar("_T")


class Elapsed(Exception):  # noqa: N818 # Users never see it.
    """The timeout of a wait has passed."""


class Pending:
    """All waits of a client, until it is closed.

    Each wait is a task of its own. So a cancellation of the wait, by close or by gRPC's library, differs from a cancellation of
    the caller, and a timeout inside the wait differs from ours. Unlike asyncio.wait_for, asyncio.wait has never lost a
    cancellation in any version of Python.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Future[Any]] = set()
        self._closed = False

    async def settle(self, awaitable: Awaitable[_T], timeout: float | None = None) -> _T:
        """Wait for an awaitable, at most timeout seconds. Raises its exception, Elapsed, or Error if closed."""
        task = asyncio.ensure_future(awaitable)
        if self._closed:
            task.cancel()
        self._tasks.add(task)
        task.add_done_callback(self._done)
        try:
            await asyncio.wait({task}, timeout=timeout)
        finally:
            task.cancel()  # Has no effect on a finished task.
        if not task.done():
            raise Elapsed
        if task.cancelled():
            self.check()
            raise Error(StatusCode.CANCELLED, "the call was cancelled while it waited")
        return task.result()

    def _done(self, task: asyncio.Future[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # Mark the exception as read: asyncio would log it if the caller has gone.

    def check(self) -> None:
        """Raise Error if closed."""
        if self._closed:
            raise Error(StatusCode.CANCELLED, "the client was closed")

    def close(self) -> None:
        """End all waits. Later waits fail."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
