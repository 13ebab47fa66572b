"""The messages of a watch of many tasks, and its events as text."""

from __future__ import annotations

from collections.abc import AsyncIterator

from google.protobuf.duration_pb2 import Duration
from scripted import task

import kootask
from kootask._gen.task_pb2 import DroppedTask, Heartbeat, WatchTasksResponse


def of(task_id: str, status: kootask.TaskStatus) -> WatchTasksResponse:
    return WatchTasksResponse(task=task(status, task_id=task_id))


def drop(task_id: str, delay: float | None = None) -> WatchTasksResponse:
    dropped = DroppedTask(
        task_id=task_id,
        code=5 if delay is None else 14,
        reason="TASK_NOT_FOUND" if delay is None else "UPSTREAM_STALE",
        message="No such task.",
        localized_message="不行",
        metadata={"upstreamCode": "13000309"},
    )
    if delay is not None:
        dropped.retry_delay.CopyFrom(Duration(seconds=int(delay), nanos=round(delay % 1 * 1e9)))
    return WatchTasksResponse(dropped=dropped)


def beat(*failing: str) -> WatchTasksResponse:
    return WatchTasksResponse(heartbeat=Heartbeat(failure_count=len(failing), failing_task_ids=failing))


def numbered(count: int) -> list[str]:
    return [str(1000 + i) for i in range(count)]


def text(event: kootask.Event) -> str:
    if isinstance(event, kootask.Task):
        return f"{event.task_id} {kootask.TaskStatus.Name(event.status).removeprefix('TASK_STATUS_')}"
    if isinstance(event, kootask.Heartbeat):
        return f"heartbeat of {' '.join(event.task_ids)}, failing {' '.join(event.failing_task_ids)}".rstrip()
    if isinstance(event, kootask.Resume):
        return f"resume of {' '.join(event.task_ids)}"
    return f"{event.task_id} dropped, after {event.retry_after}"


async def texts(events: AsyncIterator[kootask.Event]) -> list[str]:
    return [text(event) async for event in events]
