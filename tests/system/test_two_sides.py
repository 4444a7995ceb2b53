"""A line whose sides are apart, on a real ALSA device of two channels: what is downloaded, and what each may say."""

from __future__ import annotations

import io
import json
import sys
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from appliance.sound_file import write_wav
from appliance.terms import RATE_HZ
from tests.simulators.key_tones import Sender, Sound, sampled
from tests.simulators.two_sides import tapped
from tests.simulators.unkept_calls import GROUND
from tests.simulators.voices import resampled
from tests.system.house import House, run_linekeep, until
from tests.system.sounds import SPOKEN_HZ, Pcm, conversation, correlation, decoded_ogg, match

pytestmark = pytest.mark.system

LEAK_DB = -15.0
CALL_ENDS_WITHIN_S = 60.0
IDLE_S = 6.0
"""Longer than a call may be silent, so that it is known that none is on the line."""
NOTHING = np.zeros(0)


def said(first: int) -> Sound:
    """Six seconds of talk."""
    return resampled(conversation(6, first=first, lead_s=0.3), SPOKEN_HZ, RATE_HZ).astype(np.float64) / 2


def pause(seconds: float) -> Sound:
    return np.zeros(round(seconds * RATE_HZ))


def keys(digits: str) -> Sound:
    sound, _pressed = Sender(tone_ms=100).press(digits, np.random.default_rng(1))
    return sound


def one_after_the_other(*turns: tuple[Sound, Sound]) -> tuple[Sound, Sound]:
    """What each side sends; in each turn one of them is silent."""
    frames = [max(len(near), len(far)) for near, far in turns]
    sides = zip(*turns, strict=True)
    near, far = (
        np.concatenate(
            [np.concatenate((turn, np.zeros(length - len(turn)))) for turn, length in zip(side, frames, strict=True)]
        )
        for side in sides
    )
    return near, far


@pytest.fixture(scope="module")
def sent() -> tuple[Sound, Sound]:
    """The far side agrees, and then both talk."""
    return one_after_the_other(
        (pause(IDLE_S), NOTHING), (said(1), NOTHING), (NOTHING, said(3)), (NOTHING, keys("1")), (said(5), NOTHING)
    )


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, sent: tuple[Sound, Sound]) -> Iterator[House]:
    """Two calls; in the second one the own side presses the key, and the code that confirms comes from the other."""
    folder = tmp_path_factory.mktemp("box")
    own_key = one_after_the_other(
        (pause(IDLE_S), NOTHING), (said(2), NOTHING), (keys("1"), NOTHING), (NOTHING, keys("*71"))
    )
    files = []
    for name, sides in (("kept", sent), ("not_kept", own_key)):
        files.append(folder / f"{name}.wav")
        write_wav(files[-1], tapped(*sides, leak_db=LEAK_DB))
    line = {"name": "desk", "near_channel": 0, "far_channel": 1, "ground": GROUND, "consent": "opt_in"}
    (folder / "lines.json").write_text(json.dumps([line]))
    command = (sys.executable, "-m", "tests.simulators.many_lines", str(folder))
    with House(folder / "state", files, command=command) as house:
        assert house.claim().status == 303
        yield house


@pytest.fixture(scope="module")
def call(house: House) -> str:
    ended = house.wait_for("call_ended", CALL_ENDS_WITHIN_S, kept=True)
    return str(ended["call"])


@pytest.fixture(scope="module")
def sides(house: House, call: str) -> tuple[Pcm, Pcm]:
    """The downloaded WAV, near and far."""
    with wave.open(io.BytesIO(house.download(call))) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, RATE_HZ)
        near, far = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2).T
    return near, far


def test_each_voice_is_on_its_own_channel_of_the_download(sides: tuple[Pcm, Pcm], sent: tuple[Sound, Sound]) -> None:
    for recorded, voice in zip(sides, sent, strict=True):
        found = match(recorded, sampled(voice))
        assert found.whole > 0.85, found
    # Where only one side speaks, the other channel has no more of it than the tap let through.
    lead = match(sides[0], sampled(sent[0])).lead
    first = slice(lead + 7 * RATE_HZ, lead + 11 * RATE_HZ)
    near, far = (side[first].astype(float) for side in sides)
    assert -20 < 10 * np.log10(np.mean(far**2) / np.mean(near**2)) < -12
    assert correlation(near, -far) > 0.8


def test_another_program_hears_the_same_sides_in_the_ogg(
    house: House, call: str, sides: tuple[Pcm, Pcm], tmp_path: Path
) -> None:
    decoded = decoded_ogg(house.download(call, "ogg"), tmp_path / "call.ogg").reshape(-1, 2)
    assert abs(len(decoded) - len(sides[0])) <= 1
    for side in (0, 1):
        frames = min(len(decoded), len(sides[side]))
        assert correlation(decoded[:frames, side], sides[side][:frames]) > 0.95


def test_the_page_shows_both_sides(house: House, call: str) -> None:
    page = house.ask(f"/calls/{call}").text
    assert 'data-channels="2"' in page


def test_the_own_sides_key_is_no_consent_nor_is_a_code_from_the_other_side(house: House, call: str) -> None:
    log = house.state.parent / "logs" / "recorder"

    def why() -> list[str]:
        told = [json.loads(line) for line in log.read_text("utf-8").splitlines() if line.startswith("{")]
        return [each["why"] for each in told if each["event"] == "call_not_kept"]

    until(why, CALL_ENDS_WITHIN_S)
    assert why() == ["refused"]
    until(lambda: len(house.calls()) == 2)
    (other,) = set(house.calls()) - {call}
    assert "Not recorded: no consent" in house.ask(f"/calls/{other}").text
    assert [path.name for path in (house.state / "recordings" / "finished").iterdir()] == [call]


def test_replay_tells_what_the_box_did(house: House, call: str, tmp_path: Path) -> None:
    settings = tmp_path / "linekeep.toml"
    settings.write_text(
        'state_dir = "/a"\nrun_dir = "/b"\n[recorder]\nhold_over_s = 4\n'
        '[[recorder.devices]]\nalsa = "x"\nchannels = 2\n'
        '[[recorder.lines]]\nname = "desk"\nalsa = "x"\nnear_channel = 0\nfar_channel = 1\n'
    )
    consents = {}
    for name in ("kept", "not_kept"):
        sound = house.state.parent / f"{name}.wav"
        done = run_linekeep("replay", "--json", "--settings", str(settings), str(sound))
        told = [json.loads(line) for line in done.stdout.splitlines()]
        assert {each["line"] for each in told} == {"line1"}
        consents[name] = [(each["given"], each["by"]) for each in told if each["what"] == "consent"]
        pressed = {(each["digit"], each["side"]) for each in told if each["what"] == "dtmf"}
        own = {("1", "near")} | {(digit, "far") for digit in "*71"}
        assert pressed == ({("1", "far")} if name == "kept" else own)
    assert consents == {"kept": [(True, "key")], "not_kept": [(False, "none")]}
