"""The command `linekeep`. Parses arguments, calls what does the work, and says every trouble in one sentence.

Exit codes: 0 done, 1 the check found something, 2 it could not be done (the sentence says why).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import version

from appliance.commands.arguments import CANNOT, Parser
from appliance.terms import LinekeepError

_COMMANDS = (
    "demo",
    "replay",
    "line_check",
    "selftest",
    "check",
    "claim_code",
    "journal",
    "evidence",
    "backup",
    "restore",
    "recover",
    "pin",
    "forget_all",
    "boot_policy",
    "stick",
    "disk_key",
    "recover_box",
    "run",
)
"""Each a file in appliance/commands."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point. Never shows a traceback, unless LINEKEEP_DEBUG is set."""
    # Before numpy is loaded: our matrices are small, and threads that wait for each other cost half as much again.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    parsed = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = parsed.command
    try:
        return command(parsed)
    except LinekeepError as trouble:
        return _cannot(str(trouble))
    except KeyboardInterrupt:
        return _cannot("Stopped.")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CANNOT
    except Exception as fault:
        if "LINEKEEP_DEBUG" in os.environ:
            raise
        return _cannot(
            f"A fault in Linekeep itself stopped this ({type(fault).__name__}). What is recorded is safe; "
            "set LINEKEEP_DEBUG=1, try again, and report what is shown."
        )


def _cannot(sentence: str) -> int:
    print(f"linekeep: {sentence}", file=sys.stderr)  # noqa: T201 - the command's own output
    return CANNOT


def _version(_parsed: argparse.Namespace) -> int:
    print(f"linekeep {version('linekeep')}")  # noqa: T201
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="linekeep", description="Records a company's own phone line, and forgets on time.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    for name in _COMMANDS:
        import_module(f"appliance.commands.{name}").add(commands)
    shown = commands.add_parser("version", help="print the version")
    shown.set_defaults(command=_version)
    return parser


if __name__ == "__main__":
    sys.exit(main())
