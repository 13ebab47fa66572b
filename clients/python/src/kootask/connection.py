"""The connection to kootask."""

from __future__ import annotations

import asyncio
import os
import ssl
from contextlib import suppress
from pathlib import Path

import grpc
import grpc.aio

from kootask._gen.task_pb2_grpc import TaskServiceStub
from kootask.pending import Pending

_OPTIONS = (
    ("grpc.primary_user_agent", "kootask-python"),
    # kootask disconnects clients that ping more often than every 20 s.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 0),
    ("grpc.http2.max_pings_without_data", 0),  # No maximum: a watch sends nothing else.
    # A redeploy is over in seconds.
    ("grpc.max_reconnect_backoff_ms", 5_000),
    ("grpc.min_reconnect_backoff_ms", 5_000),  # The maximum duration of an attempt to connect.
)


class Connection:
    """The connection of a client, made when it is first used and renewed whenever it breaks."""

    def __init__(self, addr: str, tls: grpc.ChannelCredentials | None, plaintext: bool) -> None:
        self.addr = addr
        self._tls = tls
        self.plaintext = plaintext
        self._channel: grpc.aio.Channel | None = None  # Made by the first call, in whose event loop it lives:
        self._loop: asyncio.AbstractEventLoop | None = None  # this loop.
        self.pending = Pending()
        self.met = False  # kootask has answered at least once.

    def stub(self) -> TaskServiceStub:
        """Return the stub for calls. Raises Error if closed, and RuntimeError in another event loop than before."""
        self.pending.check()
        loop = asyncio.get_running_loop()
        if self._channel is None:
            self._channel, self._loop = self._open(), loop
        if self._loop is not loop:
            raise RuntimeError("a kootask.Client belongs to the event loop of its first call")
        return TaskServiceStub(self._channel)

    def _open(self) -> grpc.aio.Channel:
        if self.plaintext:
            return grpc.aio.insecure_channel(self.addr, options=_OPTIONS)
        tls = self._tls or grpc.ssl_channel_credentials(_system_roots())
        return grpc.aio.secure_channel(self.addr, tls, options=_OPTIONS)

    async def close(self) -> None:
        """End all calls. Later calls fail."""
        self.pending.close()
        if self._channel is not None:
            await self._channel.close()


def _system_roots() -> bytes | None:
    """Return the certificates that the system trusts, as PEM. None if it has none: gRPC then trusts Mozilla's.

    gRPC's library for Python does not read the system's certificates. None also if gRPC's own variable names others.
    """
    if os.environ.get("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"):
        return None
    context = ssl.create_default_context()
    capath = ssl.get_default_verify_paths().capath
    if not context.get_ca_certs() and capath:
        # OpenSSL reads this folder only when it looks for a certificate; it finds them by these names.
        for path in Path(capath).glob("[0-9a-f]*.[0-9]"):
            with suppress(OSError):  # Ignore an unreadable file, and read the others.
                context.load_verify_locations(path)
    roots = (ssl.DER_cert_to_PEM_cert(der) for der in context.get_ca_certs(binary_form=True))
    return "".join(roots).encode() or None
