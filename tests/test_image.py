"""What the image is made of, before it is built: packages, partitions, mounts, command lines, licences."""

from __future__ import annotations

import configparser
import json
import re
import subprocess
import uuid
import zipfile
from pathlib import Path

import pytest

from image.requirements_for import requirements_for
from image.sbom import cyclonedx, debian_packages, licence_list, python_packages

IMAGE = Path(__file__).parents[1] / "image"
BOARDS = sorted(path.name for path in (IMAGE / "board").iterdir())
DATA = IMAGE / "overlay/usr/lib/repart.d/50-data.conf"


def listed(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if not line.startswith("#")]


def partition(path: Path) -> dict[str, str]:
    read = configparser.ConfigParser(strict=True)
    read.optionxform = str  # type: ignore[assignment,method-assign]
    read.read_string(path.read_text())
    return dict(read["Partition"])


def partitions(board: str) -> list[dict[str, str]]:
    return [partition(path) for path in sorted((IMAGE / "board" / board / "repart.d").glob("*.conf"))]


@pytest.mark.parametrize("unit", sorted((IMAGE / "overlay/usr/lib/systemd/system").glob("linekeep-*.service")), ids=str)
def test_exposure_of_a_unit_of_the_image_stays_below_its_limit(unit: Path) -> None:
    command = ["/usr/bin/systemd-analyze", "security", "--offline=true", str(unit)]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    level = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said.stdout)
    assert level is not None, said.stderr
    assert float(level[1]) <= 1.5


def test_nothing_on_the_box_lets_somebody_in_or_makes_programs() -> None:
    unwanted = re.compile(r"ssh|telnet|rsync|curl|wpa|wireless|bluez|initramfs|^apt$|^gcc|^g\+\+|^make$|-dev$")
    packages = listed(IMAGE / "packages/root.txt")
    assert len(packages) > 20
    assert [name for name in packages if unwanted.search(name)] == []


@pytest.mark.parametrize("board", BOARDS)
def test_both_slots_have_the_same_size_and_the_second_is_free(board: str) -> None:
    for kind in ("root", "root-verity"):
        first, second = [each for each in partitions(board) if each["Type"] == kind]
        assert first["SizeMinBytes"] == first["SizeMaxBytes"] == second["SizeMinBytes"] == second["SizeMaxBytes"]
        assert (second["Label"], "CopyFiles" in second, "Verity" in second) == ("_empty", False, False)
    names = [each["Label"] for each in partitions(board) if each["Label"] != "_empty"]
    assert "linekeep-data" not in names


def test_the_data_partition_is_the_tpm_s_and_no_other_has_its_type() -> None:
    data = partition(DATA)
    assert data["Encrypt"] == "tpm2"
    assert str(uuid.UUID(data["Type"])) == data["Type"]
    assert "SizeMaxBytes" not in data
    assert (IMAGE / "initrd/usr/lib/repart.d" / DATA.name).read_text() == DATA.read_text()


def test_every_folder_that_lasts_is_made_with_the_data_partition() -> None:
    made = partition(DATA)["MakeDirectories"].split()
    mounts = [line.split() for line in listed(IMAGE / "overlay/etc/fstab")]
    bound = {source.removeprefix("/data"): where for source, where, *_ in mounts if source.startswith("/data/")}
    assert set(made) == {*bound, "/etc"}
    assert {"/var/lib/linekeep", "/etc/linekeep"} <= set(bound.values())
    assert not [line for line in mounts if "swap" in line]


@pytest.mark.parametrize("board", BOARDS)
def test_a_board_s_kernel_is_locked_down_and_asks_nobody(board: str) -> None:
    words = listed(IMAGE / "board" / board / "cmdline")
    assert {"lockdown=integrity", "module.sig_enforce=1", "systemd.getty_auto=no", "systemd.gpt_auto=no"} <= set(words)
    assert not [word for word in words if word.startswith(("roothash=", "init=", "rd.break", "systemd.debug"))]


def test_no_getty_and_no_debug_shell_can_be_started() -> None:
    units = IMAGE / "overlay/etc/systemd/system"
    for unit in ("getty@.service", "serial-getty@.service", "autovt@.service", "debug-shell.service"):
        assert (units / unit).readlink() == Path("/dev/null")


def test_requirements_are_chosen_for_the_box_s_python_and_keep_their_hashes() -> None:
    locked = (
        "numpy==1.0 ; python_full_version < '3.12' \\\n    --hash=sha256:aa\n"
        "    # via x\n"
        "numpy==2.0 ; python_full_version >= '3.12' \\\n    --hash=sha256:bb \\\n    --hash=sha256:cc\n"
        "tzdata==1 ; sys_platform == 'win32' \\\n    --hash=sha256:dd\n"
    )
    assert requirements_for("3.13", locked) == "numpy==2.0 --hash=sha256:bb --hash=sha256:cc\n"
    assert requirements_for("3.11", locked) == "numpy==1.0 --hash=sha256:aa\n"


def test_the_list_of_parts_names_each_with_version_address_and_licence(tmp_path: Path) -> None:
    status = tmp_path / "var/lib/dpkg/status"
    status.parent.mkdir(parents=True)
    status.write_text(
        "Package: one\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1:2-3\n\n"
        "Package: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n\n"
        "Package: two\nStatus: install ok installed\nArchitecture: all\nVersion: 5\n\n"
    )
    notice = tmp_path / "usr/share/doc/one/copyright"
    notice.parent.mkdir(parents=True)
    notice.write_text("Format: x\n\nFiles: *\nLicense: GPL-2+\n text\n\nFiles: y\nLicense: Expat\n")
    with zipfile.ZipFile(tmp_path / "three-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("three-1.0.dist-info/METADATA", "Name: Three\nVersion: 1.0\nLicense-Expression: MIT\n")
    parts = sorted([*debian_packages(tmp_path), *python_packages(tmp_path)])
    whole = json.loads(cyclonedx(parts, version="0", serial=uuid.UUID(int=7), made_at=0))
    assert [(part["purl"], [each["license"]["name"] for each in part["licenses"]]) for part in whole["components"]] == [
        ("pkg:deb/debian/one@1%3A2-3?arch=amd64&distro=trixie", ["Expat", "GPL-2+"]),
        ("pkg:pypi/three@1.0", ["MIT"]),
        ("pkg:deb/debian/two@5?arch=all&distro=trixie", ["see /usr/share/doc/two/copyright"]),
    ]
    assert licence_list(parts).splitlines()[0] == "one 1:2-3: Expat, GPL-2+"
