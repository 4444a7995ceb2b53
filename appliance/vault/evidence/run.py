"""Signs what has been recorded: each kept call soon after, and each line's day when it is over.

Run from the schedule, never in the recorder's way: a chip takes up to a second for a signature. A TPM that does not
sign at the moment delays, and nothing else; days on which the box was off are made up at the next run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import msgspec

from appliance.clock import Clock
from appliance.recordings.folder import RecordingsFolder
from appliance.recordings.reader import RecordingReader
from appliance.recordings.sealing import seal_evidence
from appliance.terms import CallId, DamagedRecording, KeyForgotten, KeyTrouble, LineName, StorageTrouble
from appliance.vault.call_keys import CallKeys
from appliance.vault.clock_watch import ClockWatch
from appliance.vault.evidence.day_book import DayBook, NumberedCall, Outcome, day_of
from appliance.vault.evidence.notary import Notary
from appliance.vault.evidence.statements import LINE_DAY, RECORDING, day_facts, recording_facts

RUN_EVERY_S = 10

PATIENCE = timedelta(days=2)
"""So long after its end a day waits for what has not come. A call lasts a day at most."""

_AT_ONCE = 20
"""Calls signed in one run: deletions wait on the same thread."""


class EvidenceRun:
    """Only for the schedule's one thread."""

    def __init__(
        self,
        *,
        book: DayBook,
        call_keys: CallKeys,
        folder: RecordingsFolder,
        notary: Notary,
        clock: Clock,
        watch: ClockWatch,
        lines: Collection[LineName],
        log: Any,
    ) -> None:
        self._book = book
        self._call_keys = call_keys
        self._folder = folder
        self._notary = notary
        self._clock = clock
        self._watch = watch
        self._lines = frozenset(lines)
        self._log = log
        self._cannot: set[CallId] = set()
        """Calls whose recording did not verify; tried again after a restart."""

    def run(self) -> None:
        try:
            today = day_of(self._clock.now_ms()) if self._watch.trouble() is None else None
            if today is not None:
                self._book.begin_with(today)
            if self._book.stated_until() is not None:
                self._sign_calls()
            if today is not None:
                self._state_days(today)
        except KeyTrouble as trouble:
            self._log.warning("evidence_waits", why=str(trouble))

    def _sign_calls(self) -> None:
        for numbered in self._book.unsigned(_AT_ONCE, but=self._cannot):
            try:
                self._sign_call(numbered)
            except KeyForgotten:
                continue  # it is being erased
            except (DamagedRecording, StorageTrouble) as trouble:
                self._cannot.add(numbered.call_id)
                self._log.error("not_signed", call=numbered.call_id, why=str(trouble))

    def _sign_call(self, numbered: NumberedCall) -> None:
        call, key = numbered.call_id, self._call_keys.key_of(numbered.call_id)
        with RecordingReader(self._folder.finished_path(call), call=call, key=key) as reader:
            container_sha256 = reader.verify()
            facts = recording_facts(
                numbered,
                reader.opening,
                reader.closing,
                container_sha256=container_sha256,
                container_bytes=reader.file_bytes,
            )
        signed = self._notary.sign(RECORDING, facts)
        sealed = seal_evidence(key, call, msgspec.json.encode(signed.as_json()))
        self._book.note_signed(call, sealed, hashlib.sha256(signed.statement).hexdigest())

    def _state_days(self, today: date) -> None:
        day, all_before = self._book.stated_until() or today, True
        while (day := day + timedelta(days=1)) < today:
            all_before = self._state_day(day, today) and all_before
            if all_before:
                self._book.pass_over(day)

    def _state_day(self, day: date, today: date) -> bool:
        """Whether every line of this day is stated now."""
        stated = [self._state_line(line, day, today) for line in sorted(self._lines | self._book.lines_of(day))]
        return all(stated)

    def _state_line(self, line: LineName, day: date, today: date) -> bool:
        if self._book.signed_day(line, day.isoformat()) is not None:
            return True
        waits_no_longer = today - day > PATIENCE
        if not waits_no_longer and not self._book.is_settled(line, day):
            return False
        stated = self._book.calls_of(line, day)
        facts = day_facts(line, day.isoformat(), [_as_stated(call) for call in stated])
        signed = self._notary.sign(LINE_DAY, facts)
        return self._book.close(line, day, stated, msgspec.json.encode(signed.as_json()))


def _as_stated(call: NumberedCall) -> NumberedCall:
    return replace(call, outcome=Outcome.UNFINISHED) if call.outcome is Outcome.BEGUN else call
