"""A box that lives under attack, and a thief who keeps every byte that was ever written and owns the live TPM.

Promise: `live` runs some acts of the product (crash_life.py) on a tapped disk, while somebody on the bus loses,
refuses, fakes and garbles, and kills it; `outrage` does to the TPM from outside what root or a live stick can do. `rob`
then lets the thief try, with every version of the ring and every wrapped key that any file ever held, also as a passing
file or in a page of the database. `broken` gives what the product no longer keeps of what it promised.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

import tpm2_pytss as tss

from appliance.recordings.sealing import unwrap_key
from appliance.terms import CallId, KeyTrouble
from appliance.vault.ring_file import RingContents, RingDamaged, parse_ring
from appliance.vault.tpm_policy import RING_INDEX_HANDLE
from tests.simulators.crash_changes import apply_change
from tests.simulators.crash_disk import Kind, Record, read_trace
from tests.simulators.crash_life import DISK, TRACE, Life, cheap_passwords, digest
from tests.simulators.crash_promises import Promises, broken_promises, told
from tests.simulators.crash_world import TappedLives, lead_to_the_bus
from tests.simulators.disk_tap import Fault as DiskFault
from tests.simulators.ring_thief import RingThief
from tests.simulators.software_tpm import FINE, NV_CERTIFY, NV_EXTEND, UNSEAL, Fault, FaultyTpm, SoftwareTpm, Verdict

_WRAP = re.compile(rb"([0-9a-f]{32})([0-9a-f]{16})(.{60})", re.DOTALL)
"""A row of wrapped keys as SQLite writes it: call, bucket, and nonce, key and tag of the wrap."""

_CODES = (0x920, 0x921, 0x922, 0x923, 0x128, 0x901, 0x902, 0x903)
"""NV_RATE, LOCKOUT, RETRY, NV_UNAVAILABLE, PCR_CHANGED, and no memory for contexts, objects, sessions."""

_HARM, _HARM_TO_A_MOVE = 0.004, 0.15
"""How often a command is harmed; that which moves the ring's state much more often."""

_LOSSES = (Fault.LOSE_COMMAND, Fault.LOSE_ANSWER, Fault.FAKE_SUCCESS)


class Outrage(Enum):
    """What is done to the TPM while the product is off."""

    REGISTER = "a register was extended"
    EXTEND = "the ring's index was extended"
    REDEFINE = "the ring's index was undefined and defined anew"
    CLEAR = "the TPM was cleared"


@dataclass(slots=True)
class Tally:
    """What happened, for the report."""

    operations: int = 0
    lives: int = 0
    killed: int = 0
    refused: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    outrages: Counter[str] = field(default_factory=Counter)
    tries: int = 0
    stale_sessions: int = 0
    rings: int = 0
    wraps: int = 0
    kept: int = 0
    forgotten: int = 0


class _Harm:
    """The rule of the bus: at random, harm to one command in so many."""

    def __init__(self, world: AttackWorld, seed: int, kills: float) -> None:
        self._world = world
        self._kills = kills
        self._chance = random.Random(seed)

    def __call__(self, code: int) -> Verdict:
        chance = self._chance.random()
        is_move = code == NV_EXTEND and _names_the_ring(self._world.bus.commands[-1])
        if code == NV_CERTIFY:
            self._world.use_satisfied_sessions()
        if is_move and self._chance.random() < 0.4:
            self._world.satisfy_a_session()
        if (is_move or code == UNSEAL) and chance < self._kills:
            self._world.kill()
            return Verdict(fault=self._chance.choice((Fault.LOSE_COMMAND, Fault.LOSE_ANSWER)))
        if self._chance.random() < (_HARM_TO_A_MOVE if is_move else _HARM):
            return self._harm()
        return FINE

    def _harm(self) -> Verdict:
        match self._chance.randrange(3):
            case 0:
                code = self._chance.choice(_CODES)
                self._world.tally.faults[f"{code:#x}"] += 1
                return Verdict(refuse=code)
            case 1:
                fault = self._chance.choice(_LOSSES)
                self._world.tally.faults[fault.name.lower()] += 1
                return Verdict(fault=fault)
            case _:
                self._world.tally.faults["garbled"] += 1
                return Verdict(forge=self._garbled())

    def _garbled(self) -> Callable[[bytes], bytes]:
        noise, cut = self._chance.randbytes(64), self._chance.randrange(0, 40)
        return self._chance.choice((lambda answer: answer[:cut], lambda _answer: noise, lambda answer: answer[::-1]))


class AttackWorld:
    """One box under attack. Files below one folder.

    Args:
        mutant: the scheme that it has in place of the product's, by its name in attack_mutants.py.
        kills: how often the process is killed where most is at stake: at the trial of a new ring, and at the move.
    """

    def __init__(self, folder: Path, *, seed: int, mutant: str = "", kills: float = 0.03) -> None:
        self.tally = Tally()
        self._kills = kills
        self._folder = folder
        self._seed = seed
        self._mutant = mutant
        self._chance = random.Random(seed)
        self._lives = TappedLives(folder)
        self._stack = ExitStack()
        self._read = 0
        self._records: list[Record] = []
        self._rings: list[bytes] = []
        self._wraps: dict[CallId, set[tuple[str, bytes]]] = {}
        self._satisfied: list[tuple[bytes, Callable[[], RingContents | None]]] = []
        self._got_late: list[RingContents] = []

    def __enter__(self) -> Self:
        (self._folder / DISK).mkdir()
        with ExitStack() as stack:
            run = Path(stack.enter_context(TemporaryDirectory(prefix="lk-")))
            self._run = run / "bus"
            self.chip = stack.enter_context(SoftwareTpm(self._folder / "tpm", run / "chip"))
            self.bus = stack.enter_context(FaultyTpm(self.chip, self._run))
            lead_to_the_bus(self._run)
            stack.enter_context(self._lives)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def begin(self) -> None:
        """The first start, in peace."""
        self._live(Life(seed=self._seed * 100_000, steps=12, change=self._mutant))

    def live(self, steps: int) -> None:
        """So many acts under attack, with a kill somewhere in one of two lives; then a start in peace."""
        self.tally.lives += 1
        life_seed = self._seed * 100_000 + 2 * self.tally.lives
        kill = DiskFault.KILL if self._chance.random() < 0.3 else DiskFault.NONE
        self.bus.rule = _Harm(self, life_seed, self._kills)
        self._live(
            Life(
                seed=life_seed,
                steps=steps,
                fault=kill,
                at=self._chance.randrange(1, 2500),
                change=self._mutant,
                seal_anew=3,
            )
        )
        self.bus.rule = lambda _code: FINE
        self._live(Life(seed=life_seed + 1, steps=0, change=self._mutant))

    def outrage(self, outrage: Outrage) -> None:
        """Do it, see the product refuse, and bring it back by a restart or by the words of its recovery key."""
        self.tally.outrages[outrage.value] += 1
        refused_before = self.tally.refused
        _COMMIT[outrage](self.chip)
        seed = self._seed * 100_000 + 50_000 + 2 * sum(self.tally.outrages.values())
        self._live(Life(seed=seed, steps=0, change=self._mutant))
        if self.tally.refused == refused_before:
            raise AssertionError(f"{outrage.value}, and the box has started as if nothing were.")
        self.rob(newest=4)
        if outrage is Outrage.REDEFINE:
            _take_the_index_away(self.chip)  # as a technician does; keys and owner are the same still
        if outrage is Outrage.REGISTER:
            self.chip.power_cut()
        self._live(Life(seed=seed + 1, steps=0, change=self._mutant, recover=outrage is not Outrage.REGISTER))

    def rob(self, newest: int | None = None) -> list[str]:
        """Forgotten calls whose key the thief has got, from the newest rings or all."""
        self._read_trace()
        promises = Promises(self._records)
        got = [contents for contents in self._opened(newest) if contents is not None]
        forgotten = promises.forgotten
        self.tally.forgotten, self.tally.kept = len(forgotten), len(promises.kept.keys() - forgotten)
        buckets = {str(name): bucket.key for contents in got for name, bucket in contents.buckets.items()}
        return [call for call in sorted(forgotten) if self._has_key_of(call, promises.keys[call], buckets)]

    def broken(self) -> list[str]:
        """Promises that do not hold, on a copy of the disk and of the TPM."""
        self._read_trace()
        with TemporaryDirectory(dir=self._folder) as folder, TemporaryDirectory(prefix="lk-") as run:
            shutil.copytree(self._folder / DISK, Path(folder) / DISK)
            shutil.copytree(self._folder / "tpm", Path(folder) / "tpm")
            with SoftwareTpm(Path(folder) / "tpm", Path(run)), cheap_passwords(), apply_change(self._mutant):
                return broken_promises(Promises(self._records), Path(folder) / DISK, Path(run))

    # for the rule of the bus

    def satisfy_a_session(self) -> None:
        """At the very moment before the state moves on: a policy session, satisfied, to be used afterwards."""
        self._read_trace()
        for version in self._rings[-3:]:
            with suppress(tss.TSS2_Exception):
                open_later = RingThief(self.chip.tcti).satisfy_now(version)
                self._satisfied.append((self._state(), open_later))
                self.tally.stale_sessions += 1

    def use_satisfied_sessions(self) -> None:
        """Those whose moment has passed, as the product is about to sign that it has."""
        with suppress(tss.TSS2_Exception):
            now = self._state()
            for state, open_later in self._satisfied:
                if state != now:
                    self.tally.tries += 1
                    got = open_later()
                    self._got_late += [got] if got else []
            self._satisfied = [(state, open_later) for state, open_later in self._satisfied if state == now]

    def kill(self) -> None:
        """End the life that speaks on the bus."""
        last = max(at for at, record in enumerate(self._read_trace()) if told(record).get("told") == "born")
        with suppress(ProcessLookupError):
            os.kill(told(self._records[last])["process"], signal.SIGKILL)

    def _live(self, life: Life) -> None:
        before = len(self._records)
        ending = self._lives.live(life, self._folder, self._run)
        self.tally.killed += ending == "killed"
        new = [told(record)["told"] for record in self._read_trace()[before:] if record.kind is Kind.TOLD]
        self.tally.refused += new.count("refused")
        self.tally.operations += sum(new.count(kind) for kind in ("issued", "written", "asked", "started"))

    def _opened(self, newest: int | None) -> Iterator[RingContents | None]:
        self.use_satisfied_sessions()
        yield from self._got_late
        try:
            thief = RingThief(self.chip.tcti)
        except tss.TSS2_Exception:
            return  # there is neither key nor index any more
        for version in self._rings[-newest if newest else None :]:
            self.tally.tries += 1
            with suppress(tss.TSS2_Exception):
                yield thief.open(version)
        thief.close()

    def _state(self) -> bytes:
        with tss.ESAPI(self.chip.tcti) as esys:
            index = esys.tr_from_tpmpublic(RING_INDEX_HANDLE)
            return bytes(esys.nv_read(index, 32, auth_handle=index))

    def _has_key_of(self, call: CallId, key: str, buckets: dict[str, bytes]) -> bool:
        for bucket, wrapped in self._wraps.get(call, ()):
            if bucket in buckets:
                with suppress(KeyTrouble):
                    if digest(unwrap_key(buckets[bucket], call, bucket, wrapped)) == key:
                        return True
        return False

    def _read_trace(self) -> list[Record]:
        if (self._folder / TRACE).exists():
            self._records = read_trace(self._folder / TRACE)
            for record in self._records[self._read :]:
                if record.kind is Kind.WRITTEN:
                    self._keep(record.first)
            self._read = len(self._records)
        return self._records

    def _keep(self, written: bytes) -> None:
        with suppress(RingDamaged):
            parse_ring(written)
            if written not in self._rings[-4:]:
                self._rings.append(written)
                self.tally.rings += 1
        for call, bucket, wrapped in _WRAP.findall(written):
            before = self._wraps.setdefault(CallId(call.decode()), set())
            self.tally.wraps += (bucket.decode(), wrapped) not in before
            before.add((bucket.decode(), wrapped))


def _names_the_ring(command: bytes) -> bool:
    return RING_INDEX_HANDLE.to_bytes(4, "big") in command[:18]


def _extend_a_register(chip: SoftwareTpm) -> None:
    with tss.ESAPI(chip.tcti) as esys:
        digest = tss.TPMT_HA(hashAlg=tss.TPM2_ALG.SHA256, digest=tss.TPMU_HA(sha256=b"x" * 32))
        esys.pcr_extend(tss.ESYS_TR.PCR7, tss.TPML_DIGEST_VALUES([digest]))


def _extend_the_index(chip: SoftwareTpm) -> None:
    with tss.ESAPI(chip.tcti) as esys:
        index = esys.tr_from_tpmpublic(RING_INDEX_HANDLE)
        esys.nv_extend(index, b"x" * 32, auth_handle=index)


def _redefine_the_index(chip: SoftwareTpm) -> None:
    chip.power_cut()  # and be there before the product shuts the platform hierarchy
    with tss.ESAPI(chip.tcti) as esys:
        index = esys.tr_from_tpmpublic(RING_INDEX_HANDLE)
        public, _name = esys.nv_read_public(index)
        esys.nv_undefine_space(index, auth_handle=tss.ESYS_TR.PLATFORM)
        public.nvPublic.attributes = (public.nvPublic.attributes & ~tss.TPMA_NV.WRITTEN) | tss.TPMA_NV.PLATFORMCREATE
        esys.nv_define_space(b"", public, auth_handle=tss.ESYS_TR.PLATFORM)


def _take_the_index_away(chip: SoftwareTpm) -> None:
    chip.power_cut()
    with tss.ESAPI(chip.tcti) as esys:
        esys.nv_undefine_space(esys.tr_from_tpmpublic(RING_INDEX_HANDLE), auth_handle=tss.ESYS_TR.PLATFORM)


def _clear(chip: SoftwareTpm) -> None:
    chip.power_cut()
    with tss.ESAPI(chip.tcti) as esys:
        esys.clear(tss.ESYS_TR.PLATFORM)


_COMMIT: dict[Outrage, Callable[[SoftwareTpm], None]] = {
    Outrage.REGISTER: _extend_a_register,
    Outrage.EXTEND: _extend_the_index,
    Outrage.REDEFINE: _redefine_the_index,
    Outrage.CLEAR: _clear,
}
