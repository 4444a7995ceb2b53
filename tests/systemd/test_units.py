"""Each cell of the rights' tables, tried against the unit files; and what systemd itself says of these."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.systemd.matrix import DAEMONS, UNITS, common_settings, table, unit

KERNEL = table("What the kernel allows")
EXPOSURE = KERNEL.pop("exposure at most")
COMMON = common_settings()
GROUPS = table("Groups")["groups besides its own"]
IMAGES_OWN = sorted((UNITS.parent / "image/overlay/usr/lib/systemd/system").glob("linekeep-*.service"))
IMAGES_EXPOSURE = 15
"""Of 1.5, as systemd-analyze wants it: what runs as root for the daemons."""
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")


@pytest.mark.parametrize("daemon", DAEMONS)
@pytest.mark.parametrize("setting", KERNEL)
def test_a_unit_allows_what_the_table_says(setting: str, daemon: str) -> None:
    assert " ".join(unit(daemon).get(setting, [])) == KERNEL[setting][daemon]


@pytest.mark.parametrize("daemon", DAEMONS)
@pytest.mark.parametrize("setting", COMMON)
def test_a_unit_has_what_all_have_and_nothing_that_takes_it_back(setting: str, daemon: str) -> None:
    """Of a setting that stands there twice systemd follows the last, or adds up what they say."""
    assert unit(daemon)[setting] == COMMON[setting]


@pytest.mark.parametrize("daemon", DAEMONS)
def test_a_unit_gives_nothing_that_no_table_knows(daemon: str) -> None:
    """Every setting that gives or takes a right stands in a table, so that none is added in silence."""
    known = {*KERNEL, *COMMON}
    of_no_right = {
        *("Description", "PartOf", "Requires", "Wants", "After", "RequiresMountsFor"),
        *("Type", "ExecStart", "User", "Group"),
        *("TimeoutStartSec", "TimeoutStopSec", "RestartSec", "RestartSteps", "RestartMaxDelaySec", "NotifyAccess"),
        *("OOMScoreAdjust", "CPUWeight", "StartupCPUWeight", "CPUAffinity", "IOWeight", "SystemCallErrorNumber"),
    }
    assert set(unit(daemon)) <= known | of_no_right


@pytest.mark.parametrize("daemon", DAEMONS)
def test_a_unit_runs_its_daemon_as_its_user(daemon: str) -> None:
    settings = unit(daemon)
    assert settings["User"] == settings["Group"] == [f"linekeep-{daemon}"]
    assert settings["ExecStart"] == [f"/opt/linekeep/bin/linekeep run --config /etc/linekeep/linekeep.toml {daemon}"]


def test_no_daemon_waits_for_another() -> None:
    for daemon in DAEMONS:
        settings = unit(daemon)
        ordered = [*settings.get("After", []), *settings.get("Requires", []), *settings.get("Wants", [])]
        assert set(ordered) == {"webui": {"linekeep-webui.socket"}, "vault": {"dev-tpmrm0.device"}}.get(daemon, set())
    wanted = re.findall(r"^Wants=(.*)$", (UNITS / "linekeep.target").read_text("utf-8"), re.MULTILINE)
    assert set(wanted[0].split()) == {*(f"linekeep-{daemon}.service" for daemon in DAEMONS), "linekeep-webui.socket"}


def test_groups_are_those_of_the_table() -> None:
    members = re.findall(r"^m\s+(\S+)\s+(\S+)", (UNITS / "sysusers.conf").read_text("utf-8"), re.MULTILINE)
    for daemon in DAEMONS:
        assert sorted(group for user, group in members if user == f"linekeep-{daemon}") == GROUPS[daemon].split()


@needs_systemd
@pytest.mark.parametrize("daemon", DAEMONS)
def test_exposure_stays_below_its_limit(daemon: str) -> None:
    said = analyze("security", "--offline=true", f"--threshold={EXPOSURE[daemon].replace('.', '')}", path_of(daemon))
    assert "Overall exposure level" in said.stdout
    assert said.returncode == 0, said.stdout


@needs_systemd
@pytest.mark.parametrize("path", IMAGES_OWN, ids=lambda path: path.name)
def test_exposure_of_what_the_image_adds_stays_below_its_limit(path: Path) -> None:
    said = analyze("security", "--offline=true", f"--threshold={IMAGES_EXPOSURE}", path)
    assert said.returncode == 0, said.stdout


@needs_systemd
def test_the_limit_can_be_missed(tmp_path: Path) -> None:
    weak = tmp_path / "linekeep-webui.service"
    weak.write_text(path_of("webui").read_text("utf-8").replace("PrivateNetwork=yes\n", ""))
    assert analyze("security", "--offline=true", f"--threshold={EXPOSURE['webui'].replace('.', '')}", weak).returncode


def path_of(daemon: str) -> Path:
    return UNITS / f"linekeep-{daemon}.service"


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(("systemd-analyze", "--no-pager", *arguments), capture_output=True, text=True, check=False)
