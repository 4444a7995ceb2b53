"""A box in a machine: what its owner and its caller do with it, by stick, page and telephone line.

Leaves to others: the machine itself (machine.py), and what must come of it (the tests).
"""

from __future__ import annotations

import json
import queue
import re
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.recorder.ear.signals import Pcm
from appliance.terms import RATE_HZ
from tests.image.body import Body
from tests.image.machine import SLOWER, Done, Hardware, Machine
from tests.system.house import DAEMONS, until
from tests.system.visitor import Visitor

STATE = "/var/lib/linekeep"
BEGAN = "/run/bench-line-began"
SETUP = "SETUP.TXT"
_PLAY = Path(__file__).parent / "guest" / "play.py"
_PYTHON = "/opt/linekeep/bin/python"

_LOOK_EVERY_S = 0.5 * SLOWER
"""Looking is work for the box too, and holds up what is waited for."""

HEARD = "hw:CARD=Loopback,DEV=0"
SAID = "hw:CARD=Loopback,DEV=1"


def settings(*, keep: str = "30d") -> bytes:
    """What an owner writes onto the stick, for a line that is recorded by duty."""
    return f"""
state_dir = "{STATE}"
run_dir = "/run/linekeep"

[vault]
recorder_user = "linekeep-recorder"
webui_user = "linekeep-webui"
keep = "{keep}"

[recorder]
hold_over_s = 6

[[recorder.devices]]
alsa = "{HEARD}"

[[recorder.lines]]
name = "front-desk"
alsa = "{HEARD}"
ground = "Bench: synthesised audio, nobody's call"
consent = "duty"
""".encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What SETUP.TXT says."""

    text: str

    @property
    def claim_code(self) -> str:
        found = re.search(r"\b[0-9A-Z]{5}-[0-9A-Z]{5}\b", self.text)
        assert found is not None, self.text
        return found[0]

    @property
    def name(self) -> str:
        """By which the page is reached."""
        found = re.search(r"https://([^/:]+)/", self.text)
        assert found is not None, self.text
        return found[1]

    @property
    def fingerprint(self) -> str:
        """Of the page's authority, as hexadecimal digits."""
        found = re.search(r"(?:[0-9A-Fa-f]{2}:?){32}", self.text)
        assert found is not None, self.text
        return found[0].replace(":", "").lower()


class Box(Machine):
    """A machine with Linekeep in it."""

    def __init__(self, body: Body, hardware: Hardware | None = None) -> None:
        super().__init__(body, hardware)
        self.visitor = Visitor(self.https_port, answer_within_s=60 * SLOWER)

    # by stick

    def label(self, timeout_s: float = 60.0, *, says: str = "Claim code") -> Label:
        """SETUP.TXT as it lies on the stick, once this stands in it."""
        give_up = time.monotonic() + timeout_s * SLOWER
        text = ""
        while says not in text:
            assert time.monotonic() < give_up, (text or f"no {SETUP}", self.console()[-2000:])
            time.sleep(0.5)
            text = (self.body.take_from_stick(SETUP) or b"").decode("utf-8")
        return Label(text=text)

    def plug_stick_in_again(self) -> None:
        """The box reads it as if it came for the first time."""
        self.monitor("device_del", id="stick-plug")
        until(lambda: not self.run("sh", "-c", "ls /dev/disk/by-label/LINEKEEP"))
        self.monitor("device_add", driver="usb-storage", id="stick-plug", drive="stick", removable=True)

    # by page

    def trust(self, authority: str, name: str) -> None:
        """From now on the visitor calls the box by this name, and trusts this authority (PEM) and no other."""
        self.visitor.name = name
        self.visitor.tls = ssl.create_default_context(cadata=authority)

    def authority(self) -> str:
        return self.sh(f"cat {STATE}/tls/ca.pem")

    # by telephone

    def say(self, samples: Pcm) -> queue.SimpleQueue[Done]:
        """The line says this from now on. Returns: where the end of it will be told."""
        self.run("rm", "-f", BEGAN)
        self.put("/run/bench-play.py", _PLAY.read_bytes())
        command = (_PYTHON, "/run/bench-play.py", SAID, BEGAN)
        return self.background(*command, typed=samples.astype("<i2").tobytes())

    def hush(self, end: queue.SimpleQueue[Done]) -> None:
        """What the line says is broken off. Returns once nothing of it is to be heard any more."""
        self.run("rm", "-f", BEGAN)
        done = end.get(timeout=60 * SLOWER)
        assert done, done

    def said_frames(self) -> int:
        """How many frames the line has said at this moment."""
        look = "import sys, time; print(time.monotonic() - float(open(sys.argv[1]).read()))"
        return round(float(self.python(look, BEGAN)) * RATE_HZ)

    # what it tells

    def happenings(self, daemon: str) -> list[dict[str, Any]]:
        """What this daemon has logged since power-on."""
        said = self.sh(f"journalctl -b -o cat --no-pager -u linekeep-{daemon}.service")
        found = []
        for line in said.splitlines():
            try:
                told = json.loads(line)
            except ValueError:
                continue
            if isinstance(told, dict) and "event" in told:
                found.append(told)
        return found

    def wait_for(self, daemon: str, event: str, timeout_s: float = 60.0, **facts: object) -> dict[str, Any]:
        """The last such happening of this daemon since power-on."""
        wanted = {"event": event, **facts}
        give_up = time.monotonic() + timeout_s * SLOWER
        while True:
            told = self.happenings(daemon)
            fits = [each for each in told if wanted.items() <= each.items()]
            if fits:
                return fits[-1]
            assert time.monotonic() < give_up, (wanted, told[-20:])
            time.sleep(_LOOK_EVERY_S)

    def log_in(self, timeout_s: float = 120.0) -> None:
        """As soon as the page answers: after a start the front, and QEMU's network, may be there before it."""
        give_up = time.monotonic() + timeout_s * SLOWER
        while True:
            with suppress(OSError):
                if self.visitor.log_in().status == 303:
                    return
            assert time.monotonic() < give_up, "nobody can log in"
            time.sleep(_LOOK_EVERY_S)

    def call(self, samples: Pcm) -> str:
        """A whole call: said, recorded, ended. Returns: its id."""
        before = {told["call"] for told in self.happenings("vault") if told["event"] == "call_ended"}
        end = self.say(samples)
        done = end.get(timeout=len(samples) / RATE_HZ + 60 * SLOWER)
        assert done, done
        give_up = time.monotonic() + 60 * SLOWER
        while time.monotonic() < give_up:
            ended = {told["call"] for told in self.happenings("vault") if told["event"] == "call_ended"}
            if ended - before:
                return str((ended - before).pop())
            time.sleep(_LOOK_EVERY_S)
        told = [self.happenings(daemon)[-10:] for daemon in ("recorder", "vault")]
        raise AssertionError(("the call did not end", told))

    def stages(self) -> dict[str, float]:
        """Seconds from the kernel's start to each stage of this boot, as systemd tells."""
        units = ("data.mount", *(f"linekeep-{daemon}.service" for daemon in DAEMONS), "multi-user.target")
        shown = self.sh(f"systemctl show -p Id -p ActiveEnterTimestampMonotonic {' '.join(units)}")
        blocks = [dict(line.split("=", 1) for line in block.splitlines()) for block in shown.split("\n\n")]
        reached = {block["Id"]: int(block["ActiveEnterTimestampMonotonic"]) / 1e6 for block in blocks}
        shown = self.sh("systemctl show -p InitRDTimestampMonotonic -p UserspaceTimestampMonotonic")
        whole = dict(line.split("=", 1) for line in shown.splitlines())
        return {name.removesuffix("TimestampMonotonic"): int(at) / 1e6 for name, at in whole.items()} | reached

    def check(self) -> str:
        """What `linekeep check` finds: nothing, if all is well."""
        done = self.run("/opt/linekeep/bin/linekeep", "check", timeout_s=120)
        return done.out + done.err + (f"exit code {done.code}" if done.code else "")
