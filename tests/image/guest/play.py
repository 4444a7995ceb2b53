"""The far end of the telephone line: plays samples into the kernel's loopback card. Runs in the guest.

Samples (16 bit, one channel, 8 kHz) come on standard input. When the line began to say them, on the clock that nobody
sets, stands in the file named as second argument; once that file is gone, the line is silent within three seconds. The
buffer is long, so that a slow host leaves no hole in the line.
"""

from __future__ import annotations

import os
import sys
import time

import alsaaudio

RATE_HZ, BLOCK, BLOCKS = 8000, 800, 30


def play(device: str, began: str) -> None:
    samples = sys.stdin.buffer.read()
    line = alsaaudio.PCM(
        type=alsaaudio.PCM_PLAYBACK,
        mode=alsaaudio.PCM_NORMAL,
        device=device,
        rate=RATE_HZ,
        channels=1,
        format=alsaaudio.PCM_FORMAT_S16_LE,
        periodsize=BLOCK,
        periods=BLOCKS,
    )
    # It starts with the first frame, and takes at once what its buffer holds.
    filled = 2 * BLOCK * BLOCKS
    line.write(samples[:filled])
    with open(f"{began}.new", "w") as file:
        file.write(str(time.monotonic()))
    os.rename(f"{began}.new", began)
    for at in range(filled, len(samples), 2 * BLOCK):
        if not os.path.exists(began):
            break
        line.write(samples[at : at + 2 * BLOCK].ljust(2 * BLOCK, b"\0"))
    time.sleep(BLOCKS * BLOCK / RATE_HZ)
    line.close()


if __name__ == "__main__":
    play(sys.argv[1], sys.argv[2])
