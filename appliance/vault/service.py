"""Verb by verb: what the vault answers. Whoever asks has passed the boundary; what a person may is decided here."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from appliance.audit.events import Act
from appliance.boundary import verbs
from appliance.boundary.peer import Handler
from appliance.terms import AccountId, CallId, Order
from appliance.vault.box import Box
from appliance.vault.check import check_box
from appliance.vault.front_certificate import authority_certificate, fingerprint_of
from appliance.vault.line_board import NothingToOrder
from appliance.vault.rights import Right

_COUNT_EVERY_S = 5.0


class Service:
    """The handlers of all verbs over one box."""

    def __init__(self, box: Box) -> None:
        self._box = box
        self._checking = threading.Lock()
        self._counts = _Counts(box)

    def handlers(self) -> Mapping[type[verbs.Request], Handler]:
        return {
            verbs.IssueCall: self.answer_issue_call,
            verbs.BeginCall: self.answer_begin_call,
            verbs.NoteParty: self.answer_note_party,
            verbs.ReportGap: self.answer_report_gap,
            verbs.FinishCall: self.answer_finish_call,
            verbs.DropCall: self.answer_drop_call,
            verbs.AskToKeep: self.answer_ask_to_keep,
            verbs.NoteUnrecorded: self.answer_note_unrecorded,
            verbs.ReportCase: self.answer_report_case,
            verbs.Heartbeat: self.answer_heartbeat,
            verbs.AskClaimed: self.answer_ask_claimed,
            verbs.Claim: self.answer_claim,
            verbs.LogIn: self.answer_log_in,
            verbs.LogOut: self.answer_log_out,
            verbs.AskWho: self.answer_ask_who,
            verbs.ChangePassword: self.answer_change_password,
            verbs.ListCalls: self.answer_list_calls,
            verbs.OpenCall: self.answer_open_call,
            verbs.Read: self.answer_read,
            verbs.ExportEvidence: self.answer_export_evidence,
            verbs.ReadStatement: self.answer_read_statement,
            verbs.EraseCall: self.answer_erase_call,
            verbs.HoldCall: self.answer_hold_call,
            verbs.LiftHold: self.answer_lift_hold,
            verbs.DismissKeep: self.answer_dismiss_keep,
            verbs.ListErasures: self.answer_list_erasures,
            verbs.ExportReceipt: self.answer_export_receipt,
            verbs.ListActs: self.answer_list_acts,
            verbs.ExportJournal: self.answer_export_journal,
            verbs.ReadJournal: self.answer_read_journal,
            verbs.AskNow: self.answer_ask_now,
            verbs.OrderLine: self.answer_order_line,
            verbs.AcknowledgeOpenings: self.answer_acknowledge_openings,
            verbs.Unlock: self.answer_unlock,
            verbs.AskRecovery: self.answer_ask_recovery,
            verbs.BeginRecovery: self.answer_begin_recovery,
            verbs.ConfirmRecovery: self.answer_confirm_recovery,
            verbs.DeclineRecovery: self.answer_decline_recovery,
            verbs.NoteDrill: self.answer_note_drill,
            verbs.AskPin: self.answer_ask_pin,
            verbs.ChoosePin: self.answer_choose_pin,
            verbs.SetPin: self.answer_set_pin,
            verbs.Check: self.answer_check,
            verbs.SignJournal: self.answer_sign_journal,
            verbs.MakeBackup: self.answer_make_backup,
            verbs.AskBackup: self.answer_ask_backup,
            verbs.AskLabel: self.answer_ask_label,
        }

    # the recorder's

    def answer_issue_call(self, request: verbs.IssueCall) -> verbs.IssuedCall:
        call, key = self._box.intake.issue(request.line)
        return verbs.IssuedCall(call=call, key=key)

    def answer_begin_call(self, request: verbs.BeginCall) -> verbs.Done:
        self._box.intake.begin(request.call, request.line, request.started_at_ms)
        self._box.line_board.show_call(request.call, request.line, request.started_at_ms)
        return verbs.Done()

    def answer_note_party(self, request: verbs.NoteParty) -> verbs.Done:
        self._box.intake.note_party(request.call, request.direction, request.number)
        return verbs.Done()

    def answer_report_gap(self, request: verbs.ReportGap) -> verbs.Done:
        self._box.intake.note_gap(request.call, request.at_frame, request.frames, request.why)
        return verbs.Done()

    def answer_finish_call(self, request: verbs.FinishCall) -> verbs.Done:
        self._box.intake.finish(request.call)
        return verbs.Done()

    def answer_drop_call(self, request: verbs.DropCall) -> verbs.Done:
        self._box.intake.drop(request.call, request.why)
        return verbs.Done()

    def answer_ask_to_keep(self, request: verbs.AskToKeep) -> verbs.Done:
        self._box.holds.ask(request.call)
        return verbs.Done()

    def answer_note_unrecorded(self, request: verbs.NoteUnrecorded) -> verbs.Done:
        self._box.intake.note_unrecorded(request)
        return verbs.Done()

    def answer_report_case(self, request: verbs.ReportCase) -> verbs.Done:
        self._box.case_watch.hear(request)
        return verbs.Done()

    def answer_heartbeat(self, request: verbs.Heartbeat) -> verbs.Orders:
        orders = self._box.line_board.hear(request.lines, request.heard)
        return verbs.Orders(orders=orders, claimed=self._box.accounts.is_claimed())

    # the web page's

    def answer_ask_claimed(self, _request: verbs.AskClaimed) -> verbs.Claimed:
        return verbs.Claimed(claimed=self._box.accounts.is_claimed())

    def answer_claim(self, request: verbs.Claim) -> verbs.LoggedIn:
        token, ends_at_ms = self._box.accounts.claim(request.code, request.name, request.password)
        return verbs.LoggedIn(login=token, ends_at_ms=ends_at_ms)

    def answer_log_in(self, request: verbs.LogIn) -> verbs.LoggedIn:
        token, ends_at_ms = self._box.accounts.log_in(request.name, request.password)
        return verbs.LoggedIn(login=token, ends_at_ms=ends_at_ms)

    def answer_log_out(self, request: verbs.LogOut) -> verbs.Done:
        self._box.accounts.log_out(request.login)
        return verbs.Done()

    def answer_ask_who(self, request: verbs.AskWho) -> verbs.Person:
        visitor = self._box.accounts.visitor(request.login, in_person=request.in_person)
        return verbs.Person(account=visitor.account, name=visitor.name)

    def answer_change_password(self, request: verbs.ChangePassword) -> verbs.LoggedIn:
        token, ends_at_ms = self._box.accounts.change_password(request.login, request.password, request.fresh)
        return verbs.LoggedIn(login=token, ends_at_ms=ends_at_ms)

    def answer_list_calls(self, request: verbs.ListCalls) -> verbs.CallPage:
        visitor = self._box.accounts.visitor(request.login, in_person=request.in_person)
        return self._box.playback.page(visitor, request)

    def answer_open_call(self, request: verbs.OpenCall) -> verbs.OpenedCall:
        opened = self._box.playback.open_call(self._box.accounts.visitor(request.login), request.call)
        return msgspec.structs.replace(opened, evidence=self._box.evidence_desk.about(request.call))

    def answer_read(self, request: verbs.Read) -> verbs.ReadBytes:
        return self._box.playback.read(self._box.accounts.visitor(request.login), request)

    def answer_export_evidence(self, request: verbs.ExportEvidence) -> verbs.ExportedEvidence:
        return self._box.evidence_desk.export(self._box.accounts.visitor(request.login), request)

    def answer_read_statement(self, request: verbs.ReadStatement) -> verbs.SignedStatement:
        return self._box.evidence_desk.read_statement(self._box.accounts.visitor(request.login), request.call)

    def answer_erase_call(self, request: verbs.EraseCall) -> verbs.Erased:
        visitor = self._box.accounts.visitor(request.login)
        visitor.require(Right.ERASE_CALLS)
        self._box.playback.finished(request.call)
        self._box.journal.append(Act.CALL_ERASURE_ASKED, by=visitor.account, ids=(request.call,))
        receipt = self._box.erasure.erase([request.call], by=visitor.account, why="asked")
        if receipt is None:
            return verbs.Erased(erasure="", is_signed=False)
        return verbs.Erased(erasure=receipt.erasure_id, is_signed=receipt.signed is not None)

    def answer_hold_call(self, request: verbs.HoldCall) -> verbs.Done:
        account = self._who_may_hold(request.login)
        self._box.holds.place(request.call, until_ms=request.until_ms, reason=request.reason, by=account)
        return verbs.Done()

    def answer_lift_hold(self, request: verbs.LiftHold) -> verbs.Done:
        account = self._who_may_hold(request.login)
        self._box.holds.lift(request.call, by=account)
        return verbs.Done()

    def answer_dismiss_keep(self, request: verbs.DismissKeep) -> verbs.Done:
        account = self._who_may_hold(request.login)
        self._box.holds.dismiss(request.call, by=account)
        return verbs.Done()

    def _who_may_hold(self, login: str) -> AccountId:
        visitor = self._box.accounts.visitor(login)
        visitor.require(Right.HOLD_CALLS)
        return visitor.account

    def answer_list_erasures(self, request: verbs.ListErasures) -> verbs.ErasurePage:
        return self._box.evidence_desk.erasures(self._box.accounts.visitor(request.login), request)

    def answer_export_receipt(self, request: verbs.ExportReceipt) -> verbs.ExportedReceipt:
        return self._box.evidence_desk.export_receipt(self._box.accounts.visitor(request.login), request)

    def answer_list_acts(self, request: verbs.ListActs) -> verbs.ActPage:
        return self._box.journal_desk.page(self._box.accounts.visitor(request.login), request)

    def answer_export_journal(self, request: verbs.ExportJournal) -> verbs.ExportedJournal:
        return self._box.journal_desk.export(self._box.accounts.visitor(request.login))

    def answer_read_journal(self, request: verbs.ReadJournal) -> verbs.JournalBytes:
        return self._box.journal_desk.read(self._box.accounts.visitor(request.login), request)

    def answer_ask_now(self, request: verbs.AskNow) -> verbs.Now:
        # A page asks this twice a second by itself: that must not keep a login alive.
        box = self._box
        visitor = box.accounts.visitor(request.login, in_person=False)
        visitor.require(Right.SEE_CALLS)
        counts = self._counts.read()
        return verbs.Now(
            lines=box.line_board.lines(),
            recorder_alive=box.line_board.recorder_is_alive(),
            kept_calls=counts.kept,
            newest_change=box.catalogue.changes,
            overdue_calls=counts.overdue,
            clock_trouble=box.watch.trouble() or "",
            keep_s=box.settings.vault.keep_s,
            free_bytes=box.folder.free_bytes(),
            unreadable_calls=counts.unreadable,
            recovery=box.recovery.choice(),
            backup=counts.backup,
            keep_requests=counts.keep_requests,
            held_calls=counts.held,
            case=box.case_watch.now(),
        )

    def answer_order_line(self, request: verbs.OrderLine) -> verbs.Done:
        visitor = self._box.accounts.visitor(request.login)
        visitor.require(Right.ORDER_CALLS)

        def note(call: CallId | None) -> None:
            notes: dict[str, str | int] = {"order": request.order.value, "started_at_ms": request.started_at_ms}
            ids = () if call is None else (call,)
            self._box.journal.append(Act.CALL_ORDERED, by=visitor.account, ids=ids, notes=notes)
            if call is not None and request.order is Order.FORGET and not self._box.intake.forget_when_over(call):
                raise NothingToOrder
            if call is not None and request.order is Order.KEEP and not self._box.holds.ask(call):
                raise NothingToOrder

        self._box.line_board.order(request.line, request.order, request.started_at_ms, note)
        return verbs.Done()

    def answer_acknowledge_openings(self, request: verbs.AcknowledgeOpenings) -> verbs.Done:
        visitor = self._box.accounts.visitor(request.login)
        visitor.require(Right.ACKNOWLEDGE_OPENINGS)
        self._box.case_watch.acknowledge(request.counted, by=visitor.account)
        return verbs.Done()

    def answer_ask_recovery(self, request: verbs.AskRecovery) -> verbs.RecoveryState:
        return self._box.recovery.state(self._box.accounts.visitor(request.login))

    def answer_begin_recovery(self, request: verbs.BeginRecovery) -> verbs.RecoverySheets:
        return self._box.recovery.begin(self._box.accounts.visitor(request.login), request)

    def answer_confirm_recovery(self, request: verbs.ConfirmRecovery) -> verbs.Done:
        self._box.recovery.confirm(self._box.accounts.visitor(request.login), request.words)
        return verbs.Done()

    def answer_decline_recovery(self, request: verbs.DeclineRecovery) -> verbs.Done:
        self._box.recovery.decline(self._box.accounts.visitor(request.login), request.password)
        return verbs.Done()

    def answer_note_drill(self, request: verbs.NoteDrill) -> verbs.Done:
        self._box.recovery.note_drill(request.call)
        return verbs.Done()

    def answer_ask_pin(self, request: verbs.AskPin) -> verbs.PinState:
        self._box.accounts.visitor(request.login).require(Right.CHOOSE_PIN)
        return verbs.PinState(is_set=self._box.tpm.pin is not None)

    def answer_choose_pin(self, request: verbs.ChoosePin) -> verbs.Done:
        visitor = self._box.accounts.visitor(request.login)
        visitor.require(Right.CHOOSE_PIN)
        self._box.accounts.check_password(visitor, request.password)
        self._box.set_pin(request.pin, by=visitor.account)
        return verbs.Done()

    def answer_unlock(self, _request: verbs.Unlock) -> verbs.Done:
        return verbs.Done()  # it is: see door.py

    # the console's

    def answer_set_pin(self, request: verbs.SetPin) -> verbs.Done:
        self._box.set_pin(request.pin, by="console")
        return verbs.Done()

    def answer_check(self, _request: verbs.Check) -> verbs.CheckFindings:
        with self._checking:
            return check_box(self._box)

    def answer_sign_journal(self, _request: verbs.SignJournal) -> verbs.SignedJournal:
        head = self._box.journal_desk.sign_export(by="console")
        return verbs.SignedJournal(journal_bytes=head.journal_bytes, heads_bytes=head.heads_bytes)

    def answer_make_backup(self, request: verbs.MakeBackup) -> verbs.BackupState:
        return self._box.backup.ask(request.to)

    def answer_ask_backup(self, _request: verbs.AskBackup) -> verbs.BackupState:
        return self._box.backup.state()

    def answer_ask_label(self, _request: verbs.AskLabel) -> verbs.Label:
        issuer = authority_certificate(self._box.settings.state / "tls")
        return verbs.Label(
            claim_code=self._box.accounts.claim_code() or "",
            page_fingerprint=fingerprint_of(issuer),
            page_issuer=issuer,
            box_fingerprint=self._box.notary.chain.root_fingerprint,
        )


class _Counts:
    """The first page's numbers. Every open page asks twice a second: they are counted anew when the list has
    changed, and every few seconds, since calls become overdue by mere waiting."""

    def __init__(self, box: Box) -> None:
        self._box = box
        self._counted_at: tuple[int, float] | None = None
        self.kept = self.overdue = self.unreadable = self.keep_requests = self.held = 0
        self.backup: verbs.BackupFacts | None = None

    def read(self) -> _Counts:
        changes, now_s = self._box.catalogue.changes, time.monotonic()
        if self._counted_at is None or self._counted_at[0] != changes or now_s - self._counted_at[1] > _COUNT_EVERY_S:
            self.kept = self._box.catalogue.count_kept()
            self.overdue = self._box.retention.overdue()
            self.unreadable = self._box.playback.unreadable()
            self.backup = self._box.backup.facts()
            self.keep_requests, self.held = self._box.holds.count()
            self._counted_at = changes, now_s
        return self


def fault_reporter(log: Any) -> Any:
    """What the listeners tell of exceptions that nobody expected."""

    def report(fault: BaseException) -> None:
        log.error("fault", exc_info=fault)

    return report
