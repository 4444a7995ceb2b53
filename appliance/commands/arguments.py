"""How arguments are read: one sentence for whatever is wrong with them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NoReturn, TypeAlias

from appliance.settings import BOX_SETTINGS, BOX_STATE, parse_period
from appliance.terms import SettingsTrouble

CANNOT = 2
"""The exit code of what could not be done."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors look like every other trouble of the command."""

    def error(self, message: str) -> NoReturn:
        print(f"linekeep: {message} (try: {self.prog} --help)", file=sys.stderr)  # noqa: T201
        raise SystemExit(CANNOT)


Commands: TypeAlias = "argparse._SubParsersAction[Parser]"
"""Where a command adds itself."""


def add_state(parser: argparse.ArgumentParser, more: str = "") -> None:
    parser.add_argument(
        "--state",
        type=Path,
        default=BOX_STATE,
        metavar="DIR",
        help=f"the state directory; on an installed box {BOX_STATE}, which need not be named{more}",
    )


def add_config(parser: argparse.ArgumentParser | argparse._MutuallyExclusiveGroup) -> None:
    parser.add_argument(
        "--config",
        type=Path,
        default=BOX_SETTINGS,
        metavar="FILE",
        help=f"the settings; on an installed box {BOX_SETTINGS}, which need not be named",
    )


def port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65_535:
        raise argparse.ArgumentTypeError("a port is a number from 1 to 65535")
    return int(text)


def period(text: str) -> str:
    try:
        parse_period(text)
    except SettingsTrouble as trouble:
        raise argparse.ArgumentTypeError(str(trouble)) from trouble
    return text


def seconds(text: str) -> float:
    if not text.isdecimal() or not 1 <= int(text) <= 86_400:
        raise argparse.ArgumentTypeError("write a whole number of seconds, from 1 to 86400")
    return float(text)
