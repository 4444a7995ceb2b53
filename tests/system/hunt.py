"""Looking for marks (tests.simulators.unkept_calls) wherever a process can leave something.

Promises: every form in which samples are usually held is looked for: 16 bit in either byte order, floats, companded,
as text; of one channel, and with all channels of the card, or both sides of a line, one beside the other. Whoever
calls this shows that it can find.
"""

from __future__ import annotations

import base64
import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import psutil  # type: ignore[import-untyped]  # its stubs are a package of their own

from appliance.recorder.ear.signals import Pcm
from tests.simulators.unkept_calls import CHANNELS, MAGIC, MARK_FRAMES, place_of

_FLOATS = {"float32": 1.0, "float64": 1.0, "float32 of full scale": 32768.0, "float64 of full scale": 32768.0}


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Found:
    """where: file, or process and mapping. channel, index: of the mark; -1 where its form does not tell."""

    where: str
    form: str
    channel: int = -1
    index: int = -1


@cache
def forms() -> Mapping[str, bytes]:
    """What is searched for, by name."""
    raw = MAGIC.astype("<i2").tobytes()
    aligned = {f"base64, {shift}": base64.b64encode(bytes(shift) + raw)[4:-4] for shift in range(3)}
    floats = {name: (MAGIC / scale).astype(name.split(" ")[0]).tobytes() for name, scale in _FLOATS.items()}
    return {
        "samples": raw,
        "samples, big-endian": MAGIC.astype(">i2").tobytes(),
        "mu-law": mu_law(MAGIC),
        "A-law": a_law(MAGIC),
        "hexadecimal": raw.hex().encode(),
        "an Ogg stream": b"OpusHead",
        "tags of an Ogg stream": b"OpusTags",
        **floats,
        **aligned,
    }


def mu_law(samples: Pcm) -> bytes:
    """ITU-T G.711, as everybody computes it."""
    magnitude = np.minimum(np.abs(samples.astype(int)), 32635) + 132
    exponent = np.floor(np.log2(magnitude)).astype(int) - 7
    code = (samples < 0) * 0x80 | exponent << 4 | magnitude >> exponent + 3 & 0x0F
    return bytes((~code & 0xFF).astype(np.uint8))


def a_law(samples: Pcm) -> bytes:
    """ITU-T G.711."""
    signed = samples.astype(int) >> 3
    magnitude = np.where(signed < 0, -signed - 1, signed)
    exponent = np.maximum(np.floor(np.log2(np.maximum(magnitude, 1))).astype(int) - 4, 0)
    code = exponent << 4 | magnitude >> np.maximum(exponent, 1) & 0x0F
    return bytes(((code | (signed >= 0) * 0x80) ^ 0x55).astype(np.uint8))


def hunt(content: bytes, where: str) -> Iterator[Found]:
    """All marks in it."""
    for form, wanted in forms().items():
        at = content.find(wanted)
        while at >= 0:
            channel, index = _place(content[at + len(wanted) : at + len(wanted) + 16], form) or (-1, -1)
            yield Found(where=where, form=form, channel=channel, index=index)
            at = content.find(wanted, at + 1)
    yield from _beside_each_other(content, where)


def _beside_each_other(content: bytes, where: str) -> Iterator[Found]:
    """As a card, or a line of two sides, gives them: a sample of each channel, then the next of each."""
    for shift in range(min(2, len(content))):
        samples = np.frombuffer(content, "<i2", (len(content) - shift) // 2, shift)
        begins = np.flatnonzero(samples == MAGIC[0])
        for channels in (CHANNELS, 2):
            starts = begins[begins < samples.size - (MARK_FRAMES - 1) * channels]
            for step in range(1, MAGIC.size):
                starts = starts[samples[starts + step * channels] == MAGIC[step]]
            for start in starts.tolist():
                channel, index = place_of(samples[start + MAGIC.size * channels :: channels][:2]) or (-1, -1)
                yield Found(where=where, form="channels beside each other", channel=channel, index=index)


def _place(behind: bytes, form: str) -> tuple[int, int] | None:
    if form != "samples" and form not in _FLOATS:
        return None
    kind = np.dtype("<i2" if form == "samples" else form.split(" ", maxsplit=1)[0])
    if len(behind) < 2 * kind.itemsize:
        return None
    numbers = np.frombuffer(behind, kind, 2) * _FLOATS.get(form, 1.0)
    return place_of(np.rint(numbers).astype(np.int16)) if np.abs(numbers).max() < 32768 else None


def hunt_files(*roots: Path) -> list[Found]:
    """In all files below, but for what the simulated line itself plays."""
    found: list[Found] = []
    for root in roots:
        for path in root.rglob("*"):
            if path.is_file() and not path.is_symlink() and path.name != "feed.raw":
                with contextlib.suppress(FileNotFoundError):  # gone meanwhile
                    found += hunt(path.read_bytes(), str(path))
    return found


def hunt_open_files(process: psutil.Process) -> list[Found]:
    """In files that have no name any more, or never had one, as long as the process holds them."""
    found: list[Found] = []
    for entry in Path(f"/proc/{process.pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            if "(deleted)" in str(entry.readlink()) and entry.is_file():
                found += hunt(entry.read_bytes(), f"{process.pid} {entry.readlink()}")
    return found


def hunt_memory(process: psutil.Process) -> list[Found]:
    """In all that the process may write to. Needs the rights of root."""
    found: list[Found] = []
    with Path(f"/proc/{process.pid}/mem").open("rb", buffering=0) as memory:
        for first, end, name in _writable(process.pid):
            with contextlib.suppress(OSError):
                found += hunt(os.pread(memory.fileno(), end - first, first), f"{name} {first:x}")
    return found


def _writable(pid: int) -> Iterator[tuple[int, int, str]]:
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        match = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw\S* \S+ \S+ \S+ *(.*)", line)
        if match:
            yield int(match[1], 16), int(match[2], 16), match[3] or "anonymous"
