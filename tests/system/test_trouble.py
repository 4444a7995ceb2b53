"""What goes wrong while the box runs: it says so in plain words, loses nothing, and goes on by itself."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.house import House, run_linekeep, until
from tests.system.sounds import conversation, read_wav, write_wav

pytestmark = pytest.mark.system

SEEN_WITHIN_S = 20.0
MIB = 1024 * 1024
DISK_MIB, RESERVE_MIB = 100, 64


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_wav(tmp_path_factory.mktemp("said") / "call.wav", conversation(8, lead_s=0.2))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, said: Path) -> Iterator[House]:
    with House(tmp_path_factory.mktemp("box") / "state", [said], repeat=True) as house:
        yield house


def line_of(house: House) -> dict[str, str]:
    line: dict[str, str] = house.live()["lines"][0]
    return line


def test_a_stranger_who_guesses_the_code_is_slowed_down_and_the_owner_still_gets_in(house: House) -> None:
    statuses = []
    for _ in range(20):
        answer = house.claim("00000-00000")
        statuses.append(answer.status)
        assert answer.status in {403, 429}
        assert re.search(r"not the code of this box|Too many", answer.text), answer.text
        assert "Traceback" not in answer.text
    assert statuses[0] == 403
    assert statuses.count(403) <= 10, "guessing is too fast"

    def owner_gets_in() -> bool:
        time.sleep(1)  # as a person who reads the sentence
        return house.claim().status == 303

    until(owner_gets_in, 90)
    assert house.calls() is not None


@pytest.mark.parametrize(
    ("knob", "words"), [("unplugged", "sound device 'line0'"), ("busy", "Another program uses the sound device")]
)
def test_a_line_that_cannot_be_heard_says_why_and_comes_back(house: House, knob: str, words: str) -> None:
    until(lambda: line_of(house)["trouble"] == "", SEEN_WITHIN_S)
    unplugged = house.knobs / "unplugged"
    if knob == "busy":  # only an opening can fail so
        (house.knobs / "busy").touch()
        unplugged.touch()
        until(lambda: line_of(house)["trouble"], SEEN_WITHIN_S)
        unplugged.unlink()
    else:
        unplugged.touch()
    until(lambda: words in line_of(house)["trouble"], SEEN_WITHIN_S)
    assert line_of(house)["state"] == "trouble"
    house.forget_what_was_told()
    (house.knobs / knob).unlink()
    until(lambda: line_of(house)["trouble"] == "", SEEN_WITHIN_S)
    until(lambda: line_of(house)["state"] in {"listening", "recording"}, SEEN_WITHIN_S)
    assert house.wait_for("call_begun", 30)


def test_all_that_was_recorded_around_the_troubles_plays(house: House) -> None:
    house.wait_for("call_ended", 40)
    for call in house.calls():
        assert len(read_wav(house.download(call))) > 0
    house.stop()
    checked = run_linekeep("check", "--state", str(house.state))
    assert (checked.returncode, checked.stdout) == (0, ""), checked.stdout + checked.stderr


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A disk of its own, in memory, with little more room than the reserve."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    folder = Path(tempfile.mkdtemp(prefix="lk-disk-"))
    options = ("-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs")
    mounted = subprocess.run(["mount", *options, str(folder)], capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        folder.rmdir()
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        with contextlib.suppress(OSError):
            folder.rmdir()


def test_a_full_disk_ends_the_call_in_order_and_room_begins_the_next(small_disk: Path, said: Path) -> None:
    with House(small_disk / "state", [said], repeat=True) as house:
        house.claim()
        call = house.wait_for("call_begun", 30)["call"]
        ballast = small_disk / "ballast"
        free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
        ballast.write_bytes(bytes(free - (RESERVE_MIB - 4) * MIB))
        ended = house.wait_for("call_ended", 20, call=call)
        assert ended["kept"] is True
        until(lambda: "disk is full" in line_of(house)["trouble"], SEEN_WITHIN_S)
        assert abs(len(read_wav(house.download(call))) / 8000 - ended["seconds"]) < 0.2
        assert re.search(r"full", house.ask(f"/calls/{call}").text), "its page does not say why it ended"
        ballast.unlink()
        until(lambda: line_of(house)["trouble"] == "", SEEN_WITHIN_S)
        following = house.wait_for("call_begun", 40)["call"]
        assert house.wait_for("call_ended", 40, call=following)["kept"] is True
        assert house.calls() == [following, call]
        house.stop()
        checked = run_linekeep("check", "--state", str(house.state))
        assert (checked.returncode, checked.stdout) == (0, ""), checked.stdout + checked.stderr
