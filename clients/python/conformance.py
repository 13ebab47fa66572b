"""Reads a command as JSON from stdin, and prints the results as lines of JSON, for the tests that compare all clients."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

import kootask
from kootask._gen import task_pb2


@dataclass
class Command:
    """The line on stdin, with its names."""

    call: str
    addr: str
    taskId: str = ""  # noqa: N815
    taskIds: list[str] = field(default_factory=list)  # noqa: N815
    caFile: str = ""  # noqa: N815
    token: str | None = None
    userId: str | None = None  # noqa: N815
    language: str = ""
    maxAge: float | None = None  # noqa: N815
    failedTaskAsError: bool = False  # noqa: N815
    deadline: float | None = None
    cancelAfterTasks: int = 0  # noqa: N815
    callerTokens: list[str] = field(default_factory=list)  # noqa: N815

    async def caller_token(self) -> str:
        """Return one token after the other, then the last one repeatedly."""
        return self.callerTokens.pop(0) if len(self.callerTokens) > 1 else self.callerTokens[0]

    def client(self) -> kootask.Client:
        """Return a client for the command."""
        return kootask.Client(
            self.addr,
            caller_token=self.caller_token if self.callerTokens else None,
            tls=grpc.ssl_channel_credentials(Path(self.caFile).read_bytes()) if self.caFile else None,
            plaintext=not self.caFile,
        )

    def options(self) -> dict[str, Any]:
        """Return the options that all calls have."""
        return {"token": self.token, "user_id": self.userId, "language": self.language, "timeout": self.deadline}

    def options_of_one(self) -> dict[str, Any]:
        """Return the options that all calls for one task have."""
        return {"failed_task_as_error": self.failedTaskAsError, **self.options()}

    def events(self, client: kootask.Client) -> AsyncGenerator[kootask.Event, None]:
        """Begin a watch."""
        if self.call == "watchAll":
            return client.watch_all(self.taskIds, **self.options())
        return client.events(self.taskId, **self.options_of_one())


def say(name: str, value: dict[str, Any]) -> None:
    """Print a line."""
    print(json.dumps({name: value}), flush=True)


def describe(error: kootask.Error) -> dict[str, Any]:
    """Return an error in the form of a line."""
    return {
        "code": error.code.name,
        "reason": error.raw_reason,
        "known": error.reason.name if error.reason else "",
        "message": error.message,
        "retryAfterSeconds": error.retry_after,
        "requestId": error.request_id,
        "metadata": dict(error.metadata),
        "violations": [vars(violation) for violation in error.violations],
        "localizedMessage": error.localized_message,
    }


def contract(heartbeat: kootask.Heartbeat) -> Message:
    """Return a heartbeat as the contract's message."""
    return task_pb2.Heartbeat(
        observe_time=heartbeat.observe_time,
        failure_count=heartbeat.failure_count,
        failure_reason=heartbeat.failure_reason,
        failing_task_ids=heartbeat.failing_task_ids,
    )


async def watch(client: kootask.Client, command: Command) -> None:
    """Watch, and leave the loop after cancelAfterTasks tasks."""
    tasks = 0
    async for event in command.events(client):
        match event:
            case kootask.Task():
                say("task", MessageToDict(event))
                tasks += 1
                if tasks == command.cancelAfterTasks:
                    return say("cancelled", {})
            case kootask.Heartbeat():
                say("heartbeat", MessageToDict(contract(event)))
            case kootask.Resume():
                ids = {"taskIds": event.task_ids} if command.call == "watchAll" else {}
                say("resume", {"cause": describe(event.cause), "afterSeconds": event.after, **ids})
            case kootask.Error():
                say("dropped", {"taskId": event.task_id, **describe(event)})
    return say("end", {})


async def fetch(client: kootask.Client, command: Command) -> None:
    """Get a task, or wait for it."""
    if command.call == "get":
        task = await client.get(command.taskId, max_age=command.maxAge, **command.options_of_one())
    else:
        task = await client.wait(command.taskId, **command.options_of_one())
    say("task", MessageToDict(task))
    say("end", {})


async def main() -> None:
    """Run the command."""
    calls = {"get": fetch, "wait": fetch, "watch": watch, "watchAll": watch}
    try:
        command = Command(**json.loads(sys.stdin.readline()))
        if command.call not in calls:
            raise ValueError(f"call: {command.call!r}")
    except (TypeError, ValueError) as error:
        print(f"the command: {error}", file=sys.stderr)
        sys.exit(2)
    async with command.client() as client:
        try:
            await calls[command.call](client, command)
        except kootask.Error as error:
            say("failure", describe(error))
        # The client stays open, so that a cancelled call can be told from one that ended with the client.
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
