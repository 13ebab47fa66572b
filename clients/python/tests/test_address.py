import asyncio
import socket
import unittest
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from unittest import mock

from grpc import StatusCode
from scripted import SUCCESS, Scripted, end, seen, serving

import kootask
from kootask import address
from kootask.call import Call, deadline
from kootask.connection import Connection


class _Peer(asyncio.Protocol):
    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 # For mypy.
        self._transport = transport

    def data_received(self, _: bytes) -> None:
        if self._answer:
            self._transport.write(self._answer)
            self._transport.close()


@asynccontextmanager
async def listening(answer: bytes = b"") -> AsyncIterator[str]:
    """Accept connections, and end each with an answer. Without one, do nothing. Yield the address."""
    server = await asyncio.get_running_loop().create_server(lambda: _Peer(answer), "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        yield f"{host}:{port}"


class TestAddress(unittest.IsolatedAsyncioTestCase):
    async def assert_all_say(self, client: kootask.Client, text: str) -> None:
        for call in (client.get("9"), client.wait("9"), seen(client.watch_all(["9"]))):
            with self.assertRaises(kootask.Error) as raised:
                await call
            self.assertRegex(str(raised.exception), f"^{text}: .")
            self.assertEqual(raised.exception.raw_reason, "")

    async def test_nothing_listens(self) -> None:
        for addr in ("127.0.0.1:1", "[::1]:1"):
            for plaintext in (False, True):
                async with kootask.Client(addr, plaintext=plaintext) as client:
                    await self.assert_all_say(client, f"nothing listens at {addr}".replace("[", r"\["))

    async def test_no_such_host(self) -> None:
        with mock.patch.object(asyncio.get_running_loop(), "getaddrinfo", side_effect=socket.gaierror("No.")):
            got = await address.fault(StatusCode.UNAVAILABLE, "kootask.invalid:9090", plaintext=True)
        self.assertEqual(got, "nothing listens at kootask.invalid:9090")

    async def test_the_server_does_not_speak_tls(self) -> None:
        async with serving(Scripted([SUCCESS])) as plain, kootask.Client(plain._connection.addr) as client:
            await self.assert_all_say(
                client, f"{plain._connection.addr} does not speak TLS, and this client does .*plaintext=True.*"
            )

    async def test_the_client_does_not_speak_tls(self) -> None:
        async with listening(b"\x15\x03\x03\x00\x02\x02\x28") as addr:  # The alert of a failed handshake.
            async with kootask.Client(addr, plaintext=True) as client:
                await self.assert_all_say(client, f"{addr} speaks TLS, and this client does not .*plaintext=True.*")
            self.assertEqual(await address.fault(StatusCode.UNAVAILABLE, addr, plaintext=False), "")

    async def test_another_server(self) -> None:
        async with serving(Scripted(), add=lambda *_: None) as client:
            addr = client._connection.addr
            await self.assert_all_say(client, f"{addr} is not kootask's gRPC port, or its kootask is older than this client")
        async with serving(Scripted([StatusCode.UNKNOWN])) as client:
            with self.assertRaisesRegex(kootask.Error, "is not kootask's gRPC port, .*: proxy"):
                await client.wait("9")

    async def test_kootask_has_answered(self) -> None:
        async with serving(Scripted([SUCCESS], [StatusCode.UNIMPLEMENTED])) as client:
            await client.wait("9")
            with self.assertRaisesRegex(kootask.Error, "^proxy "):
                await client.wait("9")
        async with serving(Scripted([end(StatusCode.UNIMPLEMENTED, "NEWER_THAN_THIS")])) as client:
            with self.assertRaisesRegex(kootask.Error, "^No. "):
                await client.wait("9")

    async def test_the_error_keeps_its_details(self) -> None:
        error = kootask.Error(StatusCode.UNAVAILABLE, "No.")
        error.retry_after, error.localized_message, error.request_id = 1.5, "不。", "mine"
        error.violations = (kootask.Violation("task_id", "RESERVED", "So it is."),)
        want = {**vars(error), "message": "nothing listens at 127.0.0.1:1: No."}
        await Call(Connection("127.0.0.1:1", None, True), "", "", "", None, None).explain(error)
        self.assertEqual(vars(error), want)

    async def test_another_code_or_target_is_not_explained(self) -> None:
        async with serving(Scripted([StatusCode.PERMISSION_DENIED])) as client:
            with mock.patch.object(address, "fault") as fault, self.assertRaisesRegex(kootask.Error, "^proxy "):
                await client.wait("9")
            fault.assert_not_called()
        for addr in ("ipv4:127.0.0.1:1", "dns:///127.0.0.1:1", "unix:/nowhere"):
            self.assertEqual(await address.fault(StatusCode.UNAVAILABLE, addr, plaintext=True), "")

    async def test_a_server_that_does_not_answer_is_left(self) -> None:
        error = kootask.Error(StatusCode.UNAVAILABLE, "No.")
        async with listening() as addr:
            for limit, timeout in ((0.05, None), (60.0, 0.05), (60.0, -1.0)):
                call = Call(Connection(addr, None, True), "", "", "", None, deadline(timeout))
                with mock.patch.object(address, "LIMIT", limit):
                    await asyncio.wait_for(call.explain(error), 30)
                self.assertEqual(error.message, "No.")

    async def test_closing_the_client_ends_the_search(self) -> None:
        async with listening() as addr:
            call = Call(Connection(addr, None, True), "", "", "", None, None)
            search = asyncio.ensure_future(call.explain(kootask.Error(StatusCode.UNAVAILABLE, "No.")))
            await asyncio.sleep(0)
            with mock.patch.object(address, "LIMIT", 60.0):
                await call.connection.close()
                with self.assertRaisesRegex(kootask.Error, "the client was closed"):
                    await asyncio.wait_for(search, 30)
