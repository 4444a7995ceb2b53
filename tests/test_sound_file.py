"""Sound files of every usual kind, made by sox, against what they must become at 8 kHz."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from appliance import sound_file
from appliance.sound_file import read_sound_file, write_wav
from appliance.terms import RATE_HZ, SettingsTrouble

TONE_S = 2.0
AMPLITUDE = 0.5


def tone(rate_hz: int, *, hz: float = 1000) -> NDArray[np.float64]:
    """Left: a tone that begins at 0.5 s. Right: half as loud."""
    t = np.arange(round(TONE_S * rate_hz)) / rate_hz
    left = AMPLITUDE * np.sin(2 * np.pi * hz * t) * (t >= 0.5)
    return np.column_stack([left, left / 2])


def assert_is_the_tone(samples: NDArray[np.int16], *, error: float) -> None:
    """Place, level and channels as `tone` has them; at the tone's abrupt start any filter may ring."""
    expected = tone(RATE_HZ) * 32768
    assert samples.shape == expected.shape
    away = samples - expected
    settled = np.r_[0 : RATE_HZ // 4, RATE_HZ * 3 // 4 : RATE_HZ * 7 // 4]
    assert np.abs(away[settled]).max() <= error * 32768


@pytest.mark.parametrize("rate_hz", [7350, 8000, 11_025, 16_000, 44_100, 48_000, 192_000])
def test_a_tone_keeps_place_and_level_at_every_rate(tmp_path: Path, rate_hz: int) -> None:
    soundfile.write(tmp_path / "tone.wav", tone(rate_hz), rate_hz, subtype="FLOAT")
    assert_is_the_tone(read_sound_file(tmp_path / "tone.wav"), error=0.0003)


@pytest.mark.parametrize(
    ("encoding", "error"),
    [
        (["-b", "8", "-e", "unsigned"], 0.01),
        (["-b", "16", "-e", "signed"], 0.0003),
        (["-b", "24", "-e", "signed"], 0.0003),
        (["-b", "32", "-e", "signed"], 0.0003),
        (["-b", "32", "-e", "float"], 0.0003),
        (["-b", "64", "-e", "float"], 0.0003),
        (["-e", "a-law"], 0.02),
        (["-e", "mu-law"], 0.02),
    ],
)
def test_every_encoding_of_sox_is_read(tmp_path: Path, encoding: list[str], error: float) -> None:
    soundfile.write(tmp_path / "tone.wav", tone(44_100), 44_100, subtype="DOUBLE")
    subprocess.run(["sox", "-D", tmp_path / "tone.wav", *encoding, tmp_path / "other.wav"], check=True)
    assert_is_the_tone(read_sound_file(tmp_path / "other.wav"), error=error)


@pytest.mark.parametrize(("format_name", "error"), [("FLAC", 0.0003), ("OGG", 0.03)])
def test_flac_and_ogg_are_read_too_whatever_their_name(tmp_path: Path, format_name: str, error: float) -> None:
    soundfile.write(tmp_path / "tone", tone(44_100), 44_100, format=format_name)
    assert_is_the_tone(read_sound_file(tmp_path / "tone"), error=error)


def test_sixteen_bit_at_eight_kilohertz_comes_out_bit_for_bit(tmp_path: Path) -> None:
    every_sample = np.arange(-32_768, 32_768).astype(np.int16).reshape(-1, 2)
    write_wav(tmp_path / "every.wav", every_sample)
    np.testing.assert_array_equal(read_sound_file(tmp_path / "every.wav"), every_sample)


def test_what_is_above_the_telephone_band_does_not_fold_into_it(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "high.wav", tone(44_100, hz=5000), 44_100)
    settled = read_sound_file(tmp_path / "high.wav")[RATE_HZ * 3 // 4 : RATE_HZ * 7 // 4]
    assert np.abs(settled).max() <= 2


def test_a_click_stays_where_it_was(tmp_path: Path) -> None:
    click = np.zeros(44_100 * 5)
    click[44_100 * 4] = 0.9
    soundfile.write(tmp_path / "click.wav", click, 44_100)
    assert np.abs(read_sound_file(tmp_path / "click.wav")[:, 0].astype(int)).argmax() == RATE_HZ * 4


@pytest.mark.parametrize(("frames", "expected"), [(1, 0), (3, 1), (44_101, 8000), (65_537, 11_889)])
def test_the_length_is_rounded_to_whole_frames(tmp_path: Path, frames: int, expected: int) -> None:
    soundfile.write(tmp_path / "short.wav", np.full(frames, 0.1), 44_100)
    if expected == 0:
        with pytest.raises(SettingsTrouble, match="holds no sound"):
            read_sound_file(tmp_path / "short.wav")
    else:
        assert len(read_sound_file(tmp_path / "short.wav")) == expected


def test_float_beyond_full_scale_and_not_a_number_are_clipped(tmp_path: Path) -> None:
    strange = np.array([2.0, -2.0, np.nan, np.inf, -np.inf])
    soundfile.write(tmp_path / "strange.wav", strange, RATE_HZ, subtype="FLOAT")
    np.testing.assert_array_equal(
        read_sound_file(tmp_path / "strange.wav")[:, 0], [32_767, -32_768, 0, 32_767, -32_768]
    )


def test_a_wav_from_a_pipe_whose_header_does_not_know_its_length_is_read(tmp_path: Path) -> None:
    whole = tmp_path / "whole.wav"
    soundfile.write(whole, tone(RATE_HZ), RATE_HZ)
    streamed = bytearray(whole.read_bytes())
    size_at = streamed.index(b"data") + 4
    streamed[size_at : size_at + 4] = b"\xff\xff\xff\xff"
    (tmp_path / "streamed.wav").write_bytes(streamed)
    assert_is_the_tone(read_sound_file(tmp_path / "streamed.wav"), error=0.0003)


@pytest.mark.parametrize(
    ("contents", "said"),
    [(b"Dear Sir or Madam,\n" * 100, "is not a sound file"), (b"", "is not a sound file"), (None, "No such file")],
    ids=["text", "empty", "missing"],
)
def test_what_is_no_sound_file_is_named_in_one_plain_sentence(
    tmp_path: Path, contents: bytes | None, said: str
) -> None:
    path = tmp_path / "letter.wav"
    if contents is not None:
        path.write_bytes(contents)
    with pytest.raises(SettingsTrouble, match=said) as refused:
        read_sound_file(path)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_folder_is_no_sound_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsTrouble, match="is not a sound file"):
        read_sound_file(tmp_path)


def test_a_flac_that_is_cut_off_or_damaged_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "whole.flac", tone(44_100), 44_100)
    damaged = bytearray((tmp_path / "whole.flac").read_bytes())
    damaged[len(damaged) // 2 :] = b"\0" * (len(damaged) - len(damaged) // 2)
    (tmp_path / "damaged.flac").write_bytes(damaged)
    with pytest.raises(SettingsTrouble, match=r"damaged\.flac"):
        read_sound_file(tmp_path / "damaged.flac")


def test_a_file_that_is_too_long_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound_file, "LONGEST_S", 1)
    soundfile.write(tmp_path / "long.wav", tone(RATE_HZ), RATE_HZ)
    with pytest.raises(SettingsTrouble, match="is longer than"):
        read_sound_file(tmp_path / "long.wav")
