"""A kootask without a network, in virtual time."""

from __future__ import annotations

import asyncio
import functools
import selectors
import unittest
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from unittest import mock

import grpc
from google.rpc.status_pb2 import Status
from grpc.aio import AioRpcError, Metadata

import kootask
from kootask._gen.task_pb2 import WatchTasksRequest


class _Selector(selectors.DefaultSelector):
    """Moves the time on instead of waiting."""

    now = 0.0
    _left = 100_000

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise AssertionError("nothing will ever happen")
        self._left -= 1
        if not self._left:
            raise AssertionError("the test runs forever")
        self.now += timeout
        return super().select(0)


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now


def virtual(test: Callable[[Any], Awaitable[None]]) -> Callable[[Any], None]:
    """Run a test in virtual time. It fails if it leaves a task, or an exception that nobody has read."""

    @functools.wraps(test)
    def run(case: unittest.TestCase) -> None:
        loop = _Loop()
        faults: list[dict[str, Any]] = []
        loop.set_exception_handler(lambda _, context: faults.append(context))

        async def complete() -> set[asyncio.Task[Any]]:
            await test(case)
            await asyncio.sleep(0.001)  # asyncio closes abandoned generators in tasks.
            return asyncio.all_tasks() - {asyncio.current_task()}

        try:
            with mock.patch("kootask.call.time", monotonic=loop.time):
                left = loop.run_until_complete(complete())
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()
        case.assertEqual((left, faults), (set(), []))

    return run


class Fake:
    """Follows one script for each stream of many tasks, and the last one for all further streams.

    A script sends messages, or one for each id of the request; waits for so many seconds; ends with a status.
    """

    def __init__(self, *scripts: list[Any]) -> None:
        self._scripts = scripts
        self.attempts: list[float] = []  # The time of each stream.
        self.lists: list[list[str]] = []  # The ids of each stream.
        self.streams = 0  # Those that have not ended.

    def WatchTasks(self, request: WatchTasksRequest, **_: Any) -> _Rpc:  # noqa: N802
        script = self._scripts[min(len(self.lists), len(self._scripts) - 1)]
        self.attempts.append(asyncio.get_running_loop().time())
        self.lists.append(list(request.task_ids))
        return _Rpc(self, script, self.lists[-1])

    @property
    def sizes(self) -> list[int]:
        """The numbers of ids of all streams, the largest first."""
        return sorted(map(len, self.lists), reverse=True)

    def client(self) -> kootask.Client:
        client = kootask.Client("kootask.invalid:9090", plaintext=True)
        client._connection.stub = lambda: self  # type: ignore[assignment,method-assign,return-value]
        return client


class _Rpc:
    """A stream, like grpc.aio.UnaryStreamCall."""

    def __init__(self, fake: Fake, script: list[Any], ids: list[str]) -> None:
        self._fake = fake
        self._fake.streams += 1
        self._ended = False
        self._script = script
        self._ids = ids

    async def __aiter__(self) -> AsyncIterator[Any]:
        for step in self._script:
            if isinstance(step, Status):
                self.cancel()
                raise failure(step)
            if isinstance(step, float):
                await asyncio.sleep(step)
            elif callable(step):
                for task_id in self._ids:
                    yield step(task_id)
            else:
                yield step
        self.cancel()

    async def wait_for_connection(self) -> None:
        pass

    async def initial_metadata(self) -> Metadata:
        return Metadata(("x-request-id", "mine"))

    def cancel(self) -> None:
        if not self._ended:
            self._ended = True
            self._fake.streams -= 1


def failure(status: Status) -> AioRpcError:
    """Return gRPC's error for a status."""
    code = next(code for code in grpc.StatusCode if code.value[0] == status.code)
    trailer = Metadata(("grpc-status-details-bin", status.SerializeToString()))
    return AioRpcError(code, Metadata(), trailer, status.message)
