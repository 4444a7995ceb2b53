"""Hands out what proves a call, a line's whole day, or a deletion: all of an export but its audio and its report.

Whoever may hear calls may export them. An export is journalled before anything goes out, and its last statement says
what was in it: a call that is taken out afterwards is missed. A receipt speaks for itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from appliance.audit.events import Act
from appliance.audit.journal import Journal
from appliance.boundary import verbs
from appliance.clock import Clock
from appliance.recordings.sealing import open_evidence
from appliance.terms import CallId, DamagedRecording, KeyForgotten, LineName, NotAllowed, StorageTrouble
from appliance.vault.accounts import Visitor
from appliance.vault.call_keys import CallKeys
from appliance.vault.catalogue import CallState, Catalogue
from appliance.vault.evidence import verifier
from appliance.vault.evidence.day_book import KEPT, DayBook
from appliance.vault.evidence.how_to_verify import HOW_TO_VERIFY
from appliance.vault.evidence.identity import chain_of
from appliance.vault.evidence.notary import Notary
from appliance.vault.evidence.statements import ACCESS_LOG, access_facts
from appliance.vault.evidence.verifier import NotProven, SignedStatement
from appliance.vault.playback import Playback
from appliance.vault.retention.erasure_book import ErasureBook
from appliance.vault.retention.receipt import Erasure, ErasureId
from appliance.vault.rights import Right


class NotSigned(NotAllowed):
    def __init__(self) -> None:
        super().__init__(
            "Nothing is signed about this call yet. A call that has just ended is signed within a minute; one from "
            "before the box signed its recordings has no evidence."
        )


class DayNotOver(NotAllowed):
    def __init__(self) -> None:
        super().__init__(
            "The day of this call is not over, so it is not signed yet. Export the call by itself, or wait."
        )


class NoReceipt(StorageTrouble):
    def __init__(self) -> None:
        super().__init__(
            "There is no such receipt, or not yet: the TPM signs it as soon as it can after the keys are forgotten."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Signed:
    """A signed statement and what it says."""

    signed: SignedStatement
    facts: Mapping[str, Any]


class EvidenceDesk:
    """Safe for use by several threads. `identity`: the folder of the box's certificates."""

    def __init__(
        self,
        *,
        book: DayBook,
        catalogue: Catalogue,
        erasures: ErasureBook,
        call_keys: CallKeys,
        journal: Journal,
        playback: Playback,
        notary: Notary,
        clock: Clock,
        identity: Path,
    ) -> None:
        self._book = book
        self._catalogue = catalogue
        self._erasures = erasures
        self._call_keys = call_keys
        self._journal = journal
        self._playback = playback
        self._notary = notary
        self._clock = clock
        self._identity = identity

    def about(self, call: CallId) -> verbs.Evidence:
        """What a call's page says of its evidence."""
        root = self._notary.chain.root_fingerprint
        try:
            facts = self._statement(call).facts
        except (NotSigned, DamagedRecording, KeyForgotten):
            return verbs.Evidence(root=root)
        line, day = LineName(facts["line"]), facts["day"]
        is_over = self._book.signed_day(line, day) is not None
        return verbs.Evidence(root=root, is_signed=True, day=day, number=facts["number"], day_is_signed=is_over)

    def export(self, visitor: Visitor, request: verbs.ExportEvidence) -> verbs.ExportedEvidence:
        """Raises NotAllowed, NoSuchCall, NothingRecorded, NotSigned, DayNotOver, TooManyOpenings, KeyTrouble."""
        visitor.require(Right.HEAR_CALLS)
        self._playback.must_be_recorded(request.call)
        asked = self._statement(request.call)
        day = self._day(LineName(asked.facts["line"]), asked.facts["day"])
        chosen = {request.call: asked}
        if request.whole_day:
            if day is None:
                raise DayNotOver
            chosen = self._kept_of(day)
        scope = "day" if request.whole_day else "call"
        self._playback.note_export(visitor, [*chosen], scope=scope)
        named = {verifier.ACCESS_LOG: self._access_log(visitor, scope, chosen, day)}
        if day is not None:
            named[verifier.DAY] = day.signed
            named |= self._receipts(day, chosen) if request.whole_day else {}
        files = _explaining()
        files |= self._certificates([*named.values(), *(each.signed for each in chosen.values())])
        for name, signed in named.items():
            files |= _parts(name, signed)
        calls = tuple(_exported(call, each.facts) for call, each in chosen.items())
        return verbs.ExportedEvidence(line=asked.facts["line"], day=asked.facts["day"], calls=calls, files=files)

    def read_statement(self, visitor: Visitor, call: CallId) -> verbs.SignedStatement:
        """Raises NotAllowed, NoSuchCall, NothingRecorded, NotSigned, TooManyOpenings."""
        self._playback.note_reading(visitor, call)
        signed = self._statement(call).signed
        return verbs.SignedStatement(statement=signed.statement, attest=signed.attest, signature=signed.signature)

    def erasures(self, visitor: Visitor, request: verbs.ListErasures) -> verbs.ErasurePage:
        """Raises NotAllowed."""
        visitor.require(Right.SEE_ERASURES)
        before = None
        if request.before_ms is not None and request.before_erasure is not None:
            before = (request.before_ms, request.before_erasure)
        found = self._erasures.page(limit=request.limit + 1, before=before)
        facts = tuple(_erasure_facts(erasure, is_signed=is_signed) for erasure, is_signed in found[: request.limit])
        return verbs.ErasurePage(erasures=facts, more=len(found) > request.limit)

    def export_receipt(self, visitor: Visitor, request: verbs.ExportReceipt) -> verbs.ExportedReceipt:
        """Raises NotAllowed, NoReceipt."""
        visitor.require(Right.SEE_ERASURES)
        receipt = self._erasures.receipt(ErasureId(request.erasure))
        if receipt is None:
            raise NoReceipt
        signed = _opened(receipt).signed
        self._journal.append(Act.RECEIPT_EXPORTED, by=visitor.account, notes={"erasure": request.erasure})
        files = _parts(f"receipts/{request.erasure}", signed) | _explaining() | self._certificates([signed])
        return verbs.ExportedReceipt(files=files)

    def _access_log(
        self, visitor: Visitor, scope: str, chosen: Mapping[CallId, _Signed], day: _Signed | None
    ) -> SignedStatement:
        facts = access_facts(
            scope=scope,
            calls=[*chosen],
            day_sha256=hashlib.sha256(day.signed.statement).hexdigest() if day else None,
            verifier_sha256=hashlib.sha256(_program()).hexdigest(),
            by=visitor.account,
            at_ms=self._clock.now_ms(),
            entries=self._journal.entries_about([*chosen]),
        )
        return self._notary.sign(ACCESS_LOG, facts)

    def _statement(self, call: CallId) -> _Signed:
        sealed = self._book.sealed_statement(call)
        if sealed is None:
            raise NotSigned
        return _opened(open_evidence(self._call_keys.key_of(call), call, sealed))

    def _day(self, line: LineName, day: str) -> _Signed | None:
        signed = self._book.signed_day(line, day)
        return None if signed is None else _opened(signed)

    def _kept_of(self, day: _Signed) -> dict[CallId, _Signed]:
        """The calls of a day that are still here, by their numbers. One that cannot be opened the verifier misses."""
        found: dict[CallId, _Signed] = {}
        for counted in day.facts["calls"]:
            row = self._catalogue.find(CallId(counted["call"]))
            if row is None or row.state is not CallState.KEPT:
                continue
            try:
                found[row.call_id] = self._statement(row.call_id)
            except (NotSigned, DamagedRecording, KeyForgotten):
                continue
        return found

    def _receipts(self, day: _Signed, here: Iterable[CallId]) -> dict[str, SignedStatement]:
        kept = {CallId(call["call"]) for call in day.facts["calls"] if call["outcome"] in KEPT}
        receipts = self._erasures.receipts_about(kept - set(here))
        return {f"receipts/{name}": _opened(receipt).signed for name, receipt in receipts.items()}

    def _certificates(self, signed: Sequence[SignedStatement]) -> dict[str, bytes]:
        """Of today's TPM, and of each former one that has signed something of this."""
        today = self._notary.chain
        files = {"device.pem": today.device_pem, "root.pem": today.root_pem}
        roots = {str(msgspec.json.decode(each.statement)["box"]) for each in signed} - {today.root_fingerprint}
        for root in roots:
            former = chain_of(self._identity, root)
            files[f"former/{root[:16]}/device.pem"] = former.device_pem
            files[f"former/{root[:16]}/root.pem"] = former.root_pem
        return files


def _explaining() -> dict[str, bytes]:
    return {"verify.py": _program(), "HOW-TO-VERIFY.txt": HOW_TO_VERIFY.encode()}


def _program() -> bytes:
    return Path(verifier.__file__).read_bytes()


def _opened(signed_json: bytes) -> _Signed:
    try:
        signed = verifier.signed_statement(msgspec.json.decode(signed_json))
        return _Signed(signed=signed, facts=msgspec.json.decode(signed.statement, type=dict[str, Any]))
    except (NotProven, msgspec.MsgspecError) as error:
        raise DamagedRecording("What was signed about this call cannot be read; its audio may be good.") from error


def _parts(name: str, signed: SignedStatement) -> dict[str, bytes]:
    return {f"{name}.json": signed.statement, f"{name}.attest": signed.attest, f"{name}.sig": signed.signature}


def _erasure_facts(erasure: Erasure, *, is_signed: bool) -> verbs.ErasureFacts:
    return verbs.ErasureFacts(
        erasure=erasure.erasure_id,
        asked_at_ms=erasure.asked_at_ms,
        done_at_ms=erasure.done_at_ms or 0,
        why=erasure.why,
        calls=erasure.count,
        is_signed=is_signed,
    )


def _exported(call: CallId, facts: Mapping[str, Any]) -> verbs.ExportedCall:
    folder = f"{facts['line']}_{facts['day']}_{facts['number']:04}"
    return verbs.ExportedCall(call=call, folder=folder, audio_bytes=facts["closing"]["audio_bytes"])
