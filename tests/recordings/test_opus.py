"""Speech through encoder and decoder: same length to the frame, recognisable, constant in size, valid for others."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from appliance.recordings import ogg, opus
from appliance.recordings.encoder import OpusPages
from appliance.recordings.opus import OpusDecoder, OpusEncoder
from appliance.terms import DamagedRecording, LineTrouble, SettingsTrouble

Pcm = NDArray[np.int16]


def speech_like(frames: int) -> Pcm:
    """A voice of harmonics with three formants, a wandering pitch and syllables four times a second."""
    time = np.arange(frames) / 8000
    pitch = 120 + 15 * np.sin(2 * np.pi * 0.7 * time)
    phase = 2 * np.pi * np.cumsum(pitch) / 8000
    voice = np.zeros(frames)
    for harmonic in range(1, 25):
        loudness = sum(np.exp(-(((harmonic * 120 - formant) / 200) ** 2)) for formant in (600, 1100, 2400))
        voice += (loudness + 0.02) * np.sin(harmonic * phase)
    syllables = 0.15 + np.sin(np.pi * 4 * time) ** 2
    return np.asarray(voice * syllables * 3000, dtype=np.int16)


VOICE = speech_like(80_000)


def encoded(samples: Pcm, *, block: int = 800) -> list[bytes]:
    pages = OpusPages(1, channels=samples.ndim)
    made = [page for start in range(0, len(samples), block) for page in pages.push(samples[start : start + block])]
    return made + pages.finish()


def decoded(stream: bytes, *, piece: int = 4096) -> Pcm:
    decoder = OpusDecoder()
    blocks = [decoder.feed(stream[start : start + piece]) for start in range(0, len(stream), piece)]
    return np.concatenate([block for block in blocks if len(block)] or [np.empty(0, np.int16)])


def test_ten_seconds_come_back_in_length_and_shape() -> None:
    heard = decoded(b"".join(encoded(VOICE)))
    assert heard.size == VOICE.size
    # No alignment is searched: pre-skip has to put every frame where it was.
    assert np.corrcoef(VOICE, heard)[0, 1] > 0.9


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([0, 1, 267, 268, 269, 319, 320, 800, 7999]) | st.integers(0, 3000), max_size=8))
def test_length_is_exact_however_frames_are_pushed(blocks: list[int]) -> None:
    pages = OpusPages(1)
    made = [pages.push(VOICE[:block]) for block in blocks]
    stream = b"".join([page for some in made for page in some] + pages.finish())
    assert pages.frames == sum(blocks)
    assert decoded(stream).size == sum(blocks)
    found = list(ogg.whole_pages(stream))
    assert [page.eos for page in found] == [False] * (len(found) - 1) + [True]
    assert found[-1].granule == 312 + 6 * sum(blocks)


@pytest.mark.parametrize("frames", [*range(7940, 7960), *range(7999, 8002), 24_000])
def test_last_page_is_right_around_a_full_second(frames: int) -> None:
    stream = b"".join(encoded(VOICE[:frames]))
    granules = [page.granule for page in ogg.whole_pages(stream)][2:]
    assert decoded(stream).size == frames
    assert granules == [*range(48_000, granules[-1], 48_000), 312 + 6 * frames]


def test_audio_is_the_same_however_it_was_cut_into_blocks() -> None:
    assert b"".join(encoded(VOICE, block=800)) == b"".join(encoded(VOICE, block=777))
    assert b"".join(encoded(VOICE, block=800)) == b"".join(encoded(VOICE, block=80_000))


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 5000))
def test_audio_is_the_same_however_the_stream_was_cut(piece: int) -> None:
    stream = b"".join(encoded(VOICE[:20_000]))
    assert np.array_equal(decoded(stream, piece=piece), decoded(stream))


def test_page_is_given_out_as_soon_as_its_second_is_full() -> None:
    pages = OpusPages(1)
    counts = [len(pages.push(VOICE[start : start + 800])) for start in range(0, 24_000, 800)]
    assert counts == [2, *[0] * 8, 1] + [*[0] * 9, 1] * 2


def sounds() -> dict[str, Pcm]:
    time, random = np.arange(40_000) / 8000, np.random.default_rng(1)
    noise = random.normal(0, 9000, 40_000).clip(-32768, 32767)
    return {
        "voice": VOICE[:40_000],
        "silence": np.zeros(40_000, np.int16),
        "noise": noise.astype(np.int16),
        "faint noise": random.integers(-2, 3, 40_000).astype(np.int16),
        "noise and silence": (noise * (time % 0.5 < 0.1)).astype(np.int16),
        "dial tone": (12_000 * np.sin(2 * np.pi * 425 * time)).astype(np.int16),
        "two tones": (9000 * (np.sin(2 * np.pi * 697 * time) + np.sin(2 * np.pi * 1209 * time))).astype(np.int16),
        "sweep": (30_000 * np.sin(2 * np.pi * 400 * time**2)).astype(np.int16),
        "clicks": np.where(np.arange(40_000) % 1777 == 0, 32767, 0).astype(np.int16),
        "stuck": np.full(40_000, -32768, np.int16),
    }


SOUNDS = sounds()


def packets_of(samples: Pcm) -> list[bytes]:
    encoder = OpusEncoder()
    return [
        packet for start in range(0, samples.size, 8000) for packet in encoder.encode(samples[start : start + 8000])
    ]


def coded_bytes(packet: bytes) -> int:
    """What the codec itself gave for the one frame in a packet, without padding (RFC 6716, 3.2.2 and 3.2.5)."""
    if packet[0] & 3 == 0:
        return len(packet) - 1
    assert packet[0] & 3 == 3
    assert packet[1] & 0x3F == 1
    # One byte of padding length is enough below 255.
    return len(packet) - 2 - (1 + packet[2] if packet[1] & 0x40 else 0)


@pytest.mark.parametrize("name", SOUNDS)
def test_size_says_nothing_about_what_was_said(name: str) -> None:
    sizes = [len(page) for page in encoded(SOUNDS[name])]
    assert sizes == [len(page) for page in encoded(VOICE[:40_000])]
    assert sizes[2] == 27 + 25 + 25 * 80
    assert {len(packet) for packet in packets_of(SOUNDS[name])} == {80}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(sorted(SOUNDS)), min_size=2, max_size=8), st.floats(0, 1), st.integers(0, 10))
def test_packets_stay_constant_when_the_sound_changes(names: list[str], loudness: float, complexity: int) -> None:
    encoder = OpusEncoder(complexity=complexity)
    blocks = [(SOUNDS[name][8000:16_000] * loudness).astype(np.int16) for name in names]
    assert {len(packet) for block in blocks for packet in encoder.encode(block)} == {80}


def test_silence_is_padded_but_never_left_out() -> None:
    lengths = [coded_bytes(packet) for packet in packets_of(SOUNDS["silence"])]
    # DTX would give frames without a byte in them.
    assert min(lengths) > 1
    assert max(lengths) < 76


def test_codec_is_limited_only_now_and_then() -> None:
    """What keeps the processor cool: a packet that meets the limit is encoded several times over."""
    lengths = [coded_bytes(packet) for packet in packets_of(VOICE)]
    assert np.mean(np.array(lengths) >= 77) < 0.5


def test_block_may_be_reused_by_its_owner_after_push() -> None:
    pages, block, made = OpusPages(1), np.empty(777, np.int16), []
    for start in range(0, 77_700, 777):
        block[:] = VOICE[start : start + 777]
        made += pages.push(block)
        block[:] = 0
    assert b"".join(made + pages.finish()) == b"".join(encoded(VOICE[:77_700], block=777))


@pytest.mark.parametrize(
    "block",
    [np.zeros(801, np.int16), np.zeros(8320, np.int16), np.zeros(960, np.int32), np.zeros(1920, np.int16)[::2]],
)
def test_encoder_refuses_what_is_no_whole_block(block: Pcm) -> None:
    with pytest.raises((ValueError, BufferError)):
        OpusEncoder().encode(block)


def test_encoder_refuses_what_the_codec_refuses() -> None:
    with pytest.raises(SettingsTrouble):
        OpusEncoder(complexity=11)
    with pytest.raises(SettingsTrouble):
        OpusEncoder(bitrate_bps=0)


def test_codec_that_refuses_a_block_ends_the_recording() -> None:
    encoder = OpusEncoder()
    encoder._room = 0
    with pytest.raises(LineTrouble):
        encoder.encode(VOICE[:320])


def test_missing_library_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opus, "_LIBRARY", "libopus-that-is-not-there.so.0")
    opus._libopus.cache_clear()
    try:
        with pytest.raises(SettingsTrouble, match="not installed"):
            OpusEncoder()
    finally:
        opus._libopus.cache_clear()


def test_stream_without_an_end_gives_all_whole_pages() -> None:
    pages = encoded(VOICE)
    assert decoded(b"".join(pages[:6])).size == 4 * 8000 - 52
    assert decoded(b"".join(pages[:6]) + pages[6][:-1]).size == 4 * 8000 - 52


def test_stream_closed_by_recovery_plays_up_to_its_cut() -> None:
    pages = encoded(VOICE)
    torn = ogg.salvage(pages[6][: 27 + 25 + 80 * 7 + 79], 4 * 48_000)
    assert torn is not None
    closed = b"".join([*pages[:6], ogg.as_last_page(torn[1])])
    heard = decoded(closed)
    assert heard.size == 4 * 8000 + 7 * 320 - 52
    assert np.array_equal(heard, decoded(b"".join(pages))[: heard.size])


def test_decoder_refuses_what_is_no_stream_of_ours() -> None:
    pages = encoded(VOICE[:8000])
    foreign = ogg.OggOpusStream(1, pre_skip=0).page([b"vorbis"], 0, False)
    bad_packet = ogg.OggOpusStream(1, pre_skip=0).page([b"\xff" * 3], 960, False)
    for stream in (
        b"RIFF" + bytes(40),
        foreign,
        ogg.OggOpusStream(1, pre_skip=0).page([], 0, False),
        b"".join(pages) + pages[-1],
        b"".join(pages[:2]) + bad_packet,
        b"".join(pages[:-1]) + pages[-1][:-1] + b"!",
    ):
        with pytest.raises(DamagedRecording):
            decoded(stream)


def power_db(samples: Pcm) -> float:
    return float(10 * np.log10(np.mean(samples.astype(np.float64) ** 2) + 1e-3))


def in_turns() -> Pcm:
    """Two voices, each on its side, in turns of a second; each side with noise of its own at -65 dBFS."""
    time, random = np.arange(80_000), np.random.default_rng(1)
    near = time // 8000 % 2 == 0
    voices = np.stack((VOICE * near, np.roll(VOICE, 4000)[::-1] * ~near), axis=1)
    return (voices + random.normal(0, 18, voices.shape)).astype(np.int16)


def test_two_sides_come_back_in_their_place_and_length() -> None:
    both = in_turns()
    stream = b"".join(encoded(both))
    heard = decoded(stream)
    assert heard.shape == both.shape
    assert ogg.frames_told(stream, stream) == (80_000, 2)
    for side in (0, 1):
        assert np.corrcoef(both[:, side], heard[:, side])[0, 1] > 0.9


def test_who_speaks_on_one_side_is_not_heard_on_the_other() -> None:
    heard = decoded(b"".join(encoded(in_turns())))
    turns = heard.reshape(10, 8000, 2)[:, 400:-400]
    for turn, block in enumerate(turns):
        speaks, listens = block[:, turn % 2], block[:, 1 - turn % 2]
        assert power_db(speaks) - power_db(listens) > 45
        steps = listens[: len(listens) // 160 * 160].reshape(-1, 160)
        assert power_db(speaks) - max(power_db(step) for step in steps) > 30


@pytest.mark.parametrize("side", [0, 1])
def test_a_side_that_is_silent_stays_silent(side: int) -> None:
    one = np.zeros((80_000, 2), np.int16)
    one[:, side] = VOICE
    heard = decoded(b"".join(encoded(one)))
    # The codec has its first milliseconds to learn where the sound is.
    assert np.abs(heard[20:, 1 - side]).max() <= 3
    assert power_db(heard[:, side]) - power_db(heard[:, 1 - side]) > 60
    assert np.corrcoef(VOICE, heard[:, side])[0, 1] > 0.9


@pytest.mark.parametrize("near", SOUNDS)
def test_size_says_nothing_about_who_spoke(near: str) -> None:
    for far in ("voice", "silence", "noise"):
        sizes = [len(page) for page in encoded(np.stack((SOUNDS[near], SOUNDS[far]), axis=1))]
        assert sizes == [47, 52, *[27 + 25 + 25 * 160] * 5, 27 + 1 + 160]


def test_two_sides_are_the_same_however_they_were_cut_into_blocks() -> None:
    both = in_turns()[:20_000]
    assert b"".join(encoded(both, block=800)) == b"".join(encoded(both, block=777))
    stream = b"".join(encoded(both))
    assert np.array_equal(decoded(stream, piece=77), decoded(stream))


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_ffmpeg_hears_each_side_in_its_place(tmp_path: Path) -> None:
    both = in_turns()
    (tmp_path / "call.ogg").write_bytes(b"".join(encoded(both)))
    command = ["ffmpeg", "-v", "warning", "-i", str(tmp_path / "call.ogg"), "-ar", "8000", "-f", "s16le", "-"]
    run = subprocess.run(command, check=True, capture_output=True, timeout=60)
    assert run.stderr == b""
    heard = np.frombuffer(run.stdout, np.int16).reshape(-1, 2)
    assert len(heard) == len(both)
    first = heard[400:7600]
    assert power_db(first[:, 0]) - power_db(first[:, 1]) > 40


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
@pytest.mark.parametrize("frames", [80_000, 79_901, 8000, 7950, 700])
def test_ffmpeg_decodes_our_stream_without_a_warning_and_to_the_same_length(tmp_path: Path, frames: int) -> None:
    (tmp_path / "call.ogg").write_bytes(b"".join(encoded(VOICE[:frames])))
    command = ["ffmpeg", "-v", "warning", "-i", str(tmp_path / "call.ogg"), "-f", "s16le", "-"]
    heard = subprocess.run(command, check=True, capture_output=True, timeout=60)
    assert heard.stderr == b""
    # ffmpeg decodes at 48 kHz.
    assert len(heard.stdout) == 2 * 6 * frames


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_ffmpeg_and_our_decoder_take_padded_packets_of_every_sound(tmp_path: Path) -> None:
    everything = np.concatenate(list(SOUNDS.values()))
    stream = b"".join(encoded(everything))
    (tmp_path / "call.ogg").write_bytes(stream)
    command = ["ffmpeg", "-v", "warning", "-i", str(tmp_path / "call.ogg"), "-f", "s16le", "-"]
    heard = subprocess.run(command, check=True, capture_output=True, timeout=60)
    assert heard.stderr == b""
    assert len(heard.stdout) == 2 * 6 * everything.size
    assert decoded(stream).size == everything.size


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_ffmpeg_decodes_a_recovered_stream_without_a_warning(tmp_path: Path) -> None:
    pages = encoded(VOICE)
    torn = ogg.salvage(pages[6][:500], 4 * 48_000)
    assert torn is not None
    (tmp_path / "call.ogg").write_bytes(b"".join([*pages[:6], ogg.as_last_page(torn[1])]))
    command = ["ffmpeg", "-v", "warning", "-i", str(tmp_path / "call.ogg"), "-f", "s16le", "-"]
    heard = subprocess.run(command, check=True, capture_output=True, timeout=60)
    assert heard.stderr == b""
    assert len(heard.stdout) == 2 * (torn[0].granule - 312)


def test_decoder_hears_each_piece_as_soon_as_its_page_is_whole() -> None:
    decoder, pages = OpusDecoder(), encoded(VOICE)
    sizes = [decoder.feed(page).size for page in pages]
    assert sizes == [0, 0, 7948, *[8000] * 9, 52]
    assert list(itertools.accumulate(sizes))[-1] == VOICE.size
