"""A good board passes, and each fault that is put into it is named, with what to check."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gpiod
import numpy as np
import pytest
from numpy.typing import NDArray

from appliance.selftest import rtc, storage
from appliance.selftest.board import look_at_board
from appliance.selftest.chip import look_at_tpm
from appliance.selftest.finding import Finding, Verdict
from appliance.selftest.rtc import look_at_rtc
from appliance.selftest.sound import look_at_sound
from appliance.selftest.storage import Pace, block_device, look_at_storage
from appliance.selftest.wires import look_at_case, look_at_wires
from appliance.settings import DeviceSettings, GpioSettings, LineSettings, OutputSettings
from appliance.terms import RATE_HZ
from appliance.vault.tpm import Tpm
from tests.simulators.line import SimulatedLine, build_plugin
from tests.simulators.software_tpm import SoftwareTpm
from tests.vault.box_house import BoxHouse

NOW_S = 1_795_000_000


class Tree:
    """The kernel's files of a Pi that is well."""

    def __init__(self, root: Path) -> None:
        self.sysfs, self.procfs = root / "sys", root / "proc"
        self.write("class/thermal/thermal_zone0/temp", "48312")
        self.write("class/hwmon/hwmon1/name", "rpi_volt")
        self.write("class/hwmon/hwmon1/in0_lcrit_alarm", "0")
        self.write("devices/system/cpu/cpufreq/policy0/cpuinfo_max_freq", "1800000")
        self.write("devices/system/cpu/cpufreq/policy0/scaling_max_freq", "1800000")
        self.write("class/net/eth0/carrier", "1")
        self.write("class/net/eth0/speed", "1000")
        (self.sysfs / "class/net/eth0/device").mkdir()
        self.write("class/net/lo/carrier", "1")
        self.write("class/rtc/rtc0/name", "rtc-ds1307 1-0068")
        self.write("class/rtc/rtc0/since_epoch", str(NOW_S))
        self.procfs.mkdir()
        (self.procfs / "meminfo").write_text("MemTotal:        1884228 kB\nMemFree: 1 kB\n")
        (self.procfs / "swaps").write_text("Filename\tType\tSize\tUsed\tPriority\n")

    def write(self, name: str, text: str) -> None:
        path = self.sysfs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def wrong(findings: Iterable[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.verdict in (Verdict.LOOK, Verdict.BAD)]


def named(findings: Iterable[Finding], part: str, verdict: Verdict, advice: str) -> None:
    """Exactly one thing is wrong, and it is this; the advice helps."""
    found = wrong(findings)
    assert [(each.part, each.verdict) for each in found] == [(part, verdict)], found
    assert advice in found[0].advice, found[0]


# the board


def test_good_board_has_nothing_wrong(tree: Tree) -> None:
    findings = list(look_at_board(tree.sysfs, tree.procfs))
    assert wrong(findings) == []
    assert {each.part for each in findings} == {"temperature", "supply", "speed", "memory", "swap", "network"}
    assert all(each.verdict is Verdict.GOOD for each in findings)


@pytest.mark.parametrize(
    ("file", "text", "part", "verdict", "advice"),
    [
        ("class/thermal/thermal_zone0/temp", "83000", "temperature", Verdict.BAD, "air"),
        ("class/thermal/thermal_zone0/temp", "74000", "temperature", Verdict.LOOK, "below 70"),
        ("class/hwmon/hwmon1/in0_lcrit_alarm", "1", "supply", Verdict.BAD, "own power supply"),
        ("devices/system/cpu/cpufreq/policy0/scaling_max_freq", "600000", "speed", Verdict.BAD, "held back"),
        ("class/net/eth0/carrier", "0", "network", Verdict.LOOK, "Plug in the cable"),
    ],
)
def test_fault_of_the_board_is_named(
    file: str, text: str, part: str, verdict: Verdict, advice: str, tree: Tree
) -> None:
    tree.write(file, text)
    named(look_at_board(tree.sysfs, tree.procfs), part, verdict, advice)


def test_board_without_ethernet_is_named(tree: Tree) -> None:
    (tree.sysfs / "class/net/eth0/device").rmdir()
    named(look_at_board(tree.sysfs, tree.procfs), "network", Verdict.BAD, "adapter")


def test_radio_is_named_and_is_no_network(tree: Tree) -> None:
    for name in ("device", "wireless"):
        (tree.sysfs / "class/net/wlan0" / name).mkdir(parents=True)
    named(look_at_board(tree.sysfs, tree.procfs), "radio", Verdict.LOOK, "Switch it off")


def test_swap_is_named(tree: Tree) -> None:
    (tree.procfs / "swaps").write_text("Filename\tType\n/dev/zram0 partition 1 0 -2\n")
    named(look_at_board(tree.sysfs, tree.procfs), "swap", Verdict.BAD, "swapoff")


def test_too_little_memory_is_named(tree: Tree) -> None:
    (tree.procfs / "meminfo").write_text("MemTotal:         240000 kB\n")
    named(look_at_board(tree.sysfs, tree.procfs), "memory", Verdict.BAD, "another board")


def test_board_that_tells_nothing_is_not_said_to_be_good(tmp_path: Path) -> None:
    findings = list(look_at_board(tmp_path / "no", tmp_path / "no"))
    assert {each.part for each in findings if each.verdict is Verdict.UNTRIED} == {
        "temperature",
        "supply",
        "speed",
        "memory",
    }


# the clock


class Watch:
    """Time that passes only by waiting, and an RTC that follows it at its own rate."""

    def __init__(self, tree: Tree, *, rate: float = 1.0, begins_s: int = NOW_S) -> None:
        self.s = 0.0
        self._tree, self._rate, self._begins_s = tree, rate, begins_s
        self.wait(0)

    def wait(self, seconds: float) -> None:
        self.s += seconds
        self._tree.write("class/rtc/rtc0/since_epoch", str(self._begins_s + int(self.s * self._rate)))

    def look(self) -> list[Finding]:
        steady = itertools.count()
        return list(
            look_at_rtc(
                self._tree.sysfs,
                steady_s=lambda: self.s + next(steady) * 1e-6,
                wall_s=lambda: NOW_S + self.s,
                wait=self.wait,
            )
        )


def test_good_clock_has_nothing_wrong(tree: Tree) -> None:
    findings = Watch(tree).look()
    assert [each.verdict for each in findings] == [Verdict.GOOD, Verdict.GOOD], findings


def test_missing_clock_is_named(tmp_path: Path) -> None:
    named(look_at_rtc(tmp_path), "clock", Verdict.BAD, "Plug in an RTC")


def test_clock_whose_battery_is_missing_is_named(tree: Tree) -> None:
    # The kernel answers EINVAL; a folder in the file's place refuses to be read as well.
    (tree.sysfs / "class/rtc/rtc0/since_epoch").unlink()
    (tree.sysfs / "class/rtc/rtc0/since_epoch").mkdir()
    named(look_at_rtc(tree.sysfs), "clock", Verdict.BAD, "battery")


def test_clock_that_lost_its_time_is_named(tree: Tree) -> None:
    tree.write("class/rtc/rtc0/since_epoch", "946684800")
    named(look_at_rtc(tree.sysfs), "clock", Verdict.BAD, "battery")


def test_clock_that_was_never_set_is_named(tree: Tree) -> None:
    named(Watch(tree, begins_s=NOW_S - 3600).look(), "clock", Verdict.LOOK, "hwclock")


@pytest.mark.parametrize("rate", [0.0, 0.99, 1.01])
def test_clock_that_stands_or_runs_wild_is_named(rate: float, tree: Tree) -> None:
    named(Watch(tree, rate=rate).look(), "clock rate", Verdict.BAD, "Take another one")


def test_a_clock_is_followed_in_real_time(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rtc, "read_int", lambda _path: int(time.time()))
    findings = list(look_at_rtc(tree.sysfs, seconds=2))
    assert [each.verdict for each in findings] == [Verdict.GOOD, Verdict.GOOD], findings


# the disk

GOOD_PACE = Pace(mb_s=22, sync_ms=(1.8,) * 60)


@pytest.fixture
def card(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An eMMC with two partitions; what is written lies on the second."""
    card = tree.sysfs / "devices/platform/mmc_host/mmc0/mmc0:0001/block/mmcblk0"
    for name in ("mmcblk0p1", "mmcblk0p2"):
        (card / name).mkdir(parents=True)
        (card / name / "partition").write_text("1\n")
    (card / "device").mkdir()
    (card / "device/life_time").write_text("0x02 0x01\n")
    (card / "device/pre_eol_info").write_text("0x01\n")
    monkeypatch.setattr(storage, "block_device", lambda *_: card)
    return card


def test_good_card_has_nothing_wrong(tree: Tree, card: Path, tmp_path: Path) -> None:
    findings = list(look_at_storage(tmp_path, tree.sysfs, lambda _: GOOD_PACE))
    assert [each.verdict for each in findings] == [Verdict.GOOD] * 4, findings


@pytest.mark.parametrize(
    ("pace", "part", "verdict", "advice"),
    [
        (Pace(mb_s=1.4, sync_ms=(9.0,) * 60), "storage speed", Verdict.BAD, "about to fail"),
        (Pace(mb_s=5.0, sync_ms=(9.0,) * 60), "storage speed", Verdict.LOOK, "A1"),
        (Pace(mb_s=22, sync_ms=(9.0,) * 50 + (700.0,) * 10), "storage syncs", Verdict.BAD, "power cut"),
        (Pace(mb_s=22, sync_ms=(9.0,) * 50 + (200.0,) * 10), "storage syncs", Verdict.LOOK, "A2"),
        (Pace(mb_s=22, sync_ms=(0.04,) * 60), "storage honesty", Verdict.BAD, "says 'safe' before it is"),
    ],
)
def test_fault_of_the_card_is_named(
    pace: Pace, part: str, verdict: Verdict, advice: str, tree: Tree, card: Path, tmp_path: Path
) -> None:
    named(look_at_storage(tmp_path, tree.sysfs, lambda _: pace), part, verdict, advice)


@pytest.mark.parametrize(
    ("life", "spare", "verdict"),
    [("0x0b 0x01", "0x01", Verdict.BAD), ("0x02 0x08", "0x01", Verdict.LOOK), ("0x02 0x01", "0x02", Verdict.LOOK)],
)
def test_worn_card_is_named(life: str, spare: str, verdict: Verdict, tree: Tree, card: Path, tmp_path: Path) -> None:
    (card / "device/life_time").write_text(life)
    (card / "device/pre_eol_info").write_text(spare)
    named(look_at_storage(tmp_path, tree.sysfs, lambda _: GOOD_PACE), "storage wear", verdict, "epla")


def test_disk_that_cannot_be_written_is_named(tree: Tree, tmp_path: Path) -> None:
    def full(_folder: Path) -> Pace:
        raise OSError(28, "No space left on device")

    named(look_at_storage(tmp_path, tree.sysfs, full), "storage", Verdict.BAD, "full")


def test_disk_is_found_below_encryption_and_partition(tree: Tree, card: Path, tmp_path: Path) -> None:
    number = tmp_path.stat().st_dev
    mapped = tree.sysfs / "devices/virtual/block/dm-0"
    (mapped / "slaves").mkdir(parents=True)
    (mapped / "slaves/mmcblk0p2").symlink_to(card / "mmcblk0p2")
    place = tree.sysfs / f"dev/block/{number >> 8}:{number & 0xFF}"
    place.parent.mkdir(parents=True)
    place.symlink_to(mapped)
    assert block_device(tmp_path, tree.sysfs) == card.resolve()


def test_a_link_in_the_place_of_the_trial_file_is_not_followed(tmp_path: Path) -> None:
    """Root tries the disk in a folder that is a daemon's."""
    other, state = tmp_path / "other", tmp_path / "state"
    other.write_text("somebody's")
    state.mkdir()
    (state / ".selftest").symlink_to(other)
    storage.measure(state)
    assert other.read_text() == "somebody's"
    assert list(state.iterdir()) == []


def test_what_is_measured_is_written_and_removed_again(tmp_path: Path) -> None:
    pace = storage.measure(tmp_path)
    assert (len(pace.sync_ms), pace.mb_s > 0, list(tmp_path.iterdir())) == (60, True, [])


# the TPM


@pytest.fixture
def chip(tmp_path: Path) -> Iterator[SoftwareTpm]:
    with TemporaryDirectory(prefix="lk-") as run, SoftwareTpm(tmp_path / "tpm", Path(run)) as chip:
        yield chip


def test_fresh_tpm_is_nobodys_and_a_software_one_is_told(chip: SoftwareTpm, tmp_path: Path) -> None:
    findings = list(look_at_tpm(chip.tcti, tmp_path / "ring"))
    assert [(each.part, each.verdict) for each in findings] == [
        ("TPM", Verdict.LOOK),
        ("TPM random", Verdict.GOOD),
        ("TPM owner", Verdict.GOOD),
    ]
    assert findings[0].reading.startswith("IBM SWTPM, firmware ")


def test_missing_tpm_is_named(tmp_path: Path) -> None:
    findings = look_at_tpm("device:/dev/tpmrm99", tmp_path, "/dev/tpmrm99")
    named(findings, "TPM", Verdict.BAD, "module on its pins")


def test_tpm_that_somebody_else_owns_is_named(chip: SoftwareTpm, tmp_path: Path) -> None:
    with closing(Tpm(chip.tcti)) as tpm:
        tpm.provision()
        tpm.take_ownership(b"somebody's" + bytes(22), b"else's" + bytes(26))
    found = [each for each in look_at_tpm(chip.tcti, tmp_path / "ring") if each.part == "TPM owner"]
    named(found, "TPM owner", Verdict.BAD, "Clear it")


def test_another_boxs_tpm_is_told_from_its_own(tmp_path: Path) -> None:
    with TemporaryDirectory(prefix="lk-") as run, SoftwareTpm(tmp_path / "ours", Path(run)) as ours:
        house = BoxHouse(tmp_path, Path(run))
        with house.opened() as box:
            ring = box.settings.state / "ring"
        own = [each for each in look_at_tpm(ours.tcti, ring) if each.part == "TPM owner"]
        assert [each.verdict for each in own] == [Verdict.GOOD], own
    with TemporaryDirectory(prefix="lk-") as run, SoftwareTpm(tmp_path / "theirs", Path(run)) as theirs:
        with closing(Tpm(theirs.tcti)) as tpm:
            tpm.provision()
        found = [each for each in look_at_tpm(theirs.tcti, ring) if each.part == "TPM owner"]
        named(found, "TPM owner", Verdict.BAD, "Put the TPM back")


def test_tpm_whose_chance_repeats_is_named(chip: SoftwareTpm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tpm, "random_in_clear", lambda _tpm, count: bytes(range(256)) * (count // 256))
    found = [each for each in look_at_tpm(chip.tcti, tmp_path) if each.part == "TPM random"]
    named(found, "TPM random", Verdict.BAD, "Take another one")


# sound

Feed = NDArray[np.int16]
RNG = np.random.default_rng(6)
QUIET: Feed = RNG.normal(0, 10, (4 * RATE_HZ, 1)).astype(np.int16)


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_plugin(tmp_path_factory.mktemp("plugin"))


@pytest.fixture
def listen(tmp_path: Path, plugin: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Finding]]:
    """What is found of a simulated card whose input gives this; `harm` is done to it first."""

    def listen(
        feed: Feed, harm: Callable[[SimulatedLine], None] = lambda _line: None, *, speed: float = 1
    ) -> list[Finding]:
        line = SimulatedLine(tmp_path, feed, speed=speed, repeat=True, plugin=plugin)
        for name, value in line.environment().items():
            monkeypatch.setenv(name, value)
        harm(line)
        return list(look_at_sound(DeviceSettings(alsa=line.device, channels=feed.shape[1]), seconds=2))

    return listen


def test_good_card_delivers_and_is_quiet(listen: Callable[..., list[Finding]]) -> None:
    findings = listen(QUIET)
    assert [each.verdict for each in findings] == [Verdict.GOOD, Verdict.GOOD], findings
    assert "noise at -71 dBFS" in findings[1].reading


def test_each_wrong_input_is_named_and_the_good_one_is_not(listen: Callable[..., list[Finding]]) -> None:
    inputs = {
        "dead": np.zeros_like(QUIET),
        "good": QUIET,
        "noisy": QUIET * 20,
        "loud": RNG.normal(0, 3000, QUIET.shape).astype(np.int16),
        "offset": QUIET + np.int16(4000),
    }
    found = {each.part[-1]: each for each in wrong(listen(np.hstack(list(inputs.values()))))}
    told = [("0", Verdict.BAD, "alsamixer"), ("2", Verdict.LOOK, "hum"), ("3", Verdict.BAD, "gain too high")]
    told += [("4", Verdict.BAD, "capacitor")]
    assert found.keys() == {channel for channel, _verdict, _advice in told}, found
    for channel, verdict, advice in told:
        assert found[channel].verdict is verdict
        assert advice in found[channel].advice


def test_missing_codec_is_named(listen: Callable[..., list[Finding]]) -> None:
    named(listen(QUIET, SimulatedLine.unplug), "sound line0", Verdict.BAD, "Plug it in")


def test_codec_that_another_program_holds_is_named(listen: Callable[..., list[Finding]]) -> None:
    named(listen(QUIET, lambda line: line.occupy(True)), "sound line0", Verdict.BAD, "End that program")


def test_card_that_runs_at_another_rate_is_named(listen: Callable[..., list[Finding]]) -> None:
    named(listen(QUIET, speed=44.1 / 48), "sound line0", Verdict.BAD, "another card")


def test_lost_frames_are_named(listen: Callable[..., list[Finding]]) -> None:
    named(listen(QUIET, lambda line: line.overrun(800)), "sound line0", Verdict.BAD, "without a hub")


# wires: libgpiod's own types and a chip of ours, as this machine has none


class Chip:
    """GPIO lines whose edges come as soon as they are waited for: (milliseconds from the opening, active)."""

    def __init__(self, edges: dict[int, list[tuple[int, bool]]], active: Iterable[int] = ()) -> None:
        self._edges, self._active = edges, set(active)
        self.lit: list[bool] = []

    def request_lines(self, _chip: str, *, config: dict[int, Any], **_options: Any) -> _Line:
        (number,) = config
        return _Line(self, list(self._edges.get(number, ())), active=number in self._active)


class _Line:
    def __init__(self, chip: Chip, edges: list[tuple[int, bool]], *, active: bool) -> None:
        self._chip, self._edges, self._active = chip, edges, active
        self._opened_ns = time.monotonic_ns() - 4_000_000_000
        self._number = 0

    def get_value(self, _line: int) -> gpiod.line.Value:
        return gpiod.line.Value.ACTIVE if self._active else gpiod.line.Value.INACTIVE

    def set_value(self, _line: int, value: gpiod.line.Value) -> None:
        self._chip.lit.append(value is gpiod.line.Value.ACTIVE)

    def wait_edge_events(self, timeout: float) -> bool:
        if not self._edges:
            time.sleep(min(timeout, 0.02))
        return bool(self._edges)

    def read_edge_events(self) -> list[gpiod.EdgeEvent]:
        kinds = gpiod.EdgeEvent.Type
        edges, self._edges = self._edges[:1], self._edges[1:]
        events = []
        for ms, active in edges:
            self._number += 1
            kind = kinds.RISING_EDGE if active else kinds.FALLING_EDGE
            at_ns = self._opened_ns + ms * 1_000_000
            events.append(gpiod.EdgeEvent(kind.value, at_ns, 0, self._number, self._number))
        return events

    def release(self) -> None:
        pass


HOOK, RING, BUTTON, LAMP = 17, 27, 22, 23
WIRED = LineSettings(
    name="front-desk",
    alsa="x",
    hook=GpioSettings(line=HOOK),
    ring=GpioSettings(line=RING),
    button=GpioSettings(line=BUTTON),
    lamp=GpioSettings(line=LAMP),
)
RINGING = [(ms, active) for at in range(0, 400, 40) for ms, active in ((at, True), (at + 8, False))]
LATE_RINGING = [(1500 + ms, active) for ms, active in RINGING]


@pytest.fixture
def on_chip(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Finding]]:
    def look(chip: Chip, *, alone: bool = True, burns: bool = True) -> list[Finding]:
        monkeypatch.setattr(gpiod, "request_lines", chip.request_lines)
        monkeypatch.setattr("appliance.selftest.wires.ACT_WITHIN_S", 0.3)
        monkeypatch.setattr("appliance.selftest.wires.RING_WITHIN_S", 0.3)
        monkeypatch.setattr("appliance.selftest.wires._AT_REST_S", 0.1)
        told: list[str] = []
        return list(look_at_wires(WIRED, None if alone else told.append, None if alone else lambda _question: burns))

    return look


def test_wires_at_rest_have_nothing_wrong(on_chip: Callable[..., list[Finding]]) -> None:
    chip = Chip({})
    findings = on_chip(chip)
    assert [each.verdict for each in findings] == [Verdict.GOOD] * 4, findings
    assert chip.lit == [True]


def test_wires_that_are_used_as_told_are_good(on_chip: Callable[..., list[Finding]]) -> None:
    edges = {HOOK: [(100, True), (900, False)], BUTTON: [(100, True), (400, False)]}
    found = [each for each in on_chip(Chip(edges), alone=False) if not each.part.startswith("ring")]
    assert wrong(found) == []
    assert [each.reading for each in found] == ["lifted and put down", "pressed", "seen burning"]


@pytest.mark.parametrize(
    ("chip", "alone", "part", "verdict", "advice"),
    [
        (Chip({}, active=[HOOK]), True, "hook of front-desk", Verdict.LOOK, "stuck"),
        (Chip({RING: RINGING}), True, "ring of front-desk", Verdict.BAD, "opto-coupler"),
        (Chip({}, active=[BUTTON]), True, "button of front-desk", Verdict.BAD, "jammed"),
    ],
)
def test_wire_that_is_stuck_is_named(
    chip: Chip,
    part: str,
    verdict: Verdict,
    advice: str,
    on_chip: Callable[..., list[Finding]],
    *,
    alone: bool,
) -> None:
    named(on_chip(chip, alone=alone), part, verdict, advice)


@pytest.mark.parametrize("part", ["hook", "ring", "button"])
def test_wire_that_does_not_move_when_somebody_acts_is_named(part: str, on_chip: Callable[..., list[Finding]]) -> None:
    found = [each for each in on_chip(Chip({}), alone=False) if each.part.startswith(part)]
    named(found, f"{part} of front-desk", Verdict.BAD, "Look at")


def test_lamp_that_stays_dark_is_named(on_chip: Callable[..., list[Finding]]) -> None:
    found = [each for each in on_chip(Chip({}), alone=False, burns=False) if each.part.startswith("lamp")]
    named(found, "lamp of front-desk", Verdict.BAD, "polarity")


def test_relay_of_an_output_is_switched(monkeypatch: pytest.MonkeyPatch) -> None:
    chip = Chip({})
    monkeypatch.setattr(gpiod, "request_lines", chip.request_lines)
    relay = OutputSettings(alsa="x", relay=GpioSettings(line="speak"))
    (found,) = look_at_wires(LineSettings(name="front-desk", alsa="x", output=relay), None, None)
    assert (found.part, found.verdict) == ("relay of front-desk", Verdict.GOOD)
    assert chip.lit == [True]


TAMPER = 4
SWITCH = GpioSettings(line=TAMPER)
OFF_AND_ON = [(100, True), (900, False)]


@pytest.mark.parametrize(
    ("chip", "alone", "reading"),
    [
        (Chip({}), True, "closed"),
        (Chip({TAMPER: OFF_AND_ON}), False, "opened and closed"),
        (Chip({TAMPER: [(100, False)]}, active=[TAMPER]), False, "opened and closed"),
    ],
)
def test_switch_of_the_case_that_follows_the_cover_is_good(
    chip: Chip, reading: str, monkeypatch: pytest.MonkeyPatch, *, alone: bool
) -> None:
    monkeypatch.setattr(gpiod, "request_lines", chip.request_lines)
    (found,) = look_at_case(SWITCH, None if alone else lambda _text: None)
    assert (found.verdict, found.reading) == (Verdict.GOOD, reading)


def test_nobody_is_asked_to_open_the_case_with_a_line_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpiod, "request_lines", Chip({TAMPER: OFF_AND_ON}).request_lines)
    told: list[str] = []
    assert [found.verdict for found in look_at_case(SWITCH, told.append)] == [Verdict.GOOD]
    assert told == [
        "switch of the case: Unplug every telephone line. Open the case.",
        "switch of the case: Close the case.",
    ]


@pytest.mark.parametrize(
    ("chip", "alone", "verdict", "advice"),
    [
        (Chip({}, active=[TAMPER]), True, Verdict.LOOK, "a wire is cut"),
        (Chip({}), False, Verdict.BAD, "Look at switch"),
        (Chip({TAMPER: OFF_AND_ON[:1]}), False, Verdict.BAD, "Look at switch"),
    ],
)
def test_switch_of_the_case_that_is_cut_or_stuck_is_named(
    chip: Chip, verdict: Verdict, advice: str, monkeypatch: pytest.MonkeyPatch, *, alone: bool
) -> None:
    monkeypatch.setattr(gpiod, "request_lines", chip.request_lines)
    monkeypatch.setattr("appliance.selftest.wires.OPEN_WITHIN_S", 0.3)
    named(look_at_case(SWITCH, None if alone else lambda _text: None), "switch of the case", verdict, advice)


def test_wires_on_a_chip_that_is_not_there_are_named() -> None:
    line = LineSettings(name="front-desk", alsa="x", hook=GpioSettings(chip="/dev/gpiochip99", line=1))
    named(look_at_wires(line, None, None), "hook of front-desk", Verdict.BAD, "gpiodetect")
