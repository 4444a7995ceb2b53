"""A technician is told what is heard and what to change, and no stranger's number."""

from __future__ import annotations

import json

import numpy as np

from appliance.recorder.ear.countries import COUNTRIES
from appliance.recorder.ear.signals import Pcm
from appliance.recorder.line_check import LineCheck, Told
from appliance.terms import BLOCK_FRAMES, RATE_HZ
from tests.simulators.caller_id_tones import V23, Caller, call_setup, fsk
from tests.simulators.key_tones import Sender
from tests.simulators.line_tones import Sound, as_pcm, sines, white
from tests.simulators.voices import HUMANS, human


def noise(seconds: float) -> Sound:
    return white(round(seconds * RATE_HZ), -65, np.random.default_rng(4))


def listen(sound: Sound | Pcm, check: LineCheck | None = None) -> tuple[LineCheck, list[Told]]:
    check = check or LineCheck("front-desk", COUNTRIES["de"], 12.0)
    samples = as_pcm(sound)
    blocks = (samples[at : at + BLOCK_FRAMES] for at in range(0, samples.size, BLOCK_FRAMES))
    return check, [told for block in blocks for told in check.hear(block)]


def spoken(seconds: float) -> Sound:
    said = human(HUMANS[0])[: round(seconds * RATE_HZ)] / 32768 * 0.5
    return said + noise(len(said) / RATE_HZ)


def test_a_good_line_is_called_good_with_its_level() -> None:
    check, _news = listen(spoken(15))
    assert check.verdict().good
    (sentence,) = check.verdict().sentences
    assert sentence.startswith("Line front-desk: good. Speech at -2")


def test_a_line_on_which_nobody_spoke_is_not_called_good() -> None:
    check, _news = listen(noise(15))
    assert not check.verdict().good
    assert "Too little speech" in check.verdict().sentences[0]


def test_what_is_wrong_comes_with_the_name_of_the_line_and_at_once() -> None:
    check, news = listen(np.zeros(5 * RATE_HZ))
    assert [told["what"] for told in news] == ["trouble"]
    assert check.heard_now == "dead"
    assert check.verdict().sentences[0].startswith("Line front-desk: Nothing comes from this line")


def test_a_caller_is_told_by_two_digits_and_never_by_name_or_number() -> None:
    modem = fsk(call_setup(Caller(number=b"03023125471", name=b"Ada Byron")), V23)
    check, news = listen(np.concatenate((noise(1), modem / np.abs(modem).max() * 0.2, noise(2))))
    (caller,) = [told for told in news if told["what"] == "caller_id"]
    assert caller["ends_in"] == "71"
    assert "71" in check.heard_now
    for said in (json.dumps(news), check.heard_now):
        assert "5471" not in said
        assert "Ada" not in said


def test_a_star_code_is_shown_and_a_dialled_number_is_not() -> None:
    random = np.random.default_rng(5)
    sender = Sender(tone_ms=80, pause_ms=80)
    code, number = sender.press("*71", random)[0] / 32768, sender.press("0302312", random)[0] / 32768
    _check, news = listen(np.concatenate((code, noise(11), number, noise(1))))
    keys = [told["digit"] for told in news if told["what"] == "dtmf"]
    assert keys == ["*", "7", "1", "0", "3", "0", None, None, None, None]


def test_a_tone_is_shown_for_as_long_as_it_sounds() -> None:
    check, _news = listen(sines([425], 5, -20))
    assert check.heard_now == "dial tone"
    listen(noise(2), check)
    assert check.heard_now == ""


def test_lost_audio_is_told_and_spoils_the_verdict() -> None:
    check, _news = listen(spoken(10))
    assert check.lose(800)["what"] == "gap"
    listen(spoken(5), check)
    assert not check.verdict().good
    assert "0.1 seconds of audio were lost" in check.verdict().sentences[0]
