"""The command `linekeep`. Parses arguments, calls what does the work, and says every trouble in one sentence.

Exit codes: 0 done, 1 the check found something, 2 it could not be done (the sentence says why).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

from appliance.settings import RecorderSettings, parse_period, read_settings
from appliance.terms import LinekeepError, SettingsTrouble

FOUND, CANNOT = 1, 2
_DAEMONS = ("vault", "recorder", "webui", "front")


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point. Never shows a traceback, unless LINEKEEP_DEBUG is set."""
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


def _demo(parsed: argparse.Namespace) -> int:
    from appliance.demo import DemoPlan, run_demo  # noqa: PLC0415 - a daemon must not load what only the demo needs

    parse_period(parsed.keep)
    plan = DemoPlan(
        state=parsed.state, port=parsed.port, audio=tuple(parsed.audio), repeat=parsed.repeat, keep=parsed.keep
    )
    return run_demo(plan)


def _replay(parsed: argparse.Namespace) -> int:
    from appliance.recorder.replay import replay  # noqa: PLC0415 - as above

    for happening in replay(parsed.file, RecorderSettings()):
        print(json.dumps(happening) if parsed.json else _in_words(happening))  # noqa: T201
    return 0


def _in_words(happening: dict[str, object]) -> str:
    rest = " ".join(f"{key}={value}" for key, value in happening.items() if key not in {"t", "what"})
    return f"{happening['t']:10.2f} s  {happening['what']:<12} {rest}"


def _check(parsed: argparse.Namespace) -> int:
    from appliance.check_command import check_state  # noqa: PLC0415 - as above

    findings = check_state(parsed.state)
    for finding in findings:
        print(finding)  # noqa: T201
    return FOUND if findings else 0


def _run(parsed: argparse.Namespace) -> int:
    """Become one daemon. Each loads only its own packages."""
    # Before numpy is loaded: its idle threads would wake beside every small product, and cost more than the product.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    settings = read_settings(parsed.config)
    if parsed.daemon == "vault":
        from appliance.vault.__main__ import main as run_vault  # noqa: PLC0415

        return run_vault(settings)
    if parsed.daemon == "recorder":
        from appliance.recorder.__main__ import main as run_recorder  # noqa: PLC0415

        return run_recorder(settings)
    if parsed.daemon == "webui":
        from webui.__main__ import main as become  # noqa: PLC0415
    else:
        from webui.front import main as become  # noqa: PLC0415
    return become(parsed.config)  # never returns: the process turns into gunicorn or nginx


def _version(_parsed: argparse.Namespace) -> int:
    print(f"linekeep {version('linekeep')}")  # noqa: T201
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        print(f"linekeep: {message} (try: {self.prog} --help)", file=sys.stderr)  # noqa: T201
        raise SystemExit(CANNOT)


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65_535:
        raise argparse.ArgumentTypeError("a port is a number from 1 to 65535")
    return int(text)


def _period(text: str) -> str:
    try:
        parse_period(text)
    except SettingsTrouble as trouble:
        raise argparse.ArgumentTypeError(str(trouble)) from trouble
    return text


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="linekeep", description="Records a company's own phone line, and forgets on time.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)

    demo = commands.add_parser(
        "demo",
        help="the whole product on this machine, with a simulated line and a software TPM",
        description="Runs the whole product on loopback. Prints one JSON object a line; the first, when ready, "
        "tells the address and the claim code. A recording begins 2 s before the first sound and ends after 6 s "
        "of silence. Ctrl-C stops everything.",
    )
    demo.add_argument("--state", type=Path, required=True, metavar="DIR", help="where everything lasting is kept")
    demo.add_argument("--port", type=_port, default=8443, metavar="N", help="of the page on localhost (8443)")
    demo.add_argument(
        "--audio",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="what is heard on the line: WAV files, one call after the other; each channel is a line of its own. "
        "Without it: a synthesised call, again and again",
    )
    demo.add_argument("--repeat", action="store_true", help="play the files again and again, not once")
    demo.add_argument("--keep", type=_period, default="30d", metavar="PERIOD", help="how long calls are kept (30d)")
    demo.set_defaults(command=_demo)

    replay = commands.add_parser("replay", help="what the recorder would hear in a file, as fast as it goes")
    replay.add_argument("file", type=Path, metavar="FILE")
    replay.add_argument("--json", action="store_true", help="one JSON object a line")
    replay.set_defaults(command=_replay)

    check = commands.add_parser(
        "check", help="compare recordings, keys, catalogue and journal; 1 if something is wrong"
    )
    check.add_argument("--state", type=Path, required=True, metavar="DIR")
    check.set_defaults(command=_check)

    run = commands.add_parser("run", help="run one daemon, as the system units do")
    run.add_argument("--config", type=Path, required=True, metavar="FILE")
    run.add_argument("daemon", choices=_DAEMONS)
    run.set_defaults(command=_run)

    shown = commands.add_parser("version", help="print the version")
    shown.set_defaults(command=_version)
    return parser


if __name__ == "__main__":
    sys.exit(main())
