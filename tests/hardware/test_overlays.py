"""Overlays compile without a warning, and apply to the device trees that Debian's kernel brings."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path

import pytest

from appliance.settings import GpioSettings
from tests.hardware.debian_kernel import DebianKernel, NoKernel, debian_kernel

OVERLAYS = Path(__file__).parents[2] / "hardware" / "overlays"
NAMES = sorted(path.stem for path in OVERLAYS.glob("*.dts"))
BOARDS = ("bcm2711-rpi-4-b", "bcm2711-rpi-400", "bcm2711-rpi-cm4-io", "bcm2837-rpi-zero-2-w")


@pytest.fixture(scope="module")
def kernel() -> DebianKernel:
    try:
        return debian_kernel()
    except NoKernel as why:
        pytest.skip(f"Debian's kernel package for arm64 cannot be had: {why}")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("overlays")
    for name in NAMES:
        assert compile_overlay(OVERLAYS / f"{name}.dts", folder / f"{name}.dtbo") == ""
    return folder


def compile_overlay(source: Path, target: Path) -> str:
    """What dtc complained of."""
    done = subprocess.run(
        ["dtc", "-@", "-I", "dts", "-O", "dtb", "-o", target, source], capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


def value(tree: Path, node: str, name: str, kind: str = "s") -> list[str]:
    done = subprocess.run(["fdtget", "-t", kind, tree, node, name], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_there_are_the_four_overlays_that_the_image_and_the_manual_name() -> None:
    assert NAMES == ["linekeep-codec", "linekeep-gpio", "linekeep-rtc", "linekeep-tpm"]


def test_a_faulty_overlay_would_be_noticed(tmp_path: Path) -> None:
    faulty = (OVERLAYS / "linekeep-tpm.dts").read_text("utf-8").replace("reg = <1>;", "")
    (tmp_path / "faulty.dts").write_text(faulty, "utf-8")
    assert "Warning" in compile_overlay(tmp_path / "faulty.dts", tmp_path / "faulty.dtbo")


@pytest.mark.parametrize("board", BOARDS)
def test_all_overlays_together_apply_to_debians_device_tree(
    board: str, kernel: DebianKernel, compiled: Path, tmp_path: Path
) -> None:
    tree = tmp_path / "whole.dtb"
    overlays = [compiled / f"{name}.dtbo" for name in NAMES]
    subprocess.run(["fdtoverlay", "-i", kernel.device_tree(board), "-o", tree, *overlays], check=True)
    spi = value(tree, "/__symbols__", "spi")[0]
    assert value(tree, spi, "status") == ["okay"]
    assert value(tree, f"{spi}/tpm@1", "compatible") == ["infineon,slb9670", "tcg,tpm_tis-spi"]
    i2c = value(tree, "/__symbols__", "i2c1")[0]
    assert value(tree, f"{i2c}/rtc@68", "compatible") == ["maxim,ds3231"]
    codec, clock = value(tree, f"{i2c}/codec@1a", "clocks", "u"), value(tree, "/linekeep-crystal", "phandle", "u")
    assert codec == clock
    gpio = value(tree, "/__symbols__", "gpio")[0]
    names = value(tree, gpio, "gpio-line-names")
    assert {name: names.index(name) for name in ("hook", "ring", "button", "lamp", "speak", "tamper")} == {
        "hook": 5,
        "ring": 6,
        "button": 13,
        "lamp": 26,
        "speak": 16,
        "tamper": 27,
    }


def test_no_two_overlays_take_the_same_line_of_the_header(compiled: Path) -> None:
    taken: dict[str, str] = {}
    for name in NAMES:
        listed = subprocess.run(
            ["dtc", "-q", "-I", "dtb", "-O", "dts", compiled / f"{name}.dtbo"],
            capture_output=True,
            text=True,
            check=True,
        )
        for line in listed.stdout.splitlines():
            if "brcm,pins" in line:
                for pin in line.split("<")[1].split(">")[0].split():
                    assert pin not in taken, f"GPIO {int(pin, 16)}: {name} and {taken[pin]}"
                    taken[pin] = name
    assert len(taken) > 10


@pytest.mark.parametrize("name", NAMES)
def test_none_applies_to_a_pi_5_whose_header_debians_device_tree_does_not_know(
    name: str, kernel: DebianKernel, compiled: Path, tmp_path: Path
) -> None:
    tree, overlay = kernel.device_tree("bcm2712-rpi-5-b"), compiled / f"{name}.dtbo"
    applied = subprocess.run(
        ["fdtoverlay", "-i", tree, "-o", tmp_path / "x.dtb", overlay], capture_output=True, check=False
    )
    assert applied.returncode != 0


def test_raspberry_pis_own_name_for_the_bus_does_not_apply(kernel: DebianKernel, tmp_path: Path) -> None:
    foreign = (OVERLAYS / "linekeep-tpm.dts").read_text("utf-8").replace("&spi {", "&spi0 {")
    (tmp_path / "foreign.dts").write_text(foreign, "utf-8")
    assert compile_overlay(tmp_path / "foreign.dts", tmp_path / "foreign.dtbo") == ""
    tree = kernel.device_tree("bcm2711-rpi-4-b")
    applied = subprocess.run(
        ["fdtoverlay", "-i", tree, "-o", tmp_path / "x.dtb", tmp_path / "foreign.dtbo"],
        capture_output=True,
        check=False,
    )
    assert applied.returncode != 0


@pytest.mark.parametrize(
    ("option", "there"),
    [
        ("TCG_TIS_SPI", True),
        ("SPI_BCM2835", True),
        ("I2C_BCM2835", True),
        ("SND_BCM2835_SOC_I2S", True),
        ("SND_SOC_WM8960", True),
        ("SND_SIMPLE_CARD", True),
        ("SND_USB_AUDIO", True),
        ("RTC_DRV_DS1307", True),
        ("SND_SOC_WM8731_I2C", False),
        ("SND_SOC_PCM186X_I2C", False),
        ("SND_SOC_DA7213", False),
        ("GPIO_SIM", False),
    ],
)
def test_debians_kernel_has_the_drivers_that_boards_md_says(option: str, there: bool, kernel: DebianKernel) -> None:
    assert kernel.is_set(option) is there


def test_the_settings_in_the_overlays_comment_are_settings() -> None:
    comment = (OVERLAYS / "linekeep-gpio.dts").read_text("utf-8")
    for name, active_low in (("hook", True), ("tamper", False)):
        written = comment.split(f"{name} = ")[1].split("}")[0] + "}"
        settings = GpioSettings(**tomllib.loads(f"{name} = {written}")[name])
        assert (settings.line, settings.active_low) == (name, active_low)
