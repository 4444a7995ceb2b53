"""Frames in, complete Ogg pages out: what the recorder hands to the writer.

Promise: one page per second of audio, given out as soon as it is full; the decoded stream is exactly as long as
what was pushed, to the frame; nothing of the audio is held but the second being filled.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from appliance.recordings import ogg
from appliance.recordings.opus import MAX_PACKETS, PACKET_FRAMES, OpusEncoder, silence

PACKETS_PER_PAGE = 25
"""One second. Longer pages would put more audio at risk; pages of half a second would cost 1.3 % more disk."""


class OpusPages:
    """Encodes one recording from its first frame to its last.

    Args:
        serial: the Ogg stream's number, 32 bits, any.
        bitrate_bps: of each channel.
        channels: 1 or 2.
    """

    def __init__(
        self, serial: int, *, bitrate_bps: int = 16_000, complexity: int | None = None, channels: int = 1
    ) -> None:
        self._channels = channels
        self._encoder = OpusEncoder(bitrate_bps, complexity, channels)
        self._stream = ogg.OggOpusStream(serial, pre_skip=self._encoder.pre_skip, channels=channels)
        self._waiting_pages = self._stream.head_pages()
        self._partial = silence(0, channels)
        self._packets: list[bytes] = []
        self._granule = 0
        self._frames = 0

    @property
    def frames(self) -> int:
        """How many frames were pushed."""
        return self._frames

    def push(self, block: NDArray[np.int16]) -> list[bytes]:
        """Take the next frames; returns the pages that became complete, the head pages with the first block.

        Args:
            block: int16, shape (n,) or (n, 2), 8 kHz. Cheapest in multiples of 320.
        """
        self._frames += len(block)
        self._encode(np.concatenate((self._partial, block)) if len(self._partial) else block)
        # Not the last page: the encoder still holds its lookahead, so `finish` always adds a packet.
        if len(self._packets) == PACKETS_PER_PAGE:
            self._fill_page(self._granule, last=False)
        return self._take_pages()

    def finish(self) -> list[bytes]:
        """The last page: the rest padded with silence, and a granule position that tells the true end."""
        end = self._encoder.pre_skip + self._frames * ogg.GRANULES_PER_FRAME
        # The decoder is behind by the lookahead: push that much silence through, and fill the last packet.
        missing = self._frames + self._encoder.lookahead_frames - self._granule // ogg.GRANULES_PER_FRAME
        padding = -(-(missing) // PACKET_FRAMES) * PACKET_FRAMES - len(self._partial)
        self._encode(np.concatenate((self._partial, silence(padding, self._channels))))
        self._fill_page(end, last=True)
        return self._take_pages()

    def _encode(self, frames: NDArray[np.int16]) -> None:
        whole = len(frames) - len(frames) % PACKET_FRAMES
        for start in range(0, whole, MAX_PACKETS * PACKET_FRAMES):
            for packet in self._encoder.encode(frames[start : min(whole, start + MAX_PACKETS * PACKET_FRAMES)]):
                self._add(packet)
        # A copy, because the caller may use its block again.
        self._partial = frames[whole:].copy()

    def _add(self, packet: bytes) -> None:
        if len(self._packets) == PACKETS_PER_PAGE:
            self._fill_page(self._granule, last=False)
        self._packets.append(packet)
        self._granule += PACKET_FRAMES * ogg.GRANULES_PER_FRAME

    def _fill_page(self, granule: int, *, last: bool) -> None:
        self._waiting_pages.append(self._stream.page(self._packets, granule, last))
        self._packets = []

    def _take_pages(self) -> list[bytes]:
        pages, self._waiting_pages = self._waiting_pages, []
        return pages
