"""One line, from samples to a recording that the reader opens; keys come from a vault on a real socket."""

from __future__ import annotations

import base64
from collections.abc import Callable

import numpy as np
import pytest

from appliance.boundary import verbs
from appliance.recorder.ear.countries import COUNTRIES, Tone
from appliance.recorder.ear.signals import Pcm
from appliance.recorder.line_worker import NO_GROUND
from appliance.recorder.wall_time import WallTime
from appliance.recordings.container import EndReason, Gap
from appliance.recordings.opus import OpusDecoder
from appliance.recordings.reader import RecordingReader
from appliance.settings import RecorderSettings
from appliance.terms import BLOCK_FRAMES, RATE_HZ, ConsentBy, Direction
from tests.recorder.desk import GROUND, LINE, OPENED_MS, Desk, MakeDesk
from tests.recorder.fake_vault import FakeVault
from tests.simulators.caller_id_tones import V23, Caller, call_setup, fsk
from tests.simulators.line_tones import Sound, as_pcm, silence, sines, tone

Noise = Callable[[float, float], Pcm]


def decoded(reader: RecordingReader) -> Pcm:
    decoder = OpusDecoder()
    return decoder.feed(reader.read_audio(0, reader.audio_bytes))


def alike(recorded: Pcm, said: Pcm) -> float:
    """How well the envelopes agree, 20 ms by 20 ms; 1 is exactly."""
    steps = min(recorded.size, said.size) // 160
    one, two = (
        np.sqrt(np.mean(samples[: steps * 160].astype(float).reshape(steps, 160) ** 2, axis=1))
        for samples in (recorded, said)
    )
    return float(np.corrcoef(one, two)[0, 1])


def test_a_call_becomes_a_recording_with_its_pre_roll(desk: Desk, spoken: Pcm, noise: Noise) -> None:
    desk.hear(noise(5, -65))
    desk.hear(spoken)
    desk.hear(noise(4, -65))
    (call,) = desk.finished()
    with desk.open(call) as reader:
        reader.verify()
        opening, closing, audio = reader.opening, reader.closing, decoded(reader)
    began = (opening.started_at_ms - OPENED_MS) * RATE_HZ // 1000
    # Two seconds before the first block of speech, and the onset rounded up to a block.
    assert 5 * RATE_HZ - began in {2 * RATE_HZ + 2 * BLOCK_FRAMES, 2 * RATE_HZ + BLOCK_FRAMES}
    assert (opening.line, opening.ground, opening.software) == (LINE, GROUND, "linekeep test")
    assert (opening.format, opening.channels) == (3, 1)
    assert opening.consent is not None
    assert opening.consent.by is ConsentBy.DUTY
    # Where somebody first speaks.
    assert opening.consent.at_ms == pytest.approx(OPENED_MS + 5000, abs=200)
    assert closing.ended is EndReason.SILENCE
    assert closing.frames == audio.size
    assert closing.gaps == ()
    assert closing.ended_at_ms == opening.started_at_ms + closing.frames // 8
    columns = np.frombuffer(base64.b64decode(closing.peaks), np.int8).reshape(-1, 2)
    assert len(columns) == -(-closing.frames // BLOCK_FRAMES)
    assert columns[:15].max() <= 1  # the quiet pre-roll
    assert columns.max() == spoken.max() >> 8
    said = np.concatenate(desk.said)[began : began + audio.size]
    assert alike(audio, said) > 0.95
    assert desk.vault.told.index(
        verbs.BeginCall(call=call, line=LINE, started_at_ms=opening.started_at_ms)
    ) < desk.vault.told.index(verbs.FinishCall(call=call))


def test_an_idle_line_leaves_nothing_on_the_disk(desk: Desk, noise: Noise) -> None:
    desk.hear(noise(30, -62))
    assert desk.folder.growing_calls() == []
    assert desk.now.level_dbfs == pytest.approx(-62, abs=2)
    assert desk.now.trouble == ""


def test_the_running_call_is_on_the_board_and_gone_afterwards(desk: Desk, spoken: Pcm, noise: Noise) -> None:
    desk.hear(spoken)
    now = desk.now
    assert now.call in desk.vault.keys
    assert now.started_at_ms == OPENED_MS
    desk.hear(noise(4, -65))
    assert desk.now.call is None


def test_every_second_of_a_running_call_is_on_the_disk(desk: Desk, spoken: Pcm) -> None:
    desk.hear(spoken[: 5 * RATE_HZ])
    call = desk.now.call
    assert call is not None
    held = desk.folder.growing_path(call).stat().st_size
    assert held >= 2052 * 4  # four whole pages but for less than a segment


def test_a_line_without_a_ground_is_heard_but_never_recorded(
    make_desk: MakeDesk, vault: FakeVault, spoken: Pcm
) -> None:
    vault.come()
    desk = make_desk(ground="  ")
    desk.hear(spoken)
    assert desk.folder.growing_calls() == []
    assert desk.now.level_dbfs > -40
    assert desk.now.trouble == NO_GROUND
    desk.worker.close(EndReason.STOPPED, "")
    assert desk.finished() == []


def test_lost_frames_are_silence_in_the_audio_and_listed(desk: Desk, spoken: Pcm, noise: Noise) -> None:
    desk.hear(spoken[: 4 * RATE_HZ])
    desk.lose(1000)
    desk.lose(601)
    desk.hear(spoken[4 * RATE_HZ : 8 * RATE_HZ])
    desk.lose(RATE_HZ, "dropout")
    desk.hear(noise(4, -65))
    (call,) = desk.finished()
    with desk.open(call) as reader:
        closing, audio = reader.closing, decoded(reader)
    assert closing.gaps == (
        Gap(at_frame=4 * RATE_HZ, frames=1601, why="overrun"),
        Gap(at_frame=8 * RATE_HZ + 1601, frames=RATE_HZ, why="dropout"),
    )
    assert closing.frames == audio.size
    assert np.abs(audio[8 * RATE_HZ + 2000 : 9 * RATE_HZ]).max() < 200
    assert alike(audio, np.concatenate(desk.said)) > 0.95
    told = [request for request in desk.vault.told if isinstance(request, verbs.ReportGap)]
    assert [(gap.at_frame, gap.frames, gap.why) for gap in told] == [
        (4 * RATE_HZ, 1000, "overrun"),
        (4 * RATE_HZ + 1000, 601, "overrun"),
        (8 * RATE_HZ + 1601, RATE_HZ, "dropout"),
    ]


def test_a_minute_lost_at_once_ends_the_call_where_it_begins(desk: Desk, spoken: Pcm) -> None:
    desk.hear(spoken[: 4 * RATE_HZ])
    desk.lose(61 * RATE_HZ)
    desk.wait_for_key()
    desk.hear(spoken[: 4 * RATE_HZ])
    (call,) = desk.finished()
    with desk.open(call) as reader:
        assert reader.closing.ended is EndReason.DEVICE_LOST
        assert reader.closing.frames == 4 * RATE_HZ
        assert reader.closing.gaps == ()
    assert desk.now.started_at_ms == OPENED_MS + 65_000


def test_frames_lost_before_a_call_shorten_its_pre_roll_only(desk: Desk, spoken: Pcm, noise: Noise) -> None:
    desk.hear(noise(3, -65))
    desk.lose(800)
    desk.hear(noise(1, -65))
    desk.hear(spoken[: 2 * RATE_HZ])
    assert desk.now.started_at_ms == OPENED_MS + 3100


def test_a_lost_device_ends_the_call_whole_and_shows_why(desk: Desk, spoken: Pcm) -> None:
    desk.hear(spoken[: 3 * RATE_HZ])
    desk.worker.close(EndReason.DEVICE_LOST, "The sound device is gone.")
    (call,) = desk.finished()
    with desk.open(call) as reader:
        reader.verify()
        assert reader.closing.ended is EndReason.DEVICE_LOST
        assert reader.closing.frames == 3 * RATE_HZ
    assert desk.now.trouble == "The sound device is gone."
    assert desk.now.level_dbfs == -100


def test_after_the_device_is_back_a_new_call_begins_at_its_first_frame(desk: Desk, spoken: Pcm, noise: Noise) -> None:
    desk.hear(spoken[: 3 * RATE_HZ])
    desk.worker.close(EndReason.DEVICE_LOST, "The sound device is gone.")
    desk.wait_for_key()
    desk.worker.open(WallTime(OPENED_MS + 60_000))
    assert desk.now.trouble == ""
    desk.at_frame = 0
    desk.hear(spoken[: 3 * RATE_HZ])
    assert desk.now.started_at_ms == OPENED_MS + 60_000


def test_the_longest_call_goes_on_in_the_next_without_a_missing_frame(
    make_desk: MakeDesk, vault: FakeVault, spoken: Pcm, noise: Noise
) -> None:
    vault.come()
    desk = make_desk(settings=RecorderSettings(hold_over_s=2, longest_call_s=60))
    desk.wait_for_key()
    desk.hear(np.tile(spoken, 6)[: 59 * RATE_HZ])
    desk.wait_for_key()
    desk.hear(np.tile(spoken, 6)[: 3 * RATE_HZ])
    desk.hear(noise(4, -65))
    first, second = desk.finished()
    with desk.open(first) as one, desk.open(second) as two:
        assert one.closing.ended is EndReason.LONGEST
        assert two.opening.started_at_ms == OPENED_MS + one.closing.frames // 8


def german_tone(name: str, cadence_s: tuple[float, ...]) -> Tone:
    return next(t for t in COUNTRIES["de"].tones if t.name == name and t.cadence_s == cadence_s)


def on_the_line(noise: Noise, sound: Sound, level_dbfs: float = -65) -> Pcm:
    """What an exchange sends, on a line with its own noise, in whole blocks."""
    samples = np.pad(as_pcm(sound), (0, -len(sound) % BLOCK_FRAMES))
    hiss = noise(samples.size / RATE_HZ, level_dbfs)
    return (samples[: hiss.size].astype(np.int32) + hiss).clip(-32768, 32767).astype(np.int16)


def test_an_incoming_call_has_its_number_and_ends_with_the_busy_tone(desk: Desk, spoken: Pcm, noise: Noise) -> None:
    desk.hear(on_the_line(noise, np.concatenate((silence(2), fsk(call_setup(Caller(number=b"03055504471")), V23)))))
    desk.hear(noise(1, -65))
    desk.hear(spoken)
    busy = tone(german_tone("busy", (0.48, 0.48)), 10, -20)
    desk.hear(on_the_line(noise, np.concatenate((silence(0.5), busy))))
    desk.hear(noise(4, -65))
    (call,) = desk.finished()
    noted = [told for told in desk.vault.told if isinstance(told, verbs.NoteParty)]
    assert noted[-1] == verbs.NoteParty(call=call, direction="in", number="03055504471")
    with desk.open(call) as reader:
        closing = reader.closing
    assert closing.ended is EndReason.HUNG_UP
    assert (closing.direction, closing.number) == (Direction.IN, "03055504471")


def test_an_outgoing_call_has_the_number_that_was_dialled(desk: Desk, spoken: Pcm, noise: Noise) -> None:
    one, two = sines((697, 1209), 0.1, -16), sines((697, 1336), 0.1, -16)
    dialled = [part for key in (one, two, one, one) for part in (key, silence(0.15))]
    dial = tone(german_tone("dial", ()), 3, -20)
    desk.hear(on_the_line(noise, np.concatenate((silence(2), dial, silence(0.4), *dialled, silence(1)))))
    desk.hear(spoken)
    desk.hear(noise(4, -65))
    calls = desk.finished()
    noted = [told for told in desk.vault.told if isinstance(told, verbs.NoteParty)]
    assert noted[-1] == verbs.NoteParty(call=calls[-1], direction="out", number="1211")
    with desk.open(calls[-1]) as reader:
        assert (reader.closing.direction, reader.closing.number) == (Direction.OUT, "1211")


def test_tones_of_the_exchange_alone_are_no_call(desk: Desk, noise: Noise) -> None:
    busy, dial = tone(german_tone("busy", (0.48, 0.48)), 8, -20), tone(german_tone("dial", ()), 8, -20)
    desk.hear(on_the_line(noise, np.concatenate((silence(2), dial, silence(3), busy, silence(3)))))
    assert desk.finished() == []


def test_a_call_of_which_nobody_knows_who_it_is_tells_nobody(desk: Desk, spoken: Pcm, noise: Noise) -> None:
    desk.hear(noise(3, -65))
    desk.hear(spoken)
    desk.hear(noise(4, -65))
    (call,) = desk.finished()
    assert not [told for told in desk.vault.told if isinstance(told, verbs.NoteParty)]
    with desk.open(call) as reader:
        assert (reader.closing.direction, reader.closing.number) == (Direction.UNKNOWN, "")
