"""The tables of systemd/README.md and the unit files, as tests compare them."""

from __future__ import annotations

import re
from pathlib import Path

UNITS = Path(__file__).parents[2] / "systemd"
DAEMONS = ("recorder", "vault", "webui", "front")

Row = dict[str, str]
"""Daemon -> its cell, without the signs of Markdown."""

Settings = dict[str, list[str]]
"""Setting -> its values, in the file's order; an empty one clears what came before, as systemd has it."""


def table(heading: str) -> dict[str, Row]:
    """The rows of the table under a heading: first cell -> what stands under each daemon."""
    text = (UNITS / "README.md").read_text("utf-8")
    section = text.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    head, _, *body = rows
    if tuple(head[1:]) != DAEMONS:
        raise ValueError(f"the table under '{heading}' has other columns")
    return {plain(row[0]): dict(zip(DAEMONS, map(plain, row[1:]), strict=True)) for row in body}


def common_settings() -> Settings:
    """What stands in every unit."""
    text = (UNITS / "README.md").read_text("utf-8")
    listed = text.split("- **Common to all units**:")[1].split("\n\n")[0]
    settings: Settings = {}
    for setting in re.findall(r"`([^`]+)`", listed):
        name, _, value = setting.replace("\n", " ").partition("=")
        settings.setdefault(name, []).append(value)
    return settings


def unit(daemon: str) -> Settings:
    """A unit file's settings, of all its sections."""
    settings: Settings = {}
    for line in (UNITS / f"linekeep-{daemon}.service").read_text("utf-8").splitlines():
        if line and line[0] not in "#[":
            name, _, value = line.partition("=")
            settings[name] = [*settings.get(name, []), value] if value else []
    return settings


def plain(cell: str) -> str:
    return cell.replace("`", "").strip()
