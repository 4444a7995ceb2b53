"""A vault without keys: answers the web page's verbs on a real socket from a few made-up calls.

Promises: the boundary's own listener, messages and refusals, so that what passes here passes there. Its knobs
are its public fields. It checks logins and nothing else; what the real vault decides is tested with the real one.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_urlsafe

import msgspec
import numpy as np
from numpy.typing import NDArray
from shamir_mnemonic.wordlist import WORDLIST

from appliance.boundary import verbs
from appliance.boundary.peer import Handler, Listener
from appliance.recordings.encoder import OpusPages
from appliance.terms import RATE_HZ, AccountId, CallId, LinekeepError, LineName

CODE = "KEEP-1234"
OWNER, PASSWORD = "Anna Becker", "three quiet words"
NOW_MS = int(datetime(2026, 11, 22, 13, 5, tzinfo=UTC).timestamp() * 1000)
"""When the box is looked at: five past two on a Sunday afternoon in Berlin."""

KEEP_S = 30 * 86_400
BIG_ENOUGH_BYTES = 40 * 2**30
COLUMNS = 800
SIGNED = verbs.Evidence(root="0f" * 32, is_signed=True, day="2026-11-22", number=3, day_is_signed=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class StubCall:
    facts: verbs.CallFacts
    audio: bytes
    frames: int
    peaks: bytes = b""
    gaps: tuple[tuple[int, int, str], ...] = ()
    ground: str = "Agreed <in writing>"
    consent_by: str = ""
    consent_at_ms: int = 0
    channels: int = 1
    evidence: verbs.Evidence = SIGNED
    hold_reason: str = ""
    held_since_ms: int = 0


def trouble(kind: str, sentence: str = "No.", **facts: str | int) -> LinekeepError:
    """A trouble of any kind, as the vault would raise it."""
    made: type[LinekeepError] = type(kind, (LinekeepError,), {"facts": facts})
    return made(sentence)


class VaultStub:
    """
    Fields:
        claimed: whether there is an owner. The owner is OWNER with PASSWORD; the claim code is CODE.
        calls: what is kept, by id.
        now: what AskNow answers.
        erasures, erased: what has been deleted, and what the next deletion is answered with.
        acts, journal: what stands in the journal, the last act first, and the files of its export.
        troubles: verb -> what it is refused with, whatever it asks.
        asked: every request that arrived, in order.
    """

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self.reset()
        self._listener = self._listen()

    def reset(self) -> None:
        """As new: claimed, quiet, without a call or a login."""
        self.claimed = True
        self.pin: str | None = None
        """What the box is locked with; None once it is unlocked."""
        self.has_pin = False
        self.calls: dict[CallId, StubCall] = {}
        self.now = quiet_box("front-desk")
        self.erasures: list[verbs.ErasureFacts] = []
        self.erased = verbs.Erased(erasure="e0" * 8, is_signed=True)
        self.acts: list[verbs.ActFacts] = []
        self.journal = {"journal.jsonl": b"{}\n" * 700_000, "heads.jsonl": b"{}\n"}
        self.recovery = verbs.RecoveryState(choice=verbs.RecoveryChoice.OPEN)
        self.troubles: dict[type[verbs.Request], LinekeepError] = {}
        self.asked: list[verbs.Request] = []
        self.faults: list[BaseException] = []
        self._logins: set[str] = set()

    def keep(self, *calls: StubCall) -> None:
        self.calls |= {call.facts.call: call for call in calls}

    def start(self) -> None:
        self._listener.start()

    def stop(self) -> None:
        self._listener.stop()

    def restart(self) -> None:
        """End every connection, as a restarted or long idle vault does, and listen again."""
        self.stop()
        self._listener = self._listen()
        self.start()

    def new_login(self) -> str:
        login = token_urlsafe(32)
        self._logins.add(login)
        return login

    def end_logins(self) -> None:
        self._logins.clear()

    def requests(self, verb: type[verbs.Request]) -> list[verbs.Request]:
        return [request for request in self.asked if type(request) is verb]

    def _listen(self) -> Listener:
        return Listener(self._socket, verbs.WEBUI, os.geteuid(), self._handlers(), self._note_fault)

    def _note_fault(self, fault: BaseException) -> None:
        self.faults.append(fault)

    def _handlers(self) -> dict[type[verbs.Request], Handler]:
        return {
            verbs.Unlock: self._noted(self._answer_unlock),
            verbs.AskClaimed: self._noted(lambda _: verbs.Claimed(claimed=self.claimed)),
            verbs.Claim: self._noted(self._answer_claim),
            verbs.LogIn: self._noted(self._answer_log_in),
            verbs.LogOut: self._noted(self._answer_log_out),
            verbs.AskWho: self._noted(self._for_logged_in(_answer_who)),
            verbs.ChangePassword: self._noted(self._for_logged_in(self._answer_change_password)),
            verbs.AskPin: self._noted(self._for_logged_in(lambda _: verbs.PinState(is_set=self.has_pin))),
            verbs.ChoosePin: self._noted(self._for_logged_in(self._answer_choose_pin)),
            verbs.ListCalls: self._noted(self._for_logged_in(self._answer_list)),
            verbs.OpenCall: self._noted(self._for_logged_in(self._answer_open)),
            verbs.Read: self._noted(self._for_logged_in(self._answer_read)),
            verbs.ExportEvidence: self._noted(self._for_logged_in(self._answer_export)),
            verbs.ReadStatement: self._noted(self._for_logged_in(self._answer_statement)),
            verbs.EraseCall: self._noted(self._for_logged_in(self._answer_erase)),
            verbs.HoldCall: self._noted(self._for_logged_in(self._answer_hold)),
            verbs.LiftHold: self._noted(self._for_logged_in(self._answer_lift)),
            verbs.DismissKeep: self._noted(self._for_logged_in(self._answer_dismiss)),
            verbs.ListErasures: self._noted(self._for_logged_in(self._answer_list_erasures)),
            verbs.ExportReceipt: self._noted(self._for_logged_in(self._answer_export_receipt)),
            verbs.ListActs: self._noted(self._for_logged_in(self._answer_list_acts)),
            verbs.ExportJournal: self._noted(self._for_logged_in(self._answer_export_journal)),
            verbs.ReadJournal: self._noted(self._for_logged_in(self._answer_read_journal)),
            verbs.AskRecovery: self._noted(self._for_logged_in(lambda _: self.recovery)),
            verbs.BeginRecovery: self._noted(self._for_logged_in(self._answer_begin_recovery)),
            verbs.ConfirmRecovery: self._noted(self._for_logged_in(self._answer_confirm_recovery)),
            verbs.DeclineRecovery: self._noted(self._for_logged_in(self._answer_decline_recovery)),
            verbs.AskNow: self._noted(self._for_logged_in(lambda _: self.now)),
            verbs.OrderLine: self._noted(self._for_logged_in(lambda _: verbs.Done())),
            verbs.AcknowledgeOpenings: self._noted(self._for_logged_in(self._answer_acknowledge)),
        }

    def _noted(self, answer: Handler) -> Handler:
        def note_and_answer(request: verbs.Request) -> verbs.Answer:
            self.asked.append(request)
            if type(request) in self.troubles:
                raise self.troubles[type(request)]
            if self.pin is not None and type(request) is not verbs.Unlock:
                raise trouble("PinNeeded")
            return answer(request)

        return note_and_answer

    def _for_logged_in(self, answer: Handler) -> Handler:
        def check_and_answer(request: verbs.AskWho) -> verbs.Answer:
            if request.login not in self._logins:
                raise trouble("LoginEnded")
            return answer(request)

        return check_and_answer

    def _answer_unlock(self, request: verbs.Unlock) -> verbs.Answer:
        if self.pin not in (None, request.pin):
            raise trouble("PinWrong")
        self.pin = None
        return verbs.Done()

    def _answer_claim(self, request: verbs.Claim) -> verbs.Answer:
        if self.claimed:
            raise trouble("AlreadyClaimed")
        if request.code.upper() != CODE:
            raise trouble("WrongCode")
        if len(request.password) < 10:
            raise trouble("PasswordTooShort", min_length=10)
        self.claimed = True
        return self._logged_in()

    def _answer_log_in(self, request: verbs.LogIn) -> verbs.Answer:
        if (request.name, request.password) != (OWNER, PASSWORD):
            raise trouble("WrongLogin")
        return self._logged_in()

    def _logged_in(self) -> verbs.LoggedIn:
        return verbs.LoggedIn(login=self.new_login(), ends_at_ms=2**50)

    def _answer_log_out(self, request: verbs.LogOut) -> verbs.Answer:
        self._logins.discard(request.login)
        return verbs.Done()

    def _answer_change_password(self, request: verbs.ChangePassword) -> verbs.Answer:
        if len(request.fresh) < 10:
            raise trouble("PasswordTooShort", min_length=10)
        if request.password != PASSWORD:
            raise trouble("WrongPassword")
        self._logins.clear()
        return verbs.LoggedIn(login=self.new_login(), ends_at_ms=2**50)

    def _answer_choose_pin(self, request: verbs.ChoosePin) -> verbs.Answer:
        if request.password != PASSWORD:
            raise trouble("WrongPassword")
        self.has_pin = request.pin is not None
        return verbs.Done()

    def _answer_list(self, request: verbs.ListCalls) -> verbs.Answer:
        found = sorted(
            (call.facts for call in self.calls.values() if _fits(call.facts, request)), key=_order, reverse=True
        )
        return verbs.CallPage(calls=tuple(found[: request.limit]), more=len(found) > request.limit)

    def _answer_open(self, request: verbs.OpenCall) -> verbs.Answer:
        call = self._find(request.call)
        return verbs.OpenedCall(
            facts=call.facts,
            audio_bytes=len(call.audio),
            frames=call.frames,
            peaks=call.peaks,
            gaps=call.gaps,
            ground=call.ground,
            consent_by=call.consent_by,
            consent_at_ms=call.consent_at_ms,
            channels=call.channels,
            evidence=call.evidence,
            hold_reason=call.hold_reason,
            held_since_ms=call.held_since_ms,
        )

    def _answer_read(self, request: verbs.Read) -> verbs.Answer:
        audio = self._find(request.call).audio
        piece = audio[request.offset : request.offset + request.length]
        return verbs.ReadBytes(audio=piece, total_bytes=len(audio))

    def _answer_export(self, request: verbs.ExportEvidence) -> verbs.Answer:
        asked = self._find(request.call)
        chosen = [*self.calls.values()] if request.whole_day else [asked]
        log = {
            "box": asked.evidence.root,
            "scope": "day" if request.whole_day else "call",
            "exported_at_ms": NOW_MS,
            "entries": [
                {"at_ms": NOW_MS, "act": act, "by": by, "call": request.call, "number": 7}
                for act, by in (("call:kept", "vault"), ("call:opened", "0123456789abcdef"), ("something:new", "x"))
            ],
        }
        files = {"verify.py": b"print()", "access-log.json": msgspec.json.encode(log)}
        if asked.evidence.day_is_signed:
            files["day.json"] = msgspec.json.encode(_stated_day(chosen))
        return verbs.ExportedEvidence(
            line=asked.facts.line,
            day=asked.evidence.day,
            calls=tuple(
                verbs.ExportedCall(call=call.facts.call, folder=f"call-{nth}", audio_bytes=len(call.audio))
                for nth, call in enumerate(chosen, start=1)
            ),
            files=files,
        )

    def _answer_statement(self, request: verbs.ReadStatement) -> verbs.Answer:
        call = self._find(request.call)
        gaps = [{"at_frame": at, "frames": frames, "why": why} for at, frames, why in call.gaps]
        opening: dict[str, object] = {"started_at_ms": call.facts.started_at_ms, "ground": call.ground}
        if call.consent_by:
            opening["consent"] = {"at_ms": call.consent_at_ms, "by": call.consent_by}
        statement = {
            "call": call.facts.call,
            "number": call.evidence.number,
            "opening": opening,
            "closing": {"frames": call.frames, "ended": call.facts.ended, "gaps": gaps, "audio_sha256": "ab" * 32},
        }
        return verbs.SignedStatement(statement=msgspec.json.encode(statement), attest=b"attest", signature=b"sig")

    def _answer_erase(self, request: verbs.EraseCall) -> verbs.Answer:
        self._find(request.call)
        del self.calls[request.call]
        self.now = msgspec.structs.replace(self.now, newest_change=self.now.newest_change + 1)
        return self.erased

    def _answer_hold(self, request: verbs.HoldCall) -> verbs.Answer:
        call = self._find(request.call)
        facts = msgspec.structs.replace(
            call.facts, hold_until_ms=request.until_ms, keep_asked_at_ms=None, due_at_ms=request.until_ms
        )
        self.keep(replace(call, facts=facts, hold_reason=request.reason, held_since_ms=NOW_MS))
        return verbs.Done()

    def _answer_lift(self, request: verbs.LiftHold) -> verbs.Answer:
        call = self._find(request.call)
        self.keep(replace(call, facts=msgspec.structs.replace(call.facts, hold_until_ms=0)))
        return verbs.Done()

    def _answer_dismiss(self, request: verbs.DismissKeep) -> verbs.Answer:
        call = self._find(request.call)
        self.keep(replace(call, facts=msgspec.structs.replace(call.facts, keep_asked_at_ms=None)))
        return verbs.Done()

    def _answer_acknowledge(self, request: verbs.AcknowledgeOpenings) -> verbs.Answer:
        if self.now.case is not None:
            left = max(self.now.case.counted - request.counted, 0)
            case = msgspec.structs.replace(self.now.case, openings=left)
            self.now = msgspec.structs.replace(self.now, case=case)
        return verbs.Done()

    def _answer_list_erasures(self, request: verbs.ListErasures) -> verbs.Answer:
        def place(facts: verbs.ErasureFacts) -> tuple[int, str]:
            return facts.asked_at_ms, facts.erasure

        found = sorted(self.erasures, key=place, reverse=True)
        if request.before_ms is not None:
            found = [facts for facts in found if place(facts) < (request.before_ms, request.before_erasure or "")]
        return verbs.ErasurePage(erasures=tuple(found[: request.limit]), more=len(found) > request.limit)

    def _answer_export_receipt(self, request: verbs.ExportReceipt) -> verbs.Answer:
        found = {facts.erasure: facts for facts in self.erasures if facts.is_signed}.get(request.erasure)
        if found is None:
            raise trouble("NoReceipt")
        receipt = {
            "box": SIGNED.root,
            "erasure": found.erasure,
            "why": found.why,
            "asked_by": "0123456789abcdef" if found.why == "asked" else "retention",
            "asked_at_ms": found.asked_at_ms,
            "done_at_ms": found.done_at_ms,
            "count": found.calls,
            "calls": [f"{nth:032x}" for nth in range(found.calls)],
            "ring_before": "1b" * 32,
            "ring_after": "2a" * 32,
        }
        files = {f"receipts/{found.erasure}.json": msgspec.json.encode(receipt), "verify.py": b"print()"}
        return verbs.ExportedReceipt(files=files)

    def _answer_list_acts(self, request: verbs.ListActs) -> verbs.Answer:
        shown = [act for act in self.acts if not (request.people_only and act.by == "vault")]
        if request.before is not None:
            shown = [act for act in shown if act.number < request.before]
        more = len(shown) > request.limit
        return verbs.ActPage(
            acts=tuple(shown[: request.limit]), before=shown[request.limit - 1].number if more else None
        )

    def _answer_export_journal(self, _request: verbs.ExportJournal) -> verbs.Answer:
        lengths = {name: len(content) for name, content in self.journal.items()}
        return verbs.ExportedJournal(lengths=lengths, files={"README.txt": b"Read me."})

    def _answer_read_journal(self, request: verbs.ReadJournal) -> verbs.Answer:
        content = self.journal[request.file][request.offset : request.offset + request.length]
        return verbs.JournalBytes(content=content)

    def _answer_begin_recovery(self, request: verbs.BeginRecovery) -> verbs.Answer:
        if request.password != PASSWORD:
            raise trouble("WrongPassword")
        words = [WORDLIST[n : n + 33] for n in range(0, 33 * request.sheets, 33)]
        asked = tuple(verbs.AskedWord(sheet=sheet, word=7) for sheet in range(1, request.sheets + 1))
        self.recovery = msgspec.structs.replace(
            self.recovery, asked=asked, needed=request.needed, sheets=request.sheets
        )
        return verbs.RecoverySheets(sheets=tuple(" ".join(sheet) for sheet in words))

    def _answer_confirm_recovery(self, request: verbs.ConfirmRecovery) -> verbs.Answer:
        if list(request.words) != [WORDLIST[33 * (asked.sheet - 1) + 6] for asked in self.recovery.asked]:
            raise trouble("WordsDiffer")
        self.recovery = msgspec.structs.replace(self.recovery, choice=verbs.RecoveryChoice.KEY, asked=(), at_ms=NOW_MS)
        return verbs.Done()

    def _answer_decline_recovery(self, request: verbs.DeclineRecovery) -> verbs.Answer:
        if request.password != PASSWORD:
            raise trouble("WrongPassword")
        self.recovery = verbs.RecoveryState(choice=verbs.RecoveryChoice.NONE, at_ms=NOW_MS)
        return verbs.Done()

    def _find(self, call: CallId) -> StubCall:
        if call not in self.calls:
            raise trouble("NoSuchCall")
        return self.calls[call]


def _stated_day(kept: list[StubCall]) -> dict[str, object]:
    outcomes = [*((call.facts.call, "kept") for call in kept), ("d" * 32, "kept"), ("e" * 32, "not_kept")]
    return {
        "calls": [{"number": nth, "call": call, "outcome": how} for nth, (call, how) in enumerate(outcomes, start=1)],
        "captured_ms": 187_000,
        "paused_ms": 0,
        "refused_ms": 0,
        "lost_ms": 1000,
    }


def _answer_who(_request: verbs.AskWho) -> verbs.Answer:
    return verbs.Person(account=AccountId("0123456789abcdef"), name=OWNER)


def _order(facts: verbs.CallFacts) -> tuple[int, str]:
    return facts.started_at_ms, facts.call


def _fits(facts: verbs.CallFacts, request: verbs.ListCalls) -> bool:
    if request.before_ms is not None and _order(facts) >= (request.before_ms, request.before_call or ""):
        return False
    if request.longer and not facts.hold_until_ms and facts.keep_asked_at_ms is None:
        return False
    return (request.line or facts.line) == facts.line and facts.number.endswith(request.number)


def quiet_box(*lines: str, **changed: object) -> verbs.Now:
    """A box on which all is well and nobody calls."""
    quiet = verbs.Now(
        lines=tuple(verbs.LineNow(line=LineName(line), level_dbfs=-58.0) for line in lines),
        recorder_alive=True,
        kept_calls=0,
        newest_change=1,
        overdue_calls=0,
        clock_trouble="",
        keep_s=KEEP_S,
        free_bytes=BIG_ENOUGH_BYTES,
        unreadable_calls=0,
        recovery=verbs.RecoveryChoice.KEY,
    )
    return msgspec.structs.replace(quiet, **changed)


def made_up_facts(nth: int, started_at_ms: int, *, seconds: float = 187.0, **changed: object) -> verbs.CallFacts:
    """The facts of a call nobody made; `nth` makes its id."""
    facts = verbs.CallFacts(
        call=CallId(f"{nth:032x}"),
        line=LineName("front-desk"),
        started_at_ms=started_at_ms,
        length_ms=round(seconds * 1000),
        direction="unknown",
        due_at_ms=started_at_ms + KEEP_S * 1000,
        number="+49 30 5550 4471",
        ended="hung_up",
        gaps=0,
        lost_ms=0,
    )
    return msgspec.structs.replace(facts, **changed)


def made_up_erasure(nth: int, asked_at_ms: int, *, why: str = "period", **changed: object) -> verbs.ErasureFacts:
    """A deletion that is done and signed; `nth` makes its name."""
    facts = verbs.ErasureFacts(
        erasure=f"{nth:016x}",
        asked_at_ms=asked_at_ms,
        done_at_ms=asked_at_ms + 700,
        why=why,
        calls=1,
        is_signed=True,
    )
    return msgspec.structs.replace(facts, **changed)


def speaking_call(facts: verbs.CallFacts, speech: NDArray[np.int16] | None = None) -> StubCall:
    """A call with sound in it: a real Ogg Opus stream, and the waveform that belongs to it.

    speech: of one side or, with two columns, of both.
    """
    samples = murmur(facts.length_ms / 1000) if speech is None else speech
    encoder = OpusPages(1, channels=samples.ndim)
    pages = encoder.push(samples) + encoder.finish()
    peaks = peaks_of(samples)
    return StubCall(facts=facts, audio=b"".join(pages), frames=len(samples), peaks=peaks, channels=samples.ndim)


def with_gaps(call: StubCall, *gaps: tuple[int, int, str]) -> StubCall:
    lost_ms = sum(frames for _first, frames, _why in gaps) * 1000 // RATE_HZ
    facts = msgspec.structs.replace(call.facts, gaps=len(gaps), lost_ms=lost_ms)
    return replace(call, facts=facts, gaps=gaps)


def murmur(seconds: float) -> NDArray[np.int16]:
    """Something with words and pauses, the same at every run."""
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    words = np.clip(np.sin(2 * math.pi * 0.9 * time_s) + np.sin(2 * math.pi * 0.23 * time_s), 0, 1)
    voice = sum(np.sin(2 * math.pi * 140 * harmonic * time_s) / harmonic for harmonic in range(1, 12))
    return np.asarray(4000 * words * voice, dtype=np.int16)


def peaks_of(samples: NDArray[np.int16]) -> bytes:
    columns = np.array_split(samples, min(COLUMNS, len(samples)))
    spans = [(column.min(axis=0) >> 8, column.max(axis=0) >> 8) for column in columns]
    return np.stack([np.stack(span, axis=-1).reshape(-1) for span in spans]).astype(np.int8).tobytes()
