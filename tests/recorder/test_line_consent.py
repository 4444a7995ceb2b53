"""What becomes of a call's audio while it waits for its consent, and after the decision."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from appliance.boundary import verbs
from appliance.recorder.ear.signals import Pcm
from appliance.recorder.wall_time import WallTime
from appliance.recordings.container import Gap
from appliance.settings import ConsentMode, RecorderSettings
from appliance.sound_file import read_sound_file
from appliance.terms import RATE_HZ, CallId, ConsentBy, Direction, LineNowState, NotKept, Order
from tests.recorder.desk import LINE, OPENED_MS, Desk, MakeDesk
from tests.recorder.fake_vault import FakeVault
from tests.simulators.caller_id_tones import V23, Caller, call_setup, fsk
from tests.simulators.line_tones import as_pcm, ringing, silence, sines, white

Noise = Callable[[float, float], Pcm]
KEY_HZ = {
    "1": (697, 1209),
    "2": (697, 1336),
    "3": (697, 1477),
    "4": (770, 1209),
    "5": (770, 1336),
    "7": (852, 1209),
    "*": (941, 1209),
}
NUMBER = "03055504471"
BERLIN = ZoneInfo("Europe/Berlin")


def keys(digits: str) -> Pcm:
    parts = [part for digit in digits for part in (sines(KEY_HZ[digit], 0.1, -16), silence(0.15))]
    sound = np.concatenate([silence(0), *parts])
    return as_pcm(sound + white(len(sound), -65, np.random.default_rng(3)))


def ring(number: str = NUMBER) -> Pcm:
    """A ring, who calls, and another ring; then picked up."""
    burst = ringing(25, (1.0, 4.0), 1.0, -30, clipped=3.0)
    who = fsk(call_setup(Caller(number=number.encode())), V23) / 32768
    sound = np.concatenate((silence(1), burst, silence(1), who, silence(1.5), burst, silence(1)))
    return as_pcm(sound + white(len(sound), -65, np.random.default_rng(3)))


@pytest.fixture
def make_waiting_desk(make_desk: MakeDesk, vault: FakeVault) -> Callable[..., Desk]:
    def make(consent: ConsentMode = "opt_in", **line: object) -> Desk:
        vault.come()
        desk = make_desk(consent=consent, **line)
        desk.wait_for_key()
        return desk

    return make


def told(desk: Desk, verb: type[verbs.Request]) -> list[verbs.Request]:
    desk.vault.wait_for_beats(4)
    return [request for request in desk.vault.told if type(request) is verb]


def unrecorded(desk: Desk) -> verbs.NoteUnrecorded:
    desk.vault.wait_until(lambda: told(desk, verbs.NoteUnrecorded))
    (fact,) = told(desk, verbs.NoteUnrecorded)
    assert isinstance(fact, verbs.NoteUnrecorded)
    return fact


def test_nothing_is_on_the_disk_before_the_key_and_everything_after_it(
    make_waiting_desk: Callable[..., Desk], spoken: Pcm, noise: Noise
) -> None:
    desk = make_waiting_desk()
    desk.hear(ring())
    assert [desk.now.state] == [LineNowState.RINGING]
    rang_frames = desk.at_frame
    desk.hear(spoken)
    assert desk.folder.growing_calls() == []
    assert [desk.now.state] == [LineNowState.WAITING]
    desk.hear(np.concatenate((noise(0.5, -65), keys("1"))))
    (call,) = desk.folder.growing_calls()
    assert (desk.now.state, desk.now.call) == (LineNowState.RECORDING, call)
    desk.hear(noise(3, -65))
    assert desk.finished() == [call]
    with desk.open(call) as reader:
        opening, closing = reader.opening, reader.closing
    consent = opening.consent
    assert consent is not None
    assert consent.by is ConsentBy.KEY
    pressed_ms = OPENED_MS + (rang_frames + spoken.size + RATE_HZ // 2) * 1000 // RATE_HZ
    assert consent.at_ms == pytest.approx(pressed_ms, abs=200)
    assert (closing.direction, closing.number) == (Direction.IN, NUMBER)
    # The whole talk is in it, and nothing of the ringing.
    began = (opening.started_at_ms - OPENED_MS) * RATE_HZ // 1000
    assert rang_frames - 1.2 * RATE_HZ <= began <= rang_frames
    assert closing.frames > spoken.size


@pytest.mark.parametrize(
    ("line", "then", "why"),
    [
        ({}, "2", NotKept.REFUSED),
        ({}, "", NotKept.REFUSED),
        ({"consent_within_s": 5}, "1", NotKept.TIMED_OUT),
        ({"never_numbers": (NUMBER,)}, "1", NotKept.NUMBER_LISTED),
        ({"never_numbers": ("0305*",)}, "1", NotKept.NUMBER_LISTED),
        ({"consent": "announced", "consent_within_s": 5}, "1", NotKept.TIMED_OUT),
    ],
)
def test_without_a_yes_in_time_only_the_fact_remains(
    make_waiting_desk: Callable[..., Desk],
    spoken: Pcm,
    noise: Noise,
    line: dict[str, object],
    then: str,
    why: NotKept,
) -> None:
    desk = make_waiting_desk(**line)
    desk.hear(np.concatenate((ring(), spoken[: 8 * RATE_HZ])))
    if then:
        desk.hear(keys(then))
    desk.hear(np.concatenate((spoken[: 4 * RATE_HZ], noise(3, -65))))
    assert desk.folder.growing_calls() == []
    assert not told(desk, verbs.BeginCall)
    fact = unrecorded(desk)
    assert (fact.why, fact.direction, fact.number, fact.line) == (why, "in", NUMBER, LINE)
    assert fact.length_ms == pytest.approx(12_300, abs=1500)
    assert not held(desk).any()


def test_a_listed_number_is_known_with_a_plus_too(
    make_waiting_desk: Callable[..., Desk], spoken: Pcm, noise: Noise
) -> None:
    desk = make_waiting_desk(never_numbers=(NUMBER,))
    desk.hear(np.concatenate((ring("+49" + NUMBER[1:]), spoken[: 8 * RATE_HZ])))
    desk.hear(np.concatenate((keys("1"), spoken[: 4 * RATE_HZ], noise(3, -65))))
    assert not told(desk, verbs.BeginCall)
    fact = unrecorded(desk)
    assert (fact.why, fact.number) == (NotKept.NUMBER_LISTED, "0049" + NUMBER[1:])


def held(desk: Desk) -> Pcm:
    """All that the worker's memory of the line still holds of what lies behind the last frames."""
    kept: Pcm = desk.worker._pre_roll._kept
    recent = desk.worker._pre_roll.between(0, desk.at_frame).size
    place = desk.at_frame % kept.size
    return np.roll(kept, -place)[: kept.size - recent]


def test_while_a_refused_call_goes_on_its_audio_is_not_even_kept_in_memory(
    make_waiting_desk: Callable[..., Desk], spoken: Pcm
) -> None:
    desk = make_waiting_desk()
    desk.hear(np.concatenate((ring(), spoken, keys("2"), spoken)))
    assert desk.now.state is LineNowState.NOT_RECORDED
    assert not desk.worker._pre_roll._kept.any()


def test_lost_frames_while_waiting_are_a_doubt(
    make_waiting_desk: Callable[..., Desk], spoken: Pcm, noise: Noise
) -> None:
    desk = make_waiting_desk()
    desk.hear(np.concatenate((ring(), spoken)))
    desk.lose(100)
    desk.hear(np.concatenate((keys("1"), spoken, noise(3, -65))))
    assert unrecorded(desk).why is NotKept.DOUBT
    assert desk.folder.growing_calls() == []


def test_a_number_with_a_standing_consent_is_recorded_from_its_beginning(
    make_waiting_desk: Callable[..., Desk], spoken: Pcm
) -> None:
    desk = make_waiting_desk(always_numbers=("0305550*",))
    desk.hear(np.concatenate((ring(), spoken)))
    assert desk.now.state is LineNowState.RECORDING


@pytest.mark.parametrize(
    ("opened", "quiet_s", "why"),
    [
        ("17:59:30", 40, NotKept.PRIVATE),
        ("18:59:30", 40, None),
        # A call is known half a second after its first word; what counts is that word.
        ("17:59:30", 29.8, None),
        ("18:59:30", 29.8, NotKept.PRIVATE),
    ],
)
def test_a_call_is_private_if_it_begins_in_private_hours_by_the_clock_on_the_wall(
    make_waiting_desk: Callable[..., Desk], spoken: Pcm, noise: Noise, opened: str, quiet_s: float, why: NotKept | None
) -> None:
    desk = make_waiting_desk(
        "duty", private=("18:00-19:00",), local_time=lambda at_ms: datetime.fromtimestamp(at_ms / 1000, BERLIN)
    )
    opened_ms = int(datetime.fromisoformat(f"2027-01-15T{opened}").replace(tzinfo=BERLIN).timestamp()) * 1000
    desk.worker.open(WallTime(opened_ms))
    desk.hear(np.concatenate((noise(quiet_s, -65), spoken, noise(4, -65))))
    if why is None:
        assert desk.finished() == desk.folder.growing_calls() != []
        assert not told(desk, verbs.NoteUnrecorded)
    else:
        fact = unrecorded(desk)
        assert (fact.why, fact.started_at_ms) == (why, opened_ms + quiet_s * 1000)
        assert desk.folder.growing_calls() == []


def test_the_own_side_confirms_by_a_code_or_from_the_page(
    make_waiting_desk: Callable[..., Desk], spoken: Pcm, noise: Noise
) -> None:
    desk = make_waiting_desk()
    desk.hear(np.concatenate((ring(), spoken, keys("*71"), spoken[: 2 * RATE_HZ], noise(4, -65))))
    (call,) = desk.finished()
    with desk.open(call) as reader:
        assert reader.opening.consent is not None
        assert reader.opening.consent.by is ConsentBy.AGENT
    desk.hear(np.concatenate((ring(), spoken)))
    desk.vault.order(LINE, Order.CONFIRM, desk.now.started_at_ms)
    desk.vault.wait_for_beats(4)
    desk.hear(spoken[: 2 * RATE_HZ])
    assert desk.now.state is LineNowState.RECORDING


def test_what_is_said_in_a_pause_is_not_recorded_and_the_pause_is_listed(
    make_waiting_desk: Callable[..., Desk], spoken: Pcm, noise: Noise
) -> None:
    desk = make_waiting_desk("duty")
    desk.hear(np.concatenate((spoken, keys("*72"))))
    paused = desk.at_frame
    desk.hear(spoken)
    assert desk.now.state is LineNowState.PAUSED
    desk.hear(keys("*73"))
    resumed = desk.at_frame
    desk.hear(np.concatenate((spoken, noise(4, -65))))
    (call,) = desk.finished()
    with desk.open(call) as reader:
        closing = reader.closing
        began = (reader.opening.started_at_ms - OPENED_MS) * RATE_HZ // 1000
    (gap,) = closing.gaps
    assert gap.why == "paused"
    # From the last key of the one code to the last key of the other.
    assert began + gap.at_frame == pytest.approx(paused, abs=0.3 * RATE_HZ)
    assert began + gap.at_frame + gap.frames == pytest.approx(resumed, abs=0.3 * RATE_HZ)
    assert closing.frames > 3 * spoken.size
    reports = [report for report in told(desk, verbs.ReportGap) if isinstance(report, verbs.ReportGap)]
    assert {(report.at_frame, report.why) for report in reports} == {(gap.at_frame, gap.why)}
    grows = [report.frames for report in reports]
    assert grows == sorted(set(grows))
    assert grows[-1] == gap.frames
    assert all(longer - before <= 3 * RATE_HZ for before, longer in pairwise([0, *grows])), "a cut would hide the pause"


def test_a_pause_in_a_call_that_was_forgotten_is_no_pause_of_the_next_one(
    make_waiting_desk: Callable[..., Desk], spoken: Pcm, noise: Noise
) -> None:
    desk = make_waiting_desk("duty")
    desk.hear(np.concatenate((spoken, keys("*72"), spoken, keys("*74"), noise(20, -65))))
    assert desk.finished() == []
    before = len(told(desk, verbs.ReportGap))
    assert before > 0
    desk.hear(np.concatenate((ring(), spoken, noise(20, -65))))
    assert len(desk.finished()) == 1
    assert len(told(desk, verbs.ReportGap)) == before


def test_a_pause_that_was_asked_for_before_the_consent_is_not_recorded_either(
    make_waiting_desk: Callable[..., Desk], spoken: Pcm, noise: Noise
) -> None:
    desk = make_waiting_desk()
    desk.hear(np.concatenate((ring(), spoken[: 4 * RATE_HZ], keys("*72"))))
    paused = desk.at_frame
    desk.hear(np.concatenate((spoken, keys("*73"))))
    resumed = desk.at_frame
    desk.hear(np.concatenate((spoken[: 3 * RATE_HZ], keys("1"), spoken[: 3 * RATE_HZ], noise(4, -65))))
    (call,) = desk.finished()
    with desk.open(call) as reader:
        (gap,) = reader.closing.gaps
        began = (reader.opening.started_at_ms - OPENED_MS) * RATE_HZ // 1000
    # From the first key of the one code to the last key of the other.
    assert began + gap.at_frame == pytest.approx(paused - 0.75 * RATE_HZ, abs=0.2 * RATE_HZ)
    assert began + gap.at_frame + gap.frames == pytest.approx(resumed, abs=0.3 * RATE_HZ)


def test_a_call_that_ends_in_a_pause_lists_it_to_its_end(
    make_waiting_desk: Callable[..., Desk], spoken: Pcm, noise: Noise
) -> None:
    desk = make_waiting_desk("duty")
    desk.hear(np.concatenate((spoken, keys("*72"), spoken, noise(6, -65))))
    (call,) = desk.finished()
    with desk.open(call) as reader:
        (gap,) = reader.closing.gaps
        assert gap.at_frame + gap.frames == reader.closing.frames


def test_a_pause_goes_on_in_the_next_part_of_a_long_call(
    make_waiting_desk: Callable[..., Desk], spoken: Pcm, noise: Noise, tmp_path: Path
) -> None:
    desk = make_waiting_desk("duty", settings=RecorderSettings(hold_over_s=2, longest_call_s=60))
    desk.hear(np.concatenate((spoken, keys("*72"), np.tile(spoken, 6)[: 55 * RATE_HZ], keys("*73"))))
    resumed = desk.at_frame
    desk.hear(np.concatenate((spoken, noise(4, -65))))
    first, second = desk.finished()
    with desk.open(first) as reader:
        (gap,) = reader.closing.gaps
        assert gap.at_frame + gap.frames == reader.closing.frames == 60 * RATE_HZ
    with desk.open(second) as reader:
        (gap,) = reader.closing.gaps
        (tmp_path / "second.ogg").write_bytes(reader.read_audio(0, reader.audio_bytes))
    assert (gap.at_frame, gap.why) == (0, "paused")
    assert gap.frames == pytest.approx(resumed - 60 * RATE_HZ, abs=0.3 * RATE_HZ)
    sound = read_sound_file(tmp_path / "second.ogg")[:, 0]
    assert np.abs(sound[: gap.frames - RATE_HZ // 10]).max() < 100 < np.abs(sound[gap.frames :]).max()


def test_a_call_that_is_to_be_forgotten_is_dropped_while_it_runs(
    make_waiting_desk: Callable[..., Desk], spoken: Pcm, noise: Noise
) -> None:
    desk = make_waiting_desk("duty")
    desk.hear(spoken)
    (call,) = desk.folder.growing_calls()
    desk.hear(np.concatenate((keys("*74"), spoken, noise(4, -65))))
    (drop,) = told(desk, verbs.DropCall)
    assert drop == verbs.DropCall(call=call, why=NotKept.FORGOTTEN)
    assert not told(desk, verbs.FinishCall)
    assert not told(desk, verbs.NoteUnrecorded)
    assert desk.folder.growing_path(call).stat().st_size == 1024  # its opening, and no audio


def asked(desk: Desk) -> list[CallId]:
    return [each.call for each in told(desk, verbs.AskToKeep) if isinstance(each, verbs.AskToKeep)]


@pytest.mark.parametrize("way", ["code", "page"])
def test_a_recorded_call_is_asked_to_be_kept_longer_once(
    make_waiting_desk: Callable[..., Desk], spoken: Pcm, noise: Noise, way: str
) -> None:
    desk = make_waiting_desk("duty")
    desk.hear(spoken)
    (call,) = desk.folder.growing_calls()
    assert not desk.now.keep_asked
    for _ in range(2):
        if way == "page":
            desk.vault.order(LINE, Order.KEEP, desk.now.started_at_ms)
            desk.vault.wait_for_beats(4)
        desk.hear(np.concatenate((keys("*75" if way == "code" else ""), spoken[: 2 * RATE_HZ])))
        assert (desk.now.state, desk.now.keep_asked) == (LineNowState.RECORDING, True)
    desk.hear(noise(4, -65))
    assert asked(desk) == [call] == desk.finished()
    assert not desk.now.keep_asked
    desk.hear(np.concatenate((spoken, noise(4, -65))))  # the next call
    assert len(desk.finished()) == 2
    assert asked(desk) == [call]


def test_what_was_asked_while_a_call_waited_holds_for_its_recording(
    make_waiting_desk: Callable[..., Desk], spoken: Pcm, noise: Noise
) -> None:
    desk = make_waiting_desk()
    desk.hear(np.concatenate((ring(), spoken, keys("*75"))))
    assert (desk.now.state, desk.now.keep_asked, asked(desk)) == (LineNowState.WAITING, True, [])
    desk.hear(np.concatenate((spoken[: 3 * RATE_HZ], keys("1"), spoken[: 3 * RATE_HZ], noise(4, -65))))
    assert asked(desk) == desk.finished()
    verbs_told = [type(each) for each in desk.vault.told]
    assert verbs_told.index(verbs.BeginCall) < verbs_told.index(verbs.AskToKeep)


def test_every_part_of_a_long_call_from_then_on_is_asked_to_be_kept(
    make_waiting_desk: Callable[..., Desk], spoken: Pcm, noise: Noise
) -> None:
    desk = make_waiting_desk("duty", settings=RecorderSettings(hold_over_s=2, longest_call_s=60))
    desk.hear(np.concatenate((spoken, keys("*75"), np.tile(spoken, 8)[: 60 * RATE_HZ], noise(4, -65))))
    assert asked(desk) == desk.finished()
    assert len(asked(desk)) == 2


@pytest.mark.parametrize("codes", ["*75", "*75*74", "*74*75"])
def test_a_call_that_is_refused_or_forgotten_is_kept_by_no_request(
    make_waiting_desk: Callable[..., Desk], spoken: Pcm, noise: Noise, codes: str
) -> None:
    desk = make_waiting_desk("opt_in" if codes == "*75" else "duty")
    desk.hear(np.concatenate((ring(), spoken, keys(codes), spoken[: 3 * RATE_HZ])))
    if codes == "*75":
        desk.hear(np.concatenate((keys("2"), spoken[: 2 * RATE_HZ])))
    assert (desk.now.state, desk.now.keep_asked) == (LineNowState.NOT_RECORDED, False)
    desk.hear(noise(4, -65))
    assert not told(desk, verbs.FinishCall)
    order = [type(each) for each in desk.vault.told if type(each) in (verbs.AskToKeep, verbs.DropCall)]
    assert order == {"*75": [], "*75*74": [verbs.AskToKeep, verbs.DropCall], "*74*75": [verbs.DropCall]}[codes]


def test_nobody_answers_and_nothing_but_that_is_told(make_waiting_desk: Callable[..., Desk], noise: Noise) -> None:
    desk = make_waiting_desk()
    desk.hear(np.concatenate((ring(), noise(12, -65))))
    fact = unrecorded(desk)
    assert (fact.why, fact.number) == (NotKept.MISSED, NUMBER)
    assert desk.now.state is LineNowState.IDLE


def test_of_a_waiting_call_that_is_to_be_forgotten_no_number_is_told(
    make_waiting_desk: Callable[..., Desk], spoken: Pcm, noise: Noise
) -> None:
    desk = make_waiting_desk(unrecorded_numbers=True)
    desk.hear(np.concatenate((ring(), spoken)))
    assert desk.worker._watch.party.number == NUMBER
    desk.hear(np.concatenate((keys("*74"), spoken[: 3 * RATE_HZ], noise(4, -65))))
    fact = unrecorded(desk)
    assert (fact.why, fact.number) == (NotKept.FORGOTTEN, "")


def test_a_number_that_is_not_to_be_kept_is_not_told(make_waiting_desk: Callable[..., Desk], noise: Noise) -> None:
    desk = make_waiting_desk(unrecorded_numbers=False)
    desk.hear(np.concatenate((ring(), noise(12, -65))))
    assert unrecorded(desk).number == ""


def test_a_line_that_is_never_recorded_is_not_even_followed(
    make_waiting_desk: Callable[..., Desk], spoken: Pcm, noise: Noise
) -> None:
    desk = make_waiting_desk("never")
    desk.hear(np.concatenate((ring(), spoken, keys("1"), spoken, noise(4, -65))))
    assert desk.folder.growing_calls() == []
    assert not told(desk, verbs.NoteUnrecorded)


def test_what_is_lost_between_two_parts_of_a_call_is_a_gap_at_the_beginning_of_the_second(
    make_waiting_desk: Callable[..., Desk], spoken: Pcm, noise: Noise
) -> None:
    desk = make_waiting_desk("duty", settings=RecorderSettings(hold_over_s=2, longest_call_s=60))
    desk.hear(np.tile(spoken, 8)[: 60 * RATE_HZ])
    (first,) = desk.finished()
    assert desk.now.call is None
    desk.lose(1234)
    desk.hear(np.concatenate((spoken, noise(4, -65))))
    _, second = desk.finished()
    with desk.open(first) as reader:
        assert (reader.closing.frames, reader.closing.gaps) == (60 * RATE_HZ, ())
    with desk.open(second) as reader:
        assert reader.closing.gaps == (Gap(at_frame=0, frames=1234, why="overrun"),)
