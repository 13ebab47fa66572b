"""The faults of a client's address."""

from __future__ import annotations

import asyncio
import re
import ssl

from grpc import StatusCode

CODES = (StatusCode.UNAVAILABLE, StatusCode.UNIMPLEMENTED, StatusCode.UNKNOWN)
"""The codes of calls to a wrong address. For an answer of HTTP without gRPC, gRPC's library reports one of the last two."""

LIMIT = 2.0
"""The maximum duration of fault in seconds. The caller keeps it."""

_HOST_AND_PORT = re.compile(r"(\[[^\[\]/]+\]|[^\[\]:/]+):([0-9]+)")


async def fault(code: StatusCode, addr: str, plaintext: bool) -> str:
    """Return what is wrong with an address from which kootask has not answered. Empty if it is not known.

    It connects to the address, and sends no more than a TLS handshake.
    """
    no_grpc = f"{addr} is not kootask's gRPC port, or its kootask is older than this client"
    if code is StatusCode.UNIMPLEMENTED:
        return no_grpc
    target = _HOST_AND_PORT.fullmatch(addr)
    if target is None:  # Another target that gRPC knows.
        return ""
    host, port = target[1].strip("[]"), int(target[2])
    try:
        transport, protocol = await asyncio.get_running_loop().create_connection(asyncio.Protocol, host, port)
    except (OSError, OverflowError):
        return f"nothing listens at {addr}"
    try:
        speaks_tls = await _speaks_tls(transport, protocol, host)
    finally:
        transport.abort()
    if plaintext and speaks_tls:
        return f"{addr} speaks TLS, and this client does not (leave plaintext=True out)"
    if not plaintext and not speaks_tls:
        return f"{addr} does not speak TLS, and this client does (plaintext=True turns TLS off)"
    return no_grpc if code is StatusCode.UNKNOWN else ""


async def _speaks_tls(transport: asyncio.Transport, protocol: asyncio.Protocol, host: str) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # Nothing is sent, so nobody needs to be trusted.
    context.set_alpn_protocols(["h2"])
    try:
        await asyncio.get_running_loop().start_tls(transport, protocol, context, server_hostname=host)
    except ssl.SSLError as failure:
        return "ALERT" in (failure.reason or "")  # An alert is TLS, for example after another version.
    except OSError:
        return False
    return True
