"""The bench's hand inside the machine: runs what it is told, as root, and answers with what came of it.

The host hands this file to systemd as a credential (machine.py); nothing of it is in the image. One JSON object a line
over a virtio serial port, one thread a command, so that a call can play while questions are asked. Only the
standard library of the image's own Python is used.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any

_speaking = threading.Lock()


def serve(port: Path) -> None:
    while not port.exists():
        time.sleep(0.02)
    with port.open("r+b", buffering=0) as line:
        # What a reset cut off ends here.
        _say(line, None)
        _say(line, {"ready": Path("/proc/sys/kernel/random/boot_id").read_text().strip()})
        heard = b""
        while True:
            more = os.read(line.fileno(), 1 << 16)
            if not more:
                # Nobody is connected on the other side yet.
                time.sleep(0.05)
            *orders, heard = (heard + more).split(b"\n")
            for order in orders:
                threading.Thread(target=_obey, args=(line, json.loads(order)), daemon=True).start()


def _obey(line: IO[bytes], order: dict[str, Any]) -> None:
    try:
        done = subprocess.run(
            order["argv"], input=base64.b64decode(order["typed"]), capture_output=True, timeout=order["timeout_s"]
        )
        code, out, err = done.returncode, done.stdout, done.stderr
    except subprocess.TimeoutExpired as late:
        code, out, err = 124, late.stdout or b"", late.stderr or b""
    except OSError as error:
        code, out, err = 127, b"", str(error).encode()
    told = {"id": order["id"], "code": code}
    told |= {name: base64.b64encode(what).decode() for name, what in (("out", out), ("err", err))}
    _say(line, told)


def _say(line: IO[bytes], told: dict[str, Any] | None) -> None:
    rest = memoryview(b"\n" if told is None else json.dumps(told).encode() + b"\n")
    with _speaking:
        while rest:
            rest = rest[line.write(rest) or 0 :]


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
