"""A house with Linekeep in it: the demonstration as a process, and a person before its page.

Promises: everything on the way is what a person has (the command, its JSON lines, TLS checked with the authority
that it names, the page); whatever was started is gone at the end, whatever happens in between.
Leaves to others: what is said on the line (sounds.py), and what must come of it (the tests).
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil  # type: ignore[import-untyped]  # its stubs are a package of their own

from appliance.settings import SETTINGS_NAME, Settings, read_settings
from tests.system.visitor import ANSWER_WITHIN_S, Answer, Visitor

ROOT = Path(__file__).parents[2]
LINEKEEP = (sys.executable, "-m", "appliance.cli")
DAEMONS = ("vault", "recorder", "webui", "front")

READY_WITHIN_S = 60.0
STOPS_WITHIN_S = 10.0
_MARK = "LINEKEEP_TEST_HOUSE"

Happening = dict[str, Any]


@dataclass
class House:
    """
    Args:
        state: the state directory; may hold an earlier life.
        audio: sound files for the line; none: the demonstration's own call.
        command: what starts it, as far as "demo".
    """

    state: Path
    audio: Sequence[Path] = ()
    keep: str = "30d"
    repeat: bool = False
    command: Sequence[str] = LINEKEEP
    port: int = 0
    happenings: list[Happening] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.port = self.port or free_port()
        self._mark = uuid.uuid4().hex
        self._heard: queue.SimpleQueue[Happening] = queue.SimpleQueue()
        self._waiting: list[Happening] = []
        self.visitor = Visitor(self.port)
        self._groups: set[int] = set()
        self._process: subprocess.Popen[str] | None = None

    # its life

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.tear_down()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.tear_down()

    def start(self) -> None:
        """Start it, and return when it says that it is ready."""
        command = [*self.command, "demo", "--state", str(self.state), "--port", str(self.port), "--keep", self.keep]
        command += ["--repeat"] if self.repeat else []
        command += ["--audio", *map(str, self.audio)] if self.audio else []
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | {_MARK: self._mark},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._process = process
        for reads in (self._hear, self._note_complaints):
            threading.Thread(target=reads, args=(process,), daemon=True).start()
        self.ready = self.wait_for("ready", READY_WITHIN_S)
        self.visitor.tls = ssl.create_default_context(cafile=self.ready["ca"])

    def stop(self) -> None:
        """Ctrl-C, as a person ends it; it must end in time, well, and leave no process behind."""
        process = self._running()
        self._remember_groups()
        asked_s = time.monotonic()
        process.send_signal(signal.SIGINT)
        code = process.wait(STOPS_WITHIN_S)
        assert code == 0, self.complaints
        assert time.monotonic() - asked_s < STOPS_WITHIN_S
        left = self.processes()
        _, alive = psutil.wait_procs(left, timeout=2)
        assert not alive, [own.cmdline() for own in alive]

    def tear_down(self) -> None:
        """Whatever is left of it ends now."""
        process = self._process
        if process is None:
            return
        self._remember_groups()
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOPS_WITHIN_S)
        process.kill()
        process.wait()
        for own in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                own.kill()

    def _running(self) -> subprocess.Popen[str]:
        assert self._process is not None, "not started"
        return self._process

    # what it tells

    def wait_for(self, event: str, timeout_s: float = ANSWER_WITHIN_S, **facts: object) -> Happening:
        """The first happening of this kind, with these facts, that no earlier wait took."""
        wanted = {"event": event, **facts}

        def fits(happening: Happening) -> bool:
            return wanted.items() <= happening.items()

        for happening in self._waiting:
            if fits(happening):
                self._waiting.remove(happening)
                return happening
        give_up = time.monotonic() + timeout_s
        while True:
            try:
                happening = self._heard.get(timeout=max(0.0, give_up - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {wanted} in {timeout_s} s: {self.happenings} {self.complaints}") from None
            if happening["event"] == "ended":
                raise AssertionError(f"it has ended before {wanted}: {self.complaints}")
            if fits(happening):
                return happening
            self._waiting.append(happening)

    def forget_what_was_told(self) -> None:
        """Later waits are for what is told from now on."""
        self._waiting.clear()
        while not self._heard.empty():
            self._heard.get()

    def _hear(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                happening = json.loads(line) | {"heard_s": time.time()}
                self.happenings.append(happening)
                self._heard.put(happening)
        self._heard.put({"event": "ended"})

    def _note_complaints(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        with process.stderr:
            self.complaints.extend(process.stderr)

    # its parts

    @property
    def settings(self) -> Settings:
        return read_settings(self.state / SETTINGS_NAME)

    @property
    def knobs(self) -> Path:
        """Of the simulated line."""
        return self.settings.run / "line" / "knobs"

    def processes(self) -> list[psutil.Process]:
        """Every process of this house, also one whose parent is gone."""
        self._remember_groups()
        return [own for own in psutil.process_iter() if self._is_ours(own)]

    def _remember_groups(self) -> None:
        # nginx writes its title over the environment, so only its group tells whose it is.
        with contextlib.suppress(psutil.NoSuchProcess):
            self._groups |= {child.pid for child in psutil.Process(self._running().pid).children()}

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get(_MARK) == self._mark or os.getpgid(process.pid) in self._groups
        except (psutil.AccessDenied, psutil.NoSuchProcess, ProcessLookupError):
            return False

    def daemon(self, name: str) -> psutil.Process | None:
        """The process of a daemon; None if it does not run at the moment."""
        for child in psutil.Process(self._running().pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):
                if _is_daemon(child.cmdline(), name):
                    return child
        return None

    def kill(self, name: str, how: signal.Signals = signal.SIGKILL) -> float:
        """Kill a daemon, and return when another process has taken its place. Returns: the moment of the kill."""
        self._remember_groups()
        before = self.daemon(name)
        assert before is not None, f"no {name} runs"
        killed_s = time.time()
        before.send_signal(how)
        until(lambda: (now := self.daemon(name)) is not None and now.pid != before.pid, ANSWER_WITHIN_S)
        return killed_s

    # a person before the page

    def ask(self, path: str, form: dict[str, str] | None = None, headers: dict[str, str] | None = None) -> Answer:
        return self.visitor.ask(path, form, headers)

    def claim(self, code: str | None = None) -> Answer:
        return self.visitor.claim(self.ready["claim_code"] if code is None else code)

    def log_in(self) -> Answer:
        return self.visitor.log_in()

    def live(self) -> Any:
        return self.visitor.live()

    def calls(self) -> list[str]:
        return self.visitor.calls()

    def download(self, call: str, kind: str = "wav") -> bytes:
        return self.visitor.download(call, kind)

    def delete(self, call: str) -> None:
        self.visitor.delete(call)


def _is_daemon(command: Sequence[str], name: str) -> bool:
    if name in {"vault", "recorder"}:
        return list(command[-1:]) == [name] and "run" in command
    if name == "webui":
        return "gunicorn" in command
    return any("nginx: master" in part or part.endswith("/nginx") for part in command)


def run_linekeep(*arguments: str, typed: str = "", timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    """A command of Linekeep, to its end."""
    return subprocess.run(
        [*LINEKEEP, *arguments],
        cwd=ROOT,
        input=typed,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def refused(*arguments: str) -> str:
    """A command that cannot be done: exit code 2, and one sentence. Returns: the sentence."""
    done = run_linekeep(*arguments)
    lines = done.stderr.splitlines()
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("linekeep: ")
    return lines[0].removeprefix("linekeep: ")


def until(condition: Callable[[], object], timeout_s: float = ANSWER_WITHIN_S) -> None:
    """Wait for what announces itself in no other way."""
    give_up = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < give_up, f"did not come in {timeout_s} s"
        time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
