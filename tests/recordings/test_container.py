"""The arithmetic of the container, and records that have one spelling only."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.recordings import container
from appliance.recordings.container import ClosingRecord, EndReason, Gap, OpeningRecord
from appliance.terms import CallId, DamagedRecording, LineName, SettingsTrouble
from tests.recordings.samples import CALL, opening_record

COUNTS = st.integers(0, 2**53)
CALLS = st.from_regex(r"[0-9a-f]{32}", fullmatch=True).map(CallId)
# Whatever a font can show, all planes: no surrogates (UTF-8 has none), no control characters.
PRINTED = st.characters(exclude_categories=("Cs", "Cc"))
WORDS = st.text(PRINTED, min_size=1, max_size=40)
GAPS = st.builds(Gap, at_frame=COUNTS, frames=st.integers(1, 2**53), why=WORDS)
OPENINGS = st.builds(
    OpeningRecord,
    call=CALLS,
    line=st.from_regex(r"[a-z][a-z0-9-]{0,31}", fullmatch=True).map(LineName),
    started_at_ms=COUNTS,
    rate_hz=st.integers(1, 2**53),
    ground=st.text(PRINTED, max_size=150),
    software=WORDS,
)
CLOSINGS = st.builds(
    ClosingRecord,
    call=CALLS,
    frames=COUNTS,
    audio_bytes=COUNTS,
    audio_sha256=st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
    ended=st.sampled_from(EndReason),
    ended_at_ms=COUNTS,
    gaps=st.lists(GAPS, max_size=5).map(tuple),
    peaks=st.sampled_from(["", "gH8=", "gA==", "gH8A", "A" * 2132 + "AA=="]),
    lost_after_frame=st.none() | COUNTS,
)
JSON_BYTES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=8,
).map(msgspec.json.encode)


@given(OPENINGS)
def test_opening_record_fills_its_segment_and_reads_back(record: OpeningRecord) -> None:
    plaintext = container.encode_opening(record)
    assert len(plaintext) == 968
    assert container.decode_opening(plaintext) == record


@given(CLOSINGS)
def test_closing_record_reads_back_from_where_its_offset_says(record: ClosingRecord) -> None:
    end = container.encode_closing(record)
    plaintext_bytes = 968 + record.audio_bytes + len(end)
    start, length = container.closing_span(plaintext_bytes, end[-8:])
    assert (start, length) == (968 + record.audio_bytes, len(end) - 8)
    assert container.decode_closing(end[:length]) == record


@given(st.binary(max_size=400) | JSON_BYTES)
def test_whatever_parses_as_closing_record_encodes_to_the_same_bytes(untrusted: bytes) -> None:
    try:
        record = container.decode_closing(untrusted)
    except DamagedRecording:
        return
    assert container.encode_closing(record)[:-8] == untrusted


@given(CLOSINGS, st.data())
def test_closing_record_with_a_byte_changed_is_refused_or_another_record(
    record: ClosingRecord, data: st.DataObject
) -> None:
    text = bytearray(container.encode_closing(record)[:-8])
    place = data.draw(st.integers(0, len(text) - 1))
    text[place] ^= data.draw(st.integers(1, 255))
    try:
        read = container.decode_closing(bytes(text))
    except DamagedRecording:
        return
    assert read != record
    assert container.encode_closing(read)[:-8] == bytes(text)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"format":1', b'"format":2'),
        (b'"codec":"opus"', b'"codec":"flac"'),
        (b'"format":1', b'"format":1,"more":1'),
        (b'"format":1', b'"format":1.0'),
        (b'"format":1', b'"format": 1'),
        (b'"format":1,', b""),
        (b'"rate_hz":8000', b'"rate_hz":8000,"rate_hz":8000'),
        (b'"rate_hz":8000', b'"rate_hz":0'),
        (b'"rate_hz":8000', b'"rate_hz":-0'),
        (b'"rate_hz":8000', b'"rate_hz":8e3'),
        (b"front-desk", b"front\\u002ddesk"),
        (b"front-desk", b"Front desk"),
        (b"front-desk", b"front-desk\\n"),
        (CALL.encode(), CALL.encode().upper()),
        (CALL.encode(), CALL.encode() + b"00"),
        (b"Consent", b"\xff"),
        (b"Consent", b"\\n"),
        (b'{"call"', b' {"call"'),
    ],
)
def test_opening_record_spelled_in_any_other_way_is_refused(old: bytes, new: bytes) -> None:
    text = container.encode_opening(opening_record()).rstrip(b" ")
    changed = text.replace(old, new, 1)
    assert changed != text
    with pytest.raises(DamagedRecording):
        container.decode_opening(changed.ljust(968))


def test_opening_record_padded_with_something_else_is_refused() -> None:
    text = container.encode_opening(opening_record())
    for padded in (text.rstrip(b" ").ljust(968, b"\n"), text.rstrip(b" ").ljust(968, b"\0"), text[:-1], text + b" "):
        with pytest.raises(DamagedRecording):
            container.decode_opening(padded)


def test_record_that_no_reader_accepts_is_refused_when_written() -> None:
    opening = opening_record()
    for changes in ({"call": "x"}, {"line": "A"}, {"started_at_ms": -1}, {"ground": "g" * 151}, {"ground": "\0"}):
        with pytest.raises(SettingsTrouble):
            container.encode_opening(msgspec.structs.replace(opening, **changes))


def test_closing_record_larger_than_readers_hold_is_refused_when_written() -> None:
    gap = Gap(at_frame=1, frames=1, why="overrun")
    record = ClosingRecord(
        call=CALL,
        frames=1,
        audio_bytes=1,
        audio_sha256="0" * 64,
        ended=EndReason.STOPPED,
        ended_at_ms=1,
        gaps=(gap,) * 60_000,
    )
    assert len(container.encode_closing(record)) < container.MAX_CLOSING_BYTES
    with pytest.raises(SettingsTrouble):
        container.encode_closing(msgspec.structs.replace(record, gaps=(gap,) * 110_000))


@pytest.mark.parametrize("offset", [0, 967, 2000 - 8, 2000, 2**64 - 1])
def test_closing_offset_outside_the_plaintext_is_refused(offset: int) -> None:
    with pytest.raises(DamagedRecording):
        container.closing_span(2000, offset.to_bytes(8, "big"))


def test_closing_span_beyond_what_readers_hold_is_refused() -> None:
    end = 968 + container.MAX_CLOSING_BYTES + 8
    assert container.closing_span(end, (968).to_bytes(8, "big")) == (968, container.MAX_CLOSING_BYTES)
    with pytest.raises(DamagedRecording):
        container.closing_span(end + 1, (968).to_bytes(8, "big"))


@given(st.integers(0, 2**40))
def test_plaintext_offset_lies_in_its_segment(offset: int) -> None:
    segment = container.segment_of(offset)
    assert container.plain_start(segment) <= offset < container.plain_start(segment + 1)


@given(st.integers(1, 2**40))
def test_file_size_and_plaintext_size_tell_each_other(plaintext_bytes: int) -> None:
    file_bytes = container.file_bytes_of(plaintext_bytes)
    assert container.plaintext_bytes_of(file_bytes) == plaintext_bytes
    assert container.segments_in(file_bytes) == container.segment_of(plaintext_bytes - 1) + 1


@given(st.integers(1, 5000))
def test_file_size_is_that_of_segments_counted_one_by_one(plaintext_bytes: int) -> None:
    rest, file_bytes, room = plaintext_bytes, 40, 968
    while rest > 0:
        file_bytes, rest, room = file_bytes + min(rest, room) + 16, rest - room, 1008
    assert container.file_bytes_of(plaintext_bytes) == file_bytes


@pytest.mark.parametrize("file_bytes", [0, 1, 40, 56, 1025, 1040, 2048 + 16])
def test_size_that_no_complete_file_has_is_refused(file_bytes: int) -> None:
    with pytest.raises(DamagedRecording):
        container.plaintext_bytes_of(file_bytes)


def test_gaps_are_clipped_to_the_audio_that_is_left() -> None:
    gaps = (
        Gap(at_frame=0, frames=10, why="overrun"),
        Gap(at_frame=95, frames=10, why="overrun"),
        Gap(at_frame=100, frames=5, why="unplugged"),
    )
    assert container.clip_gaps(gaps, 100) == (gaps[0], Gap(at_frame=95, frames=5, why="overrun"))
    assert container.clip_gaps(gaps, 1000) == gaps
    assert container.clip_gaps(gaps, 0) == ()
