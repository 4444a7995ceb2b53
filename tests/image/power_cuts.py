"""Power cuts on the whole machine: QEMU is killed at random moments, and the box that is left must keep every promise.

    LINEKEEP_IMAGE=FILE python -m tests.image.power_cuts --cuts 50 --seed 1

One box lives on through all cuts: each start is the proof of the cuts before it and the beginning of the next. A cut
comes during a first boot (of a fresh box), while a call is recorded, while one is forgotten, while nothing happens; and
as often as not the power goes again, once or twice, in the start after it, in the middle of what puts things right.
What the guest had written and not flushed is lost: it is in the guest's memory, or in QEMU's tables of the overlay.
What the disk itself may lie about is tests/simulators/disk_tap's subject.

Prints a JSON object a line: each cut, each proof, and at the end, which an interruption brings forward, all of it
together. Exit code 1 if anything that was promised did not hold.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from appliance.terms import RATE_HZ
from tests.image.body import new_body
from tests.image.box import Box, settings
from tests.image.machine import SLOWER, has_kvm
from tests.image.test_life import AT_RISK_S
from tests.simulators.counter import counter_signal
from tests.system.house import until
from tests.system.sounds import match, read_wav

_KINDS = ("first boot", "idle", "recording", "recording", "recording", "forgetting", "forgetting")
_AGAIN = (0, 0, 1, 2)
_COUNTING = counter_signal()[: 120 * RATE_HZ]

BOOT_S = 20.0 * SLOWER
"""Within so long after power-on most of a boot's writing is done."""


@dataclass
class Life:
    """A box, and what its owner knows of it."""

    folder: Path
    chance: random.Random
    box: Box = field(init=False)
    is_claimed: bool = False
    kept: set[str] = field(default_factory=set)
    forgotten: set[str] = field(default_factory=set)
    proofs: int = 0
    boot_s: list[float] = field(default_factory=list)
    stages: dict[str, float] = field(default_factory=dict)
    lost_s: list[float] = field(default_factory=list)
    losses_told: int = 0
    cuts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def begin(self) -> None:
        """A fresh box, with an owner in the end."""
        self.box = self._fresh("life")
        self._cut_starts(self.box, "first boot", self.chance.randint(1, 3))
        self._start()
        self.box.wait_until_settled()
        label = self.box.label()
        self.box.trust(self.box.authority(), label.name)
        claimed = self.box.visitor.claim(label.claim_code)
        assert claimed.status == 303, claimed.text
        self.is_claimed = True
        self._tell_proof()

    def go_on(self) -> None:
        """A cut, perhaps more of them, and the proof."""
        kind = self.chance.choice(_KINDS)
        if kind == "forgetting" and not self.kept:
            kind = "recording"
        {
            "first boot": self._cut_first_boot,
            "idle": self._cut_idle,
            "recording": self._cut_recording,
            "forgetting": self._cut_forgetting,
        }[kind]()
        self._tell_proof()

    def tell_all(self) -> None:
        told = {"cuts": sum(self.cuts.values()), "kinds": dict(self.cuts), "proofs": self.proofs, "wrong": self.wrong}
        told |= {"lost_s": sorted(self.lost_s), "boot_s": sorted(self.boot_s), "kvm": has_kvm()}
        _tell(told)

    # cuts

    def _cut_first_boot(self) -> None:
        """Of another box; afterwards it must come up, and have a claim code."""
        other = self._fresh(f"first-{sum(self.cuts.values())}")
        self._cut_starts(other, "first boot", self.chance.randint(1, 3))
        other.power_on()
        try:
            other.wait_until_up()
            _ = other.label(timeout_s=180).claim_code
            self._expect("what check finds after a first boot", other.check(), "")
        except AssertionError as error:
            self.wrong.append(f"first boot: {error}")
        finally:
            other.cut_power()

    def _cut_idle(self) -> None:
        self._cut("idle", self.box, 0)
        self._start_again()
        self._prove()

    def _cut_recording(self) -> None:
        self.box.say(_COUNTING)
        self.box.wait_for("recorder", "call_recording_begun")
        time.sleep(self.chance.uniform(0, 15))
        said = self.box.said_frames()
        self._cut("recording", self.box, said / RATE_HZ)
        self._start_again()
        self._prove(running_frames=said)

    def _cut_forgetting(self) -> None:
        call = self.chance.choice(sorted(self.kept))
        answered = threading.Event()

        def delete() -> None:
            with suppress(OSError, AssertionError):
                self.box.visitor.delete(call)
                answered.set()

        asks = threading.Thread(target=delete, daemon=True)
        asks.start()
        wait_s = self.chance.uniform(0, 3 * SLOWER)
        time.sleep(wait_s)
        was_answered = answered.is_set()
        self._cut("forgetting", self.box, wait_s)
        asks.join()
        self._start_again()
        self._prove(perhaps=set() if was_answered else {call}, gone={call} if was_answered else set())

    def _cut(self, kind: str, box: Box, after_s: float) -> None:
        box.cut_power()
        self.cuts[kind] += 1
        _tell({"cut": sum(self.cuts.values()), "kind": kind, "after_s": round(after_s, 1)})

    def _cut_starts(self, box: Box, kind: str, times: int) -> None:
        for _ in range(times):
            box.power_on()
            wait_s = self.chance.uniform(0, BOOT_S)
            time.sleep(wait_s)
            self._cut(kind, box, wait_s)

    # proofs

    def _start_again(self) -> None:
        self._cut_starts(self.box, "boot after a cut", self.chance.choice(_AGAIN))
        self._start()

    def _start(self) -> None:
        began_s = time.monotonic()
        self.box.power_on()
        self.box.wait_until_up()
        if self.is_claimed:
            self.box.log_in()
        self.box.wait_for("recorder", "device_opened", timeout_s=180)
        self.boot_s.append(round(time.monotonic() - began_s, 1))
        self.stages = {name: round(at_s, 1) for name, at_s in self.box.stages().items()}

    def _prove(self, *, running_frames: int = 0, perhaps: set[str] | None = None, gone: set[str] | None = None) -> None:
        """running_frames: what had been said of a call that was recorded. perhaps: calls of which nobody has said yet
        that they are gone. gone: those of which somebody has."""
        try:
            if running_frames:
                until(lambda: set(self.box.visitor.calls()) - self.kept - self.forgotten, 60 * SLOWER)
            listed = set(self.box.visitor.calls())
            new = listed - self.kept - self.forgotten
            if running_frames:
                self._expect("calls of the one that ran", len(new), 1)
                self._measure(new, running_frames)
            missing = self.kept - listed - (perhaps or set()) - (gone or set())
            self._expect("kept calls that are gone", missing, set())
            self._expect("forgotten calls that are there", listed & (self.forgotten | (gone or set())), set())
            self._expect("what check finds", self.box.check(), "")
            self.forgotten |= (self.kept | (gone or set())) - listed
            self.kept = listed
        except AssertionError as error:
            self.wrong.append(str(error))

    def _measure(self, calls: set[str], running_frames: int) -> None:
        for call in calls:
            recorded = read_wav(self.box.visitor.download(call))
            lost_s = (running_frames - (len(recorded) - match(recorded, _COUNTING).lead)) / RATE_HZ
            self.lost_s.append(round(lost_s, 2))
            if lost_s >= AT_RISK_S:
                self.wrong.append(f"{lost_s:.2f} s of a running call are lost")

    def _expect(self, what: str, found: object, right: object) -> None:
        if found != right:
            self.wrong.append(f"cut {sum(self.cuts.values())}: {what}: {found!r}")

    def _tell_proof(self) -> None:
        self.proofs += 1
        told = {"proof": self.proofs, "of_cuts": sum(self.cuts.values()), "kept": len(self.kept), "wrong": self.wrong}
        told |= {"lost_s": self.lost_s[self.losses_told :]}
        self.losses_told = len(self.lost_s)
        _tell(told | {"boot_s": self.boot_s[-1:], "stages": self.stages})

    def _fresh(self, name: str) -> Box:
        body = new_body(self.folder / name, Path(os.environ["LINEKEEP_IMAGE"]))
        body.put_on_stick("linekeep.toml", settings())
        return Box(body)


def _tell(told: dict[str, object]) -> None:
    print(json.dumps(told), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cuts", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory() as folder:
        life = Life(folder=Path(folder), chance=random.Random(asked.seed))
        try:
            life.begin()
            while sum(life.cuts.values()) < asked.cuts:
                life.go_on()
        except KeyboardInterrupt:
            _tell({"interrupted": True})
        except AssertionError as error:
            life.wrong.append(f"after cut {sum(life.cuts.values())} it did not come up: {error}")
        finally:
            life.box.cut_power()
            life.tell_all()
    return 1 if life.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
