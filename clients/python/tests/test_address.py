import asyncio
import errno
import os
import socket
import struct
import unittest
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from unittest import mock

from google.rpc.status_pb2 import Status
from grpc import StatusCode
from scripted import SUCCESS, Scripted, end, seen, serving

import kootask
from kootask import address
from kootask.call import Call, deadline
from kootask.connection import Connection

SILENCE, CLOSE, RESET = b"silence", b"close", b"reset"

TLS = (
    b"\x15\x03\x03\x00\x02\x02\x28",  # The alert of a failed handshake.
    b"\x15\x03\x01\x00\x02\x02\x46",  # A server whose latest version is TLS 1.0.
    b"\x16\x03\x03\x00\x7a\x02",
)


class _Peer(asyncio.Protocol):
    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 # For mypy.
        self._transport = transport

    def data_received(self, _: bytes) -> None:
        if self._answer == SILENCE:
            return
        if self._answer == RESET:
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif self._answer != CLOSE:
            self._transport.write(self._answer)
        self._transport.close()


@asynccontextmanager
async def listening(answer: bytes) -> AsyncIterator[str]:
    """Accept connections, and end each with an answer to the first data, which CLOSE and RESET leave out. Yield the address."""
    server = await asyncio.get_running_loop().create_server(lambda: _Peer(answer), "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        yield f"{host}:{port}"


def call_to(addr: str, plaintext: bool = True, timeout: float | None = None) -> Call:
    return Call(Connection(addr, None, plaintext), "", "", "", None, deadline(timeout))


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

    async def test_no_such_host_or_port(self) -> None:
        with mock.patch.object(
            asyncio.get_running_loop(), "getaddrinfo", side_effect=socket.gaierror(socket.EAI_NONAME, "No.")
        ):
            self.assertEqual(await address.probe("kootask.invalid:9090", True), "nothing listens at kootask.invalid:9090")
        for addr in ("a..b:1", f"{'a' * 64}:1", "127.0.0.1:65536"):
            self.assertEqual(await address.probe(addr, True), f"nothing listens at {addr}")
        async with kootask.Client("a..b:1", plaintext=True) as client:
            await self.assert_all_say(client, "nothing listens at a..b:1")

    async def test_a_failure_that_says_nothing_about_the_address(self) -> None:
        for number in (errno.EMFILE, errno.ENFILE, errno.ETIMEDOUT):
            with mock.patch("asyncio.open_connection", side_effect=OSError(number, "No.")):
                self.assertEqual(await address.probe("127.0.0.1:1", True), "")
        with mock.patch.object(asyncio.get_running_loop(), "getaddrinfo", side_effect=socket.gaierror(socket.EAI_AGAIN, "No.")):
            self.assertEqual(await address.probe("kootask.invalid:9090", True), "")

    async def test_a_host_that_tls_cannot_name(self) -> None:
        async with listening(CLOSE) as addr:
            port = int(addr.rpartition(":")[2])
            found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]
            with mock.patch.object(asyncio.get_running_loop(), "getaddrinfo", return_value=found):
                self.assertEqual(await address.probe(f".a:{port}", False), "")

    async def test_the_server_does_not_speak_tls(self) -> None:
        async with serving(Scripted([SUCCESS])) as plain, kootask.Client(plain._connection.addr) as client:
            await self.assert_all_say(
                client, f"{plain._connection.addr} does not speak TLS, and this client does .*plaintext=True.*"
            )
        for answer in (b"HTTP/1.1 400 Bad Request\r\n\r\n", b"-", b"\x16\x02"):
            async with listening(answer) as addr:
                self.assertRegex(await address.probe(addr, False), f"^{addr} does not speak TLS")
                self.assertEqual(await address.probe(addr, True), "")

    async def test_the_client_does_not_speak_tls(self) -> None:
        for answer in TLS:
            async with listening(answer) as addr:
                self.assertRegex(await address.probe(addr, True), f"^{addr} speaks TLS")
                self.assertEqual(await address.probe(addr, False), "")
        async with listening(TLS[0]) as addr, kootask.Client(addr, plaintext=True) as client:
            await self.assert_all_say(client, f"{addr} speaks TLS, and this client does not .*plaintext=True.*")

    async def test_a_server_that_hangs_up_may_speak_tls(self) -> None:
        for answer in (CLOSE, RESET):
            async with listening(answer) as addr:
                for plaintext in (False, True):
                    self.assertEqual(await address.probe(addr, plaintext), "")
                async with kootask.Client(addr) as client:
                    with self.assertRaises(kootask.Error) as raised:
                        await client.get("9")
                    self.assertNotIn("speak TLS", raised.exception.message)

    async def test_a_proxy_hides_the_address(self) -> None:
        proxy, empty = {"https_proxy": "http://127.0.0.1:2"}, {"grpc_proxy": ""}
        for variables, hidden in (
            ({}, False),
            ({"grpc_proxy": "http://127.0.0.1:2"}, True),
            (proxy, True),
            ({"http_proxy": "http://127.0.0.1:2"}, True),
            ({"HTTPS_PROXY": "http://127.0.0.1:2"}, False),  # gRPC's library does not know it.
            ({**proxy, **empty}, False),
            ({**proxy, "no_proxy": "example.com, LocalHost"}, False),
            ({**proxy, "no_proxy": ".localhost"}, False),
            ({**proxy, "no_proxy": ""}, True),
            ({**proxy, "no_proxy": "*"}, True),
            ({**proxy, "no_proxy": "example.com,,"}, True),
            ({**proxy, "no_proxy": "localhost", "no_grpc_proxy": ""}, True),
        ):
            with self.subTest(variables), mock.patch.dict(os.environ, variables, clear=True):
                want = "" if hidden else "nothing listens at localhost:1"
                self.assertEqual(await address.probe("localhost:1", True), want)

    async def test_grpcs_library_uses_the_proxy(self) -> None:
        async with listening(b"HTTP/1.1 502 Bad Gateway\r\n\r\n") as addr:
            with mock.patch.dict(os.environ, {"https_proxy": f"http://{addr}"}, clear=True):
                async with kootask.Client("127.0.0.1:1", plaintext=True) as client:
                    with self.assertRaisesRegex(kootask.Error, "^failed to connect .*502"):
                        await client.get("9")

    async def test_another_server(self) -> None:
        async with serving(Scripted(), add=lambda *_: None) as client:
            addr = client._connection.addr
            await self.assert_all_say(client, f"{addr} is not kootask's gRPC port, or its kootask is older than this client")

    async def test_unimplemented_is_explained_though_kootask_has_answered(self) -> None:
        async with serving(Scripted([SUCCESS], [StatusCode.UNIMPLEMENTED])) as client:
            await client.wait("9")
            with self.assertRaisesRegex(kootask.Error, "is not kootask's gRPC port, .*: proxy"):
                await client.wait("9")
        async with serving(Scripted([end(StatusCode.UNIMPLEMENTED, "NEWER_THAN_THIS")])) as client:
            with self.assertRaisesRegex(kootask.Error, "^No. "):
                await client.wait("9")

    async def test_unknown_is_explained_if_grpcs_library_lost_the_status(self) -> None:
        for message, want in (
            ("Stream removed", "is not kootask's gRPC port, .*: Stream removed"),
            ("Data frame with END_STREAM flag received", "is not kootask's gRPC port, .*: Data frame"),
            ("proxy", "^proxy "),
        ):
            lost = Status(code=StatusCode.UNKNOWN.value[0], message=message)
            async with serving(Scripted([lost])) as client:
                with self.assertRaisesRegex(kootask.Error, want):
                    await client.wait("9")

    async def test_a_broken_connection_is_not_explained_if_kootask_has_answered(self) -> None:
        call = call_to("127.0.0.1:1")
        call.connection.met = True
        for code in (StatusCode.UNKNOWN, StatusCode.UNAVAILABLE):
            error = kootask.Error(code, "Stream removed")
            await call.explain(error)
            self.assertEqual(error.message, "Stream removed")

    async def test_the_error_keeps_its_details(self) -> None:
        error = kootask.Error(StatusCode.UNAVAILABLE, "No.")
        error.retry_after, error.localized_message, error.request_id = 1.5, "不。", "mine"
        error.violations = (kootask.Violation("task_id", "RESERVED", "So it is."),)
        want = {**vars(error), "message": "nothing listens at 127.0.0.1:1: No."}
        await call_to("127.0.0.1:1").explain(error)
        self.assertEqual(vars(error), want)

    async def test_another_code_or_target_is_not_explained(self) -> None:
        async with serving(Scripted([StatusCode.PERMISSION_DENIED])) as client:
            with mock.patch.object(address, "probe") as probe, self.assertRaisesRegex(kootask.Error, "^proxy "):
                await client.wait("9")
            probe.assert_not_called()
        for addr in ("ipv4:127.0.0.1:1", "dns:///127.0.0.1:1", "unix:/nowhere"):
            self.assertEqual(await address.probe(addr, True), "")

    async def test_a_server_that_does_not_answer_is_left(self) -> None:
        error = kootask.Error(StatusCode.UNAVAILABLE, "No.")
        async with listening(SILENCE) as addr:
            for limit, timeout in ((0.05, None), (60.0, 0.05), (60.0, -1.0)):
                with mock.patch.object(address, "LIMIT", limit):
                    await asyncio.wait_for(call_to(addr, timeout=timeout).explain(error), 30)
                self.assertEqual(error.message, "No.")

    async def test_closing_the_client_ends_the_search(self) -> None:
        async with listening(SILENCE) as addr:
            call = call_to(addr)
            with mock.patch.object(address, "LIMIT", 60.0):
                search = asyncio.ensure_future(call.explain(kootask.Error(StatusCode.UNAVAILABLE, "No.")))
                await asyncio.sleep(0)
                await call.connection.close()
                with self.assertRaisesRegex(kootask.Error, "the client was closed"):
                    await asyncio.wait_for(search, 30)
