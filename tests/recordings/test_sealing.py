"""What is sealed opens again, for its own key, call and place only, and no number seals twice."""

from __future__ import annotations

import hmac
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.recordings import sealing
from appliance.recordings.sealing import SegmentOpener, SegmentSealer
from appliance.terms import DamagedRecording, KeyTrouble
from tests.recordings.samples import CALL, KEY, OTHER_CALL, OTHER_KEY

ASSOCIATED = CALL.encode()
BUCKET = bytes(range(32, 64))


def test_known_answers_are_given_on_this_machine() -> None:
    sealing.check_known_answers()


@pytest.mark.parametrize("part", ["_KNOWN_CONTAINER", "_KNOWN_CARD", "_KNOWN_TOKEN"])
def test_known_answer_that_differs_stops_the_start(monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    known: bytes = getattr(sealing, part)
    monkeypatch.setattr(sealing, part, known[:-1] + bytes([known[-1] ^ 1]))
    with pytest.raises(KeyTrouble):
        sealing.check_known_answers()


def test_segments_open_in_any_order() -> None:
    sealer = SegmentSealer(KEY, ASSOCIATED)
    sealed = [sealer.seal(number, bytes([number]) * 9, number == 2) for number in range(3)]
    opener = SegmentOpener(KEY, ASSOCIATED, sealer.header)
    assert [opener.open(number, sealed[number], number == 2) for number in (2, 0, 1)] == [
        b"\2" * 9,
        b"\0" * 9,
        b"\1" * 9,
    ]


@pytest.mark.parametrize("number", [0, 2, -1, 1 << 32])
def test_number_that_is_not_the_next_seals_nothing(number: int) -> None:
    sealer = SegmentSealer(KEY, ASSOCIATED)
    sealer.seal(0, b"first", False)
    with pytest.raises(KeyTrouble):
        sealer.seal(number, b"second", False)


def test_nothing_is_sealed_after_the_last_segment() -> None:
    sealer = SegmentSealer(KEY, ASSOCIATED)
    sealer.seal(0, b"only", True)
    with pytest.raises(KeyTrouble):
        sealer.seal(1, b"more", True)


def test_two_sealers_of_one_call_share_neither_salt_nor_prefix() -> None:
    first, second = SegmentSealer(KEY, ASSOCIATED), SegmentSealer(KEY, ASSOCIATED)
    assert first.header[1:33] != second.header[1:33]
    assert first.header[33:] != second.header[33:]


@pytest.mark.parametrize(
    ("key", "associated", "number", "last"),
    [
        (OTHER_KEY, ASSOCIATED, 0, False),
        (KEY, OTHER_CALL.encode(), 0, False),
        (KEY, ASSOCIATED, 1, False),
        (KEY, ASSOCIATED, 0, True),
    ],
)
def test_segment_opens_for_nothing_but_its_own(key: bytes, associated: bytes, number: int, last: bool) -> None:
    sealer = SegmentSealer(KEY, ASSOCIATED)
    sealed = sealer.seal(0, b"segment", False)
    with pytest.raises(DamagedRecording):
        SegmentOpener(key, associated, sealer.header).open(number, sealed, last)


@pytest.mark.parametrize("header", [b"", b"(" * 39, b"(" * 41, b"\x27" + bytes(39), bytes(40)])
def test_header_that_is_none_is_refused(header: bytes) -> None:
    with pytest.raises(DamagedRecording):
        SegmentOpener(KEY, ASSOCIATED, header)


@pytest.mark.parametrize("length", [0, 1, 15, 16])
def test_segment_too_short_for_a_tag_is_damaged(length: int) -> None:
    header = SegmentSealer(KEY, ASSOCIATED).header
    with pytest.raises(DamagedRecording):
        SegmentOpener(KEY, ASSOCIATED, header).open(0, bytes(length), False)


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_key_of_wrong_length_is_refused_everywhere(length: int) -> None:
    wrong = bytes(length)
    uses: list[Callable[[], object]] = [
        lambda: SegmentSealer(wrong, ASSOCIATED),
        lambda: sealing.wrap_key(wrong, CALL, "b", KEY),
        lambda: sealing.wrap_key(BUCKET, CALL, "b", wrong),
        lambda: sealing.seal_card(wrong, CALL, b""),
        lambda: sealing.number_token(wrong, "1"),
    ]
    for use in uses:
        with pytest.raises(KeyTrouble):
            use()


def test_wrapped_key_unwraps_for_its_own_call_and_bucket() -> None:
    wrapped = sealing.wrap_key(BUCKET, CALL, "2025-11-22", KEY)
    assert len(wrapped) == 60
    assert sealing.unwrap_key(BUCKET, CALL, "2025-11-22", wrapped) == KEY


def test_wrapped_key_unwraps_for_nothing_else() -> None:
    wrapped = sealing.wrap_key(BUCKET, CALL, "2025-11-22", KEY)
    for bucket_key, call, bucket in (
        (OTHER_KEY, CALL, "2025-11-22"),
        (BUCKET, OTHER_CALL, "2025-11-22"),
        (BUCKET, CALL, "2025-11-23"),
    ):
        with pytest.raises(KeyTrouble):
            sealing.unwrap_key(bucket_key, call, bucket, wrapped)


def test_wrapped_key_with_any_bit_flipped_or_cut_is_refused() -> None:
    wrapped = sealing.wrap_key(BUCKET, CALL, "b", KEY)
    for bit in range(len(wrapped) * 8):
        with pytest.raises(KeyTrouble):
            sealing.unwrap_key(BUCKET, CALL, "b", _flipped(wrapped, bit))
    for length in range(len(wrapped)):
        with pytest.raises(KeyTrouble):
            sealing.unwrap_key(BUCKET, CALL, "b", wrapped[:length])


@given(plaintext=st.binary(max_size=2000))
def test_card_opens_to_what_was_sealed(plaintext: bytes) -> None:
    sealed = sealing.seal_card(KEY, CALL, plaintext)
    assert sealing.open_card(KEY, CALL, sealed) == plaintext
    assert len(sealed) == 12 + 16 + -(-(len(plaintext) + 4) // 256) * 256


def test_card_tells_its_length_only_in_steps() -> None:
    sizes = {len(sealing.seal_card(KEY, CALL, bytes(length))) for length in range(253)}
    assert sizes == {12 + 256 + 16}


def test_card_with_any_bit_flipped_or_cut_or_of_another_is_refused() -> None:
    sealed = sealing.seal_card(KEY, CALL, b"notes")
    damaged = [_flipped(sealed, bit) for bit in range(len(sealed) * 8)]
    damaged += [sealed[:length] for length in range(len(sealed))] + [sealed + b"\0"]
    for card in damaged:
        with pytest.raises(DamagedRecording):
            sealing.open_card(KEY, CALL, card)
    for key, call in ((OTHER_KEY, CALL), (KEY, OTHER_CALL)):
        with pytest.raises(DamagedRecording):
            sealing.open_card(key, call, sealed)


@pytest.mark.parametrize("padded", [bytes(255) + b"\1", b"\0\0\1\0" + bytes(252), b"\xff" * 256, bytes(512)])
def test_card_with_impossible_padding_is_refused(monkeypatch: pytest.MonkeyPatch, padded: bytes) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sealing, "_padded", lambda _: padded)
        sealed = sealing.seal_card(KEY, CALL, b"")
    with pytest.raises(DamagedRecording):
        sealing.open_card(KEY, CALL, sealed)


def test_number_token_is_hmac_under_hkdf_written_out() -> None:
    prk = hmac.digest(bytes(32), KEY, "sha256")
    derived = hmac.digest(prk, b"linekeep number tokens 1" + b"\1", "sha256")
    assert sealing.number_token(KEY, "0301234567") == hmac.digest(derived, b"0301234567", "sha256")


def test_number_tokens_match_within_a_bucket_only() -> None:
    assert sealing.number_token(KEY, "110") == sealing.number_token(KEY, "110")
    assert len({sealing.number_token(*of) for of in ((KEY, "110"), (KEY, "112"), (OTHER_KEY, "110"))}) == 3


def _flipped(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)
