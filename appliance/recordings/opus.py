"""Speech to Opus packets and back; the only owner of libopus (RFC 6716), bound with cffi.

Promise: 8 kHz, one channel, 20 ms a packet, hard constant bit rate, so that the size of what is sealed says nothing
about what is spoken. One call into the library per packet, buffers made once: the processor belongs to the codec.

Left to others: pages (ogg.py), and joining both (encoder.py).
"""

from __future__ import annotations

import functools
from typing import Any

import cffi
import numpy as np
from numpy.typing import NDArray

from appliance.recordings import ogg
from appliance.terms import RATE_HZ, DamagedRecording, LineTrouble, SettingsTrouble

PACKET_FRAMES = ogg.PACKET_GRANULES // ogg.GRANULES_PER_FRAME
"""Frames in one packet, 20 ms: the codec's own choice for speech."""

MAX_PACKETS = 50
"""Packets that one `encode` may ask for, one second."""

_LONGEST_PACKET_FRAMES = RATE_HZ * 120 // 1000
"""RFC 6716, 3.2.5: no packet plays longer than 120 ms."""

_LIBRARY = "libopus.so.0"
_DECLARATIONS = """
    typedef struct OpusEncoder OpusEncoder;
    typedef struct OpusDecoder OpusDecoder;
    OpusEncoder *opus_encoder_create(int32_t rate, int channels, int application, int *error);
    int opus_encoder_ctl(OpusEncoder *encoder, int request, ...);
    int32_t opus_encode(OpusEncoder *encoder, const int16_t *pcm, int frames, unsigned char *packet, int32_t room);
    void opus_encoder_destroy(OpusEncoder *encoder);
    OpusDecoder *opus_decoder_create(int32_t rate, int channels, int *error);
    int opus_decode(
        OpusDecoder *decoder, const unsigned char *packet, int32_t length, int16_t *pcm, int frames, int fec);
    void opus_decoder_destroy(OpusDecoder *decoder);
"""

# opus_defines.h
_APPLICATION_VOIP = 2048
_SET_BITRATE, _SET_VBR, _SET_COMPLEXITY, _GET_LOOKAHEAD = 4002, 4006, 4010, 4027


class OpusEncoder:
    """Encodes one channel of 8 kHz speech; packets depend on those before, so one encoder per recording.

    Args:
        bitrate_bps: 16,000 gives packets of 40 bytes.
        complexity: 0 to 10. 5 costs half the processor time of 10.
    Raises:
        SettingsTrouble: no libopus on this machine, or it refuses these settings.
    """

    def __init__(self, bitrate_bps: int = 16_000, complexity: int = 5) -> None:
        self._ffi, self._library = _libopus()
        self._room = bitrate_bps // 50 // 8
        error = self._ffi.new("int *")
        encoder = self._library.opus_encoder_create(RATE_HZ, 1, _APPLICATION_VOIP, error)
        _check_made(error[0])
        self._encoder = self._ffi.gc(encoder, self._library.opus_encoder_destroy)
        self._set(_SET_BITRATE, bitrate_bps)
        self._set(_SET_VBR, 0)
        self._set(_SET_COMPLEXITY, complexity)
        self._packets = self._ffi.new("unsigned char[]", MAX_PACKETS * self._room)
        self._starts = [self._packets + number * self._room for number in range(MAX_PACKETS)]
        self.lookahead_frames = self._lookahead()

    @property
    def pre_skip(self) -> int:
        """The lookahead in 48 kHz samples: what OpusHead announces, and what a decoder drops."""
        return self.lookahead_frames * ogg.GRANULES_PER_FRAME

    def encode(self, block: NDArray[np.int16]) -> list[bytes]:
        """Encode whole packets' worth of frames.

        Args:
            block: int16, shape (n * 160,), n at most 50, contiguous.
        Returns: n packets, all of the same size.
        Raises:
            LineTrouble: the codec refused.
        """
        count, rest = divmod(block.size, PACKET_FRAMES)
        if rest or count > MAX_PACKETS or block.dtype != np.int16:
            raise ValueError("a block is int16, whole packets and at most a second")
        # from_buffer refuses what is not contiguous; the pointer lives as long as `frames`.
        frames = self._ffi.from_buffer("int16_t[]", block.data)
        encode, encoder, room = self._library.opus_encode, self._encoder, self._room
        for number in range(count):
            length = encode(encoder, frames + number * PACKET_FRAMES, PACKET_FRAMES, self._starts[number], room)
            if length != room:
                raise LineTrouble("The speech codec refused a block of audio; the recording ends here.")
        joined = bytes(self._ffi.buffer(self._packets, count * room))
        return [joined[start : start + room] for start in range(0, count * room, room)]

    def _set(self, request: int, value: int) -> None:
        result = self._library.opus_encoder_ctl(self._encoder, request, self._ffi.cast("int", value))
        if result != 0:
            raise SettingsTrouble("The speech codec does not accept these settings; check bit rate and complexity.")

    def _lookahead(self) -> int:
        frames = self._ffi.new("int32_t *")
        if self._library.opus_encoder_ctl(self._encoder, _GET_LOOKAHEAD, frames) != 0:
            raise SettingsTrouble("The speech codec does not tell its delay; another libopus is needed.")
        return int(frames[0])


class OpusDecoder:
    """Turns an Ogg Opus stream back into 8 kHz frames, piece by piece, holding one page at most."""

    def __init__(self) -> None:
        self._ffi, self._library = _libopus()
        error = self._ffi.new("int *")
        decoder = self._library.opus_decoder_create(RATE_HZ, 1, error)
        _check_made(error[0])
        self._decoder = self._ffi.gc(decoder, self._library.opus_decoder_destroy)
        self._room = np.empty(_LONGEST_PACKET_FRAMES, dtype=np.int16)
        self._pending = b""
        self._pages = 0
        self._pre_skip = 0
        self._decoded = 0
        self._ended = False

    def feed(self, piece: bytes) -> NDArray[np.int16]:
        """Take the next bytes of the stream, cut anywhere.

        Returns: int16, shape (n,): the frames that became complete, without pre-skip and what lies after the end.
        Raises:
            DamagedRecording: not an Ogg Opus stream, a packet that cannot be decoded, or bytes after its end.
        """
        self._pending += piece
        blocks, used = [np.empty(0, dtype=np.int16)], 0
        for page in ogg.whole_pages(self._pending):
            used = page.offset + page.length
            blocks.append(self._decode_page(page, self._pending[page.offset : used]))
        self._pending = self._pending[used:]
        return np.concatenate(blocks)

    def _decode_page(self, page: ogg.Page, content: bytes) -> NDArray[np.int16]:
        if self._ended:
            raise DamagedRecording("The audio goes on after its end.")
        self._ended = page.eos
        self._pages += 1
        packets = ogg.page_packets(content)
        if self._pages == 1:
            self._pre_skip = ogg.parse_pre_skip(packets[0] if packets else b"")
        if self._pages <= 2:
            return np.empty(0, dtype=np.int16)
        return self._trimmed(page, [self._decode_packet(packet) for packet in packets])

    def _trimmed(self, page: ogg.Page, blocks: list[NDArray[np.int16]]) -> NDArray[np.int16]:
        """Drop what is before the start, and after the end if this is the last page."""
        frames = np.concatenate([np.empty(0, dtype=np.int16), *blocks])
        before, self._decoded = self._decoded, self._decoded + frames.size
        start = max(0, self._pre_skip // ogg.GRANULES_PER_FRAME - before)
        end = max(0, page.granule // ogg.GRANULES_PER_FRAME - before) if page.eos else frames.size
        return frames[start:end]

    def _decode_packet(self, packet: bytes) -> NDArray[np.int16]:
        target = self._ffi.from_buffer("int16_t[]", self._room.data)
        count = self._library.opus_decode(self._decoder, packet, len(packet), target, self._room.size, 0)
        if count < 0:
            raise DamagedRecording("A packet of the audio cannot be decoded.")
        return self._room[:count].copy()


def _check_made(error: int) -> None:
    if error != 0:
        raise SettingsTrouble("The speech codec could not be set up on this machine.")


@functools.cache
def _libopus() -> tuple[cffi.FFI, Any]:
    """The library's functions; Any, because cffi learns their types only from the declarations above."""
    ffi = cffi.FFI()
    ffi.cdef(_DECLARATIONS)
    try:
        return ffi, ffi.dlopen(_LIBRARY)
    except OSError as error:
        raise SettingsTrouble(f"{_LIBRARY} is not installed; on Debian, install the package libopus0.") from error
