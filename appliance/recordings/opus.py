"""Speech to Opus packets and back; the only owner of libopus (RFC 6716), bound with cffi.

Promise: 8 kHz, one or two channels, 40 ms a packet, every packet of one size, so that the size of what is sealed says
nothing about what is spoken. Two calls into the library per packet, buffers made once: the processor belongs to the
codec.

How: libopus encodes with a variable rate but never more than the constant size, and `opus_packet_pad` fills up to it
(RFC 6716, 3.2.5, code 3). Its own constant rate is not used: it encodes every packet several times over until the
size fits. A packet that meets the limit is encoded again in the same way, and that is what costs: so a packet holds two
of the codec's frames, which share the room, and the codec aims a little below the limit. Measured over two minutes of
espeak-ng speech with libopus 1.3.1, complexity 5, 16 kbit/s (`python -m tests.bench.packets`): processor seconds for an
hour of one line, what a decoder gives back against what was said (segmental SNR, higher is better; log-spectral
distance, lower is better), and how many packets meet the limit.

    20 ms, target 90 %      13.1 s    8.42 dB    7.16 dB    30 %
    40 ms, target 90 %      10.7 s    8.52 dB    7.09 dB    16 %
    40 ms, target 87.5 %    10.3 s    8.45 dB    7.15 dB    10 %: chosen
    40 ms, target 85 %      10.0 s    8.33 dB    7.28 dB     7 %
    60 ms, target 90 %       9.7 s    8.44 dB    7.17 dB     5 %, and no whole number of packets is a second

Two channels are coded together, at twice the rate, and come back apart: how far apart, and what else was tried, is in
docs/measurements/two-sides.md.

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

PACKET_FRAMES = RATE_HZ // 25
"""Frames in one packet, 40 ms: two of the codec's own, which share what room there is."""

_COMPLEXITY = {1: 5, 2: 3}
"""By channels. Two gain nothing from more than 3 (docs/measurements/two-sides.md)."""

MAX_PACKETS = 25
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
    int opus_packet_pad(unsigned char *packet, int32_t length, int32_t padded_length);
    void opus_encoder_destroy(OpusEncoder *encoder);
    OpusDecoder *opus_decoder_create(int32_t rate, int channels, int *error);
    int opus_decode(
        OpusDecoder *decoder, const unsigned char *packet, int32_t length, int16_t *pcm, int frames, int fec);
    void opus_decoder_destroy(OpusDecoder *decoder);
"""

# opus_defines.h
_APPLICATION_VOIP = 2048
_SET_BITRATE, _SET_VBR, _SET_COMPLEXITY, _SET_DTX, _GET_LOOKAHEAD = 4002, 4006, 4010, 4016, 4027

_TARGET_PERCENT = 87.5
"""The codec aims at this share of the constant rate, so that few packets meet its limit: see the figures above."""


def silence(frames: int, channels: int) -> NDArray[np.int16]:
    """Audio as it is pushed and given here: shape (frames,), or (frames, 2) for two channels."""
    return np.zeros(frames if channels == 1 else (frames, channels), np.int16)


class OpusEncoder:
    """Encodes 8 kHz speech; packets depend on those before, so one encoder per recording.

    Args:
        bitrate_bps: of each channel, on disk, padding included; 16,000 gives packets of 80 bytes, of two channels 160.
        complexity: 0 to 10; None: what suits the channels. 5 costs half the processor time of 10.
        channels: 1 or 2.
    Raises:
        SettingsTrouble: no libopus on this machine, or it refuses these settings.
    """

    def __init__(self, bitrate_bps: int = 16_000, complexity: int | None = None, channels: int = 1) -> None:
        self._ffi, self._library = _libopus()
        bitrate_bps *= channels
        self._room = bitrate_bps * PACKET_FRAMES // RATE_HZ // 8
        self._packet_samples = PACKET_FRAMES * channels
        error = self._ffi.new("int *")
        encoder = self._library.opus_encoder_create(RATE_HZ, channels, _APPLICATION_VOIP, error)
        _check_made(error[0])
        self._encoder = self._ffi.gc(encoder, self._library.opus_encoder_destroy)
        self._set(_SET_BITRATE, int(bitrate_bps * _TARGET_PERCENT / 100))
        self._set(_SET_VBR, 1)
        # Off by default; said aloud because it would leave out packets where nobody speaks.
        self._set(_SET_DTX, 0)
        self._set(_SET_COMPLEXITY, _COMPLEXITY[channels] if complexity is None else complexity)
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
            block: int16, shape (n * 320,) or (n * 320, 2), n at most 25, contiguous.
        Returns: n packets, all of the same size.
        Raises:
            LineTrouble: the codec refused.
        """
        count, rest = divmod(block.size, self._packet_samples)
        if rest or count > MAX_PACKETS or block.dtype != np.int16:
            raise ValueError("a block is int16, whole packets and at most a second")
        # from_buffer refuses what is not contiguous; the pointer lives as long as `frames`.
        frames = self._ffi.from_buffer("int16_t[]", block.data)
        encode, pad, encoder, room = self._library.opus_encode, self._library.opus_packet_pad, self._encoder, self._room
        for number in range(count):
            start = self._starts[number]
            length = encode(encoder, frames + number * self._packet_samples, PACKET_FRAMES, start, room)
            if length < 1 or pad(start, length, room) != 0:
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
        self._decoder: Any = None
        self._nothing = self._room = silence(0, 1)
        self._pending = b""
        self._pages = 0
        self._pre_skip = 0
        self._decoded = 0
        self._ended = False

    def feed(self, piece: bytes) -> NDArray[np.int16]:
        """Take the next bytes of the stream, cut anywhere.

        Returns: int16, shape (n,), or (n, 2) once the stream has said that it has two channels: the frames that became
            complete, without pre-skip and what lies after the end.
        Raises:
            DamagedRecording: not an Ogg Opus stream, a packet that cannot be decoded, or bytes after its end.
        """
        self._pending += piece
        blocks: list[NDArray[np.int16]] = []
        used = 0
        for page in ogg.whole_pages(self._pending):
            used = page.offset + page.length
            blocks.append(self._decode_page(page, self._pending[page.offset : used]))
        self._pending = self._pending[used:]
        return np.concatenate([self._nothing, *blocks])

    def _decode_page(self, page: ogg.Page, content: bytes) -> NDArray[np.int16]:
        if self._ended:
            raise DamagedRecording("The audio goes on after its end.")
        self._ended = page.eos
        self._pages += 1
        packets = ogg.page_packets(content)
        if self._pages == 1:
            self._begin(ogg.parse_head(packets[0] if packets else b""))
        if self._pages <= 2:
            return self._nothing
        return self._trimmed(page, [self._decode_packet(packet) for packet in packets])

    def _begin(self, head: ogg.OpusHead) -> None:
        self._pre_skip = head.pre_skip
        error = self._ffi.new("int *")
        decoder = self._library.opus_decoder_create(RATE_HZ, head.channels, error)
        _check_made(error[0])
        self._decoder = self._ffi.gc(decoder, self._library.opus_decoder_destroy)
        self._nothing = silence(0, head.channels)
        self._room = silence(_LONGEST_PACKET_FRAMES, head.channels)

    def _trimmed(self, page: ogg.Page, blocks: list[NDArray[np.int16]]) -> NDArray[np.int16]:
        """Drop what is before the start, and after the end if this is the last page."""
        frames = np.concatenate([self._nothing, *blocks])
        before, self._decoded = self._decoded, self._decoded + len(frames)
        start = max(0, self._pre_skip // ogg.GRANULES_PER_FRAME - before)
        end = max(0, page.granule // ogg.GRANULES_PER_FRAME - before) if page.eos else len(frames)
        return frames[start:end]

    def _decode_packet(self, packet: bytes) -> NDArray[np.int16]:
        target = self._ffi.from_buffer("int16_t[]", self._room.data)
        count = self._library.opus_decode(self._decoder, packet, len(packet), target, len(self._room), 0)
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
