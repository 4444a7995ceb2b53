"""A vault and a recorder in one process, living at random on a tapped disk, and telling what they have promised.

Started with the tap under it; a line of JSON on stdin is one life (see `Life`): it runs in a child of its own, may
be killed by the tap at any call, and ends with a line on stdout: how. What a caller was promised is told into the trace
right after the promise (`told`: issued, written, kept, forgotten, started), what was asked or spoken right before.
So at each cut it is known what must still be there. Troubles of the product's own kinds are borne, as its daemons do;
any other exception ends the life as a fault.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import sys
import traceback
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from argon2 import PasswordHasher

from appliance.audit.events import Act
from appliance.boundary.verbs import IssuedCall
from appliance.recorder.call import Call, CallStart
from appliance.recordings.container import Consent, EndReason
from appliance.recordings.reader import RecordingReader
from appliance.settings import SOFTWARE_TPM, Settings, VaultSettings
from appliance.terms import BLOCK_FRAMES, CallId, ConsentBy, Direction, LinekeepError, LineName
from appliance.vault.box import AUTHORITY_SECRET, Box, reach_tpm
from appliance.vault.catalogue import CallState
from appliance.vault.recovery.copy import choice_of, open_copy
from appliance.vault.recovery.recovering import copy_in, recover_ring
from tests.recorder.heard_log import HeardLog
from tests.simulators.crash_changes import apply_change, go_back_to_the_first_schema
from tests.simulators.crash_disk import Kind, encode
from tests.simulators.disk_tap import DiskTap, Fault
from tests.simulators.ring_world import RECOVERY_KEY, with_recovery_key
from tests.vault.box_house import NOON_MS, PASSWORD, Hands

LINE = LineName("front-desk")
DISK = "disk"
TRACE = "trace"
KEEP = "3d"
_DAY_S = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """One life of the process.

    Args:
        folder, run_dir, now_ms: set by the world: the recording's folder (DISK below it is the tapped disk, TRACE the
            trace), where the TPM is reached, the time at which the life begins.
        change: the name of a change to the product, see crash_changes.py; "": none.
        old_catalogue: it finds a catalogue of the first version.
        seal_anew: how often the ring is sealed anew with what it holds, as after an update; 1 is as often as a restart.
        recover: before all else somebody types the words of the recovery key.
        fault, at: what the tap does, from the start of the process on (`early`) or once all stands.
    """

    seed: int
    steps: int
    folder: str = ""
    run_dir: str = ""
    now_ms: int = NOON_MS
    change: str = ""
    fault: int = Fault.NONE
    at: int = 0
    early: bool = False
    old_catalogue: bool = False
    recover: bool = False
    seal_anew: int = 0


def settings_of(disk: Path, run_dir: Path) -> Settings:
    vault = VaultSettings(tpm=SOFTWARE_TPM, keep=KEEP)
    return Settings(state_dir=str(disk / "state"), run_dir=str(run_dir), vault=vault)


def cheap_passwords() -> Any:
    """How long a password is hashed is not what is tested here, and is most of a start."""
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    return mock.patch("appliance.vault.accounts.PasswordHasher", return_value=cheap)


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def audio_digest(box: Box, call: CallId) -> str:
    """Of what a listener hears of a kept call."""
    path, key = box.folder.finished_path(call), box.call_keys.key_of(call)
    with RecordingReader(path, call=call, key=key) as reader:
        return digest(reader.read_audio(0, reader.audio_bytes))


def start_as_the_daemons_do(box: Box) -> None:
    box.make_front_certificate()
    box.journal.append(Act.VAULT_STARTED, by="vault")
    box.folder.sweep_growing()
    box.erasure.finish_condemned()
    box.intake.take_over_what_was_left()


def recover(settings: Settings) -> None:
    """As the command does, with the right words."""
    folder = settings.state / "ring"
    contents = open_copy(copy_in(folder), RECOVERY_KEY)
    with closing(reach_tpm(settings)) as tpm:
        recover_ring(folder, tpm, contents, now_ms=NOON_MS)


class _Killed(BaseException):
    """The recorder is no more; the vault lives on."""


class _Living:
    def __init__(self, life: Life, tap: DiskTap, trace: int) -> None:
        self._life = life
        self._tap = tap
        self._trace = trace
        self._chance = random.Random(life.seed)
        self._hands = Hands()
        self._hands.wall_ms = life.now_ms
        self._settings = settings_of(Path(life.folder) / DISK, Path(life.run_dir))
        self._running: list[Call] = []
        self._told_kept: set[CallId] = set()
        self._box: Box | None = None
        self._sound = np.random.default_rng(life.seed)

    def run(self) -> None:
        if self._life.old_catalogue:
            go_back_to_the_first_schema(self._settings.state / "catalogue.sqlite")
        self._tell("born", fault=self._life.fault, process=os.getpid())
        if self._life.early:
            self._tap.fail(Fault(self._life.fault), self._life.at)
        if self._life.recover:
            recover(self._settings)
        self._bear(self._start)
        if not self._life.early:
            self._tap.fail(Fault(self._life.fault), self._life.at)
        for number in range(self._life.steps):
            self._hands.pass_s(60)
            if number == self._life.steps * 3 // 4 and self._life.fault != Fault.KILL:
                self._tap.fail(Fault.NONE)  # somebody has made room
            self._bear(self._some_act() if self._box is not None else self._start)
        self._tap.fail(Fault.NONE)
        if self._box is not None:
            self._box.close()

    def _bear(self, act: Callable[[], None]) -> None:
        try:
            act()
            self._tell_kept()
        except LinekeepError as trouble:
            self._tell("refused", why=str(trouble), cause=repr(trouble.__cause__))

    def _tell(self, told: str, **facts: Any) -> None:
        told_json = json.dumps({"told": told, "now": self._hands.wall_ms, **facts}).encode()
        os.write(self._trace, encode(Kind.TOLD, first=told_json))

    def _the_box(self) -> Box:
        if self._box is None:
            raise RuntimeError("there is no box")
        return self._box

    def _start(self) -> None:
        box = Box(self._settings, HeardLog().logger, self._hands.clock)
        self._box = box
        start_as_the_daemons_do(box)
        if not box.accounts.is_claimed():
            code = box.accounts.claim_code() or ""
            self._tell("labelled", code=code)
            box.accounts.claim(code, "Owner", PASSWORD)
        if choice_of(box.ring.contents) is None:
            box.ring.change(with_recovery_key)
        with suppress(OSError):
            authority = (self._settings.state / "tls" / "ca.pem").read_bytes()
            key = box.ring.contents.secrets[AUTHORITY_SECRET]
            self._tell("started", authority=digest(authority), authority_key=digest(key))

    def _restart(self) -> None:
        box, self._box = self._the_box(), None
        box.close()
        self._start()

    def _tell_kept(self) -> None:
        if self._box is None:
            return
        for row in self._box.catalogue.in_state(CallState.KEPT):
            if row.call_id not in self._told_kept:
                self._tell("kept", call=row.call_id, audio=audio_digest(self._box, row.call_id))
                self._told_kept.add(row.call_id)

    def _some_act(self) -> Callable[[], None]:
        acts = {
            self._speak: 6 if self._running else 0,
            self._begin: 3 if len(self._running) < 2 else 0,
            self._hang_up: 4 if self._running else 0,
            self._recorder_dies: 1 if self._running else 0,
            self._recorder_dies_before_its_last_sync: 1 if self._running else 0,
            self._erase_one: 2 if len(self._told_kept) > 1 else 0,
            self._erase_many: 1 if len(self._told_kept) > 3 else 0,
            self._next_day: 1,
            self._spare_call: 1,
            self._tidy: 1,
            self._restart: 1,
            self._seal_anew: self._life.seal_anew,
        }
        return self._chance.choices(list(acts), list(acts.values()))[0]

    # the recorder's

    def _issue(self) -> IssuedCall:
        call, key = self._the_box().intake.issue(LINE)
        self._tell("issued", call=call, key=digest(key))
        return IssuedCall(call=call, key=key)

    def _spare_call(self) -> None:
        self._issue()

    def _begin(self) -> None:
        box, issued, now_ms = self._the_box(), self._issue(), self._hands.wall_ms
        start = CallStart(
            issued=issued,
            line=LINE,
            ground="Consent.",
            consent=Consent(at_ms=now_ms, by=ConsentBy.KEY),
            software="linekeep",
            started_at_ms=now_ms,
        )
        self._running.append(Call(box.folder.growing_path(issued.call), start))
        box.intake.begin(issued.call, LINE, now_ms)
        self._speak()

    def _speak(self) -> None:
        call = self._chance.choice(self._running)
        try:
            for _ in range(self._chance.randrange(2, 30)):
                # The block that is being captured when the power goes counts as spoken.
                self._tell("spoken", call=call.call, frames=call.frames + BLOCK_FRAMES)
                call.add(self._sound.integers(-3000, 3000, BLOCK_FRAMES).astype(np.int16))
        except LinekeepError:
            self._let_go(call)
            raise

    def _hang_up(self) -> None:
        call = self._chance.choice(self._running)
        try:
            call.finish(EndReason.SILENCE, direction=Direction.IN, number="03055504471")
        except LinekeepError:
            self._let_go(call)
            raise
        self._running.remove(call)
        self._tell("written", call=call.call)
        self._the_box().intake.finish(call.call)

    def _let_go(self, call: Call) -> None:
        self._running.remove(call)
        call.abandon()

    def _recorder_dies(self) -> None:
        while self._running:
            self._let_go(self._running[0])
        self._the_box().folder.sweep_growing()
        self._the_box().intake.take_over_what_was_left()

    def _recorder_dies_before_its_last_sync(self) -> None:
        with suppress(_Killed), mock.patch("appliance.recordings.writer.os.fsync", side_effect=_Killed):
            self._running[0].finish(EndReason.SILENCE, direction=Direction.IN, number="03055504471")
        self._recorder_dies()

    # the vault's

    def _erase_one(self) -> None:
        self._erase(1)

    def _erase_many(self) -> None:
        self._erase(self._chance.randrange(2, len(self._told_kept)))

    def _erase(self, count: int) -> None:
        box = self._the_box()
        kept = sorted(row.call_id for row in box.catalogue.in_state(CallState.KEPT))
        calls = self._chance.sample(kept, min(count, len(kept)))
        self._tell("asked", calls=calls)
        box.erasure.erase(calls, by="00" * 8, why="asked")
        self._tell("forgotten", calls=calls)

    def _next_day(self) -> None:
        self._hands.pass_s(_DAY_S)
        box = self._the_box()
        calls = [row.call_id for row in box.catalogue.due(self._hands.wall_ms)]
        self._tell("asked", calls=calls)
        box.retention.run()
        self._tell("forgotten", calls=[call for call in calls if box.catalogue.was_forgotten(call)])

    def _seal_anew(self) -> None:
        self._the_box().ring.change(lambda now: now)

    def _tidy(self) -> None:
        self._the_box().intake.take_over_what_was_left()
        self._the_box().call_keys.drop_empty_buckets()
        self._the_box().make_front_certificate()


def _live(life: Life) -> None:
    folder = Path(life.folder)
    trace = os.open(folder / TRACE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    tap = DiskTap()
    tap.begin(folder / DISK, folder / TRACE)
    # Ids and keys from the seed, too: a database whose rows lie otherwise writes other pages.
    chosen = mock.patch("os.urandom", random.Random(life.seed).randbytes)
    with cheap_passwords(), apply_change(life.change), chosen:
        _Living(life, tap, trace).run()


def _in_a_child(life: Life) -> str:
    """How it ended: "ended", "killed", or the trace of an exception that nobody expected."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        fault = ""
        try:
            _live(life)
        except BaseException:  # noqa: BLE001 - told to the parent
            fault = traceback.format_exc()
        os.write(writer, fault.encode()[-60_000:])
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as heard:
        fault = heard.read().decode()
    _, status = os.waitpid(child, 0)
    return fault or ("killed" if os.WIFSIGNALED(status) else "ended")


def main() -> None:
    for line in sys.stdin:
        print(json.dumps(_in_a_child(Life(**json.loads(line)))), flush=True)


def ask_for(life: Life) -> str:
    """The line that asks for a life."""
    return json.dumps(asdict(life)) + "\n"


if __name__ == "__main__":
    main()
