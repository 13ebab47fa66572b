"""What a client waits for."""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

from grpc import StatusCode

from kootask.error import Error

_T = TypeVar("_T")


class Elapsed(Exception):  # noqa: N818 # Of no concern to users.
    """The time for waiting is over."""


class Pending:
    """All that a client waits for, until it is closed.

    Each wait is a task of its own. That tells its being cancelled, by close or by gRPC's library, from the caller's being
    cancelled, and its running into a timeout of its own from ours; and unlike asyncio.wait_for, asyncio.wait has never lost
    a cancellation in any of Python's versions.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Future[Any]] = set()
        self._closed = False

    async def settle(self, awaitable: Awaitable[_T], timeout: float | None = None) -> _T:
        """Wait for something for so many seconds, None: for ever. Raises what it raises, Elapsed, or Error if closed."""
        task = asyncio.ensure_future(awaitable)
        if self._closed:
            task.cancel()
        self._tasks.add(task)
        task.add_done_callback(self._done)
        try:
            await asyncio.wait({task}, timeout=timeout)
        finally:
            task.cancel()  # Does nothing to one that is done.
        if not task.done():
            raise Elapsed
        if task.cancelled():
            self.check()
            raise Error(StatusCode.CANCELLED, "what the call waited for was cancelled")
        return task.result()

    def _done(self, task: asyncio.Future[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # Else asyncio complains if nobody asks: the caller may have gone.

    def check(self) -> None:
        """Raise Error if closed."""
        if self._closed:
            raise Error(StatusCode.CANCELLED, "the client was closed")

    def close(self) -> None:
        """End all waits, and those to come."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
