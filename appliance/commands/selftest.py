"""`linekeep selftest`: whoever built or repaired a box learns in three minutes whether each part is right."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.commands.arguments import Commands
from appliance.commands.check import FOUND
from appliance.settings import Settings, read_settings

if TYPE_CHECKING:
    from appliance.selftest.finding import Finding

_SIGNS = {"good": "good   ", "untried": "untried", "look": "LOOK   ", "bad": "BAD    "}


def add(commands: Commands) -> None:
    selftest = commands.add_parser("selftest", help="try each part of this box; 1 if something is not right")
    selftest.add_argument("--config", type=Path, required=True, metavar="FILE", help="the settings of the box")
    selftest.add_argument("--alone", action="store_true", help="nobody is there to lift a handset or look at a lamp")
    selftest.add_argument(
        "--loopback", action="store_true", help="a cable joins each sound device's output to its input; play and listen"
    )
    selftest.add_argument("--json", action="store_true", help="the report as one JSON object")
    selftest.set_defaults(command=_selftest)


def _selftest(parsed: argparse.Namespace) -> int:
    settings = read_settings(parsed.config)
    alone = parsed.alone or parsed.json or not sys.stdin.isatty()
    found = []
    for finding in _findings(settings, alone=alone, loopback=parsed.loopback):
        found.append(finding)
        if not parsed.json:
            _show(finding)
    wrong = [finding for finding in found if finding.verdict in ("look", "bad")]
    if parsed.json:
        _say(json.dumps(_report(found, good=not wrong), ensure_ascii=False, indent=1))
    else:
        _say(f"All {len(found)} are as they should be." if not wrong else f"{len(wrong)} of {len(found)} need a look.")
    return FOUND if wrong else 0


def _findings(settings: Settings, *, alone: bool, loopback: bool) -> Iterator[Finding]:
    # Parts of two daemons at once, which no daemon may load.
    from appliance.selftest.board import look_at_board  # noqa: PLC0415
    from appliance.selftest.chip import look_at_tpm  # noqa: PLC0415
    from appliance.selftest.loopback import look_at_loopback  # noqa: PLC0415
    from appliance.selftest.rtc import look_at_rtc  # noqa: PLC0415
    from appliance.selftest.sound import look_at_sound  # noqa: PLC0415
    from appliance.selftest.storage import look_at_storage  # noqa: PLC0415
    from appliance.selftest.wires import look_at_case, look_at_wires  # noqa: PLC0415
    from appliance.vault.box import tcti_of  # noqa: PLC0415

    yield from look_at_board()
    yield from look_at_rtc()
    yield from look_at_storage(settings.state)
    yield from look_at_tpm(tcti_of(settings), settings.state / "ring", settings.vault.tpm)
    for device in settings.recorder.devices:
        yield from look_at_loopback(device) if loopback else look_at_sound(device)
    for line in settings.recorder.lines:
        yield from look_at_wires(line, None if alone else _say, None if alone else _ask)
    if settings.recorder.tamper is not None:
        yield from look_at_case(settings.recorder.tamper, None if alone else _say)


def _report(found: list[Finding], *, good: bool) -> dict[str, object]:
    return {
        "software": f"linekeep {version('linekeep')}",
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "good": good,
        "findings": [
            {"part": each.part, "verdict": each.verdict.value, "reading": each.reading, "advice": each.advice}
            for each in found
        ],
    }


def _show(finding: Finding) -> None:
    _say(f"{_SIGNS[finding.verdict]}  {finding.part:<24} {finding.reading}")
    if finding.advice:
        _say(f"{'':34}{finding.advice}")


def _ask(question: str) -> bool:
    return input(f"{question} [y/n] ").strip().casefold().startswith(("y", "j"))


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - the command's own output
