"""Makes tests/vectors/recordings.json: sealed bytes with the class of outcome that every implementation must give.

    python -m tests.recordings.make_vectors

Everything that is random in real life is fixed here, so the file is made anew byte for byte; a test compares. The
audio is valid Ogg, but its packets were made by no codec.

A recording's outcome is `valid` (opens, and all of it verifies), `cut_off` (begins well, has no sealed end) or
`damaged` (anything else). `audio_sha256` and `closing` are given where it is valid.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import msgspec

from appliance.recordings import container, sealing
from appliance.recordings.container import ClosingRecord, EndReason, Format, Gap
from appliance.terms import CallId, Direction
from tests.recordings.samples import (
    CALL,
    KEY,
    NUMBER,
    OTHER_CALL,
    SEGMENT,
    STARTED_AT_MS,
    frames_in,
    ogg_pages,
    opening_record,
)

VECTORS = Path(__file__).parents[1] / "vectors" / "recordings.json"
BUCKET_KEY = bytes(range(32, 64))
Vector = dict[str, object]
AUDIO = b"".join(ogg_pages(2))
AUDIO_2 = b"".join(ogg_pages(2, channels=2))
OPENING = container.encode_opening(opening_record())
OPENING_STEREO = container.encode_opening(opening_record(channels=2))
OPENING_2 = container.encode_opening(opening_record(record_format=2))
OPENING_1 = container.encode_opening(opening_record(record_format=1))


def make_vectors() -> str:
    """The file's text."""
    vectors = {
        "about": "Linekeep recordings, formats 1 to 3. How to read this: docs/format.md, section 8.",
        "recordings": [*_valid(), *_cut_off(), *_damaged_bytes(), *_damaged_content()],
        "cards": [_card(b""), _card(b'{"notes":"called back"}'), _card(b"x" * 252), _card(b"x" * 253)],
        "wrapped_keys": [_wrapped("2025-11-22"), _wrapped("")],
        "number_tokens": [_token("0301234567"), _token("110"), _token("")],
    }
    return json.dumps(vectors, indent=1) + "\n"


def _valid() -> Iterator[Vector]:
    yield _recording("two pages", _sealed(_plaintext(_closing())), "valid", closing=_closing())
    gaps = _closing(gaps=(Gap(at_frame=160, frames=80, why="overrun"), Gap(at_frame=900, frames=1, why="unplugged")))
    yield _recording("two gaps", _sealed(_plaintext(gaps)), "valid", closing=gaps)
    recovered = _closing(ended=EndReason.CUT_OFF, lost_after_frame=frames_in(2))
    yield _recording("recovered after a crash", _sealed(_plaintext(recovered)), "valid", closing=recovered)
    for extra, what in ((0, "last segment full"), (1, "last segment of one byte")):
        filled = _filled(extra)
        yield _recording(what, _sealed(_plaintext(filled)), "valid", closing=filled)
    for number, what in (
        ("", "nobody known"),
        ("*31#0123456789ABCD", "a number of every sign"),
        ("1" * 32, "32 digits"),
    ):
        direction = Direction.OUT if number else Direction.UNKNOWN
        told = msgspec.structs.replace(_closing(), direction=direction, number=number)
        yield _recording(what, _sealed(_plaintext(told)), "valid", closing=told)
    both = _two_sided()
    yield _recording("two channels", _sealed(_plaintext(both, channels=2)), "valid", closing=both)
    yield _recording("format 2", _sealed(_plaintext(_closing(), 2)), "valid", closing=_closing(), record_format=2)
    yield _recording("format 1", _sealed(_plaintext(_silent(), 1)), "valid", closing=_silent(), record_format=1)
    crashed = msgspec.structs.replace(_silent(), ended=EndReason.CUT_OFF, lost_after_frame=frames_in(2))
    what = "format 1, recovered after a crash"
    yield _recording(what, _sealed(_plaintext(crashed, 1)), "valid", closing=crashed, record_format=1)


def _cut_off() -> Iterator[Vector]:
    whole = _sealed(_plaintext(_closing()))
    yield _recording("opening record only", whole[:SEGMENT], "cut_off")
    yield _recording("cut at a segment's end", whole[: 2 * SEGMENT], "cut_off")
    yield _recording("cut within a segment", whole[: 2 * SEGMENT - 100], "cut_off")
    yield _recording("cut by one byte", whole[:-1], "cut_off")
    yield _recording("two channels, cut by one byte", _sealed(_plaintext(_two_sided(), channels=2))[:-1], "cut_off")
    yield _recording("format 2, cut by one byte", _sealed(_plaintext(_closing(), 2))[:-1], "cut_off")
    yield _recording("format 1, cut by one byte", _sealed(_plaintext(_silent(), 1))[:-1], "cut_off")
    yield _recording("one byte appended", whole + b"\0", "cut_off")
    yield _recording("bit flipped in the last segment", _flipped(whole, len(whole) - 20), "cut_off")


def _damaged_bytes() -> Iterator[Vector]:
    whole = _sealed(_plaintext(_closing()))
    yield _recording("empty file", b"", "damaged")
    yield _recording("cut within the opening segment", whole[: SEGMENT - 1], "damaged")
    for place, what in ((0, "header length"), (5, "salt"), (35, "nonce prefix"), (100, "opening segment")):
        yield _recording(f"bit flipped in the {what}", _flipped(whole, place), "damaged")
    yield _recording("bit flipped in a middle segment", _flipped(whole, SEGMENT + 500), "damaged")
    yield _recording("of another call", whole, "damaged", call=OTHER_CALL)


def _damaged_content() -> Iterator[Vector]:
    """Sealed rightly, with a content that no recording has."""
    closing, end = _closing(), container.encode_closing(_closing(), 3)
    text, offset = end[:-8], end[-8:]
    silent_end = container.encode_closing(_silent(), 1)
    contents = {
        "opening record of format 4": OPENING.replace(b'"format":3', b'"format":4') + AUDIO + end,
        "format 1 with a consent": OPENING_2.replace(b'"format":2', b'"format":1') + AUDIO + silent_end,
        "format 2 without a consent": OPENING_1.replace(b'"format":1', b'"format":2') + AUDIO + end,
        "format 2 with channels": OPENING.replace(b'"format":3', b'"format":2') + AUDIO + end,
        "format 3 without channels": OPENING_2.replace(b'"format":2', b'"format":3') + AUDIO + end,
        "three channels": OPENING.replace(b'"channels":1', b'"channels":3') + AUDIO + end,
        "no channel": OPENING.replace(b'"channels":1', b'"channels":0') + AUDIO + end,
        "consent is nobody's": OPENING.replace(b'"by":"key"', b'"by":"boy"') + AUDIO + end,
        "consent is null": _without_consent(b"null") + AUDIO + end,
        "consent has no time": OPENING.replace(b'"at_ms":1760000012345,', b"").ljust(968) + AUDIO + end,
        "format 1 with a number": OPENING_1 + AUDIO + end,
        "format 2 without a number": OPENING_2 + AUDIO + silent_end,
        "number with a letter": OPENING + AUDIO + text.replace(NUMBER.encode(), b"0305550447E") + offset,
        "closing record with a space less": OPENING + AUDIO + text[:-1] + offset,
        "closing record with a space more": OPENING + AUDIO + text + b" " + offset,
        "closing record of format 1 with a space": OPENING_1 + AUDIO + silent_end[:-8] + b" " + offset,
        "opening record of another call": OPENING.replace(CALL.encode(), OTHER_CALL.encode()) + AUDIO + end,
        "opening record with an unknown field": OPENING.replace(b'{"call"', b'{"a":1,"call"')[:-6] + AUDIO + end,
        "opening record padded with zeros": OPENING.rstrip().ljust(968, b"\0") + AUDIO + end,
        "closing record with white space": OPENING + AUDIO + text.replace(b":", b": ", 1) + offset,
        "closing record with a key twice": OPENING + AUDIO + b'{"frames":1,' + text[1:] + offset,
        "closing record of another call": _plaintext(msgspec.structs.replace(closing, call=OTHER_CALL)),
        "closing record with another hash": _plaintext(msgspec.structs.replace(closing, audio_sha256="0" * 64)),
        "closing record of more audio": _plaintext(msgspec.structs.replace(closing, audio_bytes=len(AUDIO) + 1)),
        "offset before the audio": OPENING + AUDIO + text + (967).to_bytes(8, "big"),
        "offset behind the end": OPENING + AUDIO + text + (2**63).to_bytes(8, "big"),
    }
    for what, plaintext in contents.items():
        yield _recording(what, _sealed(plaintext), "damaged")


def _plaintext(closing: ClosingRecord, record_format: Format = 3, *, channels: int = 1) -> bytes:
    text = container.encode_closing(closing, record_format)[:-8]
    opening, audio = {1: OPENING_1, 2: OPENING_2, 3: OPENING}[record_format], AUDIO
    if channels == 2:
        opening, audio = OPENING_STEREO, AUDIO_2
    return opening + audio + text + (968 + len(audio)).to_bytes(8, "big")


def _closing(
    *,
    gaps: tuple[Gap, ...] = (),
    ended: EndReason = EndReason.SILENCE,
    lost_after_frame: int | None = None,
) -> ClosingRecord:
    return ClosingRecord(
        call=CALL,
        frames=frames_in(2),
        audio_bytes=len(AUDIO),
        audio_sha256=hashlib.sha256(AUDIO).hexdigest(),
        ended=ended,
        ended_at_ms=STARTED_AT_MS + 393,
        gaps=gaps,
        peaks="gH8A/wD/",
        lost_after_frame=lost_after_frame,
        direction=Direction.IN,
        number=NUMBER,
    )


def _two_sided() -> ClosingRecord:
    """Of two channels, with four bytes for each column of its outline."""
    told = {"audio_bytes": len(AUDIO_2), "audio_sha256": hashlib.sha256(AUDIO_2).hexdigest(), "peaks": "gH8A/wD/gH8="}
    return msgspec.structs.replace(_closing(), **told)


def _silent() -> ClosingRecord:
    """Of format 1: it does not say with whom the call was."""
    return msgspec.structs.replace(_closing(), direction=Direction.UNKNOWN, number="")


def _without_consent(instead: bytes) -> bytes:
    return re.sub(rb'"consent":\{[^}]*\}', b'"consent":' + instead, OPENING).rstrip().ljust(968)


def _filled(extra: int) -> ClosingRecord:
    """A closing record, stretched by the words of its gaps, behind which so many bytes overhang full segments."""
    for letters in range(1, 41):
        for gaps in range(1, 120):
            closing = _closing(gaps=(Gap(at_frame=1, frames=1, why="w" * letters),) * gaps)
            if (len(_plaintext(closing)) - 968 - extra) % 1008 == 0:
                return closing
    raise ValueError("no closing record has this length")


def _sealed(plaintext: bytes) -> bytes:
    with _fixed_randomness():
        sealer = sealing.SegmentSealer(KEY, CALL.encode())
    starts = [0, *range(968, len(plaintext), 1008)]
    ends = [*starts[1:], len(plaintext)]
    pieces = [
        sealer.seal(number, plaintext[start:end], end == len(plaintext))
        for number, (start, end) in enumerate(zip(starts, ends, strict=True))
    ]
    return sealer.header + b"".join(pieces)


def _recording(
    what: str,
    sealed: bytes,
    outcome: str,
    *,
    call: CallId = CALL,
    closing: ClosingRecord | None = None,
    record_format: Format = 3,
) -> Vector:
    vector: Vector = {"what": what, "outcome": outcome, "key": KEY.hex(), "call": call, "sealed": _lines(sealed)}
    if closing is not None:
        vector["audio_sha256"] = closing.audio_sha256
        vector["closing"] = container.encode_closing(closing, record_format)[:-8].decode()
    return vector


def _card(plaintext: bytes) -> Vector:
    with _fixed_randomness():
        sealed = sealing.seal_card(KEY, CALL, plaintext)
    return {"key": KEY.hex(), "call": CALL, "plaintext": _lines(plaintext), "sealed": _lines(sealed)}


def _wrapped(bucket_id: str) -> Vector:
    with _fixed_randomness():
        wrapped = sealing.wrap_key(BUCKET_KEY, CALL, bucket_id, KEY)
    return {
        "bucket_key": BUCKET_KEY.hex(),
        "bucket_id": bucket_id,
        "call": CALL,
        "call_key": KEY.hex(),
        "wrapped": wrapped.hex(),
    }


def _token(digits: str) -> Vector:
    token = sealing.number_token(BUCKET_KEY, digits)
    return {"bucket_key": BUCKET_KEY.hex(), "digits": digits, "token": token.hex()}


def _flipped(sealed: bytes, place: int) -> bytes:
    return sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :]


def _lines(content: bytes) -> list[str]:
    """Hexadecimal, 64 bytes a line."""
    return [content[start : start + 64].hex() for start in range(0, len(content), 64)]


@contextmanager
def _fixed_randomness() -> Iterator[None]:
    """Counts upwards instead of being random: what makes a vector, and would break a recording."""
    with patch.object(sealing, "_fresh_bytes", lambda count: bytes(range(1, 1 + count))):
        yield


if __name__ == "__main__":
    VECTORS.parent.mkdir(exist_ok=True)
    VECTORS.write_text(make_vectors())
