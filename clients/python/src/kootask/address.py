"""The faults of a client's address."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import socket
import ssl
from contextlib import suppress

from grpc import StatusCode

from kootask.error import Error

LIMIT = 2.0
"""The maximum duration of probe in seconds. The caller keeps it."""

_HOST_AND_PORT = re.compile(r"(\[[^\[\]/]+\]|[^\[\]:/]+):([0-9]+)")

# The texts of gRPC's library for a stream whose status it has lost. An HTTP server's answer is such a stream now and then.
_LOST_STATUS = ("Stream removed", "Data frame with END_STREAM")

# Failures to connect that say nothing about the address.
_OTHER_FAILURES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ETIMEDOUT, socket.EAI_AGAIN)

# The first bytes of a server that speaks any version of TLS: an alert or a handshake, and the major version.
_TLS_RECORDS = (b"\x15\x03", b"\x16\x03")


def is_lost_status(error: Error) -> bool:
    """Report whether gRPC's library does not know with which status a call has ended."""
    return error.code is StatusCode.UNKNOWN and any(text in error.message for text in _LOST_STATUS)


async def probe(addr: str, plaintext: bool) -> str:
    """Return why no connection to an address can be used. Empty if it is not known.

    It connects to the address, and sends no more than the beginning of a TLS handshake.
    """
    target = _HOST_AND_PORT.fullmatch(addr)
    if target is None:  # Another target that gRPC knows.
        return ""
    host, port = target[1].strip("[]"), int(target[2])
    if _has_proxy(host):
        return ""
    try:
        reader, writer = await asyncio.open_connection(host, port)
    except OSError as failure:
        return "" if failure.errno in _OTHER_FAILURES else f"nothing listens at {addr}"
    except (OverflowError, UnicodeError):  # There is no such port or host.
        return f"nothing listens at {addr}"
    try:
        speaks_tls = await _speaks_tls(reader, writer, host)
    finally:
        writer.transport.abort()
    if plaintext and speaks_tls:
        return f"{addr} speaks TLS, and this client does not (leave plaintext=True out)"
    if not plaintext and speaks_tls is False:
        return f"{addr} does not speak TLS, and this client does (plaintext=True turns TLS off)"
    return ""


def _has_proxy(host: str) -> bool:
    """Report whether gRPC's library may connect to a host through a proxy.

    The library obeys the first of these variables that is set. It also compares networks such as 10.0.0.0/8, which are ignored
    here: at worst, a fault is not found.
    """
    environ = os.environ
    proxy = environ.get("grpc_proxy", environ.get("https_proxy", environ.get("http_proxy")))
    direct = environ.get("no_grpc_proxy", environ.get("no_proxy", ""))
    names = tuple(name.strip().lstrip(".").lower() for name in direct.split(","))
    return bool(proxy) and not host.lower().endswith(tuple(filter(None, names)))


async def _speaks_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str) -> bool | None:
    """Report whether a server answers TLS with TLS. None if it does not answer."""
    try:
        writer.write(_hello(host))
        answer = await reader.readexactly(2)
    except asyncio.IncompleteReadError as closed:
        return False if closed.partial else None
    except (OSError, ValueError):  # ValueError: TLS cannot name the host.
        return None
    return answer in _TLS_RECORDS


def _hello(host: str) -> bytes:
    """Return the first message of a TLS handshake. Raises ValueError for a host that it cannot name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["h2"])
    sent = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname=host).do_handshake()
    return sent.read()
