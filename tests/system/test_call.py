"""A call on the line, and what a person hears of it afterwards: all of it, nothing else, and in time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from appliance.terms import RATE_HZ
from tests.system.house import House, run_linekeep
from tests.system.sounds import (
    Match,
    Pcm,
    as_on_the_line,
    conversation,
    decoded_ogg,
    match,
    read_wav,
    write_wav,
)
from webui.ranges import RANGE_LIMIT_BYTES

pytestmark = pytest.mark.system

CALL_ENDS_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HeardCall:
    """One call: what was said on its line, and what the box tells and gives of it."""

    call: str
    line: str
    file: Path
    said: Pcm
    seconds: float
    wav: Pcm

    def match(self) -> Match:
        return match(self.wav, self.said)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three calls one after the other; in the last, somebody else speaks on a second line at the same time."""
    folder = tmp_path_factory.mktemp("said")
    return [
        write_wav(folder / "one.wav", conversation(15)),
        write_wav(folder / "two.wav", conversation(9, first=2)),
        write_wav(folder / "both.wav", conversation(13, first=4), conversation(12, first=1, lead_s=1.5)),
    ]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, files: list[Path]) -> Iterator[House]:
    with House(tmp_path_factory.mktemp("box") / "state", files) as house:
        assert house.claim().status == 303
        yield house


@pytest.fixture(scope="module")
def heard(house: House, files: list[Path]) -> list[HeardCall]:
    """All calls, after the last has ended."""
    order = [("line1", files[0], 0), ("line1", files[1], 0), ("line1", files[2], 0), ("line2", files[2], 1)]
    calls = []
    for line, file, channel in order:
        begun = house.wait_for("call_begun", CALL_ENDS_WITHIN_S, line=line)
        ended = house.wait_for("call_ended", CALL_ENDS_WITHIN_S, call=begun["call"])
        assert ended["kept"] is True
        calls.append(
            HeardCall(
                call=begun["call"],
                line=line,
                file=file,
                said=as_on_the_line(file)[:, channel],
                seconds=ended["seconds"],
                wav=read_wav(house.download(begun["call"])),
            )
        )
    return calls


def test_every_call_is_listed_once(house: House, heard: list[HeardCall]) -> None:
    assert sorted(house.calls()) == sorted(call.call for call in heard)


def test_what_was_said_is_in_the_download_second_by_second(heard: list[HeardCall]) -> None:
    for call in heard:
        found = call.match()
        assert found.whole > 0.9, (call.file, call.line, found)
        assert len(found.seconds) >= 6
        assert min(found.seconds) > 0.8, (call.file, call.line, found)


def test_the_start_is_not_clipped_and_the_pre_roll_is_there(heard: list[HeardCall]) -> None:
    for number, call in enumerate(heard):
        speech_begins = int(np.flatnonzero(np.abs(call.said) > 200)[0])
        before_speech_s = (speech_begins + call.match().lead) / RATE_HZ
        # The line is opened one second before the first word of all; there is no more to keep.
        assert before_speech_s > (0.9 if number == 0 else 1.9), call.file
        assert before_speech_s < 3, call.file


def test_the_length_is_what_the_box_told_and_what_replay_foretells(heard: list[HeardCall], tmp_path: Path) -> None:
    settings = tmp_path / "linekeep.toml"
    settings.write_text('state_dir = "/a"\nrun_dir = "/b"\n[recorder]\nhold_over_s = 6\n')  # the demonstration's
    for number, call in enumerate(heard):
        assert abs(len(call.wav) / RATE_HZ - call.seconds) < 0.2
        # As the demonstration plays it: silence before (unless it is the first), and enough behind.
        rest = np.zeros(8 * RATE_HZ, dtype=np.int16)
        played = np.concatenate([rest if number else rest[:0], call.said, rest])
        sound = write_wav(tmp_path / f"{number}.wav", played, rate_hz=RATE_HZ)
        foretold = run_linekeep("replay", "--json", "--settings", str(settings), str(sound))
        told = [json.loads(line) for line in foretold.stdout.splitlines()]
        (begin,) = [happening for happening in told if happening["what"] == "call_begin"]
        assert abs(begin["audio_to"] - begin["audio_from"] - call.seconds) < 0.3, (call.file, begin)


def test_two_lines_at_once_do_not_hear_each_other(heard: list[HeardCall]) -> None:
    one, other = heard[2], heard[3]
    assert {one.line, other.line} == {"line1", "line2"}
    for call, stranger in ((one, other), (other, one)):
        assert match(call.wav, call.said).whole > 0.9
        assert abs(match(call.wav, stranger.said).whole) < 0.3


def test_the_ogg_that_another_program_decodes_is_the_same_call(
    house: House, heard: list[HeardCall], tmp_path: Path
) -> None:
    call = heard[0]
    decoded = decoded_ogg(house.download(call.call, "ogg"), tmp_path / "call.ogg")
    assert abs(len(decoded) / RATE_HZ - call.seconds) < 0.2
    assert match(decoded, call.said).whole > 0.9


def test_ranges_are_slices_of_the_whole(house: House, heard: list[HeardCall]) -> None:
    call = heard[0].call
    whole = house.download(call, "ogg")
    total = len(whole)
    asked = {
        "bytes=0-": (0, total - 1),
        "bytes=0-0": (0, 0),
        f"bytes=1000-{total + 5_000_000}": (1000, total - 1),
        "bytes=4097-12345": (4097, 12345),
        "bytes=-777": (total - 777, total - 1),
    }
    for header, (first, wanted) in asked.items():
        last = min(wanted, first + RANGE_LIMIT_BYTES - 1)
        answer = house.ask(f"/calls/{call}/audio.ogg", headers={"Range": header})
        assert answer.status == 206, header
        assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{total}"
        assert answer.body == whole[first : last + 1], header


def test_a_range_behind_the_end_is_refused_with_the_length(house: House, heard: list[HeardCall]) -> None:
    call = heard[0].call
    total = len(house.download(call, "ogg"))
    answer = house.ask(f"/calls/{call}/audio.ogg", headers={"Range": f"bytes={total}-"})
    assert answer.status == 416
    assert answer.headers["Content-Range"] == f"bytes */{total}"


def test_ctrl_c_ends_everything_and_the_box_is_well(house: House, heard: list[HeardCall]) -> None:
    house.stop()
    checked = run_linekeep("check", "--state", str(house.state))
    assert (checked.returncode, checked.stdout) == (0, ""), checked.stdout + checked.stderr
