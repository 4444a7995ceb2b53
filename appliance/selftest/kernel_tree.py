"""Reading the kernel's small files. A file that is not there, or refuses, is None."""

from __future__ import annotations

from pathlib import Path

SYSFS = Path("/sys")
PROCFS = Path("/proc")


def read_text(path: Path) -> str | None:
    try:
        return path.read_text("ascii", "replace").strip()
    except OSError:
        return None


def read_int(path: Path) -> int | None:
    text = read_text(path)
    try:
        return None if text is None else int(text, 0)
    except ValueError:
        return None
