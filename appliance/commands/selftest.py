"""`linekeep selftest`: whoever built or repaired a box learns in three minutes whether each part is right."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.commands.arguments import Commands, add_config
from appliance.commands.check import FOUND
from appliance.recordings.disk import storage_errors
from appliance.settings import Settings, read_settings
from appliance.terms import SettingsTrouble

if TYPE_CHECKING:
    from appliance.selftest.finding import Finding
    from appliance.selftest.report import Report

_ALL = "All {} are as they should be."
_SIGNS = {"good": "good   ", "untried": "untried", "look": "LOOK   ", "bad": "BAD    "}


def add(commands: Commands) -> None:
    selftest = commands.add_parser("selftest", help="try each part of this box; 1 if something is not right")
    add_config(selftest)
    selftest.add_argument("--alone", action="store_true", help="nobody is there to lift a handset or look at a lamp")
    selftest.add_argument(
        "--loopback", action="store_true", help="a cable joins each sound device's output to its input; play and listen"
    )
    selftest.add_argument("--json", action="store_true", help="the report as one JSON object")
    selftest.add_argument(
        "--report", type=Path, metavar="FOLDER", help="write the report there, as JSON and as a page to print (PDF)"
    )
    selftest.add_argument("--language", choices=("en", "de"), default="en", help="of that page")
    selftest.set_defaults(command=_selftest)


def _selftest(parsed: argparse.Namespace) -> int:
    settings = read_settings(parsed.config)
    if parsed.report is not None and not parsed.report.is_dir():
        raise SettingsTrouble(f"There is no folder {parsed.report} for the report. Nothing was tried; make it first.")
    alone = parsed.alone or parsed.json or not sys.stdin.isatty()
    found = []
    for finding in _findings(settings, alone=alone, loopback=parsed.loopback):
        found.append(finding)
        if not parsed.json:
            _show(finding)
    report = _report(settings, found)
    if parsed.json:
        _say(report.as_json())
    else:
        _say(f"{report.wrong} of {len(found)} need a look." if report.wrong else _ALL.format(len(found)))
    if parsed.report is not None:
        with storage_errors("the report is written"):
            files = report.write(parsed.report, parsed.language)
        if not parsed.json:
            _say("Report: " + ", ".join(map(str, files)))
    return FOUND if report.wrong else 0


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


def _report(settings: Settings, found: list[Finding]) -> Report:
    from appliance.selftest.report import Report, board_model, board_serial  # noqa: PLC0415 - as above

    return Report(
        name=settings.webui.names[0] if settings.webui.names else "",
        serial=board_serial(),
        model=board_model(),
        software=f"linekeep {version('linekeep')}",
        at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        findings=tuple(found),
    )


def _show(finding: Finding) -> None:
    _say(f"{_SIGNS[finding.verdict]}  {finding.part:<24} {finding.reading}")
    if finding.advice:
        _say(f"{'':34}{finding.advice}")


def _ask(question: str) -> bool:
    return input(f"{question} [y/n] ").strip().casefold().startswith(("y", "j"))


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - the command's own output
