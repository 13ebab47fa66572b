import unittest

from grpc import StatusCode
from scripted import EXECUTING, FAILED, NEW, SUCCESS, Scripted, end, serving

import kootask


class TestWait(unittest.IsolatedAsyncioTestCase):
    """The server does not implement WaitTask, so a wait that called it would fail."""

    async def test_it_returns_the_finished_task(self) -> None:
        drain = end(StatusCode.UNAVAILABLE, "SERVER_DRAINING", 0.01)
        for streams, want in (
            ([[NEW, EXECUTING, SUCCESS]], SUCCESS),
            ([[NEW, drain], [SUCCESS]], SUCCESS),
            ([[FAILED]], FAILED),
        ):
            async with serving(Scripted(*streams)) as client:
                self.assertEqual((await client.wait("9", timeout=30)).status, want)

    async def test_it_raises_an_error(self) -> None:
        missing = end(StatusCode.NOT_FOUND, "TASK_NOT_FOUND")
        for steps, want in (
            ([missing], kootask.Reason.TASK_NOT_FOUND),
            ([EXECUTING, missing], kootask.Reason.TASK_NOT_FOUND),
            ([FAILED, end(StatusCode.ABORTED, "TASK_FAILED")], kootask.Reason.TASK_FAILED),
        ):
            async with serving(Scripted(steps)) as client:
                with self.assertRaises(kootask.Error) as raised:
                    await client.wait("9", failed_task_as_error=True, timeout=30)
                self.assertIs(raised.exception.reason, want)

    async def test_the_timeout_ends_it(self) -> None:
        async with serving(Scripted([EXECUTING, end(StatusCode.UNAVAILABLE, "SERVER_DRAINING", 60)])) as client:
            with self.assertRaises(kootask.Error) as raised:
                await client.wait("9", timeout=0.2)
            self.assertIs(raised.exception.code, StatusCode.DEADLINE_EXCEEDED)
