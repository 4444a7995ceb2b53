"""`linekeep replay` as a person types it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from appliance import cli
from appliance.sound_file import write_wav
from appliance.terms import RATE_HZ


@pytest.fixture
def two_words(tmp_path: Path) -> Path:
    """Two words with 4 s of silence between them, and silence at the end."""
    sound = np.random.default_rng(7).normal(0, 3000, RATE_HZ)
    # Six syllables a second: what does not rise and fall is no voice.
    sound = (sound * np.sin(3 * np.pi * np.arange(RATE_HZ) * 2 / RATE_HZ) ** 2).astype(np.int16)
    silence = np.zeros(4 * RATE_HZ, np.int16)
    path = tmp_path / "line.wav"
    write_wav(path, np.concatenate((silence, sound, silence, sound, silence, silence))[:, np.newaxis])
    return path


def calls(out: str) -> list[float]:
    return [told["seconds"] for told in map(json.loads, out.splitlines()) if told["what"] == "call_end"]


def test_settings_of_a_box_decide_what_is_one_call(
    two_words: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tmp_path / "linekeep.toml"
    settings.write_text('state_dir = "/x"\nrun_dir = "/y"\n[recorder]\nhold_over_s = 2.0\n')
    assert cli.main(["replay", str(two_words), "--json"]) == 0
    assert len(calls(capsys.readouterr().out)) == 1
    assert cli.main(["replay", str(two_words), "--json", "--settings", str(settings)]) == 0
    assert len(calls(capsys.readouterr().out)) == 2


def test_settings_that_are_none_are_one_sentence(
    two_words: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["replay", str(two_words), "--settings", str(tmp_path / "none.toml")]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert "cannot be read" in told.err


def test_without_json_a_person_reads_it(two_words: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["replay", str(two_words)]) == 0
    assert "call_begin" in capsys.readouterr().out
