"""A watch of any number of tasks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from kootask import resume
from kootask.error import Error
from kootask.event import Event
from kootask.progress import Progress
from kootask.source import PER_STREAM, Several
from kootask.watch import Watch

if TYPE_CHECKING:
    from kootask.call import Call

_GATHERING = 30.0
"""How long a dropped task may wait, beyond its delay, for the delays of others, in seconds.

They then share a stream: after an outage of KooDrive, each of many tasks would have its own."""


class WatchAll:
    """One watch of many tasks. Each of its streams is a Watch, whose next event is awaited in an asyncio task.

    A task belongs to a Watch until its end or its drop. A task that was dropped with a delay gets a new Watch, and the other
    tasks keep their stream: on a new one, fewer failed polls would drop them.
    """

    def __init__(self, call: Call, ids: Iterable[str]) -> None:
        self._call = call
        self._tasks = {task_id: Progress(task_id) for task_id in ids}
        self._reads: dict[asyncio.Future[Event | None], AsyncGenerator[Event, None]] = {}
        self._parked: dict[str, float] = {}  # When each task is to be watched again, on the event loop's clock.
        self._alarm: asyncio.Future[float] | None = None  # Of the parked tasks: its result is the time that it was set to.

    async def events(self) -> AsyncGenerator[Event, None]:
        """Yield all events, until each task has come to its end or an Error is raised."""
        try:
            self._watch(list(self._tasks))
            while self._reads or self._parked:
                self._set_alarm()
                done, _ = await asyncio.wait(self._waits(), return_when=asyncio.FIRST_COMPLETED)
                if self._alarm is not None and self._alarm.done():
                    self._watch_again(self._alarm.result())
                for read in [read for read in self._reads if read in done]:
                    watch = self._reads.pop(read)
                    event = read.result()
                    if event is None:
                        continue
                    self._read(watch)
                    if isinstance(event, Error) and event.retry_after is not None:
                        self._park(event.task_id, event.retry_after)
                    yield event
        finally:
            await self._end()

    def _watch(self, ids: Sequence[str]) -> None:
        """Begin to watch tasks, with as many streams as it takes. Without an id, kootask says what is wrong."""
        for start in range(0, max(len(ids), 1), PER_STREAM):
            tasks = [self._tasks[task_id] for task_id in ids[start : start + PER_STREAM]]
            self._read(Watch(self._call, Several(), tasks).events())

    def _read(self, watch: AsyncGenerator[Event, None]) -> None:
        self._reads[asyncio.ensure_future(_next(watch))] = watch

    def _park(self, task_id: str, retry_after: float) -> None:
        """Note that a dropped task is to be watched again."""
        delay = resume.retry_delay(retry_after, self._tasks[task_id].drops)
        self._parked[task_id] = asyncio.get_running_loop().time() + delay
        self._stop_alarm()

    def _watch_again(self, now: float) -> None:
        """Watch the parked tasks that are due."""
        due = [task_id for task_id, at in self._parked.items() if at <= now]
        for task_id in due:
            del self._parked[task_id]
        self._watch(due)
        self._stop_alarm()

    def _set_alarm(self) -> None:
        """Set the alarm to the time when all parked tasks are due, or the first one has waited long enough for the others."""
        if self._parked and self._alarm is None:
            times = self._parked.values()
            self._alarm = asyncio.ensure_future(self._sleep_until(min(max(times), min(times) + _GATHERING)))

    def _stop_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    async def _sleep_until(self, at: float) -> float:
        await self._call.sleep(at - asyncio.get_running_loop().time())
        return at

    def _waits(self) -> set[asyncio.Future[Any]]:
        return {*self._reads, *([self._alarm] if self._alarm else [])}

    async def _end(self) -> None:
        """End all streams."""
        waits = self._waits()
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
        for watch in self._reads.values():
            await watch.aclose()


async def _next(watch: AsyncGenerator[Event, None]) -> Event | None:
    """Return the next event. None: the watch has ended."""
    async for event in watch:
        return event
    return None
