"""What systemd is told of a daemon: ready, alive as long as it is, stopping."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.daemon import stay_until

PATIENCE_S = 20.0


class Systemd:
    """The listening end of NOTIFY_SOCKET."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address[0] == "@" else address)
        self._socket.settimeout(PATIENCE_S)

    def told(self) -> str:
        return self._socket.recv(1000).decode()

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Systemd]:
    address = str(tmp_path / "notify") if request.param == "path" else f"@linekeep-test-{tmp_path.name}-{id(request)}"
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    monkeypatch.setenv("WATCHDOG_USEC", "3000")
    systemd = Systemd(address)
    yield systemd
    systemd.close()


def stay(is_alive: Callable[[threading.Event], bool]) -> threading.Thread:
    stop = threading.Event()
    thread = threading.Thread(target=stay_until, args=(stop, lambda: is_alive(stop)))
    thread.start()
    return thread


def test_systemd_hears_of_each_moment_in_which_the_daemon_lives_and_of_no_other(systemd: Systemd) -> None:
    answers = iter([True, True, False, True, False, False])

    def is_alive(stop: threading.Event) -> bool:
        answer = next(answers, None)
        if answer is None:
            stop.set()
        return bool(answer)

    thread = stay(is_alive)
    assert [systemd.told() for _ in range(5)] == ["READY=1", *["WATCHDOG=1"] * 3, "STOPPING=1"]
    thread.join()


def test_a_daemon_outlives_a_systemd_that_does_not_listen(systemd: Systemd) -> None:
    systemd.close()
    stop, asked = threading.Event(), threading.Semaphore(0)

    def is_alive() -> bool:
        asked.release()
        return True

    thread = threading.Thread(target=stay_until, args=(stop, is_alive))
    thread.start()
    assert asked.acquire(timeout=PATIENCE_S)
    assert asked.acquire(timeout=PATIENCE_S)
    stop.set()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


def test_without_systemd_nobody_is_asked_and_the_stop_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    stop, asked = threading.Event(), threading.Event()

    def is_alive() -> bool:
        asked.set()
        return True

    thread = threading.Thread(target=stay_until, args=(stop, is_alive))
    thread.start()
    stop.set()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert not asked.is_set()
