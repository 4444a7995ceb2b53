"""What systemd is told by the web page's own process, which has become gunicorn."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.webui.house import House
from webui.__main__ import THREADS
from webui.places import socket_of

PATIENCE_S = 30.0
BEAT_US = 300_000


@pytest.fixture
def systemd() -> Iterator[socket.socket]:
    with tempfile.TemporaryDirectory(prefix="lk-") as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(f"{folder}/notify")
        told.settimeout(PATIENCE_S)
        yield told


@pytest.fixture
def house(systemd: socket.socket) -> Iterator[House]:
    with tempfile.TemporaryDirectory(prefix="lk-") as folder:
        house = House(Path(folder))
        house.surroundings = {"NOTIFY_SOCKET": systemd.getsockname(), "WATCHDOG_USEC": str(BEAT_US)}
        house.start_web()
        yield house
        house.stop()


def test_page_is_ready_once_it_answers_and_lives_while_it_does(systemd: socket.socket, house: House) -> None:
    assert [systemd.recv(100) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1"]
    with ExitStack() as visitors:
        for _ in range(THREADS):
            talking = visitors.enter_context(socket.socket(socket.AF_UNIX))
            talking.connect(str(socket_of(house.settings)))
            talking.sendall(b"GET / HT")
        # Nobody is answered now: a beat that was on its way may still come, and then there is silence.
        systemd.settimeout(5 * BEAT_US / 1e6)
        assert beats_until_silence(systemd, at_most=5) < 5
    systemd.settimeout(PATIENCE_S)
    assert systemd.recv(100) == b"WATCHDOG=1"


def beats_until_silence(systemd: socket.socket, *, at_most: int) -> int:
    for beats in range(at_most):
        try:
            systemd.recv(100)
        except TimeoutError:
            return beats
    return at_most
