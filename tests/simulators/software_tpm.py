"""A real TPM in software (swtpm), and a bus between it and its user that loses, refuses and forges.

Promise: what runs here is the TPM that Debian ships, with its state in a folder, so that a test may cut its
power, start it again, or come back with another one. `FaultyTpm` sits on the bus: it sees every command and
answer, and does what its rule says about it. Rolling back the state folder revives keys: for tests only.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from types import TracebackType
from typing import Self

_CONTROL_GET_CAPABILITY = struct.pack(">I", 0x01)
_CONTROL_SHUTDOWN = struct.pack(">I", 0x03)
_START_LIMIT_S = 10.0
_ANSWER_HEAD = struct.Struct(">HII")

NV_EXTEND = 0x136
NV_READ = 0x14E
CREATE = 0x153
UNSEAL = 0x15E
READ_PUBLIC = 0x173
NV_CERTIFY = 0x184


class SoftwareTpm:
    """One swtpm process: started on entering, stopped on leaving; its state stays in `state_dir`.

    Args:
        state_dir: where it keeps what a chip keeps. Another folder is another TPM.
        run_dir: where its sockets lie; the whole path must stay under 108 bytes.
    """

    def __init__(self, state_dir: Path, run_dir: Path) -> None:
        self._state_dir = state_dir
        self._socket = run_dir / "tpm"
        self._control = run_dir / "tpm.ctrl"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def tcti(self) -> str:
        return f"swtpm:path={self._socket}"

    @property
    def socket(self) -> Path:
        return self._socket

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, and return when its control socket answers."""
        for folder in (self._state_dir, self._socket.parent):
            folder.mkdir(parents=True, exist_ok=True)
        for stale in (self._socket, self._control):
            stale.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            [
                *("swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self._state_dir}"),
                *("--server", f"type=unixio,path={self._socket}"),
                *("--ctrl", f"type=unixio,path={self._control}"),
                *("--flags", "not-need-init,startup-clear"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._wait_until_ready(self._process)

    def stop(self) -> None:
        """Shut it down in order, as a box that is switched off by its button."""
        if self._process is not None:
            with contextlib.suppress(OSError):
                self._ask(_CONTROL_SHUTDOWN)
            self._process.terminate()
            self._process.wait(_START_LIMIT_S)
            self._process = None

    def power_cut(self) -> None:
        """Kill it and start it again: sessions and objects are gone, what was written to NV is not."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_START_LIMIT_S)
        self.start()

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        # The one event that swtpm offers is that its control socket begins to answer.
        give_up = time.monotonic() + _START_LIMIT_S
        while True:
            try:
                self._ask(_CONTROL_GET_CAPABILITY)
            except OSError as error:
                if process.poll() is not None or time.monotonic() > give_up:
                    self.stop()
                    raise RuntimeError("swtpm did not start") from error
                time.sleep(0.002)
            else:
                return

    def _ask(self, command: bytes) -> bytes:
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(_START_LIMIT_S)
            control.connect(str(self._control))
            control.sendall(command)
            return control.recv(64)


class Fault(Enum):
    """What may happen to a command on the bus."""

    NONE = auto()
    LOSE_COMMAND = auto()
    """It never reaches the TPM, and the link breaks."""
    LOSE_ANSWER = auto()
    """The TPM does it, and the link breaks before the answer arrives."""
    FAKE_SUCCESS = auto()
    """It never reaches the TPM; somebody else says that it was done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the bus does with one command.

    refuse: an answer code to give in the TPM's stead.
    forge: makes what arrives out of what the TPM said.
    """

    fault: Fault = Fault.NONE
    refuse: int = 0
    forge: Callable[[bytes], bytes] | None = None


FINE = Verdict()
Rule = Callable[[int], Verdict]
"""From a command's code to what happens to it; called once for every command, in order."""


class FaultyTpm:
    """The bus to a `SoftwareTpm`, with somebody sitting on it.

    Set `rule` at any time; `commands` and `answers` hold everything that crossed the bus.
    """

    def __init__(self, tpm: SoftwareTpm, run_dir: Path) -> None:
        self.rule: Rule = lambda _code: FINE
        self.commands: list[bytes] = []
        self.answers: list[bytes] = []
        self._tpm = tpm
        self._socket = run_dir / "bus"
        self._run_dir = run_dir
        self._listener = socket.socket(socket.AF_UNIX)
        self._thread = threading.Thread(target=self._serve, name="faulty tpm", daemon=True)

    @property
    def tcti(self) -> str:
        return f"swtpm:path={self._socket}"

    def __enter__(self) -> Self:
        self._run_dir.mkdir(parents=True, exist_ok=True)
        control = self._run_dir / "bus.ctrl"
        control.symlink_to(self._tpm.socket.with_name(self._tpm.socket.name + ".ctrl"))
        self._listener.bind(str(self._socket))
        self._listener.listen()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        self._socket.unlink()
        (self._run_dir / "bus.ctrl").unlink()

    def codes(self) -> list[int]:
        """The command codes that crossed the bus, in order."""
        return [_ANSWER_HEAD.unpack_from(command)[2] for command in self.commands]

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client, contextlib.suppress(ConnectionError):
                while command := _receive(client):
                    if not self._pass_on(client, command):
                        break

    def _pass_on(self, client: socket.socket, command: bytes) -> bool:
        """Carry one command; False when the link breaks."""
        self.commands.append(command)
        verdict = self.rule(_ANSWER_HEAD.unpack_from(command)[2])
        answer = self._answer(command, verdict)
        if verdict.fault in (Fault.LOSE_COMMAND, Fault.LOSE_ANSWER):
            return False
        self.answers.append(answer)
        client.sendall(answer)
        # Behind a forged answer nothing more comes, or who was promised more bytes would wait for ever.
        return verdict.forge is None

    def _answer(self, command: bytes, verdict: Verdict) -> bytes:
        if verdict.refuse:
            return _ANSWER_HEAD.pack(0x8001, 10, verdict.refuse)
        if verdict.fault is Fault.FAKE_SUCCESS:
            return _faked_success()
        if verdict.fault is Fault.LOSE_COMMAND:
            return b""
        with socket.socket(socket.AF_UNIX) as chip:
            chip.connect(str(self._tpm.socket))
            chip.sendall(command)
            answer = _receive(chip)
        return verdict.forge(answer) if verdict.forge else answer


def nth(code: int, number: int, verdict: Verdict) -> Rule:
    """A rule for the `number`-th command (from 1) with this code, and for no other."""
    seen = 0

    def rule(this: int) -> Verdict:
        nonlocal seen
        seen += this == code
        return verdict if this == code and seen == number else FINE

    return rule


def _receive(link: socket.socket) -> bytes:
    """One whole command or answer; empty when the other side has closed."""
    head = link.recv(_ANSWER_HEAD.size, socket.MSG_WAITALL)
    if len(head) < _ANSWER_HEAD.size:
        return b""
    rest: int = _ANSWER_HEAD.unpack(head)[1] - _ANSWER_HEAD.size
    return head + (link.recv(rest, socket.MSG_WAITALL) if rest else b"")


def _faked_success() -> bytes:
    """What a TPM says after NV_Extend under one HMAC session, as far as somebody without the key can know."""
    parameters = struct.pack(">I", 0)
    authorisation = struct.pack(">H32sBH32s", 32, bytes(32), 1, 32, bytes(32))
    size = _ANSWER_HEAD.size + len(parameters) + len(authorisation)
    return _ANSWER_HEAD.pack(0x8002, size, 0) + parameters + authorisation
