"""What the calls of a client have in common."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass

from grpc import StatusCode

from kootask import caller
from kootask.connection import Connection
from kootask.error import Error
from kootask.pending import Elapsed

_LONGEST = 1e9
"""Seconds, some thirty years: gRPC cannot count for ever."""


def deadline(timeout: float | None) -> float | None:
    """Return when so many seconds have passed, on the monotonic clock, None: never. Raises ValueError for NaN."""
    if timeout is None or timeout > _LONGEST:
        return None
    if math.isnan(timeout):
        raise ValueError("timeout: not a number")
    return time.monotonic() + timeout


@dataclass(frozen=True)
class Call:
    """A call, or a watch with all its streams."""

    connection: Connection
    token: str
    user_id: str
    language: str
    provider: caller.CallerToken | None
    deadline: float | None  # On the monotonic clock.

    async def caller_token(self) -> str:
        """Ask for the caller's token as it is now: empty if there is none. Raises Error."""
        try:
            return await caller.caller_token(self.provider, self.connection.pending, self.remaining())
        except Elapsed:
            raise _deadline_passed() from None

    def metadata(self, caller_token: str) -> tuple[tuple[str, str], ...]:
        """Return what the call says of itself. Raises Error."""
        return caller.call_metadata(self.token, self.user_id, self.language, caller_token)

    def remaining(self) -> float | None:
        """Return how many seconds are left, None: as many as it takes. Raises Error if there are none."""
        if self.deadline is None:
            return None
        remaining = self.deadline - time.monotonic()
        if remaining <= 0:
            raise _deadline_passed()
        return remaining

    async def sleep(self, seconds: float) -> None:
        """Wait. Raises Error when the deadline passes, or the client is closed."""
        remaining = self.remaining()
        try:
            await self.connection.pending.settle(asyncio.sleep(seconds), remaining)
        except Elapsed:
            raise _deadline_passed() from None


def _deadline_passed() -> Error:
    return Error(StatusCode.DEADLINE_EXCEEDED, "the call has taken longer than its timeout")
