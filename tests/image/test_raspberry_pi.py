"""What a Raspberry Pi 4's firmware finds on the card: which partition, which files, and what is in them.

No Pi runs here. What its firmware does with these files is documented by its maker (config.txt, autoboot.txt); that
they are there, name each other rightly and hold what they should is asked here.
"""

from __future__ import annotations

import subprocess
import uuid
from pathlib import Path

import pytest

from tests.image.card import Partition, partitions
from tests.image.conftest import IMAGE
from tests.image.processor import PROCESSOR

pytestmark = pytest.mark.skipif(PROCESSOR.native != "aarch64", reason="a Pi's card is the arm64 image")

BOARD = Path(__file__).parents[2] / "image" / "board" / "arm64"
TREES = {"pi4": "bcm2711-rpi-4-b.dtb", "cm4": "bcm2711-rpi-cm4-io.dtb"}

# Of each overlay in hardware/overlays: a property that it sets, by the label of the node it goes to.
APPLIED = {
    ("spi", "", "status"): "okay",
    ("spi", "/tpm@1", "compatible"): "infineon,slb9670 tcg,tpm_tis-spi",
    ("i2c1", "", "status"): "okay",
    ("i2c1", "/rtc@68", "compatible"): "maxim,ds3231",
    ("i2c1", "/codec@1a", "compatible"): "wlf,wm8960",
    ("i2s", "", "status"): "okay",
}


@pytest.fixture(scope="module")
def card() -> list[Partition]:
    return partitions(Path(IMAGE))


@pytest.fixture(scope="module")
def slot_a(card: list[Partition]) -> Partition:
    return card[1]


def sections(text: bytes) -> dict[str, dict[str, str]]:
    """Of config.txt or autoboot.txt; before the first heading it is for all. `initramfs` has no equals sign."""
    found: dict[str, dict[str, str]] = {"all": {}}
    here = found["all"]
    for line in text.decode("ascii").splitlines():
        if line.startswith("["):
            here = found.setdefault(line.strip("[]"), {})
        elif line and not line.startswith("#"):
            name, _, value = line.replace("initramfs ", "initramfs=").partition("=")
            here[name] = value
    return found


def test_the_firmware_goes_to_slot_a_and_on_trial_to_slot_b(card: list[Partition]) -> None:
    told = sections(card[0].read("autoboot.txt"))
    assert told["all"]["tryboot_a_b"] == "1"
    assert card[int(told["all"]["boot_partition"]) - 1].name == "linekeep-boot-a"
    assert card[int(told["tryboot"]["boot_partition"]) - 1].name == "linekeep-boot-b"


def test_slot_b_is_free(card: list[Partition]) -> None:
    assert card[2].is_empty()


def test_all_that_config_txt_names_is_there(slot_a: Partition) -> None:
    told = sections(slot_a.read("config.txt"))
    assert told["all"]["arm_64bit"] == "1"
    named = {told["all"][name].split()[0] for name in ("kernel", "initramfs", "cmdline")}
    trees = {board: told[board]["device_tree"] for board in TREES}
    assert trees == TREES
    assert named | set(trees.values()) <= slot_a.files()


def test_the_firmware_is_debians(slot_a: Partition) -> None:
    package = Path(IMAGE).parent / "parts/usr/lib/raspi-firmware"
    assert slot_a.read("start4.elf")[:4] == b"\x7fELF"
    for name in ("start4.elf", "fixup4.dat"):
        assert slot_a.read(name) == (package / name).read_bytes()


def test_kernel_and_initrd_are_those_that_the_virtual_machine_starts(slot_a: Partition) -> None:
    kernel = slot_a.read("vmlinuz")
    assert kernel[56:60] == b"ARM\x64", "the firmware starts an uncompressed arm64 Image (kernel's booting.rst)"
    for name in ("vmlinuz", "initrd.img"):
        assert slot_a.read(name) == (Path(IMAGE).parent / name).read_bytes()


def test_the_command_line_names_the_root_by_its_hash_and_lets_nobody_in(
    slot_a: Partition, card: list[Partition]
) -> None:
    (line,) = slot_a.read("cmdline.txt").decode("ascii").splitlines()
    words = line.split()
    assert [*(BOARD / "cmdline").read_text("ascii").split(), "systemd.import_credentials=no"] == [
        word for word in words if not word.startswith("roothash=")
    ]
    # systemd's generator finds root and hash tree by the two halves of the hash (systemd-veritysetup-generator(8)).
    (roothash,) = [word.partition("=")[2] for word in words if word.startswith("roothash=")]
    found = {part.identifier for part in card if part.name == "linekeep-a"}
    assert found == {uuid.UUID(roothash[:32]), uuid.UUID(roothash[32:])}


@pytest.mark.parametrize("name", TREES.values())
def test_our_overlays_are_in_the_device_tree(slot_a: Partition, name: str, tmp_path: Path) -> None:
    tree = tmp_path / name
    tree.write_bytes(slot_a.read(name))
    applied = {where: fdtget(tree, fdtget(tree, "/__symbols__", where[0]) + where[1], where[2]) for where in APPLIED}
    assert applied == APPLIED
    wires = fdtget(tree, fdtget(tree, "/__symbols__", "gpio"), "gpio-line-names").split()
    assert [wires[pin] for pin in (5, 6, 22, 23, 27)] == ["hook", "ring", "hook2", "ring2", "tamper"]
    assert fdtget(tree, "/linekeep-sound", "simple-audio-card,name") == "linekeep"


def fdtget(tree: Path, node: str, name: str) -> str:
    """A property that is one string or several."""
    command = ["fdtget", "-t", "s", str(tree), node, name]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=20).stdout.strip()
