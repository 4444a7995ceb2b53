"""A line whose sides are apart, from the settings to the recording: what each side may do, and where its voice is."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from appliance.boundary import verbs
from appliance.recorder.ear.signals import Pcm
from appliance.recordings.opus import OpusDecoder
from appliance.settings import ConsentMode
from appliance.sound_file import write_wav
from appliance.terms import BLOCK_FRAMES, RATE_HZ, ConsentBy, Direction, LineNowState, NotKept, Order
from tests.recorder.desk import LINE, OPENED_MS, Desk, MakeDesk
from tests.recorder.fake_vault import FakeVault
from tests.simulators.caller_id_tones import V23, Caller, call_setup, fsk
from tests.simulators.key_tones import Sender, Sound
from tests.simulators.line_tones import ringing
from tests.simulators.two_sides import tapped

NUMBER = "03055504471"
SENDER = Sender(tone_ms=100, pause_ms=150, level_dbm0=-13)
NOTHING = np.zeros(0)


def keys(digits: str) -> Sound:
    sound, _pressed = SENDER.press(digits, np.random.default_rng(5))
    return sound


def pause(seconds: float) -> Sound:
    return np.zeros(round(seconds * RATE_HZ))


def ring() -> Sound:
    """A ring, who calls, and another ring, all from the exchange; then picked up."""
    burst = ringing(25, (1.0, 4.0), 1.0, -30, clipped=3.0) * 32768
    who = fsk(call_setup(Caller(number=NUMBER.encode())), V23)
    return np.concatenate((pause(1), burst, pause(1), who, pause(1.5), burst, pause(1)))


@pytest.fixture
def near_voice(spoken: Pcm) -> Sound:
    return spoken[: 5 * RATE_HZ].astype(np.float64)


@pytest.fixture
def far_voice(spoken: Pcm) -> Sound:
    return spoken[5 * RATE_HZ : 10 * RATE_HZ].astype(np.float64) / 2


MakeLine = Callable[..., Desk]


@pytest.fixture
def make_line(make_desk: MakeDesk, vault: FakeVault) -> MakeLine:
    def make(consent: ConsentMode = "opt_in", **line: object) -> Desk:
        vault.come()
        desk = make_desk(consent=consent, near_channel=0, far_channel=1, **line)
        desk.wait_for_key()
        return desk

    return make


def told(desk: Desk, verb: type[verbs.Request]) -> list[verbs.Request]:
    desk.vault.wait_for_beats(4)
    return [request for request in desk.vault.told if type(request) is verb]


def why_not_kept(desk: Desk) -> NotKept:
    desk.vault.wait_until(lambda: told(desk, verbs.NoteUnrecorded))
    (fact,) = told(desk, verbs.NoteUnrecorded)
    assert isinstance(fact, verbs.NoteUnrecorded)
    return fact.why


def asked(desk: Desk, near: Sound, far: Sound) -> None:
    """It rings, somebody answers and asks; then this comes from each side."""
    desk.hear(tapped(NOTHING, ring(), leak_db=-20))
    desk.hear(tapped(near, NOTHING))
    desk.hear(tapped(NOTHING, far))
    assert desk.now.state is LineNowState.WAITING


def test_the_far_sides_key_agrees_and_each_voice_is_on_its_own_channel(
    make_line: MakeLine, near_voice: Sound, far_voice: Sound
) -> None:
    desk = make_line()
    asked(desk, near_voice, far_voice)
    desk.hear(tapped(NOTHING, keys("1")))
    assert desk.now.state is LineNowState.RECORDING
    desk.hear(tapped(near_voice, NOTHING))
    desk.hear(tapped(pause(4), NOTHING))
    (call,) = desk.finished()
    with desk.open(call) as reader:
        reader.verify()
        opening, closing = reader.opening, reader.closing
        audio = OpusDecoder().feed(reader.read_audio(0, reader.audio_bytes))
    assert opening.channels == 2
    assert opening.consent is not None
    assert opening.consent.by is ConsentBy.KEY
    assert closing.number == NUMBER
    assert audio.shape == (closing.frames, 2)
    columns = np.frombuffer(base64.b64decode(closing.peaks), np.int8).reshape(-1, 2, 2)
    assert len(columns) == -(-closing.frames // BLOCK_FRAMES)
    began = (opening.started_at_ms - OPENED_MS) * RATE_HZ // 1000
    answered = len(ring()) // BLOCK_FRAMES * BLOCK_FRAMES - began
    heard = slice(answered + RATE_HZ, answered + 4 * RATE_HZ), slice(answered + 6 * RATE_HZ, answered + 9 * RATE_HZ)
    for side, sent in enumerate((near_voice, far_voice)):
        speaks, listens = audio[heard[side], side], audio[heard[side], 1 - side]
        assert np.corrcoef(speaks, sent[RATE_HZ : 4 * RATE_HZ])[0, 1] > 0.85
        # The tap leaks by 10 dB, and the codec adds nothing that matters to that.
        assert 8 < 10 * np.log10(np.mean(speaks.astype(float) ** 2) / np.mean(listens.astype(float) ** 2)) < 12.5


@pytest.mark.parametrize(
    ("near", "far", "state"),
    [
        ("", "1", LineNowState.RECORDING),
        ("1", "", LineNowState.WAITING),
        ("1", "1", LineNowState.WAITING),
        ("", "2", LineNowState.NOT_RECORDED),
        ("2", "", LineNowState.WAITING),
        ("2", "2", LineNowState.NOT_RECORDED),
        ("*71", "", LineNowState.RECORDING),
        ("", "*71", LineNowState.WAITING),
        ("*71", "*71", LineNowState.WAITING),
        ("*74", "", LineNowState.NOT_RECORDED),
        ("", "*74", LineNowState.WAITING),
        ("", "*72", LineNowState.WAITING),
    ],
)
def test_each_side_can_say_only_what_is_its_own_to_say(
    make_line: MakeLine, near_voice: Sound, far_voice: Sound, near: str, far: str, state: LineNowState
) -> None:
    """The far one agrees and refuses, the near one orders; where nobody knows which it was, only a refusal counts."""
    desk = make_line()
    asked(desk, near_voice, far_voice)
    desk.hear(tapped(*(keys(digits) if digits else NOTHING for digits in (near, far)), leak_db=-8))
    desk.hear(tapped(pause(0.5), NOTHING))
    assert desk.now.state is state


def test_an_echo_of_the_own_sides_key_from_the_other_end_is_no_consent(
    make_line: MakeLine, near_voice: Sound, far_voice: Sound
) -> None:
    desk = make_line()
    asked(desk, near_voice, far_voice)
    desk.hear(tapped(keys("1"), np.concatenate((pause(0.3), keys("1") / 3))))
    desk.hear(tapped(near_voice, NOTHING))
    assert desk.now.state is LineNowState.WAITING
    desk.hear(tapped(pause(4), NOTHING))
    assert why_not_kept(desk) is NotKept.REFUSED
    assert desk.folder.growing_calls() == []


def test_a_refused_call_leaves_nothing_of_either_side_in_memory(
    make_line: MakeLine, near_voice: Sound, far_voice: Sound
) -> None:
    desk = make_line()
    asked(desk, near_voice, far_voice)
    desk.hear(tapped(NOTHING, keys("2")))
    desk.hear(tapped(near_voice, far_voice))
    assert desk.now.state is LineNowState.NOT_RECORDED
    assert desk.worker._pre_roll._kept.shape[1] == 2
    assert not desk.worker._pre_roll._kept.any()
    assert desk.folder.growing_calls() == []


@pytest.mark.parametrize(("side", "pauses"), [(0, True), (1, False)])
def test_only_the_near_side_pauses_a_recording_and_then_neither_is_heard(
    make_line: MakeLine, near_voice: Sound, far_voice: Sound, side: int, *, pauses: bool
) -> None:
    desk = make_line("duty")

    def press(digits: str) -> None:
        sides = (keys(digits), NOTHING)
        desk.hear(tapped(*(sides if side == 0 else sides[::-1])))

    desk.hear(tapped(near_voice, NOTHING))
    press("*72")
    desk.hear(tapped(near_voice, far_voice))
    press("*73")
    desk.hear(tapped(NOTHING, far_voice))
    desk.hear(tapped(pause(4), NOTHING))
    (call,) = desk.finished()
    with desk.open(call) as reader:
        audio, gaps = OpusDecoder().feed(reader.read_audio(0, reader.audio_bytes)), reader.closing.gaps
    assert [gap.why for gap in gaps] == (["paused"] if pauses else [])
    for gap in gaps:
        assert gap.frames > 5 * RATE_HZ
        assert np.abs(audio[gap.at_frame + 400 : gap.at_frame + gap.frames - 400]).max() < 100


def test_lost_frames_are_silence_on_both_sides(make_line: MakeLine, near_voice: Sound, far_voice: Sound) -> None:
    desk = make_line("duty")
    desk.hear(tapped(near_voice, far_voice))
    desk.lose(RATE_HZ)
    desk.hear(tapped(near_voice, far_voice))
    desk.hear(tapped(pause(4), NOTHING))
    (call,) = desk.finished()
    with desk.open(call) as reader:
        reader.verify()
        audio, (gap,) = OpusDecoder().feed(reader.read_audio(0, reader.audio_bytes)), reader.closing.gaps
    assert gap.frames == RATE_HZ
    assert len(audio) == reader.closing.frames
    assert np.abs(audio[gap.at_frame + 400 : gap.at_frame + gap.frames - 400]).max() < 100


@pytest.mark.parametrize("side", [0, 1])
def test_an_announcement_counts_from_whichever_side_it_is_heard(
    make_line: MakeLine, tmp_path: Path, near_voice: Sound, far_voice: Sound, side: int
) -> None:
    write_wav(tmp_path / "announcement.wav", near_voice.astype(np.int16)[:, np.newaxis])
    desk = make_line("announced", announcement=str(tmp_path / "announcement.wav"))
    desk.hear(tapped(NOTHING, ring(), leak_db=-20))
    sides = (near_voice, NOTHING)
    desk.hear(tapped(*(sides if side == 0 else sides[::-1])))
    desk.hear(tapped(NOTHING, far_voice))
    assert desk.now.state is LineNowState.RECORDING
    desk.hear(tapped(pause(4), NOTHING))
    (call,) = desk.finished()
    with desk.open(call) as reader:
        assert reader.opening.consent is not None
        assert reader.opening.consent.by is ConsentBy.ANNOUNCEMENT


def test_the_number_is_what_the_own_side_dials_and_not_what_the_other_one_presses(
    make_line: MakeLine, near_voice: Sound, far_voice: Sound
) -> None:
    desk = make_line("duty")
    desk.hear(tapped(keys("0301234"), NOTHING))
    desk.hear(tapped(pause(1), NOTHING))
    desk.hear(tapped(NOTHING, far_voice))
    desk.hear(tapped(near_voice[: len(keys("99"))], keys("99"), leak_db=-20))
    desk.hear(tapped(near_voice, NOTHING))
    desk.hear(tapped(pause(4), NOTHING))
    # Nobody was heard to pick up: what is pressed in the first seconds would be the number.
    desk.hear(tapped(near_voice[: 2 * RATE_HZ], NOTHING))
    desk.hear(tapped(near_voice[: len(keys("55"))], keys("55"), leak_db=-20))
    desk.hear(tapped(near_voice, NOTHING))
    desk.hear(tapped(pause(4), NOTHING))
    numbers = []
    for call in desk.finished():
        with desk.open(call) as reader:
            numbers.append((reader.closing.direction, reader.closing.number))
    assert numbers == [(Direction.OUT, "0301234"), (Direction.UNKNOWN, "")]


def test_the_page_orders_whatever_the_sides_say(make_line: MakeLine, near_voice: Sound, far_voice: Sound) -> None:
    desk = make_line()
    asked(desk, near_voice, far_voice)
    desk.vault.order(LINE, Order.CONFIRM, desk.now.started_at_ms)
    desk.vault.wait_for_beats(4)
    desk.hear(tapped(near_voice, NOTHING))
    assert desk.now.state is LineNowState.RECORDING
