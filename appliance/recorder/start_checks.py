"""What the settings of lines must keep beyond their form, looked at when the recorder starts and before it listens.

`appliance.settings` reads the form. Here is what needs the recorder's own words (hours, numbers) or the disk.
"""

from __future__ import annotations

import os
from pathlib import Path

from appliance.recorder.line.number_list import NumberList
from appliance.recorder.line.private_hours import PrivateHours
from appliance.settings import LineSettings, RecorderSettings
from appliance.terms import SettingsTrouble


def check_lines(settings: RecorderSettings) -> None:
    """Check every line. Raises SettingsTrouble with one sentence that names the line."""
    for line in settings.lines:
        try:
            PrivateHours(line.private)
            NumberList(line.never_numbers, settings.country)
            NumberList(line.always_numbers, settings.country)
        except SettingsTrouble as trouble:
            raise SettingsTrouble(f"Line '{line.name}' cannot be followed: {trouble}") from trouble
        _check_announcement(line)


def _check_announcement(line: LineSettings) -> None:
    if not line.announcement:
        return
    path = Path(line.announcement)
    if not path.is_absolute():
        raise SettingsTrouble(f"The announcement of line '{line.name}' must be a whole path, from / on.")
    if not path.is_file():
        why = "is not there"
    elif not os.access(path, os.R_OK):
        why = "may not be read by the recorder"
    elif path.stat().st_size == 0:
        why = "is empty"
    else:
        return
    raise SettingsTrouble(
        f"The announcement of line '{line.name}' {why}, and nothing is recorded: put the sound file to {path}."
    )
