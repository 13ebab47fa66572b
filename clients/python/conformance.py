"""Reads a command as JSON from stdin, and prints the results as lines of JSON, for the tests that compare all clients."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.json_format import MessageToDict

import kootask


@dataclass
class Command:
    """The line on stdin, with its names."""

    call: str
    addr: str
    taskId: str  # noqa: N815
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

    def options(self) -> dict[str, Any]:
        """Return the common options of get and watch."""
        return {
            "token": self.token,
            "user_id": self.userId,
            "language": self.language,
            "failed_task_as_error": self.failedTaskAsError,
            "timeout": self.deadline,
        }


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


async def watch(client: kootask.Client, command: Command) -> None:
    """Watch, and leave the loop after cancelAfterTasks tasks."""
    tasks = 0
    async for event in client.events(command.taskId, **command.options()):
        if isinstance(event, kootask.Task):
            say("task", MessageToDict(event))
            tasks += 1
            if tasks == command.cancelAfterTasks:
                return say("cancelled", {})
        elif isinstance(event, kootask.Heartbeat):
            say("heartbeat", MessageToDict(event))
        else:
            say("resume", {"cause": describe(event.cause), "afterSeconds": event.after})
    return say("end", {})


async def main() -> None:
    """Run the command."""
    try:
        command = Command(**json.loads(sys.stdin.readline()))
        if command.call not in ("get", "watch"):
            raise ValueError(f"call: {command.call!r}")
    except (TypeError, ValueError) as error:
        print(f"the command: {error}", file=sys.stderr)
        sys.exit(2)
    provider = command.caller_token if command.callerTokens else None
    async with kootask.Client(command.addr, caller_token=provider, plaintext=True) as client:
        try:
            if command.call == "get":
                task = await client.get(command.taskId, max_age=command.maxAge, **command.options())
                say("task", MessageToDict(task))
                say("end", {})
            else:
                await watch(client, command)
        except kootask.Error as error:
            say("failure", describe(error))
        # The client stays open, so that a cancelled call can be told from one that ended with the client.
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
