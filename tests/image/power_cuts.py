"""Power cuts on the whole machine: QEMU is killed at random moments, and the box that is left must keep every promise.

    LINEKEEP_IMAGE=FILE python -m tests.image.power_cuts --cuts 50 --seed 1

One box lives on through all cuts: each start is the proof of the cut before it and the beginning of the next. A cut
comes during a first boot (of a fresh box), during a later boot, while a call is recorded, or while one is forgotten.
What the guest had written and not flushed is lost: it is in the guest's memory, or in QEMU's tables of the overlay.
What the disk itself may lie about is tests/simulators/disk_tap's subject. Prints one JSON object; exit code 1 if
anything that was promised did not hold.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
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

_KINDS = ("first boot", "boot", "recording", "recording", "recording", "forgetting", "forgetting")
_COUNTING = counter_signal()[: 120 * RATE_HZ]


@dataclass
class Life:
    """A box, and what its owner knows of it."""

    folder: Path
    chance: random.Random
    box: Box = field(init=False)
    is_claimed: bool = False
    kept: set[str] = field(default_factory=set)
    forgotten: set[str] = field(default_factory=set)
    running_frames: int = 0
    boot_s: list[float] = field(default_factory=list)
    lost_s: list[float] = field(default_factory=list)
    cuts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def begin(self) -> None:
        """A fresh box; its first boot is cut as well, once."""
        self.box = self._fresh("life")
        self._cut_at_random_while(self.box.power_on, BOOT_S)
        self.cuts["first boot"] += 1
        self._start()
        label = self.box.label(timeout_s=180)
        self.box.trust(self.box.authority(), label.name)
        claimed = self.box.visitor.claim(label.claim_code)
        assert claimed.status == 303, claimed.text
        self.is_claimed = True

    def cut(self) -> None:
        kind = self.chance.choice(_KINDS)
        if kind == "forgetting" and not self.kept:
            kind = "recording"
        self.cuts[kind] += 1
        {
            "first boot": self._cut_first_boot,
            "boot": self._cut_boot,
            "recording": self._cut_recording,
            "forgetting": self._cut_forgetting,
        }[kind]()

    # cuts

    def _cut_first_boot(self) -> None:
        """Of another box; afterwards it must come up, and have a claim code."""
        other = self._fresh(f"first-{sum(self.cuts.values())}")
        self._cut_at_random_while(other.power_on, BOOT_S)
        other.power_on()
        try:
            other.wait_until_up()
            other.wait_for("vault", "vault_ready", timeout_s=180)
            _ = other.label(timeout_s=180).claim_code
            self._expect("first boot", other.check(), "")
        except AssertionError as error:
            self.wrong.append(f"first boot: {error}")
        finally:
            other.cut_power()

    def _cut_boot(self) -> None:
        self.box.cut_power()
        self._cut_at_random_while(self.box.power_on, BOOT_S)
        self._start()
        self._prove()

    def _cut_recording(self) -> None:
        self.box.say(_COUNTING)
        self.box.wait_for("recorder", "call_recording_begun")
        time.sleep(self.chance.uniform(0, 15))
        self.running_frames = self.box.said_frames()
        self.box.cut_power()
        self._start()
        self._prove()

    def _cut_forgetting(self) -> None:
        call = self.chance.choice(sorted(self.kept))
        answered = threading.Event()

        def delete() -> None:
            try:
                self.box.visitor.delete(call)
            except (OSError, AssertionError):
                return
            answered.set()

        asks = threading.Thread(target=delete, daemon=True)
        asks.start()
        time.sleep(self.chance.uniform(0, 3 * SLOWER))
        was_answered = answered.is_set()
        self.box.cut_power()
        asks.join()
        self._start()
        self._prove(perhaps=set() if was_answered else {call}, gone={call} if was_answered else set())

    def _cut_at_random_while(self, act: Callable[[], None], within_s: float) -> None:
        act()
        time.sleep(self.chance.uniform(0, within_s))
        self.box.cut_power()

    # proofs

    def _start(self) -> None:
        began_s = time.monotonic()
        self.box.power_on()
        self.box.wait_until_up()
        self.box.wait_for("recorder", "device_opened", timeout_s=180)
        self.boot_s.append(time.monotonic() - began_s)
        self.box.wait_for("vault", "vault_ready", timeout_s=180)
        if self.is_claimed:
            self.box.log_in()

    def _prove(self, perhaps: set[str] | None = None, gone: set[str] | None = None) -> None:
        """perhaps: calls of which nobody has said yet that they are gone. gone: those of which somebody has."""
        try:
            if self.running_frames:
                until(lambda: set(self.box.visitor.calls()) - self.kept - self.forgotten, 60 * SLOWER)
            listed = set(self.box.visitor.calls())
            new = listed - self.kept - self.forgotten
            if self.running_frames:
                self._expect("calls of the one that ran", len(new), 1)
                self._measure(new)
            missing = self.kept - listed - (perhaps or set()) - (gone or set())
            self._expect("kept calls that are gone", missing, set())
            self._expect("forgotten calls that are there", listed & (self.forgotten | (gone or set())), set())
            self._expect("what check finds", self.box.check(), "")
            self.forgotten |= (self.kept | (gone or set())) - listed
            self.kept = listed
        except AssertionError as error:
            self.wrong.append(str(error))
        self.running_frames = 0

    def _measure(self, calls: set[str]) -> None:
        for call in calls:
            recorded = read_wav(self.box.visitor.download(call))
            lost_s = (self.running_frames - (len(recorded) - match(recorded, _COUNTING).lead)) / RATE_HZ
            self.lost_s.append(round(lost_s, 2))
            if lost_s >= AT_RISK_S:
                self.wrong.append(f"{lost_s:.2f} s of a running call are lost")

    def _expect(self, what: str, found: object, right: object) -> None:
        if found != right:
            self.wrong.append(f"cut {sum(self.cuts.values())}: {what}: {found!r}")

    def _fresh(self, name: str) -> Box:
        body = new_body(self.folder / name, Path(os.environ["LINEKEEP_IMAGE"]))
        body.put_on_stick("linekeep.toml", settings())
        return Box(body)


BOOT_S = 15.0 * SLOWER
"""Within so long after power-on most of a boot's writing is done."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cuts", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        life = Life(folder=Path(folder), chance=random.Random(asked.seed))
        try:
            life.begin()
            while sum(life.cuts.values()) < asked.cuts:
                life.cut()
                print(dict(life.cuts), life.wrong, file=sys.stderr)
        finally:
            life.box.cut_power()
    told = {"cuts": dict(life.cuts), "seed": asked.seed, "kvm": has_kvm(), "wrong": life.wrong}
    told |= {"lost_s": sorted(life.lost_s), "boot_s": sorted(round(each, 1) for each in life.boot_s)}
    print(json.dumps(told))
    return 1 if life.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
