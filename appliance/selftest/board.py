"""The board: temperature, supply, speed, memory, swap, network.

A Pi's firmware slows the processor at 80 °C, and below 4.63 V (Raspberry Pi documentation, "config.txt" and "Power
supplies"); the kernel's raspberrypi-hwmon driver tells the second as in0_lcrit_alarm. What is heard is not lost by a
slow board at once, but the box then has no room for eight lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from appliance.selftest.finding import Finding, bad, good, look, untried
from appliance.selftest.kernel_tree import PROCFS, SYSFS, read_int, read_text

_WARM_C, _HOT_C = 70, 80
_LEAST_MEMORY_MIB = 450
"""Of a 512 MiB board, what its video part leaves."""


def look_at_board(sysfs: Path = SYSFS, procfs: Path = PROCFS) -> Iterator[Finding]:
    """Temperature, supply, speed, memory, swap and network, in this order."""
    yield _temperature(sysfs)
    yield _supply(sysfs)
    yield _speed(sysfs)
    yield _memory(procfs)
    yield _swap(procfs)
    yield from _network(sysfs)


def _temperature(sysfs: Path) -> Finding:
    readings = [read_int(path) for path in sysfs.glob("class/thermal/thermal_zone*/temp")]
    celsius = [reading / 1000 for reading in readings if reading is not None]
    if not celsius:
        return untried("temperature", "this board tells none")
    reading = f"{max(celsius):.0f} °C"
    if max(celsius) >= _HOT_C:
        return bad("temperature", reading, "The processor slows itself down. Give the box air, or a heat sink.")
    if max(celsius) >= _WARM_C:
        return look("temperature", reading, f"It should stay below {_WARM_C} °C. Let air reach the box.")
    return good("temperature", reading)


def _supply(sysfs: Path) -> Finding:
    for name in sysfs.glob("class/hwmon/hwmon*/name"):
        if read_text(name) == "rpi_volt":
            if read_int(name.with_name("in0_lcrit_alarm")):
                return bad(
                    "supply",
                    "below 4.63 V since the start",
                    "Use the board's own power supply and a short cable; undervoltage damages cards.",
                )
            return good("supply", "never below 4.63 V since the start")
    return untried("supply", "this board does not watch it")


def _speed(sysfs: Path) -> Finding:
    policy = sysfs / "devices/system/cpu/cpufreq/policy0"
    most, allowed = read_int(policy / "cpuinfo_max_freq"), read_int(policy / "scaling_max_freq")
    if most is None or allowed is None:
        return untried("speed", "this board does not tell it")
    reading = f"{allowed / 1e6:.1f} GHz of {most / 1e6:.1f} GHz"
    if allowed < most:
        return bad("speed", reading, "The processor is held back. Look at temperature and power supply.")
    return good("speed", reading)


def _memory(procfs: Path) -> Finding:
    for line in (read_text(procfs / "meminfo") or "").splitlines():
        if line.startswith("MemTotal:"):
            mib = int(line.split()[1]) // 1024
            if mib < _LEAST_MEMORY_MIB:
                return bad("memory", f"{mib} MiB", f"Linekeep needs {_LEAST_MEMORY_MIB} MiB. Take another board.")
            return good("memory", f"{mib} MiB")
    return untried("memory", "the kernel does not tell it")


def _swap(procfs: Path) -> Finding:
    areas = [line.split()[0] for line in (read_text(procfs / "swaps") or "").splitlines()[1:]]
    if areas:
        return bad(
            "swap",
            ", ".join(areas),
            "What must not be recorded could reach the disk through it. Switch it off: swapoff -a, and in /etc/fstab.",
        )
    return good("swap", "none")


def _network(sysfs: Path) -> Iterator[Finding]:
    interfaces = sorted(path for path in sysfs.glob("class/net/*") if (path / "device").exists())
    radios = [path.name for path in interfaces if (path / "wireless").exists() or (path / "phy80211").exists()]
    wired = [path for path in interfaces if path.name not in radios]
    if radios:
        yield look(
            "radio",
            ", ".join(radios),
            "The box needs no radio. Switch it off, so that nobody reaches it from outside: 'blacklist brcmfmac' in a "
            "file of /etc/modprobe.d on a Pi with Debian's kernel, dtoverlay=disable-wifi with Raspberry Pi's own.",
        )
    linked = [path for path in wired if read_text(path / "carrier") == "1"]
    if not wired:
        yield bad("network", "no Ethernet", "Its page cannot be reached. Is the adapter plugged in?")
    elif not linked:
        yield look(
            "network",
            "no link",
            "It records, but nobody reaches its page. Plug in the cable; if it is, try another cable and switch port.",
        )
    else:
        yield good("network", ", ".join(f"{path.name}{_speed_text(read_int(path / 'speed'))}" for path in linked))


def _speed_text(mbit_s: int | None) -> str:
    """A virtual card has none, and says -1."""
    return f" {mbit_s} Mbit/s" if mbit_s and mbit_s > 0 else ""
