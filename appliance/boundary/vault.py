"""The vault as its callers see it: one method a verb, over one Unix socket.

Not thread-safe: one client for one thread. A broken connection is opened again at the next call; whether a
request that met the break was carried out is unknown to the caller, so every verb may be repeated.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar, cast

from appliance.boundary import message, verbs
from appliance.terms import (
    CallId,
    DamagedRecording,
    DiskFull,
    KeyForgotten,
    KeyTrouble,
    LinekeepError,
    NotAllowed,
    NotKept,
    Order,
    SettingsTrouble,
    StorageTrouble,
)

_A = TypeVar("_A", bound=verbs.Answer)

_TROUBLES: dict[str, type[LinekeepError]] = {
    kind.__name__: kind
    for kind in (
        DamagedRecording,
        DiskFull,
        KeyForgotten,
        KeyTrouble,
        NotAllowed,
        SettingsTrouble,
        StorageTrouble,
    )
}


_MOST_BYTES: dict[type[verbs.Answer], int] = {
    verbs.ExportedEvidence: message.MAX_EVIDENCE_BYTES,
    verbs.ExportedReceipt: message.MAX_EVIDENCE_BYTES,
    verbs.ExportedJournal: message.MAX_EVIDENCE_BYTES,
    verbs.SignedStatement: message.MAX_EVIDENCE_BYTES,
}


class VaultAway(LinekeepError):
    """The vault cannot be reached at the moment."""


class VaultRefused(LinekeepError):
    """The vault said no. `kind` names the reason for programs, the message is the sentence for people."""

    def __init__(self, refused: verbs.Refused) -> None:
        super().__init__(refused.sentence)
        self.kind = refused.kind
        self.facts = refused.facts

    @property
    def trouble(self) -> type[LinekeepError]:
        """The family of the trouble as the vault raised it."""
        return _TROUBLES.get(self.kind, LinekeepError)


class VaultClient:
    """A connection to the vault's socket, opened when first needed."""

    def __init__(self, socket_path: Path, *, timeout_s: float = 60) -> None:
        self._path = socket_path
        self._timeout_s = timeout_s
        self._connection: socket.socket | None = None

    def ask(self, request: verbs.Request, answer: type[_A]) -> _A:
        """Send a request and wait for its answer. Raises VaultRefused, VaultAway."""
        try:
            got = self._exchange(request, answer)
        except (OSError, message.Hangup, message.Misplaced) as error:
            self.close()
            raise VaultAway("The vault does not answer. Nothing is lost; try again in a moment.") from error
        if isinstance(got, verbs.Refused):
            raise VaultRefused(got)
        return got

    def _exchange(self, request: verbs.Request, answer: type[_A]) -> _A | verbs.Refused:
        if self._connection is None:
            self._connection = self._connect()
        message.send(self._connection, request)
        kind = cast("type[_A | verbs.Refused]", answer | verbs.Refused)
        return message.receive(self._connection, kind, max_bytes=_MOST_BYTES.get(answer, message.MAX_ANSWER_BYTES))

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(self._timeout_s)
        try:
            connection.connect(str(self._path))
        except OSError:
            connection.close()
            raise
        return connection

    def close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection.close()
            self._connection = None

    # the recorder's

    def issue_call(self, line: verbs.ALine) -> verbs.IssuedCall:
        return self.ask(verbs.IssueCall(line=line), verbs.IssuedCall)

    def begin_call(self, call: verbs.ACall, line: verbs.ALine, started_at_ms: int) -> None:
        self.ask(verbs.BeginCall(call=call, line=line, started_at_ms=started_at_ms), verbs.Done)

    def report_gap(self, call: verbs.ACall, at_frame: int, frames: int, why: str) -> None:
        self.ask(verbs.ReportGap(call=call, at_frame=at_frame, frames=frames, why=why), verbs.Done)

    def finish_call(self, call: verbs.ACall) -> None:
        self.ask(verbs.FinishCall(call=call), verbs.Done)

    def drop_call(self, call: verbs.ACall, why: NotKept) -> None:
        self.ask(verbs.DropCall(call=call, why=why), verbs.Done)

    def ask_to_keep(self, call: verbs.ACall) -> None:
        self.ask(verbs.AskToKeep(call=call), verbs.Done)

    def note_unrecorded(self, noted: verbs.NoteUnrecorded) -> None:
        self.ask(noted, verbs.Done)

    def heartbeat(self, lines: tuple[verbs.LineNow, ...], heard: tuple[verbs.AnOrder, ...] = ()) -> verbs.Orders:
        return self.ask(verbs.Heartbeat(lines=lines, heard=heard), verbs.Orders)

    # the web page's

    def is_claimed(self) -> bool:
        return self.ask(verbs.AskClaimed(), verbs.Claimed).claimed

    def claim(self, code: str, name: str, password: str) -> verbs.LoggedIn:
        return self.ask(verbs.Claim(code=code, name=name, password=password), verbs.LoggedIn)

    def log_in(self, name: str, password: str) -> verbs.LoggedIn:
        return self.ask(verbs.LogIn(name=name, password=password), verbs.LoggedIn)

    def log_out(self, login: str) -> None:
        self.ask(verbs.LogOut(login=login), verbs.Done)

    def who(self, login: str, *, in_person: bool = True) -> verbs.Person:
        return self.ask(verbs.AskWho(login=login, in_person=in_person), verbs.Person)

    def list_calls(self, request: verbs.ListCalls) -> verbs.CallPage:
        return self.ask(request, verbs.CallPage)

    def open_call(self, login: str, call: verbs.ACall) -> verbs.OpenedCall:
        return self.ask(verbs.OpenCall(login=login, call=call), verbs.OpenedCall)

    def read(self, login: str, call: verbs.ACall, offset: int, length: int, purpose: verbs.Purpose) -> verbs.ReadBytes:
        request = verbs.Read(login=login, call=call, offset=offset, length=length, purpose=purpose)
        return self.ask(request, verbs.ReadBytes)

    def export_evidence(self, login: str, call: verbs.ACall, *, whole_day: bool) -> verbs.ExportedEvidence:
        return self.ask(verbs.ExportEvidence(login=login, call=call, whole_day=whole_day), verbs.ExportedEvidence)

    def read_statement(self, login: str, call: verbs.ACall) -> verbs.SignedStatement:
        return self.ask(verbs.ReadStatement(login=login, call=call), verbs.SignedStatement)

    def erase_call(self, login: str, call: verbs.ACall) -> verbs.Erased:
        return self.ask(verbs.EraseCall(login=login, call=call), verbs.Erased)

    def hold_call(self, login: str, call: verbs.ACall, *, until_ms: int, reason: str) -> None:
        self.ask(verbs.HoldCall(login=login, call=call, until_ms=until_ms, reason=reason), verbs.Done)

    def lift_hold(self, login: str, call: verbs.ACall) -> None:
        self.ask(verbs.LiftHold(login=login, call=call), verbs.Done)

    def dismiss_keep(self, login: str, call: verbs.ACall) -> None:
        self.ask(verbs.DismissKeep(login=login, call=call), verbs.Done)

    def list_erasures(self, request: verbs.ListErasures) -> verbs.ErasurePage:
        return self.ask(request, verbs.ErasurePage)

    def export_receipt(self, login: str, erasure: verbs.AnErasure) -> verbs.ExportedReceipt:
        return self.ask(verbs.ExportReceipt(login=login, erasure=erasure), verbs.ExportedReceipt)

    def change_password(self, login: str, password: str, fresh: str) -> verbs.LoggedIn:
        return self.ask(verbs.ChangePassword(login=login, password=password, fresh=fresh), verbs.LoggedIn)

    def list_acts(self, request: verbs.ListActs) -> verbs.ActPage:
        return self.ask(request, verbs.ActPage)

    def export_journal(self, login: str) -> verbs.ExportedJournal:
        return self.ask(verbs.ExportJournal(login=login), verbs.ExportedJournal)

    def read_journal(self, login: str, file: str, offset: int, length: int) -> bytes:
        request = verbs.ReadJournal(login=login, file=file, offset=offset, length=length)
        return self.ask(request, verbs.JournalBytes).content

    def now(self, login: str) -> verbs.Now:
        return self.ask(verbs.AskNow(login=login), verbs.Now)

    def order_line(self, login: str, line: verbs.ALine, order: Order, started_at_ms: int) -> None:
        request = verbs.OrderLine(login=login, line=line, order=order, started_at_ms=started_at_ms)
        self.ask(request, verbs.Done)

    def acknowledge_openings(self, login: str, counted: int) -> None:
        self.ask(verbs.AcknowledgeOpenings(login=login, counted=counted), verbs.Done)

    def unlock(self, pin: str) -> None:
        self.ask(verbs.Unlock(pin=pin), verbs.Done)

    def has_pin(self, login: str) -> bool:
        return self.ask(verbs.AskPin(login=login), verbs.PinState).is_set

    def choose_pin(self, login: str, password: str, pin: str | None) -> None:
        self.ask(verbs.ChoosePin(login=login, password=password, pin=pin), verbs.Done)

    def recovery(self, login: str) -> verbs.RecoveryState:
        return self.ask(verbs.AskRecovery(login=login), verbs.RecoveryState)

    def begin_recovery(self, login: str, password: str, *, needed: int, sheets: int) -> tuple[str, ...]:
        """The sheets of words, to be shown once."""
        request = verbs.BeginRecovery(login=login, password=password, needed=needed, sheets=sheets)
        return self.ask(request, verbs.RecoverySheets).sheets

    def confirm_recovery(self, login: str, words: Sequence[str]) -> None:
        self.ask(verbs.ConfirmRecovery(login=login, words=tuple(words)), verbs.Done)

    def decline_recovery(self, login: str, password: str) -> None:
        self.ask(verbs.DeclineRecovery(login=login, password=password), verbs.Done)

    # the console's

    def note_drill(self, call: CallId) -> None:
        self.ask(verbs.NoteDrill(call=call), verbs.Done)

    def set_pin(self, pin: str | None) -> None:
        self.ask(verbs.SetPin(pin=pin), verbs.Done)

    def sign_journal(self) -> verbs.SignedJournal:
        return self.ask(verbs.SignJournal(), verbs.SignedJournal)

    def check(self) -> verbs.CheckFindings:
        return self.ask(verbs.Check(), verbs.CheckFindings)

    def make_backup(self, to: str) -> verbs.BackupState:
        return self.ask(verbs.MakeBackup(to=to), verbs.BackupState)

    def backup_state(self) -> verbs.BackupState:
        return self.ask(verbs.AskBackup(), verbs.BackupState)

    def label(self) -> verbs.Label:
        return self.ask(verbs.AskLabel(), verbs.Label)
