"""`linekeep demo`: the whole product on one machine; see demonstration.py."""

from __future__ import annotations

import argparse
from pathlib import Path

from appliance.commands.arguments import Commands, period, port


def add(commands: Commands) -> None:
    demo = commands.add_parser(
        "demo",
        help="the whole product on this machine, with a simulated line and a software TPM",
        description="Runs the whole product on loopback. Prints one JSON object a line; the one called ready "
        "tells the address and the claim code. The line asks for consent by key; files are recorded without. A call "
        "ends with the busy tone or after 6 s of silence. Ctrl-C stops everything.",
    )
    demo.add_argument("--state", type=Path, required=True, metavar="DIR", help="where everything lasting is kept")
    demo.add_argument("--port", type=port, default=8443, metavar="N", help="of the page on localhost (8443)")
    demo.add_argument(
        "--audio",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="what is heard on the line: sound files, one call after the other; each channel is a line of its own. "
        "Without it: a synthesised call, again and again",
    )
    demo.add_argument("--repeat", action="store_true", help="play the files again and again, not once")
    demo.add_argument("--keep", type=period, default="30d", metavar="PERIOD", help="how long calls are kept (30d)")
    demo.set_defaults(command=_demo)


def _demo(parsed: argparse.Namespace) -> int:
    # A daemon must not load what only the demonstration needs.
    from appliance.commands.demonstration import DemoPlan, run_demo  # noqa: PLC0415

    plan = DemoPlan(
        state=parsed.state, port=parsed.port, audio=tuple(parsed.audio), repeat=parsed.repeat, keep=parsed.keep
    )
    return run_demo(plan)
