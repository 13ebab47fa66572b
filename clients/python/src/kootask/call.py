"""The common part of a client's calls."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass

from grpc import StatusCode

from kootask import address, caller
from kootask.connection import Connection
from kootask.error import Error
from kootask.pending import Elapsed

_LONGEST = 1e9
"""In seconds, about 30 years: gRPC limits the values of timeouts."""


def deadline(timeout: float | None) -> float | None:
    """Return the end of a timeout in seconds, on the monotonic clock. None: no end. Raises ValueError for NaN."""
    if timeout is None or timeout > _LONGEST:
        return None
    if math.isnan(timeout):
        raise ValueError("timeout must not be NaN")
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
        """Return the caller's current token, empty without a provider. Raises Error."""
        try:
            return await caller.caller_token(self.provider, self.connection.pending, self.remaining())
        except Elapsed:
            raise _deadline_passed() from None

    def metadata(self, caller_token: str) -> tuple[tuple[str, str], ...]:
        """Return the metadata of the call. Raises Error."""
        return caller.call_metadata(self.token, self.user_id, self.language, caller_token)

    def remaining(self) -> float | None:
        """Return the seconds that are left. None: no limit. Raises Error if the deadline has passed."""
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

    async def explain(self, error: Error) -> None:
        """Put the fault of the address in front of the message of the call's error, if there is one and it is found.

        Raises Error if the client is closed meanwhile.
        """
        if error.raw_reason:
            return
        addr, met = self.connection.addr, self.connection.met
        fault = ""
        if error.code is StatusCode.UNIMPLEMENTED or (address.is_lost_status(error) and not met):
            fault = f"{addr} is not kootask's gRPC port, or its kootask is older than this client"
        elif error.code is StatusCode.UNAVAILABLE and not met:
            fault = await self._probe()
        if fault:
            error.message = f"{fault}: {error.message}"

    async def _probe(self) -> str:
        limit = address.LIMIT if self.deadline is None else min(address.LIMIT, self.deadline - time.monotonic())
        try:
            return await self.connection.pending.settle(address.probe(self.connection.addr, self.connection.plaintext), limit)
        except Elapsed:
            return ""


def _deadline_passed() -> Error:
    return Error(StatusCode.DEADLINE_EXCEEDED, "the call's timeout has passed")
