"""The modem of caller ID: 1200 bit/s in two tones, read from a telephone line.

Pure. Blocks of int16 go in, whole messages come out whose checksum is right. What they mean is in `caller_id`, how a
bit is decided in `fsk_bits`.

The tones are V.23's (mark 1300 Hz, space 2100 Hz; EN 300 659-1) or Bell 202's (1200 Hz and 2200 Hz; GR-30-CORE), and
whatever lies near: exchanges in the field are off by up to 150 Hz. A message follows 55 bits of mark at least
(80 +- 25, or 180 +- 25), and begins with the byte that tells its type. Then come its length, so many bytes, and a
checksum that makes the sum of all bytes a multiple of 256. So three things of growing cost look for it:

1. *Gate.* In each 20 ms the share of the energy that lies at one frequency near mark. Only where a stretch of mark has
   ended does anything else run.
2. *Start.* The place where mark turns into a known type byte.
3. *Reading.* When the length is known, once; and again when all of the message is there.

Left to others: which line has which standard, and what the bytes say.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from appliance.recorder.ear.fsk_bits import (
    BIT_FRAMES,
    LEAD_BITS,
    SLACK_BITS,
    TAPS,
    TYPE_BITS,
    Bits,
    Carrier,
    Real,
    Tones,
    byte_starts,
    even_starts,
    find_start,
    fit_clock,
    one_sided,
    one_sided_rough,
    read_bits,
)
from appliance.recorder.ear.signals import Pcm
from appliance.terms import RATE_HZ

_STEP_FRAMES = 160
_CHUNK_STEPS = 20
_CHUNK_FRAMES = _STEP_FRAMES * _CHUNK_STEPS
"""The gate looks at 400 ms at once, always the same ones: block sizes change nothing, and numpy is called rarely."""

_KEPT_FRAMES = 14 * _CHUNK_FRAMES
"""5.6 s: the longest message with all its stuffing (4.3 s), what leads to it, and the chunk in which it ends."""

_MARK_HZ = np.arange(1140.0, 1461.0, 20.0)
_LOW_BAND_HZ = 200
_LOW_SHAPES = 14
"""As in `signals`: what lies below 200 Hz, which hum is, counts for nothing."""

_LEAST_MARK_SHARE = 0.35
"""Of a step's energy. White noise as strong as the signal leaves mark 0.5; noise alone never has it."""
_LEAST_ENERGY = _STEP_FRAMES * 10.0**2
"""-70 dBFS, 20 dB below a message of -44 dBm0."""

_SEEK_BACK_FRAMES = 80
_SEEK_ON_FRAMES = 360
"""Where the message may begin, against the start of the last step of mark: half of a step is mark enough to be seen,
and in noise a step or two may be missed."""

_EDGE_FRAMES = 60
"""Read beyond what is wanted, so that neither filter nor bit clock runs off the end."""

_HEADER_BITS = 50
MAX_STUFFING_BITS = 10
"""Mark bits between two bytes (EN 300 659-1)."""

_MAX_TYPE_ERRORS = 2
_MOST_DOUBT = 0.3
"""So many wrong bits may be expected at most. A checksum of eight bits lets one in 256 damaged messages pass, and any
two wrong bits of the highest place; what passed and was wrong, in noise as strong as the signal and 4 dB below it, left
0.6 and more to expect. 4 dB below the signal, 99 of 100 right messages leave less than 0.3. A type byte that surely is
another one counts 1."""

_MAX_ATTEMPTS = 8

_LEAST_RECENT = 58.0
"""-55 dBFS, below which nothing passes for speech. The faintest message has 6 dB more."""
_RECENT_FRAMES = 480
"""60 ms. Tones that take turns 1200 times a second keep one level in it and one narrow band, whatever they say; nine of
ten stretches of speech have twice the scatter in level."""
_CARRIER_BAND_HZ = (1100.0, 2150.0)
"""The middle of mark alone and of any bits, with twist too."""
_MOST_SCATTER = 0.8
"""Variance of the power against its squared mean. A twist of 10 dB makes 0.7, noise and voices 1 and more."""
_LEAST_NARROWNESS = 0.8
"""How well each sample goes on from the one before. Any bits in noise 6 dB below have 0.85, white noise 0.6."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FskMessage:
    """One message with a right checksum. `content` is what stands between its length and its checksum."""

    kind: int
    content: bytes
    end_frame: int
    mark_hz: float
    space_hz: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mark:
    """A stretch of mark has ended; a message may begin near this frame."""

    frame: int
    hz: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempt:
    """A message seems to have begun. It is looked at again when `wanted_frame` has been heard."""

    wanted_frame: int
    mark: _Mark
    carrier: Carrier | None = None
    """Frames count as the line's do."""
    bytes_apart: bool = False
    """The gaps between bytes are no whole bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Incomplete:
    """So many bits will be needed, as far as can be told."""

    bits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Whole:
    """The bytes of one message, and with which bit it ends."""

    body: bytes
    bits: int


class FskReceiver:
    """The modem of one line. Feed it every block in order; blocks of any length are welcome."""

    def __init__(self) -> None:
        self._kept = np.zeros(_KEPT_FRAMES, np.int16)
        self._filled = 0
        self._heard_frames = 0
        self._gate = _MarkGate()
        self._attempts: list[_Attempt] = []
        self._receiving: bool | None = None

    def hear(self, samples: Pcm, *, listens: bool = True) -> list[FskMessage]:
        """Take in the next samples of the line; a message is told 0.5 s of audio after its end at the latest.

        Args:
            listens: False where there can be none; what was heard of one before is given up.
        """
        self._receiving = None
        messages: list[FskMessage] = []
        start = _KEPT_FRAMES - _CHUNK_FRAMES
        while samples.size:
            taken = samples[: _CHUNK_FRAMES - self._filled]
            self._kept[start + self._filled : start + self._filled + taken.size] = taken
            self._filled += taken.size
            samples = samples[taken.size :]
            if self._filled == _CHUNK_FRAMES:
                messages += self._hear_chunk(self._kept[start:]) if listens else self._pass_over()
                self._kept[:start] = self._kept[_CHUNK_FRAMES:]
                self._filled = 0
        return messages

    @property
    def receiving(self) -> bool:
        """What sounds now is a carrier: seizure, mark or data. True from its first 60 ms on; reckoned when asked for.

        A steady whistle of its pitch is one as well, and so are some keys; of speech less than one block in a thousand.
        """
        if self._receiving is None:
            now = _KEPT_FRAMES - _CHUNK_FRAMES + self._filled
            self._receiving = _is_carrier(self._kept[now - _RECENT_FRAMES - TAPS + 1 : now])
        return self._receiving

    def _hear_chunk(self, chunk: Pcm) -> list[FskMessage]:
        for mark in self._gate.ended_marks(chunk, self._heard_frames):
            wanted = mark.frame + _SEEK_ON_FRAMES + round(16 * BIT_FRAMES)
            self._attempts.append(_Attempt(wanted_frame=wanted, mark=mark))
        self._heard_frames += _CHUNK_FRAMES
        waiting, self._attempts = self._attempts, []
        messages: list[FskMessage] = []
        for attempt in waiting:
            # Mark that ends within a message just told was a part of it.
            if messages and attempt.mark.frame < messages[-1].end_frame:
                continue
            outcome = self._pursued(attempt)
            if isinstance(outcome, FskMessage):
                messages.append(outcome)
                self._attempts.clear()
            elif outcome is not None:
                self._attempts.append(outcome)
        del self._attempts[:-_MAX_ATTEMPTS]
        return messages

    def _pass_over(self) -> list[FskMessage]:
        self._gate = _MarkGate()
        self._heard_frames += _CHUNK_FRAMES
        self._attempts.clear()
        return []

    def _pursued(self, attempt: _Attempt) -> _Attempt | FskMessage | None:
        outcome: _Attempt | FskMessage | None = attempt
        while isinstance(outcome, _Attempt) and outcome.wanted_frame <= self._heard_frames:
            outcome = self._seek(outcome) if outcome.carrier is None else self._read(outcome, outcome.carrier)
        return outcome

    def _since(self, frame: int) -> Pcm:
        """What was heard from there on. Nothing that is still wanted is older than what is kept."""
        return self._kept[max(_KEPT_FRAMES - (self._heard_frames - frame), 0) :]

    def _seek(self, attempt: _Attempt) -> _Attempt | None:
        earliest = attempt.mark.frame - _SEEK_BACK_FRAMES
        back = round((LEAD_BITS + 2) * BIT_FRAMES)
        base = earliest - back
        wave = one_sided(self._since(base)[: attempt.wanted_frame - base])
        carrier = find_start(wave, back, back + _SEEK_BACK_FRAMES + _SEEK_ON_FRAMES, attempt.mark.hz)
        if carrier is None:
            return None
        carrier = replace(carrier, first_frame=carrier.first_frame + base)
        return replace(attempt, carrier=carrier, wanted_frame=_frame_of(carrier, _HEADER_BITS))

    def _read(self, attempt: _Attempt, carrier: Carrier) -> _Attempt | FskMessage | None:
        base = int(carrier.first_frame) - round((LEAD_BITS + 2) * BIT_FRAMES)
        tones = Tones(one_sided(self._since(base)[: attempt.wanted_frame - base]), carrier.mark_hz, carrier.space_hz)
        end_frame = attempt.wanted_frame - _EDGE_FRAMES
        starts, bit_frames = _bit_starts(tones, carrier, attempt.bytes_apart, base, end_frame)
        likelihood, read = read_bits(tones, replace(carrier, bit_frames=bit_frames), starts - base)
        beginning = _beginning_of(likelihood)
        outcome = _message_in(likelihood, *beginning) if beginning else None
        if isinstance(outcome, _Whole):
            return FskMessage(
                kind=outcome.body[0],
                content=outcome.body[2:-1],
                end_frame=round(starts[LEAD_BITS + outcome.bits - 1] + bit_frames),
                mark_hz=read.mark_hz,
                space_hz=read.space_hz,
            )
        if outcome is not None:
            return _longer(attempt, carrier, outcome.bits, starts)
        if attempt.bytes_apart:
            return None
        return replace(attempt, bytes_apart=True, wanted_frame=_frame_of(carrier, _HEADER_BITS))


def _is_carrier(recent: Pcm) -> bool:
    sound = recent.astype(np.float32)
    if sound @ sound < recent.size * _LEAST_RECENT**2:
        return False
    wave = one_sided_rough(sound)
    power = wave.real**2 + wave.imag**2
    turn = np.vdot(wave[:-1], wave[1:])
    middle_hz = np.angle(turn) / (2 * np.pi) * RATE_HZ
    in_band = _CARRIER_BAND_HZ[0] < middle_hz < _CARRIER_BAND_HZ[1]
    return bool(
        in_band and abs(turn) > _LEAST_NARROWNESS * power.sum() and power.var() < _MOST_SCATTER * power.mean() ** 2
    )


def _bit_starts(tones: Tones, carrier: Carrier, bytes_apart: bool, base: int, end_frame: int) -> tuple[Real, float]:
    """Where each bit begins, lead first, and how long it is. The tones begin at `base`."""
    local = replace(carrier, first_frame=carrier.first_frame - base)
    if bytes_apart:
        return byte_starts(tones, local, end_frame - base, MAX_STUFFING_BITS) + base, BIT_FRAMES
    bits = int((end_frame - carrier.first_frame) / BIT_FRAMES)
    local = fit_clock(tones, local, bits)
    return even_starts(local, bits) + base, local.bit_frames


def _longer(attempt: _Attempt, carrier: Carrier, bits: int, starts: Real) -> _Attempt | None:
    """The same attempt when so many bits will have been heard, at the pace of those that were."""
    heard_bits = len(starts) - LEAD_BITS
    last_frame = float(starts[-1])
    if attempt.wanted_frame - last_frame > (2 * MAX_STUFFING_BITS + 10) * BIT_FRAMES + _EDGE_FRAMES:
        return None
    pace = (last_frame - float(starts[LEAD_BITS])) / (heard_bits - 1) / BIT_FRAMES
    wanted = max(_frame_of(carrier, int(bits * pace)), attempt.wanted_frame + round(10 * BIT_FRAMES))
    return replace(attempt, wanted_frame=wanted)


def _frame_of(carrier: Carrier, bits: int) -> int:
    return int(carrier.first_frame + bits * BIT_FRAMES * 1.01) + _EDGE_FRAMES + 1


def _beginning_of(likelihood: Real) -> tuple[int, int] | None:
    """Where the start bit of the message is among these bits, and the message's type; None if it seems to have none.

    Both were found before; in noise the bits may contradict that a little, or come one too late or too early.
    """
    said = likelihood > 0
    if said.size < SLACK_BITS + 11:
        return None
    errors, _off, late, kind = min(
        (int((said[SLACK_BITS + late : SLACK_BITS + late + 10] != bits).sum()), abs(late), late, kind)
        for kind, bits in TYPE_BITS.items()
        for late in (0, -1, 1)
    )
    return (SLACK_BITS + late, kind) if errors <= _MAX_TYPE_ERRORS else None


def _message_in(likelihood: Real, begin: int, kind: int) -> _Whole | _Incomplete | None:
    """The message that begins at this bit; None if its framing or its checksum is wrong, or if it is in doubt."""
    said = likelihood > 0
    outcome = _message_from(said, begin + 10, kind)
    if isinstance(outcome, _Whole):
        # The last stop bit does not count: nothing follows that would show it.
        taken = np.concatenate((TYPE_BITS[kind], said[begin + 10 : SLACK_BITS + outcome.bits - 1]))
        if _doubt(likelihood[begin:], taken) > _MOST_DOUBT:
            return None
    return outcome


def _doubt(likelihood: Real, taken: Bits) -> float:
    """How many of these bits are wrong, as far as their likelihoods let expect."""
    against = np.where(taken, likelihood[: len(taken)], -likelihood[: len(taken)])
    return float((1 / (1 + np.exp(np.clip(against, -50, 50)))).sum())


def _message_from(said: Bits, place: int, kind: int) -> _Whole | _Incomplete | None:
    """The message whose type ended before this place."""
    body = bytearray([kind])
    for byte, stopped, end in _bytes_in(said.tolist(), place):
        body.append(byte)
        place = end
        if len(body) == body[1] + 3:
            # The last stop bit may be missed: nothing follows that would show it.
            return _Whole(body=bytes(body), bits=place - SLACK_BITS) if sum(body) % 256 == 0 else None
        if not stopped:
            return None
    if len(said) - place > MAX_STUFFING_BITS + 10:
        return None
    if len(body) == 1:
        return _Incomplete(bits=len(said) + 20)
    missing = body[1] + 3 - len(body)
    return _Incomplete(bits=place + int(missing * place / len(body)) + 1)


def _bytes_in(said: list[bool], place: int) -> Iterator[tuple[int, bool, int]]:
    """Each byte, whether its stop bit is there, and the bit that follows it."""
    while True:
        latest = place + MAX_STUFFING_BITS
        while place < min(latest, len(said)) and said[place]:
            place += 1
        if place + 10 > len(said) or said[place]:
            return
        byte = sum(bit << index for index, bit in enumerate(said[place + 1 : place + 9]))
        yield byte, said[place + 9], place + 10
        place += 10


class _MarkGate:
    """Finds stretches of mark, one step of 20 ms after the other."""

    def __init__(self) -> None:
        self._last: _Mark | None = None

    def ended_marks(self, chunk: Pcm, first_frame: int) -> list[_Mark]:
        steps = chunk.reshape(_CHUNK_STEPS, _STEP_FRAMES).astype(np.float32)
        parts = steps @ _SHAPES
        squares = np.square(parts)
        energy = np.vecdot(steps, steps) - squares[:, :_LOW_SHAPES].sum(axis=1)
        power = squares[:, _LOW_SHAPES:_COSINES] + squares[:, _COSINES:]
        marks = power.max(axis=1) > np.maximum(energy, _LEAST_ENERGY) * _LEAST_MARK_SHARE
        if self._last is None and not marks.any():
            return []
        return list(self._ended(marks.tolist(), power, first_frame))

    def _ended(self, marks: list[bool], power: npt.NDArray[np.float32], first_frame: int) -> Iterator[_Mark]:
        for step, mark in enumerate(marks):
            if mark:
                hz = float(_MARK_HZ[power[step].argmax()])
                self._last = _Mark(frame=first_frame + step * _STEP_FRAMES, hz=hz)
            elif self._last is not None:
                yield self._last
                self._last = None


def _gate_shapes() -> npt.NDArray[np.float32]:
    """The band below 200 Hz, and cosines and sines near mark with nothing of that band in them."""
    band = _LOW_BAND_HZ / RATE_HZ
    frames = np.arange(_STEP_FRAMES)
    _values, vectors = np.linalg.eigh(2 * band * np.sinc(2 * band * (frames[:, None] - frames)))
    low = vectors[:, -_LOW_SHAPES:]
    turns = 2 * np.pi * frames[:, None] * _MARK_HZ / RATE_HZ
    tones = np.concatenate((np.cos(turns), np.sin(turns)), axis=1)
    tones -= low @ (low.T @ tones)
    tones /= np.sqrt(np.square(tones).sum(axis=0))
    return np.ascontiguousarray(np.concatenate((low, tones), axis=1), dtype=np.float32)


_SHAPES = _gate_shapes()
_COSINES = _LOW_SHAPES + len(_MARK_HZ)
