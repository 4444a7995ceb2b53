"""How long a packet should play and at what the codec should aim: `python -m tests.bench.packets`. Takes a minute.

All ways are 16 kbit/s on disk, padded as `appliance/recordings/opus.py` does, at complexity 5. Two minutes of
espeak-ng's voices, and the same in noise 20 dB below. Processor seconds for an hour of one line, the best of three;
what a decoder gives back against what was said (segmental SNR over 20 ms, higher is better; log-spectral distance over
32 ms, lower is better); how many packets meet the limit, and are encoded again for that.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from unittest.mock import patch

import numpy as np

from appliance.recorder.ear.signals import Pcm
from appliance.recordings import opus
from appliance.recordings.ogg import OggOpusStream
from appliance.recordings.opus import OpusDecoder, OpusEncoder
from appliance.terms import RATE_HZ
from tests.bench.hour import talking
from tests.bench.two_sides import segmental_snr, spectral_distance
from tests.simulators.line_tones import as_pcm, white

_SECONDS = 120
_NOISE_DB = 20
_WAYS = ((20, 90), (40, 90), (40, 87.5), (40, 85), (60, 90), (60, 87.5))
"""Milliseconds, and the percentage of the constant rate that is aimed at."""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        said = talking(Path(folder), _SECONDS)
    level_dbfs = 10 * np.log10(np.mean(said.astype(np.float64) ** 2) / 32768**2)
    noise = as_pcm(white(len(said), level_dbfs - _NOISE_DB, np.random.default_rng(1)))
    noisy = (said.astype(np.int32) + noise).clip(-32768, 32767).astype(np.int16)
    print(f"{'':24}{'CPU':>7}{'SNR':>9}{'distance':>10}{'at the limit':>14}")
    for name, sound in (("", said), ("in noise, ", noisy)):
        for packet_ms, percent in _WAYS:
            print(f"{f'{name}{packet_ms} ms, {percent} %':24}{_measured(sound, packet_ms, percent)}", flush=True)


def _measured(sound: Pcm, packet_ms: int, percent: float) -> str:
    frames = packet_ms * RATE_HZ // 1000
    sound = sound[: len(sound) // (10 * frames) * 10 * frames]
    with patch.multiple(opus, PACKET_FRAMES=frames, _TARGET_PERCENT=percent):
        costs_s = []
        for _ in range(3):
            encoder, began_s = OpusEncoder(), time.thread_time()
            packets = [packet for ten in sound.reshape(-1, 10 * frames) for packet in encoder.encode(ten)]
            costs_s.append((time.thread_time() - began_s) * 3600 / _SECONDS)
    heard = _decoded(packets, encoder)
    limited = np.mean([_free(packet) < 2 for packet in packets])
    told = sound[: len(heard)]
    snr, distance = segmental_snr(told, heard), spectral_distance(told, heard)
    return f"{min(costs_s):5.1f} s{snr:6.2f} dB{distance:7.2f} dB{100 * limited:12.0f} %"


def _decoded(packets: list[bytes], encoder: OpusEncoder) -> Pcm:
    stream = OggOpusStream(1, pre_skip=encoder.pre_skip)
    pages = [stream.page(packets[first : first + 10], 0, False) for first in range(0, len(packets), 10)]
    return OpusDecoder().feed(b"".join(stream.head_pages() + pages))


def _free(packet: bytes) -> int:
    """How many bytes of it are padding (RFC 6716, 3.2.5); of packets that code one frame."""
    return 0 if packet[0] & 3 != 3 or not packet[1] & 0x40 else 1 + packet[2]


if __name__ == "__main__":
    main()
