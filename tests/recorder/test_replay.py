"""A file heard as a line."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.recorder.ear.countries import COUNTRIES
from appliance.recorder.ear.signals import Pcm, Signals
from appliance.recorder.line.line_facts import Cue, CueKind
from appliance.recorder.line.line_plan import plan_of
from appliance.recorder.line.line_watch import LineWatch
from appliance.recorder.replay import END_OF_FILE, HeardLine, replay
from appliance.settings import LineSettings, RecorderSettings
from appliance.sound_file import write_wav
from appliance.terms import BLOCK_FRAMES, RATE_HZ, SettingsTrouble
from tests.simulators import conversation
from tests.simulators.caller_id_tones import V23, Caller, call_setup, fsk
from tests.simulators.line_tones import as_pcm, silence, sines, tone, white

Noise = Callable[[float, float], Pcm]
SETTINGS = RecorderSettings()


def told(tmp_path: Path, *channels: Pcm, settings: RecorderSettings = SETTINGS) -> list[dict[str, Any]]:
    sound = tmp_path / "line.wav"
    write_wav(sound, np.stack(channels, axis=1))
    return list(replay(sound, settings))


def of_kind(happenings: list[dict[str, Any]], what: str) -> list[dict[str, Any]]:
    return [happening for happening in happenings if happening["what"] == what]


def test_a_call_begins_with_its_first_word_and_ends_with_its_last_one(
    tmp_path: Path, spoken: Pcm, noise: Noise
) -> None:
    happenings = told(tmp_path, np.concatenate((noise(10, -65), spoken, noise(40, -65))))
    (begin,), (end,) = of_kind(happenings, "call_begin"), of_kind(happenings, "call_end")
    assert begin == {
        "t": pytest.approx(10, abs=0.1),
        "what": "call_begin",
        "line": "line1",
        "direction": "unknown",
        "number": None,
        "audio_from": pytest.approx(7.8, abs=0.15),
        "audio_to": pytest.approx(end["t"] + 5, abs=0.1),
    }
    assert end["t"] == pytest.approx(10 + spoken.size / RATE_HZ, abs=0.3)
    assert end["seconds"] == pytest.approx(end["t"] - begin["t"], abs=0.01)
    assert of_kind(happenings, "speech")[0] == {
        "t": pytest.approx(10, abs=0.15),
        "what": "speech",
        "line": "line1",
        "state": "on",
    }


def test_a_call_in_which_nobody_says_yes_is_not_kept(tmp_path: Path, spoken: Pcm, noise: Noise) -> None:
    happenings = told(tmp_path, np.concatenate((noise(10, -65), spoken, noise(40, -65))))
    (consent,), (end,) = of_kind(happenings, "consent"), of_kind(happenings, "call_end")
    assert (consent["given"], consent["by"]) == (False, "none")
    assert (end["kept"], end["why"]) == (False, "refused")


def test_a_line_on_duty_keeps_a_call_that_outlasts_the_file(tmp_path: Path, spoken: Pcm) -> None:
    line = LineSettings(name="a", alsa="a", consent="duty")
    happenings = told(tmp_path, spoken[: 5 * RATE_HZ + 123], settings=RecorderSettings(lines=(line,)))
    assert [happening["what"] for happening in happenings[:3]] == ["consent", "call_begin", "speech"]
    assert (happenings[0]["given"], happenings[0]["by"]) == (True, "duty")
    assert happenings[-2] == {"t": pytest.approx(5.015), "what": "speech", "line": "line1", "state": "off"}
    assert happenings[-1] == {
        "t": pytest.approx(5.015),
        "what": "call_end",
        "line": "line1",
        "kept": True,
        "seconds": pytest.approx(5.015, abs=0.1),
        "why": END_OF_FILE,
    }


def test_a_quiet_file_tells_nothing(tmp_path: Path, noise: Noise) -> None:
    assert told(tmp_path, noise(20, -62)) == []


def test_lines_are_told_apart_and_everything_comes_in_the_order_of_time(
    tmp_path: Path, spoken: Pcm, noise: Noise
) -> None:
    early = np.concatenate((noise(6, -65), spoken, noise(40, -65)))
    late = np.concatenate((noise(7.5, -65), spoken, noise(38.5, -65)))
    happenings = told(tmp_path, early, late)
    assert [call["line"] for call in of_kind(happenings, "call_begin")] == ["line1", "line2"]
    times = [happening["t"] for happening in happenings]
    assert times == sorted(times)
    # A call is told where it began, although all of it is known at its end only.
    assert (happenings[0]["what"], happenings[0]["line"]) == ("call_begin", "line1")


def two_sided(**line: Any) -> RecorderSettings:
    return RecorderSettings(lines=(LineSettings(name="desk", alsa="hw:1", **line),))


@pytest.mark.parametrize(("near", "far", "side"), [(0, 1, "near"), (3, 2, "far")])
def test_a_line_whose_sides_are_apart_takes_two_channels_of_the_file(
    tmp_path: Path, noise: Noise, near: int, far: int, side: str
) -> None:
    pressed = np.concatenate((silence(2), sines((697, 1209), 0.1, -16), silence(2)))
    first, second = as_pcm(pressed) + noise(4.1, -65), noise(4.1, -65)
    happenings = told(tmp_path, first, second, second, settings=two_sided(near_channel=near, far_channel=far))
    (key,) = of_kind(happenings, "dtmf")
    assert (key["line"], key["digit"], key["side"]) == ("line1", "1", side)


def test_without_settings_each_channel_is_a_line_and_its_keys_have_no_side(tmp_path: Path, noise: Noise) -> None:
    pressed = as_pcm(np.concatenate((silence(2), sines((697, 1209), 0.1, -16), silence(2))))
    happenings = told(tmp_path, noise(4.1, -65), pressed)
    (key,) = of_kind(happenings, "dtmf")
    assert key == {"t": pytest.approx(2, abs=0.02), "what": "dtmf", "line": "line2", "digit": "1"}


def test_a_file_without_the_other_side_is_refused_in_a_sentence(tmp_path: Path, noise: Noise) -> None:
    with pytest.raises(SettingsTrouble, match="'desk' has two sides"):
        told(tmp_path, noise(1, -65), settings=two_sided(near_channel=0, far_channel=1))


def test_the_settings_decide(tmp_path: Path, spoken: Pcm, noise: Noise) -> None:
    sound = np.concatenate((noise(6, -65), spoken, noise(8, -65), spoken, noise(15, -65)))
    assert len(of_kind(told(tmp_path, sound), "call_begin")) == 1
    short = RecorderSettings(hold_over_s=2)
    assert len(of_kind(told(tmp_path, sound, settings=short), "call_begin")) == 2


def test_nothing_is_written_and_a_hundred_times_real_time_is_reached(tmp_path: Path, spoken: Pcm) -> None:
    sound = tmp_path / "line.wav"
    write_wav(sound, np.tile(spoken, 26)[:, np.newaxis])
    started = time.process_time()
    assert list(replay(sound, SETTINGS))
    assert time.process_time() - started < 3.0  # for five minutes of audio
    assert list(tmp_path.iterdir()) == [sound]


def test_a_file_that_is_no_sound_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear Anna")
    with pytest.raises(SettingsTrouble):
        list(replay(tmp_path / "letter.txt", SETTINGS))


def test_the_synthesised_conversation_is_one_call(tmp_path: Path) -> None:
    sound = tmp_path / "call.wav"
    conversation.synthesise(sound)
    happenings = list(replay(sound, SETTINGS))
    (begin,), (end,) = of_kind(happenings, "call_begin"), of_kind(happenings, "call_end")
    assert begin["t"] == pytest.approx(9.5, abs=0.3)  # the announcement's first word
    assert end["kept"]
    assert [(told["given"], told["by"]) for told in of_kind(happenings, "consent")] == [(True, "key")]
    assert (begin["direction"], begin["number"]) == ("in", conversation.CALLER.decode())
    assert end["why"] == "hung_up"
    assert end["seconds"] > 30


def test_what_exchange_and_people_send_is_told_in_the_order_of_time(tmp_path: Path) -> None:
    (busy,) = (t for t in COUNTRIES["de"].tones if t.name == "busy" and t.cadence_s == (0.48, 0.48))
    cng = np.concatenate((sines((1100,), 0.5, -18), silence(3)))
    sound = np.concatenate(
        (
            silence(1),
            fsk(call_setup(Caller(number=b"03055504471", name=b"Hotel am See")), V23),
            silence(1),
            sines((697, 1209), 0.1, -16),
            silence(2),
            tone(busy, 4, -18),
            silence(3),
            *[cng] * 3,
        )
    )
    line = as_pcm(sound + white(len(sound), -60, np.random.default_rng(5)))
    happenings = told(tmp_path, line)
    sent = [happening for happening in happenings if happening["what"] in {"caller_id", "dtmf", "tone", "fax"}]
    assert [happening["what"] for happening in sent] == ["caller_id", "dtmf", "tone", "tone", "fax"]
    caller, key, on, off, _fax = sent
    assert caller == {
        "t": pytest.approx(2.0, abs=0.6),
        "what": "caller_id",
        "line": "line1",
        "number": "03055504471",
        "name": "Hotel am See",
        "withheld": False,
        "standard": "v23",
    }
    assert key["digit"] == "1"
    assert (on["name"], on["state"], off["state"]) == ("busy", "on", "off")
    assert off["t"] - on["t"] == pytest.approx(4, abs=0.6)
    times = [happening["t"] for happening in happenings]
    assert times == sorted(times)


@pytest.mark.parametrize(("kind", "state"), [(CueKind.OFF_HOOK, "off"), (CueKind.ON_HOOK, "on")])
def test_there_is_a_word_for_a_hook_that_moves_though_no_file_has_one(kind: CueKind, state: str) -> None:
    plan = plan_of(LineSettings(name="line", alsa="file"), SETTINGS)
    line = HeardLine("line1", LineWatch(Signals(12), plan, lambda _frame: False))
    told = list(line.hear(0, np.zeros(BLOCK_FRAMES, np.int16), [Cue(kind=kind, at_frame=400, sensed=True)]))
    assert told == [{"t": 0.05, "what": "hook", "line": "line1", "state": state}]


def test_a_caller_whose_message_ends_with_the_file_is_told(tmp_path: Path) -> None:
    sound = np.concatenate((silence(1), fsk(call_setup(Caller(number=b"110")), V23)))
    callers = of_kind(told(tmp_path, as_pcm(sound)), "caller_id")
    assert [caller["number"] for caller in callers] == ["110"]
