"""A caller is told as the exchange sent him, through a bad line too; what is damaged is never told."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from appliance.recorder.ear.caller_id import MAX_NAME_CHARACTERS, CallerId, CallerIdListener, caller_of
from appliance.recorder.ear.fsk import FskMessage
from appliance.recorder.ear.signals import Pcm
from appliance.terms import BLOCK_FRAMES, RATE_HZ
from tests.simulators.caller_id_tones import (
    BELL_202,
    FIELD_V23,
    V23,
    Caller,
    Modem,
    Signal,
    call_setup,
    fsk,
    hum,
    mdmf,
    pcm,
    sdmf,
    through_a_line,
    white,
    with_checksum,
    with_noise,
    within,
)

BOTH = frozenset({"v23", "bell202"})
HOLM = Caller(number=b"03012345678", name=b"Schreinerei Holm", sent_at=b"11281504")
SETUP = call_setup(HOLM)


def listen(samples: Pcm, listener: CallerIdListener | None = None, block_frames: int = BLOCK_FRAMES) -> list[CallerId]:
    ear = listener or CallerIdListener(BOTH)
    return [
        caller for at in range(0, len(samples), block_frames) for caller in ear.hear(samples[at : at + block_frames])
    ]


def sent(message: bytes, modem: Modem = V23) -> Pcm:
    return pcm(within(0.5, fsk(message, modem)))


def told(message: bytes, modem: Modem = V23) -> CallerId:
    (caller,) = listen(sent(message, modem))
    return caller


def is_holm(callers: list[CallerId]) -> bool:
    return [(caller.number, caller.name) for caller in callers] == [("03012345678", "Schreinerei Holm")]


def through_noise(snr_db: float, modem: Modem, seed: int) -> Pcm:
    random = np.random.default_rng(seed)
    clean = within(random.uniform(0.4, 0.9), fsk(SETUP, modem))
    return pcm(with_noise(clean, white(len(clean), random), snr_db, modem.level_dbm0))


def test_a_call_setup_tells_all_that_the_exchange_sent() -> None:
    caller = told(SETUP)
    assert (caller.number, caller.name, caller.sent_at) == ("03012345678", "Schreinerei Holm", "11281504")
    assert (caller.withheld, caller.unavailable, caller.standard) == (False, False, "v23")


def test_the_end_of_the_message_is_placed_to_the_millisecond() -> None:
    signal = fsk(SETUP, V23)
    (caller,) = listen(pcm(within(0.5, signal)))
    assert caller.at_frame == pytest.approx(0.5 * RATE_HZ + len(signal), abs=8)


@pytest.mark.parametrize(
    ("modem", "standard"),
    [
        (V23, "v23"),
        (FIELD_V23, "v23"),
        (BELL_202, "bell202"),
        (replace(BELL_202, mark_hz=1215, space_hz=2180), "bell202"),
    ],
)
def test_the_standard_is_known_by_its_tones(modem: Modem, standard: str) -> None:
    caller = told(SETUP, modem)
    assert caller.standard == standard
    assert is_holm([caller])


@pytest.mark.parametrize("standards", [frozenset({"v23"}), frozenset({"dtmf"}), frozenset()])
def test_a_standard_that_the_line_has_not_is_not_told(standards: frozenset[str]) -> None:
    assert listen(sent(SETUP, BELL_202), CallerIdListener(standards)) == []


def test_an_unknown_standard_is_refused() -> None:
    with pytest.raises(ValueError, match="bell103"):
        CallerIdListener(frozenset({"v23", "bell103"}))


def test_a_single_message_tells_time_and_number() -> None:
    caller = told(sdmf(b"11281504", b"5551234567"), BELL_202)
    assert (caller.number, caller.sent_at, caller.name) == ("5551234567", "11281504", "")


@pytest.mark.parametrize("letter", [b"P", b"O"])
@pytest.mark.parametrize("single", [True, False])
def test_absence_of_the_number_is_told_with_its_reason(letter: bytes, single: bool) -> None:
    message = sdmf(b"11281504", letter) if single else call_setup(Caller(absent_number=letter, absent_name=letter))
    caller = told(message, BELL_202)
    assert (caller.number, caller.withheld, caller.unavailable) == ("", letter == b"P", letter == b"O")


def test_a_number_that_is_withheld_is_not_told_even_if_the_exchange_sends_it() -> None:
    caller = told(call_setup(replace(HOLM, absent_number=b"P")))
    assert caller.number == ""
    assert caller.withheld


@pytest.mark.parametrize("modem", [V23, FIELD_V23, BELL_202], ids=["v23", "field", "bell202"])
def test_every_message_is_heard_10_db_above_white_noise(modem: Modem) -> None:
    assert all(is_holm(listen(through_noise(10, modem, seed))) for seed in range(20))


@pytest.mark.parametrize("modem", [V23, FIELD_V23, BELL_202], ids=["v23", "field", "bell202"])
def test_most_messages_are_heard_5_db_above_white_noise(modem: Modem) -> None:
    assert sum(is_holm(listen(through_noise(5, modem, seed))) for seed in range(20)) >= 18


def test_in_noise_as_strong_as_the_signal_a_number_is_right_or_missing() -> None:
    for seed in range(40):
        heard = listen(through_noise(0, replace(V23, seizure_bits=0), seed))
        assert not heard or is_holm(heard)


def test_messages_are_heard_10_db_above_babble(spoken: Pcm) -> None:
    voices = np.tile(spoken, 2).astype(np.float64)
    babble = sum(np.roll(voices, 9973 * voice) for voice in range(6))
    for seed in range(20):
        clean = within(0.5, fsk(SETUP, V23))
        behind: Signal = np.roll(babble, -seed * 3001)[: len(clean)]
        assert is_holm(listen(pcm(with_noise(clean, behind, 10, V23.level_dbm0))))


@pytest.mark.parametrize(
    "modem",
    [
        replace(V23, level_dbm0=-3),
        replace(V23, level_dbm0=-44),
        replace(V23, twist_db=10),
        replace(V23, twist_db=-10),
        replace(BELL_202, twist_db=10),
        replace(BELL_202, twist_db=-10),
        replace(V23, mark_hz=1260, space_hz=2060),
        replace(V23, mark_hz=1340, space_hz=2140),
        replace(V23, baud=1188),
        replace(V23, baud=1212),
        replace(V23, seizure_bits=0, mark_bits=80),
        replace(V23, seizure_bits=0, mark_bits=55),
        replace(V23, mark_bits=205),
        replace(V23, stuffing_bits=0.37),
        replace(V23, stuffing_bits=1),
        replace(BELL_202, stuffing_bits=1.5),
        replace(V23, stuffing_bits=10),
    ],
    ids=lambda modem: ",".join(f"{key}={getattr(modem, key)}" for key in Modem.__slots__ if differs(modem, key)),
)
def test_what_the_standards_allow_is_heard(modem: Modem) -> None:
    noise = white(len(within(0.5, fsk(SETUP, modem))), np.random.default_rng(3))
    clean = within(0.5, fsk(SETUP, modem))
    assert is_holm(listen(pcm(with_noise(clean, noise, 20, modem.level_dbm0))))


def differs(modem: Modem, key: str) -> bool:
    return bool(getattr(modem, key) != getattr(V23, key))


@pytest.mark.parametrize("hz", [50, 60])
def test_hum_20_db_above_the_message_is_not_in_the_way(hz: float) -> None:
    modem = replace(V23, level_dbm0=-25)
    clean = within(0.5, fsk(SETUP, modem))
    noise = white(len(clean), np.random.default_rng(4))
    hummed = with_noise(clean + hum(len(clean), modem.level_dbm0 + 20, hz), noise, 10, modem.level_dbm0)
    assert is_holm(listen(pcm(hummed)))


@pytest.mark.parametrize("modem", [V23, FIELD_V23, BELL_202], ids=["v23", "field", "bell202"])
def test_a_telephone_line_with_its_group_delay_is_not_in_the_way(modem: Modem) -> None:
    clean = through_a_line(within(0.5, fsk(SETUP, modem)))
    noise = white(len(clean), np.random.default_rng(5))
    assert is_holm(listen(pcm(with_noise(clean, noise, 10, modem.level_dbm0))))


def test_overdriven_tones_are_heard() -> None:
    assert is_holm(listen(pcm(4 * within(0.5, fsk(SETUP, replace(V23, level_dbm0=0))))))


@pytest.mark.parametrize("block_frames", [1, 37, 799, 3200, 100_000])
def test_block_sizes_change_nothing(block_frames: int) -> None:
    samples = through_noise(8, V23, 11)
    assert listen(samples, block_frames=block_frames) == listen(samples)


def test_two_callers_are_told_in_their_order() -> None:
    other = call_setup(replace(HOLM, number=b"08999"))
    samples = np.concatenate((sent(SETUP), sent(other)))
    first, second = listen(samples)
    assert (first.number, second.number) == ("03012345678", "08999")
    assert second.at_frame > len(sent(SETUP))


@pytest.mark.parametrize("place", range(0, len(SETUP), 2))
def test_a_message_with_one_wrong_byte_is_not_told(place: int) -> None:
    wrong = bytearray(SETUP)
    wrong[place] ^= 1 << place % 8
    assert listen(sent(bytes(wrong))) == []


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9, 0.97])
def test_a_cut_message_is_not_told_and_the_next_one_is(kept: float) -> None:
    signal = fsk(SETUP, V23)
    lead = (V23.seizure_bits + V23.mark_bits) / 1200 * RATE_HZ
    cut = signal[: int(lead + kept * (len(signal) - lead))]
    ear = CallerIdListener(BOTH)
    assert listen(pcm(within(0.5, cut)), ear) == []
    assert is_holm(listen(sent(SETUP), ear))


def test_a_message_that_claims_to_be_longer_than_it_is_is_not_told_and_the_next_one_is() -> None:
    liar = bytes([0x80, 255]) + SETUP[2:]
    assert is_holm(listen(np.concatenate((sent(liar), sent(SETUP)))))


def test_the_longest_message_is_heard() -> None:
    padding = [(0xE0, bytes(range(100))), (0xE1, bytes(range(100)))]
    caller = told(call_setup(replace(HOLM, more=padding)), replace(V23, stuffing_bits=10))
    assert is_holm([caller])


@pytest.mark.parametrize(
    "message",
    [
        mdmf([(0x01, b"11281504"), (0x02, b"0301234")], message_type=0x82),
        mdmf([(0x11, b"\x81"), (0x02, b"0301234")]),
    ],
)
def test_a_waiting_message_is_no_caller(message: bytes) -> None:
    assert listen(sent(message)) == []


@pytest.mark.parametrize(
    "body",
    [b"", b"\x02", b"\x02\x09" + b"0301234", b"\x01\x08" + b"11281504" + b"\x02\xff" + b"03012345", b"\x02\x03030\x07"],
)
def test_parameters_that_do_not_fill_the_message_are_not_told(body: bytes) -> None:
    assert listen(sent(with_checksum(bytes([0x80, len(body)]) + body))) == []


@pytest.mark.parametrize(
    "number", [b"03O1234", b"+", b"49+301234", b"++4930", b"030 123", b"\xb2\xb3", b"0\x00", b"1" * 33, b""]
)
def test_a_number_that_is_none_is_unavailable(number: bytes) -> None:
    caller = told(mdmf([(0x01, b"11281504"), (0x02, number)]))
    assert (caller.number, caller.unavailable, caller.withheld) == ("", True, False)


def test_a_plus_before_a_number_is_told_as_it_was_sent() -> None:
    caller = told(call_setup(replace(HOLM, number=b"+493055504471")))
    assert (caller.number, caller.unavailable) == ("+493055504471", False)


def test_star_and_hash_belong_to_numbers() -> None:
    assert told(call_setup(replace(HOLM, number=b"*31#030"))).number == "*31#030"


@pytest.mark.parametrize(
    ("sent_name", "shown"),
    [
        (b"M\xfcller & S\xf6hne", "Müller & Söhne"),
        (b"\x1b[2J\r\nroot\x00\x7f\x9b", "[2Jroot"),
        (b"  Holm  ", "Holm"),
        (b"x" * 49 + b"  y", "x" * 49),
        (b"y" * 200, "y" * MAX_NAME_CHARACTERS),
    ],
)
def test_a_name_is_printable_and_short(sent_name: bytes, shown: str) -> None:
    assert told(call_setup(replace(HOLM, name=sent_name))).name == shown


@pytest.mark.parametrize("sent_at", [b"13281504", b"11321504", b"11282404", b"11281560", b"1128150", b"112815AB"])
def test_a_time_that_is_none_is_left_out(sent_at: bytes) -> None:
    caller = told(call_setup(replace(HOLM, sent_at=sent_at)))
    assert caller.sent_at == ""
    assert is_holm([caller])


@pytest.mark.parametrize("kind", [0x80, 0x04])
def test_no_content_breaks_a_promise(kind: int) -> None:
    random = np.random.default_rng(6)
    for _ in range(3000):
        content = random.integers(0, 256, random.integers(0, 256), np.uint8).tobytes()
        if random.random() < 0.8:
            content = bytes([random.choice([1, 2, 4, 7, 8, 17]), max(len(content) - 2, 0)]) + content[2:]
        caller = caller_of(FskMessage(kind=kind, content=content, end_frame=1, mark_hz=1300, space_hz=2100))
        if caller is not None:
            assert set(caller.number) <= set("0123456789*#")
            assert len(caller.name) <= MAX_NAME_CHARACTERS
            assert caller.name == "" or caller.name.isprintable()
            assert [bool(caller.number), caller.withheld, caller.unavailable].count(True) == 1


def sine(hz: float, seconds: float) -> Signal:
    return 8000 * np.sin(2 * np.pi * hz * np.arange(int(seconds * RATE_HZ)) / RATE_HZ)


def loudest(seconds: float) -> Signal:
    return np.random.default_rng(7).choice([-32768.0, 32767.0], int(seconds * RATE_HZ))


def pulses(hz: float, on_s: float) -> Signal:
    return np.tile(np.concatenate((sine(hz, on_s), np.zeros(int(on_s * RATE_HZ)))), int(2 / on_s))


def without_lead(modem: Modem) -> Signal:
    return fsk(SETUP, replace(modem, mark_bits=12, seizure_bits=0))


@pytest.mark.parametrize(
    "make",
    [
        lambda: np.zeros(4 * RATE_HZ),
        lambda: np.full(4 * RATE_HZ, -32768.0),
        lambda: loudest(4),
        lambda: sine(1300, 4),
        lambda: sine(1209, 4) + sine(697, 4),
        lambda: pulses(1300, 0.04),
        lambda: pulses(1336, 0.1) + pulses(770, 0.1),
        lambda: np.concatenate([sine(hz, 0.1) for hz in range(1100, 2400, 20)]),
        lambda: np.tile(without_lead(V23), 4),
        lambda: fsk(np.random.default_rng(8).bytes(400), V23),
    ],
    ids=["nothing", "lowest", "loudest", "mark", "key", "bursts", "keys", "scale", "no mark", "other modem"],
)
def test_what_is_no_message_is_no_caller(make: Callable[[], Signal]) -> None:
    assert listen(pcm(make())) == []


def test_speech_is_no_caller(spoken: Pcm) -> None:
    assert listen(np.tile(spoken, 3)) == []


def test_a_line_full_of_beginnings_takes_no_more_memory() -> None:
    liar = fsk(bytes([0x80, 255, 0x02, 250]), replace(V23, seizure_bits=0, mark_bits=60))
    samples = pcm(np.tile(liar, 10))
    ear = CallerIdListener(BOTH)
    listen(samples, ear)
    tracemalloc.start()
    listen(np.tile(samples, 3), ear)
    grown, _peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 60_000 + 3 * samples.nbytes // 100


def pressed(keys: str, gap_s: float = 0.14, ear: CallerIdListener | None = None) -> list[CallerId]:
    listener = ear or CallerIdListener(frozenset({"dtmf"}))
    told = [listener.hear_key(key, round(index * gap_s * RATE_HZ)) for index, key in enumerate(keys)]
    return [caller for caller in told if caller is not None]


@pytest.mark.parametrize(
    "keys", ["A0301234C", "D0301234C", "D0301234#", "A0301234#", "A0301234D0899C", "12A0301234C34"]
)
def test_keys_tell_the_caller(keys: str) -> None:
    (caller,) = pressed(keys)
    assert (caller.number, caller.standard, caller.withheld, caller.unavailable) == ("0301234", "dtmf", False, False)


def test_keys_tell_where_they_ended() -> None:
    (caller,) = pressed("A0301234C")
    assert caller.at_frame == round(8 * 0.14 * RATE_HZ)


@pytest.mark.parametrize(
    ("keys", "withheld"), [("B10C", True), ("B00C", False), ("D1#", True), ("D2#", False), ("D3#", False)]
)
def test_keys_tell_why_there_is_no_number(keys: str, withheld: bool) -> None:
    (caller,) = pressed(keys)
    assert (caller.number, caller.withheld, caller.unavailable) == ("", withheld, not withheld)


@pytest.mark.parametrize("keys", ["0301234C", "0301234#", "AC", "DC", "B77C", "D9#", "A" + "1" * 33 + "C", "A0301234"])
def test_keys_that_tell_nobody_are_no_caller(keys: str) -> None:
    assert pressed(keys) == []


def test_keys_that_come_late_are_no_message() -> None:
    assert pressed("A0301234C", gap_s=1.2) == []


def test_keys_without_end_are_forgotten() -> None:
    ear = CallerIdListener(frozenset({"dtmf"}))
    assert pressed("A" + "1" * 10_000 + "C", ear=ear) == []


def test_a_line_without_key_caller_id_takes_keys_for_nothing() -> None:
    assert pressed("A0301234C", ear=CallerIdListener(BOTH)) == []


def receiving_after(samples: Pcm, listener: CallerIdListener | None = None) -> list[bool]:
    """After each block."""
    ear = listener or CallerIdListener(BOTH)
    receiving = []
    for at in range(0, len(samples) - BLOCK_FRAMES + 1, BLOCK_FRAMES):
        ear.hear(samples[at : at + BLOCK_FRAMES])
        receiving.append(ear.receiving)
    return receiving


@pytest.mark.parametrize("snr_db", [6, 40])
@pytest.mark.parametrize(
    "modem", [V23, FIELD_V23, replace(V23, twist_db=-6), BELL_202], ids=["v23", "field", "twist", "bell202"]
)
def test_a_modem_is_known_within_its_first_block_and_until_it_ends(modem: Modem, snr_db: float) -> None:
    random = np.random.default_rng(5)
    signal = fsk(SETUP, modem)
    for late_ms in range(0, 100, 20):
        clean = within(0.5 + late_ms / 1000, signal)
        receiving = receiving_after(pcm(with_noise(clean, white(len(clean), random), snr_db, modem.level_dbm0)))
        last = int((0.5 + late_ms / 1000) * 10 + len(signal) / BLOCK_FRAMES)
        assert not any(receiving[:5])
        assert sum(receiving[6:last]) >= last - 7
        assert not any(receiving[last + 1 :])


def test_a_modem_at_the_lowest_level_is_known() -> None:
    receiving = receiving_after(sent(SETUP, replace(V23, level_dbm0=-44)))
    assert all(receiving[6:11])


def test_a_line_without_a_modem_receives_none() -> None:
    assert not any(receiving_after(sent(SETUP), CallerIdListener(frozenset({"dtmf"}))))


def test_speech_dial_tone_and_noise_are_no_modem(spoken: Pcm) -> None:
    random = np.random.default_rng(6)
    time = np.arange(10 * RATE_HZ) / RATE_HZ
    tones = [np.sin(2 * np.pi * np.outer(hz, time)).sum(axis=0) * 3000 for hz in ([425], [350, 440], [480, 620])]
    for sound in (spoken, *tones, white(30 * RATE_HZ, random) * 1000):
        assert not any(receiving_after(pcm(sound)))


@pytest.mark.parametrize("block_frames", [77, 801])
def test_whether_a_modem_sounds_does_not_hang_on_the_length_of_blocks(block_frames: int) -> None:
    samples = sent(SETUP)[: 77 * 801 // 8]
    one, other = CallerIdListener(BOTH), CallerIdListener(BOTH)
    listen(samples, one)
    listen(samples, other, block_frames)
    assert (one.receiving, other.receiving) == (True, True)
