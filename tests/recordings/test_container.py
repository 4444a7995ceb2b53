"""The arithmetic of the container, and records that have one spelling only."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.recordings import container
from appliance.recordings.container import ClosingRecord, Consent, EndReason, Format, Gap, OpeningRecord
from appliance.terms import CallId, ConsentBy, DamagedRecording, Direction, LineName, SettingsTrouble
from tests.recordings.samples import CALL, opening_record

COUNTS = st.integers(0, 2**53)
CALLS = st.from_regex(r"[0-9a-f]{32}", fullmatch=True).map(CallId)
# Whatever a font can show, all planes: no surrogates (UTF-8 has none), no control characters.
PRINTED = st.characters(exclude_categories=("Cs", "Cc"))
WORDS = st.text(PRINTED, min_size=1, max_size=40)
GAPS = st.builds(Gap, at_frame=COUNTS, frames=st.integers(1, 2**53), why=WORDS)
CONSENTS = st.builds(Consent, at_ms=COUNTS, by=st.sampled_from(ConsentBy))


def _opening(consent: Consent | None, channels: Literal[1, 2] | None, **told: Any) -> OpeningRecord:
    """Of format 1 without a consent, of format 2 without channels."""
    if consent is None:
        return OpeningRecord(format=1, **told)
    if channels is None:
        return OpeningRecord(format=2, consent=consent, **told)
    return OpeningRecord(consent=consent, channels=channels, **told)


OPENINGS = st.builds(
    _opening,
    consent=st.none() | CONSENTS,
    channels=st.sampled_from([None, 1, 2]),
    call=CALLS,
    line=st.from_regex(r"[a-z][a-z0-9-]{0,31}", fullmatch=True).map(LineName),
    started_at_ms=COUNTS,
    rate_hz=st.integers(1, 2**53),
    ground=st.text(PRINTED, max_size=container.MAX_GROUND_CHARACTERS),
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
    direction=st.sampled_from(Direction),
    number=st.text("0123456789ABCD*#", max_size=32),
)
SILENT_CLOSINGS = CLOSINGS.map(
    lambda record: msgspec.structs.replace(record, direction=Direction.UNKNOWN, number=""),
)
FORMATS = st.tuples(CLOSINGS, st.sampled_from([2, 3])) | st.tuples(SILENT_CLOSINGS, st.just(1))
"""A closing record, and the format in which it is written."""
STOPPED = ClosingRecord(
    call=CALL, frames=1, audio_bytes=1, audio_sha256="0" * 64, ended=EndReason.STOPPED, ended_at_ms=1
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


def test_longest_opening_record_fits_its_segment_and_a_longer_ground_would_not() -> None:
    longest = OpeningRecord(
        call=CALL,
        line=LineName("l" * 32),
        started_at_ms=2**53,
        rate_hz=2**53,
        ground="\U0001f512" * container.MAX_GROUND_CHARACTERS,
        software="\U0001f512" * 40,
        consent=Consent(at_ms=2**53, by=max(ConsentBy, key=len)),
        channels=2,
    )
    spelled = container.encode_opening(longest)
    assert container.decode_opening(spelled) == longest
    assert len(spelled.rstrip(b" ")) > 968 - 4


def test_opening_record_tells_its_channels_in_format_3_only() -> None:
    assert b'"channels":2' in container.encode_opening(opening_record(channels=2))
    assert b"channels" not in container.encode_opening(opening_record(record_format=2))
    with pytest.raises(ValueError, match="two channels"):
        opening_record(record_format=2, channels=2)


def test_opening_record_has_a_consent_in_format_2_and_none_in_format_1() -> None:
    new, old = opening_record(record_format=2), opening_record(record_format=1)
    with pytest.raises(ValueError, match="consent"):
        msgspec.structs.replace(new, format=1)
    with pytest.raises(ValueError, match="consent"):
        msgspec.structs.replace(old, format=2)
    assert b"consent" not in container.encode_opening(old)


@given(FORMATS)
def test_closing_record_reads_back_from_where_its_offset_says(written: tuple[ClosingRecord, Format]) -> None:
    record, record_format = written
    end = container.encode_closing(record, record_format)
    plaintext_bytes = 968 + record.audio_bytes + len(end)
    start, length = container.closing_span(plaintext_bytes, end[-8:])
    assert (start, length) == (968 + record.audio_bytes, len(end) - 8)
    assert container.decode_closing(end[:length], record_format) == record


@given(FORMATS)
def test_closing_record_is_refused_as_one_of_the_other_format(written: tuple[ClosingRecord, Format]) -> None:
    record, record_format = written
    text = container.encode_closing(record, record_format)[:-8]
    with pytest.raises(DamagedRecording):
        container.decode_closing(text, 2 if record_format == 1 else 1)


@given(CLOSINGS, st.text("0123456789ABCD*#", max_size=32))
def test_closing_record_is_as_long_whatever_the_number(record: ClosingRecord, number: str) -> None:
    other = msgspec.structs.replace(record, number=number)
    assert len(container.encode_closing(record, 2)) == len(container.encode_closing(other, 2))


def test_closing_record_of_format_1_cannot_say_with_whom_the_call_was() -> None:
    for changes in ({"direction": Direction.IN}, {"number": "110"}):
        with pytest.raises(SettingsTrouble, match="format 1"):
            container.encode_closing(msgspec.structs.replace(STOPPED, **changes), 1)


@pytest.mark.parametrize("number", ["1" * 33, "+49301", "030 1", "E", "a", "1\n"])
def test_closing_record_with_a_number_that_no_telephone_dials_is_refused(number: str) -> None:
    with pytest.raises(SettingsTrouble):
        container.encode_closing(msgspec.structs.replace(STOPPED, number=number), 2)


def test_closing_record_does_not_show_the_number_in_a_log() -> None:
    assert "110" not in repr(msgspec.structs.replace(STOPPED, number="110"))


@given(st.binary(max_size=400) | JSON_BYTES, st.sampled_from([1, 2]))
def test_whatever_parses_as_closing_record_encodes_to_the_same_bytes(untrusted: bytes, record_format: Format) -> None:
    try:
        record = container.decode_closing(untrusted, record_format)
    except DamagedRecording:
        return
    assert container.encode_closing(record, record_format)[:-8] == untrusted


@given(FORMATS, st.data())
def test_closing_record_with_a_byte_changed_is_refused_or_another_record(
    written: tuple[ClosingRecord, Format], data: st.DataObject
) -> None:
    record, record_format = written
    text = bytearray(container.encode_closing(record, record_format)[:-8])
    place = data.draw(st.integers(0, len(text) - 1))
    text[place] ^= data.draw(st.integers(1, 255))
    try:
        read = container.decode_closing(bytes(text), record_format)
    except DamagedRecording:
        return
    assert read != record
    assert container.encode_closing(read, record_format)[:-8] == bytes(text)


@given(OPENINGS, st.data())
def test_opening_record_with_a_byte_changed_is_refused_or_another_record(
    record: OpeningRecord, data: st.DataObject
) -> None:
    plaintext = bytearray(container.encode_opening(record))
    place = data.draw(st.integers(0, len(plaintext.rstrip()) - 1))
    plaintext[place] ^= data.draw(st.integers(1, 255))
    try:
        read = container.decode_opening(bytes(plaintext))
    except DamagedRecording:
        return
    assert read != record
    assert container.encode_opening(read) == bytes(plaintext)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"format":3', b'"format":1'),
        (b'"format":3', b'"format":4'),
        (b'"channels":1', b'"channels":3'),
        (b'"channels":1,', b""),
        (b'"codec":"opus"', b'"codec":"flac"'),
        (b'"format":3', b'"format":3,"more":1'),
        (b'"format":3', b'"format":3.0'),
        (b'"format":3', b'"format": 3'),
        (b'"format":3,', b""),
        (b'"by":"key"', b'"by":"nobody"'),
        (b'"by":"key"', b'"by":"key","more":1'),
        (b',"by":"key"', b""),
        (b'"at_ms":1760000012345', b'"at_ms":-1'),
        (b'{"at_ms":1760000012345,"by":"key"}', b'{"by":"key","at_ms":1760000012345}'),
        (b'{"at_ms":1760000012345,"by":"key"}', b"null"),
        (b'"consent":{"at_ms":1760000012345,"by":"key"},', b""),
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
    for changes in ({"call": "x"}, {"line": "A"}, {"started_at_ms": -1}, {"ground": "g" * 139}, {"ground": "\0"}):
        with pytest.raises(SettingsTrouble):
            container.encode_opening(msgspec.structs.replace(opening, **changes))


def test_closing_record_larger_than_readers_hold_is_refused_when_written() -> None:
    gap = Gap(at_frame=1, frames=1, why="overrun")
    record = msgspec.structs.replace(STOPPED, gaps=(gap,) * 60_000)
    assert len(container.encode_closing(record, 2)) < container.MAX_CLOSING_BYTES
    with pytest.raises(SettingsTrouble):
        container.encode_closing(msgspec.structs.replace(record, gaps=(gap,) * 110_000), 2)


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
