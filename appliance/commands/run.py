"""`linekeep run`: become one daemon, as the system units do."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from appliance.commands.arguments import Commands
from appliance.settings import read_settings

_DAEMONS = ("vault", "recorder", "webui", "front")


def add(commands: Commands) -> None:
    run = commands.add_parser("run", help="run one daemon, as the system units do")
    run.add_argument("--config", type=Path, required=True, metavar="FILE")
    run.add_argument("daemon", choices=_DAEMONS)
    run.set_defaults(command=_run)


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
