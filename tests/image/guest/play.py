"""The far end of the telephone line: plays samples into the kernel's loopback card. Runs in the guest.

Samples (16 bit, one channel, 8 kHz) come on standard input. How many frames the line has said so far stands, at any
moment, in the file named as second argument.
"""

from __future__ import annotations

import os
import sys
import time

import alsaaudio

RATE_HZ, BLOCK = 8000, 800


def play(device: str, progress: str) -> None:
    samples = sys.stdin.buffer.read()
    line = alsaaudio.PCM(
        type=alsaaudio.PCM_PLAYBACK,
        mode=alsaaudio.PCM_NORMAL,
        device=device,
        rate=RATE_HZ,
        channels=1,
        format=alsaaudio.PCM_FORMAT_S16_LE,
        periodsize=BLOCK,
        periods=4,
    )
    written = 0
    for at in range(0, len(samples), 2 * BLOCK):
        line.write(samples[at : at + 2 * BLOCK].ljust(2 * BLOCK, b"\0"))
        written += BLOCK
        told = f"{progress}.new"
        with open(told, "w") as file:
            file.write(f"{max(0, written - 4 * BLOCK)} {time.monotonic()}")
        os.rename(told, progress)
    time.sleep(4 * BLOCK / RATE_HZ)
    line.close()


if __name__ == "__main__":
    play(sys.argv[1], sys.argv[2])
