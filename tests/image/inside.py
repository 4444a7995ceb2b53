"""Running a program of ours in a daemon's place: its own unit, with all that systemd makes of it, and another command.

Entering a running daemon's namespaces would miss its system call filter and its device rules. So the unit itself is
started a second time under another name, with a drop-in that changes the command and nothing that protects.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from tests.image.machine import Machine

_FOLDER = "/run/bench"
_OTHER_COMMAND = """
[Unit]
PartOf=
[Service]
Type=oneshot
ExecStartPre=
ExecStart=
ExecStart={command}
Restart=no
RestartSteps=0
WatchdogSec=0
TimeoutStartSec=900
NotifyAccess=none
BindReadOnlyPaths={folder}
StandardInput=null
StandardOutput=truncate:{folder}/out
StandardError=truncate:{folder}/err
"""


def run_as_daemon(machine: Machine, daemon: str, program: Path, *arguments: str) -> str:
    """A Python program as this daemon's user, within its sandbox. Returns: what it prints."""
    name = f"bench-{daemon}.service"
    machine.put(f"{_FOLDER}/program.py", program.read_bytes())
    command = shlex.join(["/opt/linekeep/bin/python", f"{_FOLDER}/program.py", *arguments]).replace("%", "%%")
    machine.sh(f"systemctl cat linekeep-{daemon}.service > /run/systemd/system/{name}")
    drop_in = _OTHER_COMMAND.format(command=command, folder=_FOLDER)
    machine.put(f"/run/systemd/system/{name}.d/bench.conf", drop_in.encode())
    machine.sh(f"systemctl daemon-reload; systemctl start {name} || true", timeout_s=900)
    out, err = (machine.sh(f"cat {_FOLDER}/{stream}") for stream in ("out", "err"))
    shown = machine.sh(f"systemctl show {name} -p Result -p ExecMainStatus")
    machine.sh(f"rm -r /run/systemd/system/{name} /run/systemd/system/{name}.d; systemctl daemon-reload")
    assert "Result=success" in shown, (shown, err)
    return out


def ask_census(machine: Machine) -> dict[str, Any]:
    """What census.py saw."""
    script = (Path(__file__).parent / "guest" / "census.py").read_text("utf-8")
    told = json.loads(machine.python(script, timeout_s=180))
    assert isinstance(told, dict)
    return told
