import asyncio
import os
import ssl
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import kootask
from kootask import connection

VARIABLE = "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"


class TestConnection(unittest.TestCase):
    def setUp(self) -> None:
        environment = mock.patch.dict(os.environ)
        environment.start()
        self.addCleanup(environment.stop)
        os.environ.pop(VARIABLE, None)

    def test_it_belongs_to_one_event_loop(self) -> None:
        client = kootask.Client("127.0.0.1:1", plaintext=True)

        async def call() -> None:
            await client.get("9", timeout=5)

        with self.assertRaises(kootask.Error):
            asyncio.run(call())
        with self.assertRaisesRegex(RuntimeError, "the event loop of its first call"):
            asyncio.run(call())
        asyncio.run(client.close())

    def test_a_bad_file_does_not_spoil_the_systems_certificates(self) -> None:
        roots = connection._system_roots()
        if not roots:
            self.skipTest("the system trusts nobody")
        certificate = roots[: roots.index(b"END CERTIFICATE-----") + 21]
        with tempfile.TemporaryDirectory() as folder:
            for name, content in (("0a.0", b"bad"), ("0b.0", certificate), ("0c.0", b"")):
                Path(folder, name).write_bytes(content)
            Path(folder, "0d.0").symlink_to("nowhere")
            with mock.patch.dict(os.environ, {"SSL_CERT_DIR": folder, "SSL_CERT_FILE": os.devnull}):
                got = connection._system_roots()
        self.assertEqual(got, ssl.DER_cert_to_PEM_cert(ssl.PEM_cert_to_DER_cert(certificate.decode())).encode())

    def test_grpcs_own_variable_goes_first(self) -> None:
        with mock.patch.dict(os.environ, {VARIABLE: "roots.pem"}):
            self.assertIsNone(connection._system_roots())
