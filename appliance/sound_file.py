"""Sound files from outside, as the line would have sounded: 8000 frames a second, 16 bit.

Promises: whatever is read keeps its place in time (to a frame) and its level, and nothing above 4 kHz folds
down into speech. A 16-bit file of 8 kHz comes out bit for bit.
Leaves to others: what is heard in it. Its decoders (libsndfile) have no business beside keys or a live line, so no
daemon opens files of strangers with them; the recorder reads the announcement, which is named in its settings, before
it hears a line. That is also why soundfile and the resampler are loaded inside the functions.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.terms import RATE_HZ, SettingsTrouble

LONGEST_S = 24 * 3600
"""A day of one channel takes 1.4 GB of memory; a longer file is a mistake."""

MOST_CHANNELS = 32
"""Lines on one device; more is no telephone recording."""

_RATES_HZ = range(1000, 768_001)
_PIECE_FRAMES = 65_536
_RESAMPLER_QUALITY = 10  # Speex's best. It costs: a minute of 44.1 kHz takes 0.8 s for each channel.

_SPEEX_DEFINITIONS = """
    typedef struct SpeexResamplerState_ SpeexResamplerState;
    SpeexResamplerState *speex_resampler_init(uint32_t channels, uint32_t in_rate, uint32_t out_rate,
                                              int quality, int *err);
    void speex_resampler_destroy(SpeexResamplerState *st);
    int speex_resampler_skip_zeros(SpeexResamplerState *st);
    int speex_resampler_get_input_latency(SpeexResamplerState *st);
    int speex_resampler_process_interleaved_int(SpeexResamplerState *st, const int16_t *in, uint32_t *in_len,
                                                int16_t *out, uint32_t *out_len);
"""


def read_sound_file(path: Path) -> NDArray[np.int16]:
    """Read a whole file: WAV (8 to 32 bit, float, A-law, mu-law), FLAC or Ogg, of any usual rate.

    Returns: int16, shape (frames, channels), at 8 kHz; round(frames of the file * 8000 / its rate) frames.
    Raises:
        SettingsTrouble: missing, unreadable, no sound file, empty, damaged, or longer than LONGEST_S.
    """
    import soundfile  # noqa: PLC0415 (see above)

    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise SettingsTrouble(f"The sound file '{path}' cannot be read: {error.strerror}.") from error
    try:
        # By descriptor, so that contents decide what it is, and never the name.
        with soundfile.SoundFile(descriptor, closefd=False) as sound:
            _refuse_unfit(path, sound)
            pieces = list(_resampled(_pieces(sound), sound.samplerate, sound.channels))
    except soundfile.SoundFileError as error:
        raise SettingsTrouble(
            f"'{path}' is not a sound file that can be read, or it is damaged. Give a WAV, FLAC or Ogg file."
        ) from error
    finally:
        os.close(descriptor)
    samples = np.concatenate(pieces)
    if len(samples) == 0:
        raise SettingsTrouble(f"The sound file '{path}' holds no sound.")
    return samples


def write_wav(path: Path, samples: NDArray[np.int16]) -> None:
    """Write int16, shape (frames, channels), 8 kHz, as a 16-bit WAV file."""
    import soundfile  # noqa: PLC0415 (see above)

    soundfile.write(path, samples, RATE_HZ, subtype="PCM_16", format="WAV")


def _refuse_unfit(path: Path, sound: Any) -> None:
    if sound.samplerate not in _RATES_HZ:
        raise SettingsTrouble(f"The sound file '{path}' has {sound.samplerate} frames a second: no audio.")
    if sound.channels > MOST_CHANNELS:
        raise SettingsTrouble(f"The sound file '{path}' has more than {MOST_CHANNELS} channels.")
    if sound.frames > LONGEST_S * sound.samplerate:
        raise SettingsTrouble(f"The sound file '{path}' is longer than {LONGEST_S // 3600} hours. Cut it up.")


def _pieces(sound: Any) -> Iterator[NDArray[np.int16]]:
    """The file's own frames as int16.

    Through float, because libsndfile does not scale float files when asked for int16. 16 bit survive exactly.
    """
    while True:
        piece = sound.read(_PIECE_FRAMES, dtype="float32", always_2d=True)
        if len(piece) == 0:
            return
        scaled = np.rint(np.clip(np.nan_to_num(piece), -1, 1) * np.float32(32768))
        yield np.minimum(scaled, 32767).astype(np.int16)


def _resampled(pieces: Iterator[NDArray[np.int16]], rate_hz: int, channels: int) -> Iterator[NDArray[np.int16]]:
    """Bring pieces to 8 kHz; together exactly round(frames * 8000 / rate_hz) frames."""
    yield np.empty((0, channels), dtype=np.int16)
    if rate_hz == RATE_HZ:
        yield from pieces
        return
    with _Resampler(rate_hz, channels) as resampler:
        read = given = 0
        for piece in pieces:
            out = resampler.put(piece)
            read += len(piece)
            given += len(out)
            yield out
        # The filter still holds the last frames; silence pushes them out.
        silence = np.zeros((resampler.latency_frames + 2 * rate_hz // RATE_HZ + 2, channels), dtype=np.int16)
        yield resampler.put(silence)[: round(read * RATE_HZ / rate_hz) - given]


def _load_speex() -> tuple[Any, Any]:
    from cffi import FFI  # noqa: PLC0415 (see above)

    ffi = FFI()
    ffi.cdef(_SPEEX_DEFINITIONS)
    try:
        return ffi, ffi.dlopen("libspeexdsp.so.1")
    except OSError as error:
        raise SettingsTrouble("To read sound files of other rates, install libspeexdsp1.") from error


class _Resampler:
    """Debian's Speex resampler, without the delay of its filter: frame 0 stays at time 0."""

    def __init__(self, rate_hz: int, channels: int) -> None:
        self._ffi, self._speex = _load_speex()
        self._rate_hz, self._channels = rate_hz, channels
        self._state = self._speex.speex_resampler_init(channels, rate_hz, RATE_HZ, _RESAMPLER_QUALITY, self._ffi.NULL)
        if self._state == self._ffi.NULL:
            raise MemoryError("speex_resampler_init")
        self._speex.speex_resampler_skip_zeros(self._state)

    def __enter__(self) -> _Resampler:
        return self

    def __exit__(self, *_: object) -> None:
        self._speex.speex_resampler_destroy(self._state)

    @property
    def latency_frames(self) -> int:
        """Frames of input that the filter looks ahead."""
        return int(self._speex.speex_resampler_get_input_latency(self._state))

    def put(self, piece: NDArray[np.int16]) -> NDArray[np.int16]:
        """Give frames in, take what is ready out; the filter keeps the newest."""
        room = len(piece) * RATE_HZ // self._rate_hz + 16
        out = np.empty((room, self._channels), dtype=np.int16)
        taken, given = self._ffi.new("uint32_t *", len(piece)), self._ffi.new("uint32_t *", room)
        outcome = self._speex.speex_resampler_process_interleaved_int(
            self._state,
            self._ffi.from_buffer("int16_t[]", piece),
            taken,
            self._ffi.from_buffer("int16_t[]", out, require_writable=True),
            given,
        )
        if outcome != 0 or taken[0] != len(piece):
            raise RuntimeError(f"The Speex resampler took {taken[0]} of {len(piece)} frames: {outcome}.")
        return out[: given[0]]
