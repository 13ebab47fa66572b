import asyncio
import math
import unittest
from contextlib import aclosing
from typing import Any
from unittest import mock

from grpc import StatusCode
from lists import numbered
from scripted import EXECUTING, FAILED, NEW, SUCCESS, Scripted, add_garbage, end, seen, serving

import kootask
from kootask import resume, watch
from kootask._gen.task_pb2 import Heartbeat, WatchTaskResponse

FOREVER = 60.0


class TestWatch(unittest.IsolatedAsyncioTestCase):
    async def test_it_resumes_as_it_is_asked_to(self) -> None:
        script = Scripted(
            [NEW, end(StatusCode.UNAVAILABLE, "SERVER_DRAINING", 0.03)],
            [EXECUTING, end(StatusCode.RESOURCE_EXHAUSTED, "UPSTREAM_RATE_LIMITED", 0)],
            [NEW, EXECUTING, end(StatusCode.UNAVAILABLE, "NEWER_THAN_THIS", 0.01)],
            [end(StatusCode.UNAVAILABLE, "UPSTREAM_TIMEOUT", 0.02)],
            [WatchTaskResponse(), WatchTaskResponse(heartbeat=Heartbeat(failure_count=1)), SUCCESS],
        )
        async with serving(script) as client:
            got = await seen(client.events("9"))
        beat = kootask.Heartbeat(None, 1, "", (), ("9",))
        self.assertEqual(got, [NEW, 0.03, EXECUTING, 0.0, 0.01, 0.02, beat, SUCCESS])

    async def test_messages_before_an_error_are_never_lost(self) -> None:
        script = Scripted([NEW, EXECUTING, FAILED, end(StatusCode.ABORTED, "TASK_FAILED")])
        async with serving(script) as client:
            for pause in [0.0, 0.001, 0.01] * 30:
                got: list[Any] = []
                with self.assertRaises(kootask.Error) as raised:
                    async for task in client.watch("9", failed_task_as_error=True):
                        got.append(task.status)
                        await asyncio.sleep(pause)
                self.assertIs(raised.exception.reason, kootask.Reason.TASK_FAILED)
                self.assertEqual(got, [NEW, EXECUTING, FAILED])

    async def test_it_makes_the_error_of_a_failed_task_itself(self) -> None:
        async with serving(Scripted([FAILED, StatusCode.UNAVAILABLE])) as client:
            with self.assertRaises(kootask.Error) as raised:
                await seen(client.events("9", failed_task_as_error=True))
        self.assertIs(raised.exception.reason, kootask.Reason.TASK_FAILED)
        self.assertEqual(raised.exception.metadata, {"taskId": "9", "resultCode": ""})

    async def test_it_resumes_after_others_errors(self) -> None:
        codes = (StatusCode.INTERNAL, StatusCode.UNKNOWN, StatusCode.CANCELLED, StatusCode.UNAVAILABLE)
        script = Scripted([NEW], *([code] for code in codes), [EXECUTING, FOREVER], [SUCCESS])
        with mock.patch.object(resume, "_MIN", 0.001), mock.patch.object(watch, "SILENCE", 1.0):
            async with serving(script) as client:
                got = await seen(client.events("9"))
        self.assertEqual([event for event in got if not isinstance(event, float)], [NEW, EXECUTING, SUCCESS])
        self.assertEqual(len(script.metadata), 7)

    async def test_the_time_that_the_caller_takes_is_no_silence(self) -> None:
        script = Scripted([NEW, 1.2, SUCCESS])
        with mock.patch.object(watch, "SILENCE", 1.0):
            async with serving(script) as client:
                tasks = client.watch("9")
                self.assertEqual((await anext(tasks)).status, NEW)
                await asyncio.sleep(1.3)
                self.assertEqual([task.status async for task in tasks], [SUCCESS])
        self.assertEqual(len(script.metadata), 1)

    async def test_any_other_error_ends_it(self) -> None:
        for last in (end(StatusCode.NOT_FOUND, "TASK_NOT_FOUND"), StatusCode.PERMISSION_DENIED):
            async with serving(Scripted([NEW, last])) as client:
                with self.assertRaises(kootask.Error):
                    await seen(client.events("9"))

    async def test_a_stranger_ends_it_at_once(self) -> None:
        async with serving(Scripted([StatusCode.UNAVAILABLE])) as client:
            with self.assertRaises(kootask.Error) as raised:
                await seen(client.events("9"))
        self.assertEqual((raised.exception.code, raised.exception.raw_reason), (StatusCode.UNAVAILABLE, ""))

    async def test_unreadable_message_is_an_error(self) -> None:
        async with serving(Scripted(), add=add_garbage) as client:
            for call in (client.get("9"), seen(client.events("9"))):
                with self.assertLogs("grpc"), self.assertRaises(kootask.Error) as raised:
                    await call
                self.assertEqual(str(raised.exception), "the answer cannot be read (INTERNAL)")

    async def test_its_turn_on_a_busy_connection_is_no_silence(self) -> None:
        beat = WatchTaskResponse(heartbeat=Heartbeat())
        script = Scripted([NEW, 0.5, beat, 0.5, beat, 0.5, SUCCESS], [SUCCESS])
        with mock.patch.object(watch, "SILENCE", 1.0):
            async with serving(script, streams=1) as client:
                got = await asyncio.gather(seen(client.events("9")), seen(client.events("9")))
        self.assertEqual(sorted(len(events) for events in got), [1, 4])
        self.assertEqual(len(script.metadata), 2)

    async def test_it_resumes_with_another_token_of_the_caller(self) -> None:
        tokens = iter(["one", "one", "two", "two", "two"])
        expired = end(StatusCode.UNAUTHENTICATED, "CALLER_UNAUTHENTICATED")
        script = Scripted([NEW, end(StatusCode.UNAVAILABLE, "SERVER_DRAINING", 0)], [EXECUTING, expired])

        async def provide() -> str:
            return next(tokens)

        with mock.patch.object(resume, "_MIN", 0.001):
            async with serving(script, caller_token=provide, token="geheim") as client:  # noqa: S106
                with self.assertRaises(kootask.Error) as raised:
                    await seen(client.events("9", user_id="8"))
        self.assertIs(raised.exception.reason, kootask.Reason.CALLER_UNAUTHENTICATED)
        callers = [metadata["x-kootask-authorization"] for metadata in script.metadata]
        self.assertEqual(callers, ["Bearer one", "Bearer one", "Bearer two"])
        self.assertEqual((script.metadata[0]["authorization"], script.metadata[0]["x-user-id"]), ("geheim", "8"))
        self.assertNotIn("language", script.metadata[0])
        self.assertTrue(script.metadata[0]["user-agent"].startswith("kootask-python "))

    async def test_no_token_is_in_an_error(self) -> None:
        def fail() -> str:
            raise OSError("geheim")

        for provider in (fail, lambda: "geheim\n", lambda: b"geheim"):
            async with serving(Scripted([NEW]), caller_token=provider) as client:
                with self.assertRaises(kootask.Error) as raised:
                    await client.get("9")
            self.assertEqual((raised.exception.code, raised.exception.raw_reason), (StatusCode.UNAUTHENTICATED, ""))
            self.assertNotIn("geheim", str(raised.exception))

    async def test_backoff_grows(self) -> None:
        with mock.patch("random.uniform", return_value=1.0):
            delays = [round(resume.backoff(count), 5) for count in (0, 1, 2, 3, 4, 5, 6, 100000)]
        self.assertEqual(delays, [1, 1.6, 2.56, 4.096, 6.5536, 10.48576, 15, 15])


class TestLeaving(unittest.IsolatedAsyncioTestCase):
    async def test_leaving_the_loop_ends_the_call(self) -> None:
        script = Scripted([NEW, FOREVER])
        async with serving(script) as client:
            async for _ in client.watch("9"):
                break
            await asyncio.wait_for(script.left.acquire(), 5)

    async def test_leaving_the_loop_of_a_list_ends_all_its_calls(self) -> None:
        script = Scripted([NEW, FOREVER])
        async with serving(script) as client:
            async for _ in client.watch_all(numbered(250)):
                if len(script.metadata) == 3:
                    break
            for _ in range(3):
                await asyncio.wait_for(script.left.acquire(), 5)

    async def test_closing_ends_the_call(self) -> None:
        script = Scripted([NEW, FOREVER])
        async with serving(script) as client:
            async with aclosing(client.watch("9")) as tasks:
                await anext(tasks)
            await asyncio.wait_for(script.left.acquire(), 5)

    async def test_being_cancelled_ends_the_call(self) -> None:
        for call in (lambda client: seen(client.events("9")), lambda client: client.get("9")):
            script = Scripted([NEW, FOREVER])
            async with serving(script) as client:
                task = asyncio.ensure_future(call(client))
                while not script.metadata:
                    await asyncio.sleep(0.01)
                task.cancel()
                with self.assertRaises(asyncio.CancelledError):
                    await task
                await asyncio.wait_for(script.left.acquire(), 5)

    async def test_being_cancelled_ends_a_wait(self) -> None:
        script = Scripted([end(StatusCode.UNAVAILABLE, "SERVER_DRAINING", FOREVER)])
        waits = asyncio.Event()

        async def follow(client: kootask.Client) -> None:
            async for event in client.events("9"):
                self.assertIsInstance(event, kootask.Resume)
                waits.set()

        async with serving(script) as client:
            task = asyncio.ensure_future(follow(client))
            await asyncio.wait_for(waits.wait(), 5)
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await asyncio.wait_for(task, 5)
        self.assertEqual(len(script.metadata), 1)

    async def test_the_timeout_ends_whatever_it_meets(self) -> None:
        async def never() -> str:
            await asyncio.sleep(FOREVER)
            return ""

        draining = end(StatusCode.UNAVAILABLE, "SERVER_DRAINING", FOREVER)
        for steps, provider in (([NEW, FOREVER], None), ([NEW, draining], None), ([], never)):
            async with serving(Scripted(steps), caller_token=provider) as client:
                for call in (seen(client.events("9", timeout=0.2)), client.get("9", timeout=0.2)):
                    with self.assertRaises(kootask.Error) as raised:
                        await asyncio.wait_for(call, 5)
                    self.assertIs(raised.exception.code, StatusCode.DEADLINE_EXCEEDED)

    async def test_a_timeout_may_be_longer_than_anybody_can_wait(self) -> None:
        async with serving(Scripted([SUCCESS])) as client:
            for timeout in (math.inf, 1e300, 1e9, 1e7):
                self.assertEqual(await seen(client.events("9", timeout=timeout)), [SUCCESS])
            for timeout in (0.0, -1.0):
                with self.assertRaises(kootask.Error) as raised:
                    await seen(client.events("9", timeout=timeout))
                self.assertIs(raised.exception.code, StatusCode.DEADLINE_EXCEEDED)
            with self.assertRaises(ValueError):
                await client.get("9", timeout=math.nan)

    async def test_closing_the_client_ends_everything(self) -> None:
        draining = end(StatusCode.UNAVAILABLE, "SERVER_DRAINING", FOREVER)
        for steps in ([NEW, FOREVER], [NEW, draining]):
            async with serving(Scripted(steps)) as client:
                calls = [asyncio.ensure_future(call) for call in (seen(client.events("9")), client.get("9"))]
                await asyncio.sleep(0.2)
                await client.close()
                for call in (*calls, client.get("9"), seen(client.events("9"))):
                    with self.assertRaises(kootask.Error) as raised:
                        await asyncio.wait_for(call, 5)
                    self.assertIs(raised.exception.code, StatusCode.CANCELLED)

    async def test_an_event_while_the_caller_has_a_resume_counts(self) -> None:
        script = Scripted([NEW, end(StatusCode.UNAVAILABLE, "SERVER_DRAINING", FOREVER)])

        async def close(client: kootask.Client) -> None:
            async for event in client.events("9"):
                if isinstance(event, kootask.Resume):
                    await client.close()

        async def dawdle(client: kootask.Client) -> None:
            async for event in client.events("9", timeout=1):
                if isinstance(event, kootask.Resume):
                    await asyncio.sleep(1)

        for call, code in ((close, StatusCode.CANCELLED), (dawdle, StatusCode.DEADLINE_EXCEEDED)):
            async with serving(script) as client:
                with self.assertRaises(kootask.Error) as raised:
                    await asyncio.wait_for(call(client), 5)
            self.assertIs(raised.exception.code, code)
