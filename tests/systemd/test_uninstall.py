"""`systemd/uninstall` after `systemd/install`: what stays unless KEEP=no, and that the keys go before their files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.systemd.matrix import DAEMONS
from tests.systemd.own_root import WANTED, OwnRoot, can_be_made
from tests.vault.box_house import contents_of

STATE, SETTINGS = "/var/lib/linekeep", "/etc/linekeep"
WARNING = "So whoever finds their bytes on this disk can open them on this machine, until its TPM is cleared."
ALL_FORGOTTEN = [
    "systemctl stop linekeep*",
    "linekeep forget-all --for-good, with a ring",
    "systemctl daemon-reload",
]
pytestmark = can_be_made


@pytest.fixture
def root(tmp_path: Path) -> OwnRoot:
    """With a Linekeep that has recorded a call, and a unit that is not ours."""
    root = OwnRoot(tmp_path)
    done = root.install()
    assert done.returncode == 0, done.stderr
    root.path(f"{STATE}/ring").mkdir()
    root.path(f"{STATE}/ring/ring.a").write_bytes(b"keys")
    root.path(f"{STATE}/recordings/growing/0").write_bytes(b"sealed")
    root.called()
    return root


def left_of_linekeep(root: OwnRoot) -> list[Path]:
    return [path for path in root.folder.rglob("*") if "linekeep" in str(path.relative_to(root.folder))]


def test_recordings_keys_settings_and_users_stay_and_nothing_is_forgotten(root: OwnRoot) -> None:
    before = {place: contents_of(root.path(place)) for place in (STATE, SETTINGS)}
    done = root.uninstall()
    assert (done.returncode, done.stderr) == (0, "")
    assert "KEEP=no removes them" in done.stdout
    assert root.called() == ["systemctl stop linekeep*", "systemctl daemon-reload"]
    assert {place: contents_of(root.path(place)) for place in (STATE, SETTINGS)} == before
    assert root.users() == {"root", *(f"linekeep-{daemon}" for daemon in DAEMONS)}
    kept = (root.path(STATE), root.path(SETTINGS))
    assert [path for path in left_of_linekeep(root) if not any(path.is_relative_to(place) for place in kept)] == []


def test_with_keep_no_the_keys_are_forgotten_while_the_ring_is_there_and_then_all_is_gone(root: OwnRoot) -> None:
    done = root.uninstall(KEEP="no")
    assert (done.returncode, done.stderr) == (0, "")
    assert "are gone. The TPM is still Linekeep's" in done.stdout
    assert root.called() == ALL_FORGOTTEN
    assert left_of_linekeep(root) == []
    assert root.users() == {"root"}
    assert "linekeep" not in root.path("/etc/group").read_text()


def test_keys_that_cannot_be_forgotten_are_said_and_all_the_rest_goes(root: OwnRoot) -> None:
    root.path("/tmp/fails").touch()  # noqa: S108 - in there
    done = root.uninstall(KEEP="no")
    assert (done.returncode, done.stderr) == (0, f"{WARNING}\n")
    assert root.called() == ALL_FORGOTTEN
    assert left_of_linekeep(root) == []


def test_where_no_key_was_ever_made_none_is_forgotten(root: OwnRoot) -> None:
    root.run("rm", "-r", f"{STATE}/ring")
    done = root.uninstall(KEEP="no")
    assert (done.returncode, done.stderr) == (0, "")
    assert root.called() == ["systemctl stop linekeep*", "systemctl daemon-reload"]
    assert left_of_linekeep(root) == []


def test_what_is_not_linekeep_s_stays(root: OwnRoot) -> None:
    mine = "/etc/systemd/system/multi-user.target.wants/mine.service"
    root.path(mine).touch()
    root.path("/opt/mine").touch()
    root.uninstall(KEEP="no")
    assert [path.name for path in root.path(WANTED).iterdir()] == ["mine.service"]
    assert root.path("/opt/mine").exists()
    assert root.path("/usr/lib/systemd/system/nginx.service").exists()


def test_only_root_may(root: OwnRoot) -> None:
    done = root.run("setpriv", "--reuid=linekeep-webui", "--clear-groups", "/project/systemd/uninstall", KEEP="no")
    assert (done.returncode, done.stderr) == (1, "As root: sudo make uninstall\n")
    assert root.called() == []
    assert root.path(f"{STATE}/ring/ring.a").exists()
