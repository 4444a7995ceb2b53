"""What had been promised when the power went, and whether it holds on what the cut has left.

Promise: `broken_promises` starts the product twice, as its daemons do, and gives one sentence for each thing wrong:
a kept call that is gone or sounds otherwise, a forgotten one that is not, more than 2 s of a running call lost, a key,
an account or a line of the journal that is not there any more, a finding of `linekeep check`, a start that fails. What
was asked for and not yet answered may be done or not, but not half.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from appliance.audit.events import Act
from appliance.audit.journal import decode_entry
from appliance.recordings.container import EndReason
from appliance.recordings.reader import RecordingReader
from appliance.terms import RATE_HZ, CallId, KeyForgotten, LinekeepError
from appliance.vault.box import AUTHORITY_SECRET, Box
from appliance.vault.catalogue import CallState
from appliance.vault.check import find_faults
from appliance.vault.recovery.copy import open_copy, parse_copy
from appliance.vault.ring_folder import RECOVERY_COPY
from tests.recorder.heard_log import HeardLog
from tests.simulators.crash_disk import CrashDisk, Kind, Record
from tests.simulators.crash_life import audio_digest, digest, settings_of, start_as_the_daemons_do
from tests.simulators.disk_tap import Fault
from tests.simulators.ring_world import RECOVERY_KEY
from tests.vault.box_house import NOON_MS, Hands

_JOURNAL = "state/journal/acts.jsonl"
_MOST_LOST_FRAMES = 2 * RATE_HZ
_SPARE_LIVES_MS = 48 * 3600 * 1000


def told(record: Record) -> dict[str, Any]:
    """What a record tells; empty if it is about a call."""
    facts: dict[str, Any] = json.loads(record.first) if record.kind is Kind.TOLD else {}
    return facts


class Promises:
    """From what was told before the cut, and from what the journal held when it was last told anything."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.keys: dict[CallId, str] = {}
        self.issued_ms: dict[CallId, int] = {}
        self.spoken: dict[CallId, int] = {}
        self.written: set[CallId] = set()
        self.kept: dict[CallId, str] = {}
        self.asked: set[CallId] = set()
        self.forgotten: set[CallId] = set()
        self.reads_may_fail = False
        self.code: str | None = None
        self.started: dict[str, Any] = {}
        self.now_ms = NOON_MS
        last = 0
        for number, record in enumerate(records):
            if record.kind is Kind.TOLD:
                self._hear(told(record))
                last = number
        # A line that could not be written whole, and not be cut off either, was promised to nobody.
        self.journal = _content_at(records[:last], _JOURNAL).rpartition(b"\n")[0]

    def _hear(self, facts: dict[str, Any]) -> None:
        self.now_ms = facts["now"]
        match facts["told"]:
            case "issued":
                self.keys[facts["call"]] = facts["key"]
                self.issued_ms[facts["call"]] = facts["now"]
            case "spoken":
                self.spoken[facts["call"]] = facts["frames"]
            case "written":
                self.written.add(facts["call"])
            case "kept":
                self.kept[facts["call"]] = facts["audio"]
            case "asked":
                self.asked.update(facts["calls"])
            case "forgotten":
                self.forgotten.update(facts["calls"])
            case "born":
                self.reads_may_fail |= facts["fault"] == Fault.REFUSE_READING
            case "labelled":
                self.code = facts["code"]
            case "started":
                self.started = facts


def _content_at(records: Sequence[Record], name: str) -> bytes:
    disk = CrashDisk()
    for record in records:
        disk.feed(record)
    return disk.content_now(name) or b""


def broken_promises(promises: Promises, disk: Path, run_dir: Path) -> list[str]:
    """What does not hold, on this disk and with the TPM there."""
    wrong = []
    for which in ("first", "second"):
        hands = Hands()
        hands.wall_ms = promises.now_ms
        try:
            with closing(Box(settings_of(disk, run_dir), HeardLog().logger, hands.clock)) as box:
                start_as_the_daemons_do(box)
                wrong += [f"{which} start: {finding}" for finding in _findings(promises, box)]
        except LinekeepError as trouble:
            wrong.append(f"{which} start: refused: {trouble}")
    return wrong


def _findings(promises: Promises, box: Box) -> Iterator[str]:
    yield from find_faults(box)
    for call in sorted(promises.keys):
        if finding := _finding_about(promises, box, call):
            yield f"call {call}: {finding}"
    if not box.journal_path.read_bytes().startswith(promises.journal):
        yield "the journal has lost what was noted"
    if not_noted := _forgotten_but_not_noted(promises, box):
        yield f"forgotten, and the journal does not say so: {not_noted}"
    if promises.code and not box.accounts.is_claimed() and box.accounts.claim_code() != promises.code:
        yield "the claim code is another than the one that was shown"
    if promises.started:
        yield from _findings_about_the_box(promises, box)


def _forgotten_but_not_noted(promises: Promises, box: Box) -> set[CallId]:
    lines = [decode_entry(line) for line in box.journal_path.read_bytes().splitlines()]
    noted = {call for line in lines if line.act is Act.CALLS_FORGOTTEN for call in line.ids}
    return {call for call in promises.keys if box.catalogue.was_forgotten(call)} - noted


def _findings_about_the_box(promises: Promises, box: Box) -> Iterator[str]:
    if not box.accounts.is_claimed():
        yield "the owner is gone"
    if digest(box.ring.contents.secrets[AUTHORITY_SECRET]) != promises.started["authority_key"]:
        yield "the authority's key is another"
    copy = box.settings.state / "ring" / RECOVERY_COPY
    if open_copy(parse_copy(copy.read_bytes()), RECOVERY_KEY) != box.ring.contents:
        yield "the recovery copy holds something else than the ring"
    # A certificate that cannot be read is made anew: better another one than none.
    authority = digest((box.settings.state / "tls" / "ca.pem").read_bytes())
    if authority != promises.started["authority"] and not promises.reads_may_fail:
        yield "the authority's certificate is another"


def _finding_about(promises: Promises, box: Box, call: CallId) -> str:
    """What is wrong with a call; empty: nothing."""
    try:
        return _compared(promises, box, call)
    except LinekeepError as trouble:
        return str(trouble)


def _compared(promises: Promises, box: Box, call: CallId) -> str:
    row = box.catalogue.find(call)
    if call in promises.forgotten:
        return "" if _is_gone(box, call) else "forgotten and not gone"
    if row is None:
        return _finding_about_missing(promises, box, call)
    if row.state is CallState.CONDEMNED:
        return "half forgotten"
    if row.state is CallState.KEPT:
        return _finding_about_kept(promises, box, call)
    if call in promises.kept or call in promises.written or promises.spoken.get(call, 0) > _MOST_LOST_FRAMES:
        return f"not taken over: {row.state}"
    if digest(box.call_keys.key_of(call)) != promises.keys[call]:
        return "its key is another"
    return ""


def _finding_about_missing(promises: Promises, box: Box, call: CallId) -> str:
    if call in promises.asked and (call in promises.kept or call in promises.written):
        return "" if _is_gone(box, call) else "asked to be forgotten, and half gone"
    if call in promises.kept or call in promises.written:
        return "kept and gone"
    if promises.spoken.get(call, 0) > _MOST_LOST_FRAMES and call not in promises.asked:
        return f"all of {promises.spoken[call] / RATE_HZ} s are gone"
    if call not in promises.spoken and promises.now_ms - promises.issued_ms[call] < _SPARE_LIVES_MS:
        return "" if box.catalogue.was_forgotten(call) else "a spare call is gone before its time"
    return ""


def _finding_about_kept(promises: Promises, box: Box, call: CallId) -> str:
    with RecordingReader(box.folder.finished_path(call), call=call, key=box.call_keys.key_of(call)) as reader:
        closing_record = reader.closing
    spoken = promises.spoken.get(call, 0)
    if call in promises.kept and audio_digest(box, call) != promises.kept[call]:
        return "it sounds otherwise than when it was kept"
    if call in promises.written and (closing_record.frames, closing_record.ended) != (spoken, EndReason.SILENCE):
        return "it was written whole and is not whole any more"
    if closing_record.frames < spoken - _MOST_LOST_FRAMES:
        return f"{(spoken - closing_record.frames) / RATE_HZ} s are lost"
    return ""


def _is_gone(box: Box, call: CallId) -> bool:
    try:
        box.call_keys.key_of(call)
    except KeyForgotten:
        files = (box.folder.growing_path(call), box.folder.finished_path(call))
        return (
            box.catalogue.find(call) is None
            and box.catalogue.was_forgotten(call)
            and not any(path.exists() for path in files)
        )
    return False
