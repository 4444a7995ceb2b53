"""The recording container, formats 1 to 3: where which byte lies, and the two records that frame the audio.

Theory. The ciphertext is a sequence of segments of 1024 bytes; the first begins with the 40 bytes of the
header, each ends with a 16 byte tag, the last one may be shorter. So the plaintext comes in pieces of 968,
1008, 1008, ... bytes, and is itself:

    [0, 968)        opening record: JSON, padded with spaces; exactly segment 0, synced before any audio
    [968, 968+N)    audio: a complete Ogg Opus stream
    [968+N, end-8)  closing record: JSON, since format 2 padded with spaces in place of the digits its number lacks
    [end-8, end)    u64, big endian: where the closing record starts, = 968+N

Records are JSON in one spelling only: keys sorted, no white space, no unknown and no missing field. What parses
here encodes to the same bytes, so a signed hash of a record has one meaning.

Since format 2 there are three members more: by whose consent the recording is kept, and with whom the call was. Since
format 3 there is one more: of two channels the left one is the near side, the right one the far side. The opening
record names the format of both records. Everything is written in format 3; older recordings are read, and a cut off one
is recovered as what it is. What they do not say is None, unknown or empty, and they have one channel.

Pure: no file, no key, no clock. Byte for byte in docs/format.md.
"""

from __future__ import annotations

import struct
from enum import StrEnum
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from appliance.recordings.sealing import HEADER_BYTES, SEGMENT_BYTES, TAG_BYTES
from appliance.terms import CallId, ConsentBy, DamagedRecording, Direction, LineName, SettingsTrouble

Format = Literal[1, 2, 3]

OPENING_BYTES = SEGMENT_BYTES - HEADER_BYTES - TAG_BYTES
"""Plaintext in segment 0, which is the opening record and nothing else."""

SEGMENT_PLAINTEXT_BYTES = SEGMENT_BYTES - TAG_BYTES
"""Plaintext in every other segment; the last one may hold less, but never nothing."""

MAX_CLOSING_BYTES = 4 * 1024 * 1024
"""What a reader accepts as closing record: room for 60,000 gaps, and a bound on what a reader must hold."""

MAX_GROUND_CHARACTERS = 135
"""A ground this long fits the opening record even if each of its characters takes four bytes, and all else is longest.
Settings allow 120, and always did."""

MAX_NUMBER_CHARACTERS = 32

MAX_PEAK_COLUMNS = 800
_MAX_PEAKS_CHARACTERS = 4 * -(-MAX_PEAK_COLUMNS * 4 // 3)
_OFFSET = struct.Struct(">Q")

# Patterns are searched, not matched, hence the anchors; \Z because $ would allow a line feed after it.
_Call = Annotated[CallId, msgspec.Meta(pattern=r"\A[0-9a-f]{32}\Z")]
_Line = Annotated[LineName, msgspec.Meta(pattern=r"\A[a-z][a-z0-9-]{0,31}\Z")]
_Sha256 = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
_Positive = Annotated[int, msgspec.Meta(ge=1, le=2**53)]
# No control characters: JSON spells them in six bytes, and they have no place in a sentence.
_PRINTED = r"\A[^\x00-\x1f\x7f]*\Z"
_Word = Annotated[str, msgspec.Meta(min_length=1, max_length=40, pattern=_PRINTED)]
_Ground = Annotated[str, msgspec.Meta(max_length=MAX_GROUND_CHARACTERS, pattern=_PRINTED)]
_Number = Annotated[str, msgspec.Meta(max_length=MAX_NUMBER_CHARACTERS, pattern=r"\A[0-9A-D*#]*\Z")]
_Peaks = Annotated[
    str, msgspec.Meta(pattern=r"\A([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2,3}={1,2})?\Z", max_length=_MAX_PEAKS_CHARACTERS)
]


class EndReason(StrEnum):
    """Why a recording ended where it ends."""

    HUNG_UP = "hung_up"
    """Hook, busy or congestion tone: the call was over."""
    SILENCE = "silence"
    DISK_FULL = "disk_full"
    DEVICE_LOST = "device_lost"
    STOPPED = "stopped"
    """The box was shut down."""
    LONGEST = "longest"
    """The longest allowed length was reached."""
    CUT_OFF = "cut_off"
    """Recovered after a crash; what came after the last whole page is lost."""


class Consent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What proves that the recording may be kept, and since when it does: milliseconds since 1970 UTC."""

    at_ms: _Count
    by: ConsentBy


class OpeningRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known when a recording starts.

    Raises ValueError: only format 1 has no consent, and only format 3 two channels.
    """

    call: _Call
    line: _Line
    started_at_ms: _Count
    """Milliseconds since 1970 UTC of audio frame 0."""
    rate_hz: _Positive
    ground: _Ground
    """Why this line may be recorded, in words."""
    software: _Word
    consent: Consent | None = None
    channels: Literal[1, 2] = 1
    """Two: the near side on the left, the far side on the right."""
    codec: Literal["opus"] = "opus"
    format: Format = 3

    def __post_init__(self) -> None:
        if (self.consent is None) is not (self.format == 1):
            raise ValueError("only a recording of format 1 does not say by whose consent it is kept")
        if self.channels != 1 and self.format != 3:
            raise ValueError("only a recording of format 3 has two channels")


PAUSED = "paused"
"""Why of a gap for which the own side asked: nothing was lost there."""


class Gap(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Frames that were not recorded; the audio holds silence in their place, so the time line stays true."""

    at_frame: _Count
    frames: _Positive
    why: _Word
    """A word, not a sentence: "overrun", "unplugged", `PAUSED`. Never personal data."""


class ClosingRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known when a recording ends: with it the file is complete evidence by itself."""

    call: _Call
    frames: _Count
    audio_bytes: _Count
    audio_sha256: _Sha256
    ended: EndReason
    ended_at_ms: _Count
    gaps: tuple[Gap, ...] = ()
    peaks: _Peaks = ""
    """Base64 of (lowest, highest) sample as int8, for each channel, of up to 800 columns, equal but for the last; for
    the eye only."""
    lost_after_frame: _Count | None = None
    """The first frame that is not in the audio although it was captured; None if nothing was lost."""
    direction: Direction = Direction.UNKNOWN
    number: _Number = ""
    """The other side's, as it was sent or dialled; empty if it is not known."""

    def __repr__(self) -> str:
        return f"ClosingRecord({self.call}, {self.frames} frames, {self.ended.value})"


Record = TypeVar("Record", OpeningRecord, ClosingRecord)
_ENCODER = msgspec.json.Encoder(order="sorted")
_SINCE_FORMAT = {"consent": 2, "direction": 2, "number": 2, "channels": 3}
"""All other members have always been there."""


def members_of(record: OpeningRecord | ClosingRecord, record_format: Format) -> dict[str, Any]:
    """What a record says in a recording of this format, for JSON."""
    told: dict[str, Any] = msgspec.to_builtins(record)
    return {name: value for name, value in told.items() if _SINCE_FORMAT.get(name, 1) <= record_format}


def encode_opening(record: OpeningRecord) -> bytes:
    """The plaintext of segment 0. Raises SettingsTrouble: too long, or a field no reader would accept."""
    plaintext = _encode(record, record.format)
    if len(plaintext) > OPENING_BYTES:
        raise SettingsTrouble("The reason why this line may be recorded is too long; shorten it.")
    return plaintext


def decode_opening(untrusted_plaintext: bytes) -> OpeningRecord:
    """Read segment 0. Raises DamagedRecording."""
    if len(untrusted_plaintext) != OPENING_BYTES:
        raise DamagedRecording("The opening record does not fill its segment.")
    record = _parsed(untrusted_plaintext, OpeningRecord)
    _check_spelling(record, record.format, untrusted_plaintext)
    return record


def encode_closing(record: ClosingRecord, record_format: Format) -> bytes:
    """The end of the plaintext: closing record and its place. Raises SettingsTrouble as `encode_opening`.

    Args:
        record_format: the opening record's.
    """
    text = _encode(record, record_format)
    if len(text) > MAX_CLOSING_BYTES:
        raise SettingsTrouble("The closing record is larger than a recording can hold.")
    return text + _OFFSET.pack(OPENING_BYTES + record.audio_bytes)


def decode_closing(untrusted_plaintext: bytes, record_format: Format) -> ClosingRecord:
    """Read the closing record, without the eight bytes that follow it. Raises DamagedRecording."""
    record = _parsed(untrusted_plaintext, ClosingRecord)
    _check_spelling(record, record_format, untrusted_plaintext)
    return record


def closing_span(plaintext_bytes: int, untrusted_offset: bytes) -> tuple[int, int]:
    """Start and length of the closing record, from the plaintext's last eight bytes. Raises DamagedRecording."""
    (start,) = _OFFSET.unpack(untrusted_offset)
    length = plaintext_bytes - _OFFSET.size - start
    if start < OPENING_BYTES or not 0 < length <= MAX_CLOSING_BYTES:
        raise DamagedRecording("The recording does not say where its closing record is.")
    return start, length


def clip_gaps(gaps: tuple[Gap, ...], frames: int) -> tuple[Gap, ...]:
    """The gaps, or parts of gaps, that lie in the first `frames` frames."""
    return tuple(
        Gap(at_frame=gap.at_frame, frames=min(gap.frames, frames - gap.at_frame), why=gap.why)
        for gap in gaps
        if gap.at_frame < frames
    )


def segment_of(plain_offset: int) -> int:
    """The number of the segment that holds a byte of plaintext."""
    if plain_offset < OPENING_BYTES:
        return 0
    return 1 + (plain_offset - OPENING_BYTES) // SEGMENT_PLAINTEXT_BYTES


def plain_start(segment: int) -> int:
    """The plaintext offset of a segment's first byte."""
    return 0 if segment == 0 else OPENING_BYTES + (segment - 1) * SEGMENT_PLAINTEXT_BYTES


def file_start(segment: int) -> int:
    """The file offset of a segment's first sealed byte; each ends at the next multiple of 1024, or the file's end."""
    return HEADER_BYTES if segment == 0 else segment * SEGMENT_BYTES


def segments_in(file_bytes: int) -> int:
    """How many segments a file of this size has, the last one whole or not."""
    return -(-file_bytes // SEGMENT_BYTES)


def plaintext_bytes_of(file_bytes: int) -> int:
    """The plaintext in a complete file of this size.

    Raises:
        DamagedRecording: no complete file has this size, as its last segment would hold no plaintext.
    """
    last = max(0, segments_in(file_bytes) - 1)
    if file_bytes - file_start(last) <= TAG_BYTES:
        raise DamagedRecording("No complete recording has this size.")
    return file_bytes - HEADER_BYTES - TAG_BYTES * segments_in(file_bytes)


def file_bytes_of(plaintext_bytes: int) -> int:
    """The size of the complete file that holds this much plaintext (at least one byte)."""
    return plaintext_bytes + HEADER_BYTES + TAG_BYTES * (segment_of(plaintext_bytes - 1) + 1)


def _encode(record: Record, record_format: Format) -> bytes:
    """Spell, and read back: a record that no reader accepts must be noticed by its writer."""
    text = _spelled(record, record_format)
    try:
        read = msgspec.json.decode(text, type=type(record))
    except msgspec.ValidationError as error:
        raise SettingsTrouble(f"A recording cannot say this of itself: {error}") from error
    if read != record:
        raise SettingsTrouble("A recording of format 1 cannot say with whom the call was.")
    return text


def _spelled(record: OpeningRecord | ClosingRecord, record_format: Format) -> bytes:
    """The one spelling of a record, with the spaces that belong to it."""
    text = _ENCODER.encode(members_of(record, record_format))
    if isinstance(record, OpeningRecord):
        return text.ljust(OPENING_BYTES)
    # A file's size must not tell how long the number is.
    return text if record_format == 1 else text + b" " * (MAX_NUMBER_CHARACTERS - len(record.number))


def _parsed(untrusted_text: bytes, kind: type[Record]) -> Record:
    try:
        return msgspec.json.decode(untrusted_text, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedRecording("A record in this recording cannot be read.") from error


def _check_spelling(record: OpeningRecord | ClosingRecord, record_format: Format, untrusted_text: bytes) -> None:
    if _spelled(record, record_format) != untrusted_text:
        raise DamagedRecording("A record in this recording is not spelled as records are.")
