"""Signed heads of the journal: how many entries there are and what the last one is, again and again.

Promise: whoever cuts the journal's tail, with or without the heads' file, cannot make the TPM's journal index fit what
is left; and a cut of the power at any step is made good before the next head. The format, and why, is in
journal_verifier.py; when heads are signed is left to others.

The steps of one head, and what a cut after each leaves:

    1. its statement is written and synced   the index is as before it: step 2 is done
    2. the index is extended                 the index is as after it: step 3 is done
    3. the TPM signs, the signature is written

An extend counts when the TPM shows the expected value, as with the ring. If the index is neither as before nor as after
the last statement, heads were cut off, or somebody else has extended it: the journal is told, the next head says so,
and everything else goes on. A TPM takes up to a second for each step: never where a caller waits.
"""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.audit.events import Act
from appliance.audit.journal import Journal
from appliance.clock import Clock
from appliance.recordings.disk import storage_errors, sync_folder, write_all
from appliance.terms import KeyTrouble
from appliance.vault.evidence.journal_verifier import KIND, Head, HeadFacts, index_after, read_heads
from appliance.vault.evidence.notary import Anchor, Notary
from appliance.vault.evidence.verifier import NotProven, SignedStatement
from appliance.vault.tpm import Tpm

_TAIL_BYTES = 16 * 1024
"""The last head and more: a statement is 600 bytes, a signature 500."""

_EXTEND_TRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedHead:
    """
    number: of the last entry it covers.
    journal_bytes, heads_bytes: the journal up to that entry, and the heads' file up to this head's signature.
    """

    number: int
    journal_bytes: int
    heads_bytes: int


class JournalHeads:
    """The heads' file of this box. Safe for use by several threads; one head at a time.

    Raises StorageTrouble, DiskFull: the file cannot be opened. The TPM is not asked before the first head.
    """

    def __init__(self, path: Path, *, journal: Journal, tpm: Tpm, notary: Notary, clock: Clock, log: Any) -> None:
        self.path = path
        self._journal = journal
        self._tpm = tpm
        self._notary = notary
        self._clock = clock
        self._log = log
        self._lock = threading.Lock()
        self._told_broken = False
        with storage_errors("the journal's heads are opened"):
            self._put_aside_another_boxes()
            path.touch(mode=0o600)
            sync_folder(path.parent)
            self._drop_torn_line()

    def sign(self, last_act: Act | None = None, *, by: str = "vault") -> SignedHead:
        """Have the present head signed; with an act, that one is written first and is the last that it covers.

        Raises KeyTrouble, StorageTrouble: what was begun is made good with the next head.
        """
        with self._lock, storage_errors("a head of the journal is signed"):
            last, before, is_broken = self._settle()
            place = self._journal.head if last_act is None else self._journal.append(last_act, by=by)
            statement = self._notary.statement(
                KIND,
                {
                    "head": self._number_of(last) + 1,
                    "number": place.number,
                    "entry": place.hash,
                    "at_ms": self._clock.now_ms(),
                    "previous_head": last.digest.hex() if last else "",
                    "index_before": before.hex(),
                    "broken": int(is_broken),
                },
            )
            head = Head(statement=statement)
            self._append({"statement": statement.decode()})
            self._extend(head, before)
            self._sign(head)
            self._told_broken = False
            return SignedHead(number=place.number, journal_bytes=place.end_bytes, heads_bytes=self.path.stat().st_size)

    def seen(self) -> tuple[bytes, bytes]:
        """The heads' file and the TPM's journal index, of one moment. Raises KeyTrouble, StorageTrouble."""
        with self._lock, storage_errors("the journal's heads are read"):
            return self.path.read_bytes(), self._tpm.journal_state()

    def _settle(self) -> tuple[Head | None, bytes, bool]:
        """Finish what was cut. Returns the last head, the index as it is, and whether the two do not fit."""
        state = self._tpm.journal_state()
        last = self._last()
        if last is None:
            return None, state, self._begin(state)
        facts = _facts_or_none(last)
        if facts is None:
            self._tell_broken()
            return last, state, True
        after = index_after(facts.index_before, last.digest)
        if last.signature is None and state == facts.index_before:
            self._extend(last, state)
            state = after
        if state != after or facts.number > self._journal.head.number:
            self._tell_broken()
            return last, state, True
        if last.signature is None:
            self._sign(last)
        return last, state, False

    def _begin(self, state: bytes) -> bool:
        """The first head; the journal keeps where the index began, so that no later head passes for the first."""
        begun, box = self._journal.last(Act.JOURNAL_HEADS_BEGUN), self._notary.chain.root_fingerprint
        if begun is None or begun.notes.get("box") != box:
            self._journal.append(Act.JOURNAL_HEADS_BEGUN, by="vault", notes={"box": box, "index": state.hex()})
            return False
        if begun.notes.get("index") == state.hex():
            return False
        self._tell_broken()
        return True

    def _number_of(self, last: Head | None) -> int:
        facts = None if last is None else _facts_or_none(last)
        return len(read_heads(self.path.read_bytes().split(b"\n")[:-1], [])) if facts is None else facts.head

    def _tell_broken(self) -> None:
        self._log.error("journal_heads_broken")
        if not self._told_broken:
            self._journal.append(Act.JOURNAL_HEADS_BROKEN, by="vault")
            self._told_broken = True

    def _extend(self, head: Head, before: bytes) -> None:
        """Extend the index, and believe only the value that the TPM shows afterwards."""
        after = index_after(before, head.digest)
        trouble = KeyTrouble("The TPM does not take the journal's head. Nothing is lost; it is tried again.")
        for attempt in range(_EXTEND_TRIES):
            if attempt:
                # A command held back on the bus must not come after this one.
                self._tpm.flush_sessions()
            try:
                self._tpm.extend_journal(head.digest)
            except KeyTrouble as error:
                trouble = error
            state = self._tpm.journal_state()
            if state == after:
                return
            if state != before:
                raise KeyTrouble("The TPM's journal index was extended by somebody else. Nothing is lost.")
        raise trouble

    def _sign(self, head: Head) -> None:
        signed = self._notary.sign_statement(head.statement, anchor=Anchor.JOURNAL)
        self._check(head, signed)
        parts = signed.as_json()
        self._append({name: parts[name] for name in ("attest", "signature")})

    def _check(self, head: Head, signed: SignedStatement) -> None:
        attested = self._notary.chain.check(signed).attested
        if attested.state != index_after(head.facts().index_before, head.digest):
            raise KeyTrouble("The TPM's journal index was extended by somebody else. Nothing is lost.")

    def _last(self) -> Head | None:
        lines = self._tail().split(b"\n")[:-1]
        heads = read_heads(lines, [])
        return heads[-1] if heads else None

    def _tail(self) -> bytes:
        size = self.path.stat().st_size
        with self.path.open("rb") as file:
            file.seek(max(0, size - _TAIL_BYTES))
            return file.read()

    def _append(self, record: dict[str, str]) -> None:
        self._drop_torn_line()
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            write_all(descriptor, json.dumps(record).encode() + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _drop_torn_line(self) -> None:
        torn = len(self._tail().rpartition(b"\n")[2])
        if torn:
            os.truncate(self.path, self.path.stat().st_size - torn)

    def _put_aside_another_boxes(self) -> None:
        """Heads that another TPM signed, before a recovery, stay true; ours begin anew."""
        if not self.path.exists():
            return
        last = self._last()
        if last is None:
            return
        facts = _facts_or_none(last)
        if facts is not None and facts.box != self._notary.chain.root_fingerprint:
            self.path.rename(self.path.with_name(f"heads-{facts.box[:16]}.jsonl"))
            sync_folder(self.path.parent)


def _facts_or_none(head: Head) -> HeadFacts | None:
    try:
        return head.facts()
    except NotProven:
        return None
