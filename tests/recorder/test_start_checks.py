"""A line that cannot be followed stops the recorder at its start, with a sentence that names it."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.recorder.start_checks import check_lines
from appliance.settings import LineSettings, RecorderSettings
from appliance.terms import SettingsTrouble


def check(**line: object) -> None:
    check_lines(RecorderSettings(lines=(LineSettings(name="front-desk", alsa="line0", **line),)))  # type: ignore[arg-type]


def test_lines_that_can_be_followed_pass(tmp_path: Path) -> None:
    announcement = tmp_path / "announcement.wav"
    announcement.write_bytes(b"RIFF")
    check(announcement=str(announcement), private=("sa-su",), never_numbers=("0800*", "withheld"))
    check()


def test_a_missing_or_empty_announcement_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SettingsTrouble, match="announcement of line 'front-desk' is not there"):
        check(announcement=str(tmp_path / "gone.wav"))
    with pytest.raises(SettingsTrouble, match="is not there"):
        check(announcement=str(tmp_path))
    (tmp_path / "empty.wav").touch()
    with pytest.raises(SettingsTrouble, match="is empty"):
        check(announcement=str(tmp_path / "empty.wav"))
    with pytest.raises(SettingsTrouble, match="whole path"):
        check(announcement="announcement.wav")


def test_hours_that_cannot_be_read_name_their_line_and_an_example() -> None:
    with pytest.raises(SettingsTrouble, match=r"'front-desk' cannot be followed: 'weekend' .* example"):
        check(private=("weekend",))
