"""Compares every recording, key, catalogue row and the journal with each other. Changes nothing.

On a running box things move while it looks: what seems wrong is looked at a second time before it is said.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from appliance.audit.events import Act
from appliance.audit.journal import Entry, decode_entry
from appliance.boundary.verbs import CheckFindings
from appliance.recordings.reader import RecordingReader
from appliance.terms import CallId, LinekeepError
from appliance.vault import card as cards
from appliance.vault.backup.restored import restored_of
from appliance.vault.catalogue import CallRow, CallState
from appliance.vault.evidence import journal_verifier

if TYPE_CHECKING:
    from appliance.vault.box import Box

_LEFT_BEHIND_S = 600


def check_box(box: Box) -> CheckFindings:
    """Find the faults and what should be known, and journal that somebody looked."""
    findings = tuple(find_faults(box))
    box.journal.append(Act.CHECK_RUN, by="console", notes={"findings": len(findings)})
    return CheckFindings(findings=findings, notes=tuple(find_notes(box)))


def find_faults(box: Box) -> Iterator[str]:
    """One sentence a finding; none if all is well."""
    if (verdict := box.store.integrity()) != "ok":
        yield f"The catalogue's file is damaged: {verdict}."
        return
    yield from _calls(box)
    yield from _folder(box)
    yield from _journal_against_catalogue(box)
    yield from _journal_against_tpm(box)
    yield from box.backup.faults()


def find_notes(box: Box) -> Iterator[str]:
    """What is not wrong and should be known."""
    restored = restored_of(box.settings.state)
    if restored is not None:
        yield restored.sentence()
    requests, held = box.holds.count()
    if requests:
        yield f"Calls that somebody has asked to keep longer, and that nobody has decided on: {requests}."
    if held:
        yield f"Calls that are held, and not erased until their holds are over or lifted: {held}."


def _journal_against_tpm(box: Box) -> Iterator[str]:
    # The ring tells a move and the journal is told under one lock; only a full disk keeps them apart.
    moved = box.ring.last_commit.after.hex()
    if box.ring_moves.told != moved == box.ring.last_commit.after.hex() != box.ring_moves.told:
        yield "The ring has moved since the journal's last entry about it. Make room; the next start makes it good."
    # The heads first: the journal is always ahead of them.
    heads, index = box.journal_heads.seen()
    if not box.journal_path.exists():
        yield "The journal is missing."
        return
    journal = box.journal_path.read_bytes()
    yield from journal_verifier.examine(
        journal_verifier.lines_of(journal), journal_verifier.lines_of(heads), box.notary.chain, index=index
    ).findings


def _calls(box: Box) -> Iterator[str]:
    for row in box.catalogue.in_state(CallState.KEPT):
        fault = _fault_of(box, row)
        still = box.catalogue.find(row.call_id)
        if fault and still is not None and still.state is CallState.KEPT:
            yield f"Call {row.call_id}: {fault}"
    waiting = [row for row in box.catalogue.in_state(CallState.CONDEMNED) if box.call_keys.can_open(row.call_id)]
    if waiting and all(box.catalogue.find(row.call_id) is not None for row in waiting):
        yield f"{len(waiting)} decided deletions have not been carried out yet."


def _fault_of(box: Box, row: CallRow) -> str | None:
    if row.not_kept:
        return _fault_of_unrecorded(box, row)
    try:
        key = box.call_keys.key_of(row.call_id)
        with RecordingReader(box.folder.finished_path(row.call_id), call=row.call_id, key=key) as reader:
            reader.verify()
            opening, closing = reader.opening, reader.closing
        card = cards.unseal(row.card or b"", row.call_id, key)
    except LinekeepError as trouble:
        return str(trouble)
    if (card.frames, card.audio_bytes) != (closing.frames, closing.audio_bytes):
        return "the card and the recording tell different lengths."
    if (row.line, row.started_at_ms) != (opening.line, opening.started_at_ms):
        return "the catalogue and the recording tell different lines or times."
    return None


def _fault_of_unrecorded(box: Box, row: CallRow) -> str | None:
    try:
        cards.unseal(row.card or b"", row.call_id, box.call_keys.key_of(row.call_id))
    except LinekeepError as trouble:
        return str(trouble)
    paths = box.folder.finished_path(row.call_id), box.folder.growing_path(row.call_id)
    if any(path.exists() for path in paths):
        return "the catalogue says that nothing was recorded, but a recording is there."
    return None


def _folder(box: Box) -> Iterator[str]:
    for stranger in box.folder.strangers():
        yield f"The recordings folder holds something that Linekeep did not put there: {stranger!a}"
    for call in box.folder.finished_calls():
        if box.catalogue.find(call) is None and box.folder.finished_path(call).exists():
            yield f"Call {call}: a recording without a row in the catalogue."
    yield from _left_behind(box)
    for call in box.folder.growing_calls():
        if box.catalogue.find(call) is None and box.folder.growing_path(call).exists():
            yield f"Call {call}: an unfinished recording without a row in the catalogue."


def _left_behind(box: Box) -> Iterator[str]:
    """Recordings that nobody writes and that could not be taken over: the sweep would have had them long ago."""
    for call in box.folder.growing_calls():
        try:
            silent_s = time.time() - box.folder.growing_path(call).stat().st_mtime
        except FileNotFoundError:
            continue
        if silent_s > _LEFT_BEHIND_S and not box.folder.is_being_written(call):
            yield f"Call {call}: an unfinished recording that nobody writes and that could not be taken over."


def _journal_against_catalogue(box: Box) -> Iterator[str]:
    # Read before the journal, which is always ahead of it: what is kept meanwhile must not look like a fault.
    listed = box.catalogue.in_state(CallState.KEPT)
    recorded: set[str] = {row.call_id for row in listed if not row.not_kept}
    unrecorded: set[str] = {row.call_id for row in listed if row.not_kept}
    rows = recorded | unrecorded
    kept: set[str] = set()
    not_kept: set[str] = set()
    lost: set[str] = set()
    gone: set[str] = set()
    holds = _HoldsTold()
    with box.journal_path.open("rb") as lines:
        for line in lines:
            try:
                entry = decode_entry(line.removesuffix(b"\n"))
            except ValueError:
                return  # told by `_journal_against_tpm`
            yield from holds.hear(entry)
            if entry.act is Act.CALL_KEPT:
                kept.update(entry.ids)
            elif entry.act is Act.CALL_NOT_KEPT:
                not_kept.update(entry.ids)
            elif entry.act is Act.BOX_RESTORED:
                # A fact without a recording is in the catalogue only; what the backup had not yet is lost with it.
                lost |= not_kept
            elif entry.act is Act.CALLS_FORGOTTEN:
                gone.update(entry.ids)
    for name in sorted(rows & gone):
        if box.catalogue.find(CallId(name)) is not None:
            yield f"Call {name}: the journal says it was forgotten, but the catalogue lists it."
    for name in sorted((recorded - kept) | (unrecorded - not_kept)):
        if box.catalogue.find(CallId(name)) is not None:
            yield f"Call {name}: the journal does not know that it was kept."
    for name in sorted((kept | (not_kept - lost)) - gone - rows):
        if box.catalogue.find(CallId(name)) is None and not box.catalogue.was_forgotten(CallId(name)):
            yield f"Call {name}: the journal says it was kept, but it is nowhere."
    yield from _holds(box, holds, listed)


class _HoldsTold:
    """What the journal says of holds. until_ms: of each call whose last word is that it is held."""

    def __init__(self) -> None:
        self.until_ms: dict[str, int] = {}

    def hear(self, entry: Entry) -> Iterator[str]:
        """Yields what must not be: an erasure that was begun while its call was held."""
        if entry.act is Act.CALL_HELD:
            self.until_ms |= dict.fromkeys(entry.ids, int(entry.notes["until_ms"]))
        elif entry.act in (Act.CALL_HOLD_LIFTED, Act.CALLS_CONDEMNED):
            for name in entry.ids:
                until_ms = self.until_ms.pop(name, 0)
                if entry.act is Act.CALLS_CONDEMNED and until_ms > entry.at_ms:
                    yield f"Call {name}: it was held, and its erasure was begun all the same."


def _holds(box: Box, told: _HoldsTold, listed: Sequence[CallRow]) -> Iterator[str]:
    """Each hold as it was listed before the journal was read, and as it is now: it may come or go meanwhile."""
    for before in listed:
        told_ms = told.until_ms.get(before.call_id)
        row = box.catalogue.find(before.call_id) if before.hold_until_ms != told_ms else None
        if row is None or row.state is not CallState.KEPT or row.hold_until_ms == told_ms:
            continue
        if row.hold_until_ms is None:
            yield f"Call {row.call_id}: the journal says that it is held, but the catalogue does not."
        else:
            yield f"Call {row.call_id}: it is held, and the journal does not know of that hold."
