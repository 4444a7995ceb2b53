"""`systemd/install` on a machine that runs: what it puts there the first time, and what it leaves the second."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.systemd.matrix import DAEMONS, UNITS
from tests.systemd.own_root import WANTED, OwnRoot, can_be_made

SETTINGS = "/etc/linekeep/linekeep.toml"
pytestmark = can_be_made


@pytest.fixture
def root(tmp_path: Path) -> OwnRoot:
    root = OwnRoot(tmp_path)
    done = root.install()
    assert done.returncode == 0, done.stderr
    return root


def test_a_machine_gets_users_units_and_settings_and_linekeep_is_started(root: OwnRoot) -> None:
    assert root.users() == {"root", *(f"linekeep-{daemon}" for daemon in DAEMONS)}
    for unit in UNITS.glob("linekeep*.*"):
        if unit.name != "linekeep.toml":
            assert root.path(f"/usr/lib/systemd/system/{unit.name}").read_bytes() == unit.read_bytes()
    assert root.path(SETTINGS).read_bytes() == (UNITS / "linekeep.toml").read_bytes()
    assert root.run("stat", "-c", "%a %U %G", SETTINGS).stdout == "640 root linekeep\n"
    assert root.called() == [
        "systemctl stop linekeep.target",
        "systemctl daemon-reload",
        "udevadm control --reload",
        "udevadm trigger --subsystem-match=gpio --subsystem-match=tpmrm",
        "systemctl start linekeep.target",
        "linekeep claim-code, without a ring",
    ]


def test_it_starts_with_the_machine_and_the_nginx_of_debian_no_longer_does(root: OwnRoot) -> None:
    assert [path.name for path in root.path(WANTED).iterdir()] == ["linekeep.target"]


def test_settings_and_recordings_that_are_there_stay_byte_for_byte(root: OwnRoot) -> None:
    """A second time it renews the program and the units."""
    unit, recording = "/usr/lib/systemd/system/linekeep-vault.service", "/var/lib/linekeep/recordings/growing/0"
    root.path(SETTINGS).write_text("# mine\n")
    root.path(recording).write_bytes(b"sealed")
    root.path(unit).write_text("old\n")
    root.path("/opt/linekeep/old").touch()
    done = root.install()
    assert done.returncode == 0, done.stderr
    assert root.path(SETTINGS).read_text() == "# mine\n"
    assert root.path(recording).read_bytes() == b"sealed"
    assert root.path(unit).read_text() != "old\n"
    assert not root.path("/opt/linekeep/old").exists()
