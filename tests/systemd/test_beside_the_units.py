"""What a box gets beside its units: the settings to begin with, and who may use the wires."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from appliance.settings import COUNTRY_CODES, Settings, read_settings
from tests.systemd.matrix import UNITS

DAY_S = 86_400
TEXT = (UNITS / "linekeep.toml").read_text("utf-8")
OFFERED = re.sub(r"^# (?=\[\[|[a-z_]+ = )", "", TEXT, flags=re.MULTILINE)
"""The settings with all that stands there behind a sign of comment."""


@pytest.fixture
def given() -> Settings:
    return read_settings(UNITS / "linekeep.toml")


@pytest.fixture
def offered(tmp_path: Path) -> Settings:
    (tmp_path / "linekeep.toml").write_text(OFFERED, "utf-8")
    return read_settings(tmp_path / "linekeep.toml")


def test_the_settings_to_begin_with_record_no_line_and_forget_after_thirty_days(given: Settings) -> None:
    assert (given.recorder.devices, given.recorder.lines) == ((), ())
    assert given.vault.keep_s == 30 * DAY_S
    assert (given.vault.backup, given.vault.tpm) == ("", "/dev/tpmrm0")


def test_the_vault_hears_the_users_and_keeps_to_the_folders_that_a_box_gets(given: Settings) -> None:
    users = re.findall(r"^u (\S+)", (UNITS / "sysusers.conf").read_text("utf-8"), re.MULTILINE)
    assert {given.vault.recorder_user, given.vault.webui_user} <= set(users)
    assert given.vault.recorder_user == "linekeep-recorder"
    assert given.vault.webui_user == "linekeep-webui"
    folders = re.findall(r"^d (\S+)", (UNITS / "tmpfiles.conf").read_text("utf-8"), re.MULTILINE)
    assert {given.state_dir, given.run_dir} <= set(folders)


def test_a_line_that_is_offered_waits_for_the_callers_key(offered: Settings) -> None:
    (line,) = offered.recorder.lines
    assert (line.consent, line.yes_key) == ("opt_in", "1")
    assert line.ground
    assert line.device == offered.recorder.devices[0].device


def test_what_is_offered_is_what_is_there_without_it_but_for_names_and_places(
    given: Settings, offered: Settings
) -> None:
    assert offered.vault.backup.startswith("/mnt/")
    assert offered.vault.keep_s == given.vault.keep_s
    assert offered.vault.tpm == given.vault.tpm
    assert offered.webui.timezone == given.webui.timezone
    assert offered.recorder.country == given.recorder.country
    assert re.search(r"country = .*# (.*)", TEXT)[1].split() == list(COUNTRY_CODES)  # type: ignore[index]


def test_the_wires_of_hook_and_ring_are_the_recorders_and_nobody_elses() -> None:
    rules = [line for line in (UNITS / "udev.rules").read_text("utf-8").splitlines() if line[:1] not in ("", "#")]
    (rule,) = rules
    matches = {'SUBSYSTEM=="gpio"', 'KERNEL=="gpiochip[0-9]*"'}
    assert set(rule.split(", ")) == {*matches, 'GROUP="linekeep-recorder"', 'MODE="0660"'}
