"""Which bytes of a call's audio a browser gets: the arithmetic of RFC 9110, section 14, and nothing else.

A header that is malformed or asks for several ranges is ignored, as the norm allows: the whole is sent then.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

RANGE_LIMIT_BYTES = 1024 * 1024
"""The most that one partial answer brings: a player asks again, and nothing lies about in buffers."""

_ONE_RANGE = re.compile(r"bytes=(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))", re.IGNORECASE)


class OutsideTheAudio(Exception):
    """The range asked for begins behind the end, or is empty: answer 416."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ByteRange:
    """Bytes `first` to `last`, both included."""

    first: int
    last: int

    @property
    def length(self) -> int:
        return self.last - self.first + 1

    def content_range(self, total: int) -> str:
        return f"bytes {self.first}-{self.last}/{total}"


def parse_range(untrusted_header: str, total: int) -> ByteRange | None:
    """The range to send, cut to the end of the audio and to the limit.

    Args:
        untrusted_header: the value of Range; empty if there was none.
        total: length of the audio.
    Returns: None if the whole is to be sent.
    Raises: OutsideTheAudio.
    """
    match = _ONE_RANGE.fullmatch(untrusted_header.strip())
    if match is None:
        return None
    start, end, suffix = match.groups()
    if suffix is not None:
        first, last = max(0, total - int(suffix)), total - 1
    else:
        first, last = int(start), min(int(end), total - 1) if end else total - 1
        if end and int(end) < first:
            return None
    if first > last:
        raise OutsideTheAudio
    return ByteRange(first=first, last=min(last, first + RANGE_LIMIT_BYTES - 1))
