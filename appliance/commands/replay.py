"""`linekeep replay`: what the recorder would hear in a file."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import msgspec

from appliance.commands.arguments import Commands
from appliance.settings import COUNTRY_CODES, RecorderSettings, read_settings


def add(commands: Commands) -> None:
    replay = commands.add_parser("replay", help="what the recorder would hear in a file, as fast as it goes")
    replay.add_argument("file", type=Path, metavar="FILE")
    replay.add_argument("--country", choices=COUNTRY_CODES, help="whose exchange; else as the settings say")
    replay.add_argument("--settings", type=Path, metavar="FILE.toml", help="of a box; else as it comes")
    replay.add_argument("--json", action="store_true", help="one JSON object a line")
    replay.set_defaults(command=_replay)


def _replay(parsed: argparse.Namespace) -> int:
    from appliance.recorder.replay import replay  # noqa: PLC0415 - a daemon must not load what only this needs

    settings = read_settings(parsed.settings).recorder if parsed.settings else RecorderSettings()
    if parsed.country:
        settings = msgspec.structs.replace(settings, country=parsed.country)
    for happening in replay(parsed.file, settings):
        print(json.dumps(happening) if parsed.json else _in_words(happening))  # noqa: T201
    return 0


def _in_words(happening: dict[str, object]) -> str:
    rest = " ".join(f"{key}={value}" for key, value in happening.items() if key not in {"t", "what"})
    return f"{happening['t']:10.2f} s  {happening['what']:<12} {rest}"
