"""The credentials of a call, for kootask and for KooDrive."""

import inspect
from collections.abc import Awaitable, Callable

from grpc import StatusCode

from kootask.error import Error
from kootask.pending import Elapsed, Pending

CallerToken = Callable[[], str | Awaitable[str]]
"""Returns the token that authenticates the caller to kootask, a JWT without "Bearer ", or an awaitable of it."""


async def caller_token(provider: CallerToken | None, pending: Pending, timeout: float | None) -> str:
    """Return the caller's current token, empty without a provider. Raises Error and Elapsed."""
    if provider is None:
        return ""
    try:
        answer = provider()
        token = await pending.settle(answer, timeout) if inspect.isawaitable(answer) else answer
    except Elapsed:
        raise
    except Exception as failure:
        pending.check()
        # The failure's text is left out, because it may contain the token.
        message = f"the provider of the caller's token failed: {type(failure).__name__}"
        raise Error(StatusCode.UNAUTHENTICATED, message) from failure
    if not isinstance(token, str) or not _is_ascii(token, "!"):
        message = "the caller's token contains characters other than visible ASCII"
        raise Error(StatusCode.UNAUTHENTICATED, message)
    return token


def call_metadata(token: str, user_id: str, language: str, caller: str) -> tuple[tuple[str, str], ...]:
    """Return the metadata of a call. Raises Error for invalid values, because gRPC would quote them in its own error."""
    fields = (
        ("authorization", token),
        ("x-user-id", user_id),
        ("language", language),
        ("x-kootask-authorization", caller and f"Bearer {caller}"),
    )
    for name, value in fields:
        if not _is_ascii(value, " "):
            raise Error(StatusCode.INVALID_ARGUMENT, f"{name} contains characters other than visible ASCII")
    return tuple((name, value) for name, value in fields if value)


def _is_ascii(value: str, first: str) -> bool:
    return all(first <= character <= "~" for character in value)
