"""The whole web page as it runs: nginx with TLS before gunicorn before a stub vault, in processes of their own."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from appliance.settings import Settings, read_settings
from tests.simulators.vault_stub import VaultStub
from webui.gate import LOGIN_COOKIE
from webui.places import certificate_of, socket_of

ROOT = Path(__file__).parents[2]
READY_WITHIN_S = 20


class House:
    """
    Args:
        folder: empty, with a short path.
    Everything written to standard error lies in `log`. `front`: the front's process.
    """

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.file = write_settings(folder, self.port)
        self.settings: Settings = read_settings(self.file)
        self.settings.run.mkdir()
        write_certificate(*certificate_of(self.settings))
        self.log = folder / "stderr"
        self.stub = VaultStub(self.settings.vault_socket("webui"))
        self.stub.start()
        self.surroundings: dict[str, str] = {}
        self._running: list[subprocess.Popen[bytes]] = []

    def start_web(self) -> None:
        self._start("webui")
        wait_until_it_answers(socket.AF_UNIX, str(socket_of(self.settings)))

    def start_front(self) -> None:
        self.front = self._start("webui.front")
        wait_until_it_answers(socket.AF_INET, ("127.0.0.1", self.port))

    def stop(self) -> None:
        for process in self._running:
            process.terminate()
        for process in self._running:
            process.wait()
        self.stub.stop()

    def visitor(self, login: str = "", *, source: str = "127.0.0.1") -> Visitor:
        return Visitor(port=self.port, login=login, source=source)

    @property
    def address(self) -> str:
        return f"https://localhost:{self.port}"

    def _start(self, module: str) -> int:
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", module, str(self.file)],
                cwd=ROOT,
                env=os.environ | self.surroundings,
                stderr=log,
            )
        self._running.append(process)
        return process.pid


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes = field(repr=False)

    @property
    def text(self) -> str:
        return self.body.decode("utf-8")


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Asks over TLS, one connection a question. `source`: the visitor's own address."""

    port: int
    login: str
    source: str

    def ask(self, method: str, path: str, body: str | None = None, **headers: str) -> Answer:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.port, context=context, source_address=(self.source, 0), timeout=READY_WITHIN_S
        )
        cookie = {"Cookie": f"{LOGIN_COOKIE}={self.login}"} if self.login else {}
        form = {"Content-Type": "application/x-www-form-urlencoded"} if body is not None else {}
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, cookie | form | given)
        answer = connection.getresponse()
        got = Answer(status=answer.status, headers=dict(answer.getheaders()), body=answer.read())
        connection.close()
        return got


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def write_settings(folder: Path, port: int) -> Path:
    file = folder / "linekeep.toml"
    file.write_text(
        f'state_dir = "{folder}/state"\nrun_dir = "{folder}/run"\n'
        f'[webui]\naddress = "127.0.0.1"\nport = {port}\nnames = ["linekeep.local"]\n'
    )
    return file


def write_certificate(certificate: Path, key: Path) -> None:
    """One that nobody trusts, for localhost."""
    certificate.parent.mkdir(parents=True)
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(issuer_name=name, subject_name=name, public_key=private.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(private, hashes.SHA256())
    )
    certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


def wait_until_it_answers(family: socket.AddressFamily, address: str | tuple[str, int]) -> None:
    """A process of another program tells nobody that it listens: ask until it does."""
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline:
        with socket.socket(family) as probe, suppress(OSError):
            probe.connect(address)
            return
        time.sleep(0.02)
    raise TimeoutError(f"nothing listens on {address}")
