"""The whole product on one machine, without hardware: a software TPM, a simulated line, the real daemons.

Everything except the line and the TPM is what runs on a box; only a supervisor of a few lines (children.py)
stands in for systemd. Prints one JSON object a line about what happens.

The simulated line is a test part and lives with the tests, so this works in a source checkout only.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib
import json
import os
import shutil
import socket
import ssl
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.commands import software_tpm
from appliance.commands.children import Child, Program
from appliance.daemon import stop_on_signals
from appliance.settings import SETTINGS_NAME, SOFTWARE_TPM, Settings, parse_period, read_settings
from appliance.sound_file import read_sound_file
from appliance.terms import RATE_HZ, LinekeepError, LineTrouble, SettingsTrouble, StorageTrouble

_CHECKOUT = Path(__file__).parents[2]
_DEVICE = "line0"
_READY_WITHIN_S = 30.0
_GROUND = "Demonstration with synthesised or own audio; nobody's call is recorded."
_HOLD_OVER_S = 6
"""Whoever tries it does not want to wait half a minute for the end of a call."""
_PASSED_ON = frozenset({"call_begun", "call_ended", "forgotten"})
_STOP_ORDER = ("recorder", "front", "webui", "vault", "tpm")


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoPlan:
    """What the command line asked for. `audio`: empty for the synthesised call."""

    state: Path
    port: int
    audio: Sequence[Path]
    repeat: bool
    keep: str


def run_demo(plan: DemoPlan) -> int:
    """Run until Ctrl-C. Raises LinekeepError with the sentence to show."""
    parse_period(plan.keep)
    with ExitStack() as stack:
        stack.enter_context(_alone_in(plan.state))
        _refuse_taken_port(plan.port)
        run = Path(stack.enter_context(_run_directory()))
        feed = _feed(plan, run)
        settings_file = _write_settings(plan, run, channels=feed.shape[1])
        line = _simulator("line").SimulatedLine(
            run / "line",
            feed,
            repeat=plan.repeat or not plan.audio,
            name=_DEVICE,
            plugin=_simulator("line").build_plugin(_CHECKOUT / "build"),
        )
        demo = _Demo(read_settings(settings_file), settings_file, line.environment())
        stack.callback(demo.stop)
        return demo.run()


class _Demo:
    """The running children, and what they tell."""

    def __init__(self, settings: Settings, settings_file: Path, line_environment: dict[str, str]) -> None:
        self._settings = settings
        self._settings_file = settings_file
        self._line_environment = line_environment
        self._children: dict[str, Child] = {}
        self._stop = stop_on_signals()
        self._vault_ready = threading.Event()
        self._last_words: dict[str, str] = {}
        self._failed: str | None = None
        self._printing = threading.Lock()

    def run(self) -> int:
        self._start(software_tpm.program(self._settings))
        software_tpm.wait_until_ready(self._settings)
        self._start(self._daemon("vault"))
        self._wait_for_vault()
        self._start(self._daemon("webui"))
        self._start(self._daemon("front"))
        self._wait_for_page()
        self._say_ready()
        self._start(self._daemon("recorder", self._line_environment))
        self._stop.wait()
        self._raise_if_failed()
        return 0

    def stop(self) -> None:
        """Stop everything, the recorder first, so that a running call is finished and taken over."""
        for name in _STOP_ORDER:
            child = self._children.pop(name, None)
            if child is not None:
                child.stop()

    def _start(self, program: Program) -> None:
        child = Child(program, self._hear, self._give_up)
        self._children[program.name] = child
        child.start()

    def _daemon(self, name: str, environment: dict[str, str] | None = None) -> Program:
        command = [sys.executable, "-m", "appliance.cli", "run", "--config", str(self._settings_file), name]
        return Program(name=name, command=command, environment=environment or {})

    def _hear(self, name: str, line: str) -> None:
        """A line of a child's log: pass happenings on, show what is wrong, keep the last words."""
        try:
            told = json.loads(line)
        except ValueError:
            # Not shown here: a child that cannot start says so last, and that ends the demonstration with its words.
            told = {"event": line, "level": "info"}
            self._last_words[name] = line.removeprefix("linekeep: ")
        if not isinstance(told, dict):
            return
        event = told.get("event")
        if event in _PASSED_ON:
            self._say({key: told[key] for key in ("event", "call", "line", "seconds", "kept") if key in told})
        elif event == "vault_ready":
            self._vault_ready.set()
        elif told.get("level") in {"warning", "error", "critical"} and not self._stop.is_set():
            print(f"{name}: {line}", file=sys.stderr, flush=True)  # noqa: T201 - the command's own output

    def _give_up(self, name: str) -> None:
        self._failed = self._last_words.get(
            name, f"The {name} cannot start. What is recorded is safe; look at the messages above."
        )
        self._vault_ready.set()
        self._stop.set()

    def _raise_if_failed(self) -> None:
        if self._failed is not None:
            raise LinekeepError(self._failed)

    def _wait_for_vault(self) -> None:
        if not self._vault_ready.wait(_READY_WITHIN_S):
            raise StorageTrouble("The vault does not start in time. What is recorded is safe; start again.")
        self._raise_if_failed()

    def _wait_for_page(self) -> None:
        context = ssl.create_default_context(cafile=str(self._certificate_authority))
        give_up = time.monotonic() + _READY_WITHIN_S
        while not self._stop.is_set():
            try:
                with urllib.request.urlopen(self._url, context=context, timeout=5):  # noqa: S310 - our own page
                    return
            except OSError as error:
                if time.monotonic() > give_up:
                    raise SettingsTrouble(
                        "The page does not come up in time. What is recorded is safe; start again."
                    ) from error
                self._stop.wait(0.05)
        self._raise_if_failed()

    @property
    def _url(self) -> str:
        return f"https://localhost:{self._settings.webui.port}/"

    @property
    def _certificate_authority(self) -> Path:
        return self._settings.state / "tls" / "ca.pem"

    def _say_ready(self) -> None:
        if self._stop.is_set():
            return
        code_file = self._settings.state / "claim-code"
        code = code_file.read_text("ascii").strip() if code_file.exists() else None
        ready = {"event": "ready", "url": self._url, "claim_code": code, "ca": str(self._certificate_authority)}
        self._say(ready)
        hint = f"claim code {code}" if code else "log in with your account"
        print(f"Linekeep runs: open {self._url} ({hint}). Ctrl-C ends it.", file=sys.stderr, flush=True)  # noqa: T201

    def _say(self, happening: dict[str, Any]) -> None:
        with self._printing:
            print(json.dumps(happening), flush=True)  # noqa: T201 - the command's own output


def _version_of(module: Any) -> str:
    """Another one whenever its source is: what an earlier version has made must not be played on."""
    return hashlib.sha256(Path(str(module.__file__)).read_bytes()).hexdigest()[:8]


def _feed(plan: DemoPlan, run: Path) -> NDArray[np.int16]:
    """All audio one after the other, each with enough silence behind it that the next is a call of its own."""
    paths = list(plan.audio)
    if not paths:
        conversation = _simulator("conversation")
        call = _CHECKOUT / "build" / f"demo-call-{_version_of(conversation)}.wav"
        if not call.exists():
            call.parent.mkdir(exist_ok=True)
            made = run / "call.wav"
            conversation.synthesise(made)
            shutil.move(made, call)
        paths = [call]
    pieces = [read_sound_file(path) for path in paths]
    channels = max(piece.shape[1] for piece in pieces)
    rest = np.zeros((int((_HOLD_OVER_S + 2) * RATE_HZ), channels), dtype=np.int16)
    feed: list[NDArray[np.int16]] = []
    for piece in pieces:
        silent = np.zeros((len(piece), channels - piece.shape[1]), dtype=np.int16)
        feed += [np.hstack([piece, silent]), rest]
    return np.concatenate(feed)


def _write_settings(plan: DemoPlan, run: Path, *, channels: int) -> Path:
    """The settings of the demonstration, written anew at each start: the run directory changes."""
    text = [
        f"state_dir = {json.dumps(str(plan.state.absolute()))}",
        f"run_dir = {json.dumps(str(run))}",
        "[vault]",
        f"tpm = {json.dumps(SOFTWARE_TPM)}",
        f"keep = {json.dumps(plan.keep)}",
        "[webui]",
        'address = "127.0.0.1"',
        f"port = {plan.port}",
        'names = ["localhost", "127.0.0.1"]',
        "[recorder]",
        f"hold_over_s = {_HOLD_OVER_S}",
        "[[recorder.devices]]",
        f"alsa = {json.dumps(_DEVICE)}",
        f"channels = {channels}",
    ]
    for channel in range(channels):
        text += [
            "[[recorder.lines]]",
            f'name = "line{channel + 1}"',
            f"alsa = {json.dumps(_DEVICE)}",
            f"channel = {channel}",
            f"ground = {json.dumps(_GROUND)}",
            # In the synthesised call somebody presses the key; what people bring need not hold one.
            f'consent = "{"duty" if plan.audio else "opt_in"}"',
        ]
    path = plan.state / SETTINGS_NAME
    try:
        path.write_text("\n".join(text) + "\n", "utf-8")
    except OSError as error:
        raise StorageTrouble(f"The state directory {plan.state} cannot be written: {error.strerror}.") from error
    return path


@contextmanager
def _alone_in(state: Path) -> Iterator[None]:
    """Hold the state directory for this demonstration."""
    try:
        state.mkdir(mode=0o751, parents=True, exist_ok=True)
        lock = os.open(state / "demo.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StorageTrouble(f"The state directory {state} cannot be used: {error.strerror}.") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise StorageTrouble(f"Another Linekeep is running on {state}; stop it first.") from error
    try:
        yield
    finally:
        os.close(lock)


@contextmanager
def _run_directory() -> Iterator[str]:
    # Never under the state directory: the audio that is fed in lies here. Short, for the sockets in it.
    with tempfile.TemporaryDirectory(prefix="linekeep-", dir="/tmp", ignore_cleanup_errors=True) as run:
        yield run


def _refuse_taken_port(port: int) -> None:
    with socket.socket(socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            raise SettingsTrouble(
                f"Port {port} cannot be used; it may be taken. Choose another with --port."
            ) from error


def _simulator(name: str) -> Any:
    """A simulator from the tests of this checkout; not imported by name, as the product does not depend on tests."""
    if not (_CHECKOUT / "tests" / "simulators").is_dir():
        raise LineTrouble("The demonstration needs a source checkout: its simulated line lies with the tests.")
    if str(_CHECKOUT) not in sys.path:
        sys.path.insert(0, str(_CHECKOUT))
    return importlib.import_module(f"tests.simulators.{name}")
