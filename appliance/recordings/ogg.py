"""Ogg pages around Opus packets: writes our one stream, and reads pages of it back.

Promise: what is written is a valid Ogg Opus stream (RFC 3533, RFC 7845) of which every page ends with a whole
packet, so that it can be cut after any page. What is read is checked page by page, checksum included.

Theory. A page is 27 bytes of header, a table with the lengths of its packets in steps of 255, and the packets.
Its granule position counts 48 kHz samples up to its end, the pre-skip (what the encoder needs to start) included.
The first page carries OpusHead, the second OpusTags, the last the EOS flag; its granule position may lie before
the end of its last packet, and so tells the true length.

Pure: no file, no codec.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from appliance.terms import RATE_HZ, DamagedRecording

GRANULE_RATE_HZ = 48_000
"""Granule positions count at this rate whatever the input was (RFC 7845, 4)."""

GRANULES_PER_FRAME = GRANULE_RATE_HZ // RATE_HZ

VENDOR = b"linekeep"
_HEADER = struct.Struct("<4sBBqIIIB")
_OPUS_HEAD = struct.Struct("<8sBBHIhB")
_CRC = slice(22, 26)
_FLAGS_AT = 5
_TABLE_LENGTH_AT = 26
_CONTINUED, _FIRST, _LAST = 1, 2, 4
_MAX_LACING = 255
_PAGE_STARTS = b"OggS\0"
LONGEST_PAGE_BYTES = _HEADER.size + _MAX_LACING + _MAX_LACING * _MAX_LACING
_OPUS_FRAME_GRANULES = (480, 960, 1920, 2880) * 3 + (480, 960) * 2 + (120, 240, 480, 960) * 4
"""By the configuration in the first byte of a packet: SILK, both, CELT (RFC 6716, 3.1)."""
_REVERSED_BITS = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True, slots=True, kw_only=True)
class OpusHead:
    """What the first packet of a stream announces. pre_skip: 48 kHz samples that a decoder drops at the start."""

    channels: int
    pre_skip: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Where a whole page lies in the bytes it was found in."""

    offset: int
    length: int
    granule: int
    eos: bool


class OggOpusStream:
    """Numbers and frames the pages of one stream.

    Args:
        serial: 32 bits, any; tells streams in one file apart, of which we have one.
        pre_skip: 48 kHz samples that the decoder drops at the start.
        channels: 1, or 2 as left and right.
    """

    def __init__(self, serial: int, *, pre_skip: int, channels: int = 1) -> None:
        self._serial = serial
        self._pre_skip = pre_skip
        self._channels = channels
        self._next_sequence = 0

    def head_pages(self) -> list[bytes]:
        """The two pages before the audio: OpusHead and OpusTags, each alone (RFC 7845, 3)."""
        head = _OPUS_HEAD.pack(b"OpusHead", 1, self._channels, self._pre_skip, RATE_HZ, 0, 0)
        tags = b"OpusTags" + struct.pack("<I", len(VENDOR)) + VENDOR + struct.pack("<I", 0)
        return [self._page([head], 0, _FIRST), self._page([tags], 0, 0)]

    def page(self, packets: Sequence[bytes], granule: int, last: bool) -> bytes:
        """One page of audio; `granule` is the 48 kHz position at its end."""
        return self._page(packets, granule, _LAST if last else 0)

    def _page(self, packets: Sequence[bytes], granule: int, flags: int) -> bytes:
        page = _assembled(packets, granule, flags, self._serial, self._next_sequence)
        self._next_sequence += 1
        return page


def whole_pages(untrusted_stream: bytes) -> Iterator[Page]:
    """The pages from the start of some bytes; an incomplete one at the end is left out.

    Raises:
        DamagedRecording: where a page should begin there is none, or its checksum is wrong.
    """
    offset = 0
    while (length := _page_length(untrusted_stream, offset)) is not None:
        page = untrusted_stream[offset : offset + length]
        if _with_checksum(page) != page:
            raise DamagedRecording("A page of the audio has a wrong checksum.")
        flags, granule = _HEADER.unpack_from(page)[2:4]
        yield Page(offset=offset, length=length, granule=granule, eos=bool(flags & _LAST))
        offset += length


def frames_told(untrusted_beginning: bytes, untrusted_end: bytes) -> tuple[int, int]:
    """How many 8 kHz frames and how many channels a whole stream holds, as its own last and first page say.

    Args:
        untrusted_beginning: at least the first page.
        untrusted_end: at least the last page; LONGEST_PAGE_BYTES are enough.
    Raises:
        DamagedRecording: the stream does not begin like ours, or does not end with a last page.
    """
    page = next(whole_pages(untrusted_beginning), None)
    if page is None:
        raise DamagedRecording("The audio does not begin with a page.")
    head = parse_head(b"".join(page_packets(untrusted_beginning[: page.length])))
    return frames_at(_last_page(untrusted_end).granule, head.pre_skip), head.channels


def _last_page(untrusted_end: bytes) -> Page:
    place = len(untrusted_end)
    while (place := untrusted_end.rfind(_PAGE_STARTS, 0, place)) >= 0:
        # Also a packet may hold these bytes; a page that begins here ends where the stream does.
        if _page_length(untrusted_end, place) == len(untrusted_end) - place:
            page = next(whole_pages(untrusted_end[place:]))
            if page.eos:
                return page
    raise DamagedRecording("The audio does not end with a last page.")


def page_packets(page: bytes) -> list[bytes]:
    """The packets of one page. Raises DamagedRecording: a packet runs on into another page, which ours never do."""
    packets, start = [], _HEADER.size + page[_TABLE_LENGTH_AT]
    for length in _packet_lengths(page):
        packets.append(page[start : start + length])
        start += length
    return packets


def salvage(torn_page: bytes, previous_granule: int) -> tuple[Page, bytes] | None:
    """A shorter page from the whole packets of a page that was cut off, or None if there is not one.

    The checksum of a torn page cannot be checked: only for bytes that were authenticated otherwise.

    Args:
        torn_page: begins like a page, ends too early.
        previous_granule: the granule position of the page before it.
    """
    if len(torn_page) < _HEADER.size or len(_lacing_of(torn_page)) < torn_page[_TABLE_LENGTH_AT]:
        return None
    packets = _whole_packets(torn_page)
    if not packets:
        return None
    _, _, flags, granule, serial, sequence, _, _ = _HEADER.unpack_from(torn_page)
    granule = min(granule, previous_granule + sum(map(packet_granules, packets)))
    content = _assembled(packets, granule, flags & ~_LAST, serial, sequence)
    return Page(offset=0, length=len(content), granule=granule, eos=False), content


def packet_granules(packet: bytes) -> int:
    """How long an Opus packet plays, as its first bytes tell (RFC 6716, 3.2). Raises DamagedRecording: it has none."""
    code = packet[0] & 3 if packet else 3
    if code == 3 and len(packet) < 2:
        raise DamagedRecording("A packet of the audio is too short.")
    frames = (1, 2, 2, packet[1] & 0x3F if code == 3 else 0)[code]
    return frames * _OPUS_FRAME_GRANULES[packet[0] >> 3]


def as_last_page(page: bytes) -> bytes:
    """The same page with the EOS flag set: how a stream that was cut off gets its end."""
    return _with_checksum(page[:_FLAGS_AT] + bytes([page[_FLAGS_AT] | _LAST]) + page[_FLAGS_AT + 1 :])


def parse_head(head_packet: bytes) -> OpusHead:
    """What OpusHead announces. Raises DamagedRecording: not the head of a stream like ours."""
    if len(head_packet) != _OPUS_HEAD.size:
        raise DamagedRecording("The audio does not begin like Opus.")
    magic, version, channels, pre_skip, _rate, gain, mapping = _OPUS_HEAD.unpack(head_packet)
    if (magic, version, gain, mapping) != (b"OpusHead", 1, 0, 0) or channels not in (1, 2):
        raise DamagedRecording("The audio does not begin like Opus in one or two channels.")
    return OpusHead(channels=channels, pre_skip=pre_skip)


def frames_at(granule: int, pre_skip: int) -> int:
    """How many 8 kHz frames a stream holds whose last page has this granule position; negative: none."""
    return (granule - pre_skip) // GRANULES_PER_FRAME


def checksum(content: bytes) -> int:
    """The CRC of RFC 3533, 6: polynomial 0x04c11db7, most significant bit first, start 0, no final xor.

    zlib has the same polynomial least significant bit first, with start and final xor of all ones. Reversing the
    bits of every byte going in, and of the result, turns one into the other, at the speed of C.
    """
    mirrored = zlib.crc32(content.translate(_REVERSED_BITS), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(mirrored.to_bytes(4, "little").translate(_REVERSED_BITS), "big")


def _assembled(packets: Sequence[bytes], granule: int, flags: int, serial: int, sequence: int) -> bytes:
    lacing = b"".join(_lacing(len(packet)) for packet in packets)
    if len(lacing) > _MAX_LACING:
        raise ValueError("these packets do not fit one page")
    header = _HEADER.pack(b"OggS", 0, flags, granule, serial, sequence & 0xFFFFFFFF, 0, len(lacing))
    return _with_checksum(b"".join((header, lacing, *packets)))


def _with_checksum(page: bytes) -> bytes:
    cleared = page[: _CRC.start] + bytes(4) + page[_CRC.stop :]
    return cleared[: _CRC.start] + checksum(cleared).to_bytes(4, "little") + cleared[_CRC.stop :]


def _lacing(length: int) -> bytes:
    return b"\xff" * (length // _MAX_LACING) + bytes([length % _MAX_LACING])


def _lacing_of(page: bytes) -> bytes:
    return page[_HEADER.size : _HEADER.size + page[_TABLE_LENGTH_AT]]


def _packet_lengths(page: bytes) -> list[int]:
    lacing = _lacing_of(page)
    if page[_FLAGS_AT] & _CONTINUED or lacing.endswith(b"\xff"):
        raise DamagedRecording("A packet of the audio runs over two pages.")
    lengths, length = [], 0
    for value in lacing:
        length += value
        if value < _MAX_LACING:
            lengths.append(length)
            length = 0
    return lengths


def _whole_packets(torn_page: bytes) -> list[bytes]:
    packets = page_packets(torn_page)
    return [packet for packet, length in zip(packets, _packet_lengths(torn_page), strict=True) if len(packet) == length]


def _page_length(stream: bytes, offset: int) -> int | None:
    """The length of the page that begins here, or None if it is not whole yet."""
    if not _PAGE_STARTS.startswith(stream[offset : offset + 5]):
        raise DamagedRecording("The audio is not made of pages.")
    if len(stream) < offset + _HEADER.size:
        return None
    table = offset + _HEADER.size
    body = table + stream[offset + _TABLE_LENGTH_AT]
    if len(stream) < body:
        return None
    end = body + sum(stream[table:body])
    return end - offset if end <= len(stream) else None
