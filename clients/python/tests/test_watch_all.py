import asyncio
import unittest
from collections import Counter
from contextlib import aclosing
from typing import Any
from unittest import mock

from google.rpc.status_pb2 import Status
from grpc import StatusCode
from lists import beat, drop, numbered, of, text, texts
from scripted import EXECUTING, FAILED, NEW, SUCCESS, end
from virtual import Fake, virtual

import kootask
from kootask import watch
from kootask._gen.task_pb2 import WatchTasksResponse

FOREVER = 1e6
NEWER = WatchTasksResponse()


def finish(task_id: str) -> WatchTasksResponse:
    return of(task_id, SUCCESS)


def drain(delay: float) -> Any:
    return end(StatusCode.UNAVAILABLE, "SERVER_DRAINING", delay)


class TestWatchAll(unittest.TestCase):
    @virtual
    async def test_what_a_stream_sends_and_the_caller_sees(self) -> None:
        back = [of("a", SUCCESS), of("a", FAILED), of("a", EXECUTING), drop("a")]
        for sent, want in (
            (
                [of("a", NEW), of("b", EXECUTING), of("a", SUCCESS), of("b", FAILED)],
                ["a NEW", "b EXECUTING", "a SUCCESS", "b FAILED"],
            ),
            (
                [of("a", EXECUTING), of("a", EXECUTING), of("b", NEW), of("a", NEW), of("a", SUCCESS), *back, of("b", SUCCESS)],
                ["a EXECUTING", "b NEW", "a SUCCESS", "b SUCCESS"],
            ),
            (
                [drop("a"), drop("a"), of("a", EXECUTING), of("b", EXECUTING), of("b", SUCCESS)],
                ["a dropped, after None", "b EXECUTING", "b SUCCESS"],
            ),
            (
                [of("b", EXECUTING), drop("b"), drop("a")],
                ["b EXECUTING", "b dropped, after None", "a dropped, after None"],
            ),
            (
                [beat(), of("a", SUCCESS), beat("b"), of("b", SUCCESS)],
                ["heartbeat of a b, failing", "a SUCCESS", "heartbeat of b, failing b", "b SUCCESS"],
            ),
            ([NEWER, of("a", SUCCESS), NEWER, of("b", SUCCESS)], ["a SUCCESS", "b SUCCESS"]),
            ([of("c", SUCCESS), drop("d", 0), of("a", SUCCESS), of("b", SUCCESS)], ["a SUCCESS", "b SUCCESS"]),
        ):
            with self.subTest(want):
                fake = Fake([*sent, FOREVER])  # Only the client knows that it is over.
                self.assertEqual(await texts(fake.client().watch_all(["a", "b", "a"])), want)
                self.assertEqual((fake.lists, fake.streams), ([["a", "b"]], 0))

    @virtual
    async def test_many_tasks_have_many_streams(self) -> None:
        ids = numbered(250)
        fake = Fake([finish])
        seen = Counter(await texts(fake.client().watch_all(iter(ids * 2))))
        self.assertEqual(fake.sizes, [100, 100, 50])
        self.assertEqual(seen, Counter(f"{task_id} SUCCESS" for task_id in ids))

    @virtual
    async def test_a_dropped_task_is_an_error(self) -> None:
        fake = Fake([drop("a", 7.5)], [drop("a")])
        first, last = [event async for event in fake.client().watch_all(["a"]) if isinstance(event, kootask.Error)]
        self.assertEqual((last.task_id, last.code, last.retry_after), ("a", StatusCode.NOT_FOUND, None))
        self.assertIs(last.reason, kootask.Reason.TASK_NOT_FOUND)
        self.assertEqual((last.request_id, last.localized_message), ("mine", "不行"))
        self.assertEqual(last.metadata, {"upstreamCode": "13000309"})
        self.assertEqual(str(last), "task a: No such task. (TASK_NOT_FOUND)")
        self.assertEqual((first.code, first.retry_after), (StatusCode.UNAVAILABLE, 7.5))

    @virtual
    async def test_a_lasting_error_ends_all_streams(self) -> None:
        for lasting in (
            end(StatusCode.INVALID_ARGUMENT, "REQUEST_INVALID"),
            end(StatusCode.UNAUTHENTICATED, "CREDENTIAL_REJECTED"),
        ):
            for ids, scripts, want in (
                ([], [[lasting]], []),
                (["1000"], [[of("1000", EXECUTING), lasting]], ["1000 EXECUTING"]),
                (numbered(250), [[FOREVER], [of("1100", NEW), FOREVER], [1.0, lasting]], ["1100 NEW"]),
                (numbered(250), [[lasting]], []),
            ):
                with self.subTest(f"{len(ids)} ids, {lasting}"):
                    fake = Fake(*scripts)
                    seen: list[str] = []
                    with self.assertRaises(kootask.Error) as raised:
                        async for event in fake.client().watch_all(ids):
                            seen.append(text(event))
                    self.assertEqual((raised.exception.code.value[0], raised.exception.task_id), (lasting.code, ""))
                    self.assertEqual((seen, fake.streams), (want, 0))
                    self.assertEqual(len(fake.lists), max(1, len(ids) // 80))

    @virtual
    async def test_leaving_the_loop_ends_all_streams(self) -> None:
        for kind in (kootask.Task, kootask.Resume, kootask.Error):
            with self.subTest(kind):
                fake = Fake([of("1000", NEW), FOREVER], [2.0, of("1100", NEW), FOREVER], [1.0, drop("1200", 60), drain(60)])
                async with aclosing(fake.client().watch_all(numbered(250))) as events:
                    async for event in events:
                        if isinstance(event, kind):
                            break
                self.assertEqual((fake.streams, len(asyncio.all_tasks())), (0, 1))
                await asyncio.sleep(FOREVER)
                self.assertEqual(len(fake.lists), 3)

    @virtual
    async def test_it_ends_when_its_task_is_cancelled_or_its_client_closed(self) -> None:
        for name, scripts in {
            "during streams": [[of("1000", NEW), FOREVER]],
            "during a resumption": [[drain(FOREVER)]],
            "after drops": [[lambda task_id: drop(task_id, FOREVER)]],
        }.items():
            for close in (False, True):
                with self.subTest(f"{name}, {close=}"):
                    fake = Fake(*scripts)
                    client = fake.client()
                    task = asyncio.ensure_future(texts(client.watch_all(numbered(150))))
                    await asyncio.sleep(5)
                    if close:
                        await client.close()
                        with self.assertRaises(kootask.Error) as raised:
                            await task
                        self.assertIs(raised.exception.code, StatusCode.CANCELLED)
                    else:
                        task.cancel()
                        with self.assertRaises(asyncio.CancelledError):
                            await task
                    self.assertEqual((fake.streams, asyncio.get_running_loop().time() % 5), (0, 0))

    @virtual
    async def test_the_timeout_ends_the_waits(self) -> None:
        for script in ([drain(FOREVER)], [lambda task_id: drop(task_id, FOREVER)]):
            start = asyncio.get_running_loop().time()
            with self.assertRaises(kootask.Error) as raised:
                await texts(Fake(script).client().watch_all(numbered(150), timeout=5))
            self.assertIs(raised.exception.code, StatusCode.DEADLINE_EXCEEDED)
            self.assertAlmostEqual(asyncio.get_running_loop().time() - start, 5)

    def test_one_id_is_not_a_list(self) -> None:
        with self.assertRaisesRegex(TypeError, "must be a list"):
            kootask.Client("127.0.0.1:1", plaintext=True).watch_all("1534087020903704704")


class TestResumption(unittest.TestCase):
    @virtual
    async def test_it_resumes_with_the_tasks_that_have_not_ended(self) -> None:
        fake = Fake(
            [of("a", NEW), of("b", EXECUTING), of("c", SUCCESS), drop("d"), drain(3)],
            [of("b", NEW), of("a", NEW), of("c", EXECUTING), drop("d")],  # It ends without an end.
            [of("b", EXECUTING), of("a", EXECUTING), of("a", SUCCESS), drain(3)],
            [of("b", EXECUTING), of("b", SUCCESS)],
        )
        got = await texts(fake.client().watch_all(["a", "b", "c", "d"]))
        self.assertEqual(got[:4], ["a NEW", "b EXECUTING", "c SUCCESS", "d dropped, after None"])
        self.assertEqual(got[4:7], ["resume of a b", "resume of a b", "a EXECUTING"])
        self.assertEqual(got[7:], ["a SUCCESS", "resume of b", "b SUCCESS"])
        self.assertEqual(fake.lists, [["a", "b", "c", "d"], ["a", "b"], ["a", "b"], ["b"]])
        self.assertEqual(fake.attempts[1], 3)

    @virtual
    async def test_a_silent_stream_resumes_alone(self) -> None:
        beats = [step for _ in range(3) for step in (15.0, beat())]
        fake = Fake([*beats, finish], [of("1100", NEW), FOREVER], [finish])
        got = await texts(fake.client().watch_all(numbered(101)))
        last = [event for event in got if event.startswith(("resume", "1100"))]
        self.assertEqual(last, ["1100 NEW", "resume of 1100", "1100 SUCCESS"])
        self.assertEqual(fake.sizes, [100, 1, 1])
        self.assertAlmostEqual(fake.attempts[2], watch.SILENCE + 1, delta=0.2001)

    @virtual
    async def test_a_slow_caller_breaks_no_stream(self) -> None:
        fake = Fake([finish])
        seen = 0
        async for event in fake.client().watch_all(numbered(150)):
            self.assertIsInstance(event, kootask.Task)
            seen += 1
            await asyncio.sleep(70)
        self.assertEqual((seen, len(fake.lists)), (150, 2))


class TestDrops(unittest.TestCase):
    @virtual
    async def test_a_dropped_task_is_watched_again(self) -> None:
        beats = [step for _ in range(2) for step in (15.0, beat())]
        fake = Fake(
            [of("a", NEW), of("b", EXECUTING), drop("b", 5), *beats, of("a", SUCCESS)],
            [of("b", NEW), of("b", EXECUTING), of("b", SUCCESS)],
        )
        got = await texts(fake.client().watch_all(["a", "b"]))
        want = ["a NEW", "b EXECUTING", "b dropped, after 5.0", "b SUCCESS"]
        self.assertEqual(got, [*want, "heartbeat of a, failing", "heartbeat of a, failing", "a SUCCESS"])
        self.assertEqual((fake.lists, fake.attempts), ([["a", "b"], ["b"]], [0, 5]))

    @virtual
    async def test_the_address_of_many_streams_is_searched_once_after_all_have_ended(self) -> None:
        fake = Fake([Status(code=StatusCode.UNAVAILABLE.value[0], message="No.")])
        streams = []

        async def probe(*_: object) -> str:
            streams.append(fake.streams)
            return "nothing listens"

        with mock.patch("kootask.address.probe", probe), self.assertRaisesRegex(kootask.Error, "^nothing listens: No. "):
            await texts(fake.client().watch_all(numbered(250)))
        self.assertEqual((fake.sizes, streams), ([100, 100, 50], [0]))

    @virtual
    async def test_the_last_task_is_watched_again(self) -> None:
        fake = Fake([of("a", SUCCESS), drop("b", 9), end(StatusCode.UNAVAILABLE, "UPSTREAM_STALE", 9)], [drop("b")])
        got = await texts(fake.client().watch_all(["a", "b"]))
        self.assertEqual(got, ["a SUCCESS", "b dropped, after 9.0", "b dropped, after None"])
        self.assertEqual(fake.attempts, [0, 9])

    @virtual
    async def test_dropped_tasks_share_streams(self) -> None:
        delays = {task_id: 5.0 + i % 30 for i, task_id in enumerate(numbered(250))}
        outage = [lambda task_id: drop(task_id, delays[task_id])]
        fake = Fake(outage, outage, outage, [finish])
        self.assertEqual(len(await texts(fake.client().watch_all(numbered(250)))), 500)
        self.assertEqual((fake.sizes, max(fake.attempts)), ([100, 100, 100, 100, 50, 50], 34))

    @virtual
    async def test_a_dropped_task_waits_no_longer_than_30_s_for_others(self) -> None:
        fake = Fake([drop("a", 5), drop("b", 20), drop("c", 36)], [finish])
        await texts(fake.client().watch_all(["a", "b", "c"]))
        self.assertEqual((fake.lists, fake.attempts), ([["a", "b", "c"], ["a", "b"], ["c"]], [0, 35, 36]))

    @virtual
    async def test_a_delay_of_zero_is_obeyed_once(self) -> None:
        fake = Fake([drop("a", 0)])
        with mock.patch("random.uniform", return_value=1.0), self.assertRaises(kootask.Error):
            await texts(fake.client().watch_all(["a"], timeout=20))
        self.assertEqual([round(at, 3) for at in fake.attempts], [0, 0, 2.56, 6.656, 13.21])

    @virtual
    async def test_a_state_in_between_ends_the_backoff(self) -> None:
        seen = [of("a", EXECUTING), drop("a", 0)]
        fake = Fake(seen, seen, seen, [of("a", SUCCESS)])
        got = await texts(fake.client().watch_all(["a"]))
        self.assertEqual(got, ["a EXECUTING", *["a dropped, after 0.0"] * 3, "a SUCCESS"])
        self.assertEqual(fake.attempts, [0, 0, 0, 0])
