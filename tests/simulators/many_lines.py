"""`linekeep demo` with lines of the tester's own, on a machine that lets whatever crashes leave a core.

    python -m tests.simulators.many_lines FOLDER [--recorder MODULE] demo ...

Promises: the daemons are the product's own, in the very way in which the demonstration starts them. FOLDER holds
lines.json, what each line's settings say; it gets `logs/`, all that the daemons have logged, and `cores/`, where they
run. --recorder: another recorder in place of the product's, to see whether a test would notice.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from appliance import cli
from appliance.commands import demonstration
from appliance.commands.children import Program

HOLD_OVER_S = 4
REST_S = HOLD_OVER_S + 2
"""The silence that the demonstration puts behind what is played."""


def main(arguments: Sequence[str]) -> int:
    folder, rest = Path(arguments[0]), list(arguments[1:])
    recorder = ""
    if rest[0] == "--recorder":
        recorder, rest = rest[1], rest[2:]
    for made in (folder / "logs", folder / "cores"):
        made.mkdir(exist_ok=True)
    _change(folder, recorder)
    os.environ["PYTHONPATH"] = str(Path.cwd())
    os.chdir(folder / "cores")
    _soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    return cli.main(rest)


def _change(folder: Path, recorder: str) -> None:
    module: Any = demonstration
    demo, write_settings = module._Demo, module._write_settings
    hear, daemon = demo._hear, demo._daemon
    lines: list[dict[str, object]] = json.loads((folder / "lines.json").read_text("utf-8"))

    def write_own_settings(*plan: Any, **channels: int) -> Path:
        path: Path = write_settings(*plan, **channels)
        text = path.read_text("utf-8").partition("[[recorder.lines]]")[0]
        path.write_text(text + "".join(_section(channel, line) for channel, line in enumerate(lines)), "utf-8")
        return path

    def hear_and_keep(self: object, name: str, line: str) -> None:
        with (folder / "logs" / name).open("a", encoding="utf-8") as log:
            log.write(f"{line}\n")
        hear(self, name, line)

    def other_daemon(self: object, name: str, environment: dict[str, str] | None = None) -> Program:
        program: Program = daemon(self, name, environment)
        if name != "recorder" or not recorder:
            return program
        return replace(program, command=[part.replace("appliance.cli", recorder) for part in program.command])

    module._HOLD_OVER_S, module._write_settings = HOLD_OVER_S, write_own_settings
    demo._hear, demo._daemon = hear_and_keep, other_daemon


def _section(channel: int, line: dict[str, object]) -> str:
    place = {} if "near_channel" in line else {"channel": channel}
    settings = {"alsa": demonstration._DEVICE, **place, **line}
    return "[[recorder.lines]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
