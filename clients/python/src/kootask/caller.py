"""By what kootask, and KooDrive behind it, know who calls."""

import inspect
from collections.abc import Awaitable, Callable

from grpc import StatusCode

from kootask.error import Error
from kootask.pending import Elapsed, Pending

CallerToken = Callable[[], str | Awaitable[str]]
"""Returns the token by which kootask knows the caller, a JWT without "Bearer ", or an awaitable of it."""


async def caller_token(provider: CallerToken | None, pending: Pending, timeout: float | None) -> str:
    """Ask for the caller's token as it is now: empty if there is none. Raises Error, and Elapsed."""
    if provider is None:
        return ""
    try:
        answer = provider()
        token = await pending.settle(answer, timeout) if inspect.isawaitable(answer) else answer
    except Elapsed:
        raise
    except Exception as failure:
        pending.check()
        # Not the failure's text: who knows what a provider writes into it.
        message = f"the caller's token could not be had: {type(failure).__name__}"
        raise Error(StatusCode.UNAUTHENTICATED, message) from failure
    if not isinstance(token, str) or not _is_ascii(token, "!"):
        message = "the caller's token holds something else than visible ASCII characters"
        raise Error(StatusCode.UNAUTHENTICATED, message)
    return token


def call_metadata(token: str, user_id: str, language: str, caller: str) -> tuple[tuple[str, str], ...]:
    """Return what a call says of itself. Raises Error: gRPC would quote a value that cannot be sent."""
    fields = (
        ("authorization", token),
        ("x-user-id", user_id),
        ("language", language),
        ("x-kootask-authorization", caller and f"Bearer {caller}"),
    )
    for name, value in fields:
        if not _is_ascii(value, " "):
            raise Error(StatusCode.INVALID_ARGUMENT, f"{name} holds something else than visible ASCII characters")
    return tuple((name, value) for name, value in fields if value)


def _is_ascii(value: str, first: str) -> bool:
    return all(first <= character <= "~" for character in value)
