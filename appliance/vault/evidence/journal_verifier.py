"""Checks the journal of a Linekeep box. Needs Python 3.11, the package `cryptography`, and verifier.py beside it.

Promise: imports nothing else of the product, so that both files can be handed out with an export. Everything it reads
is untrusted. What it finds is named by the entry's number, and it goes on after the first finding. It is one long file
because it is handed out: whoever gets it has two programs to read, and no package to install.

The journal is one JSON object a line. Each has its number, the SHA-256 of the line before it (`previous`) and its own
(`own`). Each head is a statement of the box: so many entries, the last of them with this hash. Before the TPM signs a
head, its journal index is extended by the SHA-256 of the statement, and the signature covers the index's value:

    after = SHA-256(index_before || SHA-256(statement)),    index_before of the next head = after

So the heads are a chain of their own that the TPM keeps the end of. Whoever cuts journal and heads together cannot
turn the TPM back: on the box that is noticed at once. Off the box an export is noticed to be cut because its last
entry must be the export itself; that an older whole export is shown instead of a newer one, only a newer or an earlier
one tells (`earlier`).
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import json
import re
import sys
import zipfile
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

try:
    from appliance.vault.evidence.verifier import Chain, NotProven, SignedStatement, shown_fingerprint
except ImportError:  # handed out: both files lie in one folder
    from verifier import (  # type: ignore[import-not-found, no-redef]
        Chain,
        NotProven,
        SignedStatement,
        shown_fingerprint,
    )

KIND = "journal_head"
JOURNAL_NAME, HEADS_NAME, CHAIN_NAME = "journal.jsonl", "heads.jsonl", "chain.pem"

_START = "0" * 64
_OWN = re.compile(rb'(.*),"own":"([0-9a-f]{64})"}', re.DOTALL)
_BEGUN = "journal:heads_begun"
_EXPORTED = "journal:exported"
_MOVES = ("ring:moved", "ring:moved_unseen")
_MOST_SHOWN = 100
_LARGEST_MEMBER_BYTES = 2 * 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A line that is whole in itself; `digest` is its SHA-256."""

    number: int
    at_ms: int
    act: str
    notes: dict[str, Any]
    previous: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A head as the heads' file has it; without attestation and signature when it was cut before the TPM signed."""

    statement: bytes
    attest: bytes | None = None
    signature: bytes | None = None

    @property
    def digest(self) -> bytes:
        return hashlib.sha256(self.statement).digest()

    def facts(self) -> HeadFacts:
        """What it says, believed of nobody yet. Raises NotProven."""
        try:
            said = json.loads(self.statement)
            numbers: dict[str, Any] = {name: int(said[name]) for name in ("head", "number", "at_ms", "broken")}
            texts: dict[str, Any] = {name: str(said[name]) for name in ("box", "entry", "previous_head")}
            return HeadFacts(**numbers, **texts, index_before=bytes.fromhex(said["index_before"]))
        except (ValueError, TypeError, KeyError) as error:
            raise NotProven("A head is not readable.") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadFacts:
    """
    head: its own number, from 1.  number, entry: the last entry's number and hash.  at_ms: when.
    previous_head: SHA-256 of the previous head's statement.  index_before: the TPM's journal index before it.
    broken: 1 if the box itself says that this index was not what the heads before it had made of it.
    """

    box: str
    head: int
    number: int
    entry: str
    at_ms: int
    previous_head: str
    index_before: bytes
    broken: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """findings: what is wrong, one sentence each.  remarks: what is worth knowing and no fault.  summary: one line."""

    findings: tuple[str, ...]
    remarks: tuple[str, ...]
    summary: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """What an export holds, unchecked."""

    journal: list[bytes]
    heads: list[bytes]
    chain_pem: bytes


# --- from outside ---------------------------------------------------------------------------------------


def read_export(path: Path) -> Export:
    """The parts of an export. Raises NotProven: it is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            journal, heads, chain = (_member(archive, name) for name in (JOURNAL_NAME, HEADS_NAME, CHAIN_NAME))
    except OSError as error:
        raise NotProven(f"{path} cannot be read: {error.strerror}.") from error
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError, RuntimeError, NotImplementedError, zlib.error) as error:
        raise NotProven(f"{path} is no export of a journal, or it is damaged.") from error
    return Export(journal=lines_of(journal), heads=lines_of(heads), chain_pem=chain)


def lines_of(content: bytes) -> list[bytes]:
    """Its lines. What stands behind the last line's end is a line too, which no whole journal has."""
    lines = content.split(b"\n")
    return lines[:-1] if not lines[-1] else lines


def verify_export(path: Path, *, root: str | None = None, earlier: Path | None = None) -> Report:
    """Check an export, as whoever it was handed to. Raises NotProven: it is none, or another box's."""
    export = read_export(path)
    report = examine(export.journal, export.heads, Chain(export.chain_pem, root), is_export=True)
    if earlier is None:
        return report
    more = tuple(_against_earlier(export, read_export(earlier)))
    return Report(findings=report.findings + more, remarks=report.remarks, summary=report.summary)


def examine(
    journal: Sequence[bytes],
    heads: Sequence[bytes],
    chain: Chain,
    *,
    is_export: bool = False,
    index: bytes | None = None,
) -> Report:
    """Check a journal against itself and against its heads.

    Args:
        journal, heads: lines, without their ends.
        is_export: whether it must end with its own export, signed.
        index: the TPM's journal index as it is, on the box itself.
    """
    findings: list[str] = []
    remarks: list[str] = []
    present = read_heads(heads, findings)
    signed = list(_checked_heads(present, chain, findings))
    walk = _Walk([entry_or_none(line) for line in journal])
    findings[:0] = walk.findings(signed)
    findings += _beginning(signed, walk)
    if index is not None:
        findings += _heads_against_tpm(present, signed, walk, index)
    findings += _heads_against_entries(signed, walk)
    findings += _moves(walk, remarks)
    if is_export:
        findings += _end_of_export(signed, walk)
    entries = list(walk.in_place.values())
    span = f" from {_day(entries[0].at_ms)} to {_day(entries[-1].at_ms)}" if entries else ""
    verdict = "whole" if not findings else _count(len(findings), "finding")
    box = shown_fingerprint(chain.root_fingerprint)
    summary = f"{_count(len(journal), 'entry', 'entries')}{span}, {_count(len(signed), 'head')}, box {box}: {verdict}."
    return Report(findings=tuple(findings), remarks=tuple(remarks), summary=summary)


def chain_findings(journal: Sequence[bytes]) -> list[str]:
    """Check the chain alone, without heads: a cut tail is not noticed by that."""
    return list(_Walk([entry_or_none(line) for line in journal]).findings(()))


# --- the chain of entries -------------------------------------------------------------------------------


def entry_or_none(untrusted_line: bytes) -> Entry | None:
    """A line that is whole in itself, or None."""
    match = _OWN.fullmatch(untrusted_line)
    if match is None or hashlib.sha256(match[1]).hexdigest().encode() != match[2]:
        return None
    try:
        said = json.loads(match[1] + b"}")
        return Entry(
            number=int(said["number"]),
            at_ms=int(said["at_ms"]),
            act=str(said["act"]),
            notes=dict(said["notes"]),
            previous=str(said["previous"]),
            digest=hashlib.sha256(untrusted_line).hexdigest(),
        )
    except (ValueError, TypeError, KeyError):
        return None


@dataclass(slots=True)
class _Walk:
    """The journal from its first line to its last.

    lines: an entry a line, None where a line is not whole.
    in_place: by number, those that stand in rising order, as many as can be; all others were moved or doubled.
    named: numbers that a finding has named already.
    """

    lines: list[Entry | None]
    in_place: dict[int, Entry] = field(init=False)
    named: set[int] = field(init=False, default_factory=set)
    _places: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self._places = _longest_rise(self.lines)
        self.in_place = {entry.number: entry for place in self._places if (entry := self.lines[place]) is not None}

    @property
    def last_number(self) -> int:
        return next(reversed(self.in_place), 0)

    def findings(self, heads: Sequence[HeadFacts]) -> Iterator[str]:
        newest = max(heads, key=lambda head: head.number, default=None)
        total = max(self.last_number, newest.number if newest else 0)
        yield from self._moved()
        yield from self._gaps(total, newest)
        yield from self._links(total)

    def _moved(self) -> Iterator[str]:
        standing = set(self._places)
        for place, entry in enumerate(self.lines):
            if entry is not None and place not in standing:
                self.named.add(entry.number)
                if entry.number in self.in_place:
                    yield f"Entry {entry.number:,} stands a second time, on line {place + 1:,}."
                else:
                    yield f"Entry {entry.number:,} stands on line {place + 1:,}: the order was changed."

    def _gaps(self, total: int, newest: HeadFacts | None) -> Iterator[str]:
        """Between two entries that stand in place: numbers that are nowhere, and lines that are not whole."""
        present = sorted({entry.number for entry in self.lines if entry is not None})
        before, before_place = 0, -1
        for place in (*self._places, len(self.lines)):
            entry = self.lines[place] if place < len(self.lines) else None
            number = total + 1 if entry is None else entry.number
            unreadable = [at + 1 for at in range(before_place + 1, place) if self.lines[at] is None]
            missing = _absent(before, number, present)
            self.named.update(missing.first_and_last)
            if entry is None and missing.count and not unreadable and newest is not None:
                yield _cut_tail(before, missing.count, newest)
            elif missing.count or unreadable:
                yield _gap(before, number, missing, unreadable, total)
            before, before_place = number, place

    def _links(self, total: int) -> Iterator[str]:
        """Lines that are whole in themselves and do not belong together: some were made anew."""
        broken: list[int] = []
        before = Entry(number=0, at_ms=0, act="", notes={}, previous="", digest=_START)
        for entry in self.in_place.values():
            follows = entry.number != before.number + 1 or entry.previous == before.digest
            if not follows:
                broken.append(before.number)
            elif broken:
                yield self._changed(broken, total)
                broken = []
            before = entry
        if broken:
            yield self._changed(broken, total)

    def _changed(self, numbers: list[int], total: int) -> str:
        first, last = max(1, numbers[0]), max(1, numbers[-1])
        self.named.update(range(first, last + 1))
        return _changed(first, last, total)


def _longest_rise(lines: Sequence[Entry | None]) -> list[int]:
    """The places of the longest strictly rising run of numbers (patience sorting, n log n)."""
    tops: list[int] = []
    top_places: list[int] = []
    below: dict[int, int] = {}
    for place, entry in enumerate(lines):
        if entry is None:
            continue
        at = bisect_left(tops, entry.number)
        if at:
            below[place] = top_places[at - 1]
        tops[at : at + 1] = [entry.number]
        top_places[at : at + 1] = [place]
    rise = top_places[-1:]
    while rise and rise[-1] in below:
        rise.append(below[rise[-1]])
    return rise[::-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Absent:
    """Numbers that no line has. Never listed: a forged number may be astronomically high."""

    count: int
    first_and_last: tuple[int, ...]


def _absent(before: int, number: int, present: Sequence[int]) -> _Absent:
    """The numbers between two that are not among the present ones, which are sorted."""
    inside = present[bisect_right(present, before) : bisect_left(present, number)]
    count = max(0, number - before - 1) - len(inside)
    if count <= 0:
        return _Absent(count=0, first_and_last=())
    held = set(inside)
    first = next(n for n in range(before + 1, number) if n not in held)
    last = next(n for n in range(number - 1, before, -1) if n not in held)
    return _Absent(count=count, first_and_last=(first, last))


def _cut_tail(last: int, missing: int, newest: HeadFacts) -> str:
    gone = f"the last {_number(missing)} are" if missing > 1 else "the last one is"
    return (
        f"The journal ends at entry {last:,}, but the head of {_moment(newest.at_ms)} says {newest.number:,}: "
        f"{gone} missing."
    )


def _gap(before: int, number: int, missing: _Absent, unreadable: list[int], total: int) -> str:
    places = f"line {unreadable[0]:,}" if len(unreadable) == 1 else f"{len(unreadable):,} lines" if unreadable else ""
    if not missing.count:
        be = "is not an entry" if len(unreadable) == 1 else "are not entries"
        return f"Behind entry {before:,}, {places} {be} of this journal: put in."
    first, last = missing.first_and_last
    if missing.count == len(unreadable):
        return _changed(first, last, total)
    if not unreadable:
        if missing.count == 1:
            return f"Entry {first:,} of {total:,} is missing, between {before:,} and {number:,}."
        return f"Between entry {before:,} and entry {number:,} {missing.count:,} entries are missing."
    return (
        f"Between entry {before:,} and entry {number:,} {missing.count:,} entries are missing or were changed; "
        f"{places} there cannot be read."
    )


def _changed(first: int, last: int, total: int) -> str:
    if first == last:
        return f"Entry {first:,} of {total:,} was changed."
    return f"Entries {first:,} to {last:,} of {total:,} were changed."


# --- the heads ------------------------------------------------------------------------------------------


def index_after(index_before: bytes, statement_digest: bytes) -> bytes:
    """What TPM2_NV_Extend makes of an index of type EXTEND (TCG TPM 2.0 Library, part 3, 31.9)."""
    return hashlib.sha256(index_before + statement_digest).digest()


def read_heads(untrusted_lines: Iterable[bytes], findings: list[str]) -> list[Head]:
    """A line with the statement, then a line with what the TPM made of it; what fits nowhere is told."""
    heads: list[Head] = []
    for place, line in enumerate(untrusted_lines, start=1):
        try:
            said = json.loads(line)
            if "statement" in said:
                heads.append(Head(statement=said["statement"].encode()))
                continue
            attest, signature = (base64.b64decode(said[name], validate=True) for name in ("attest", "signature"))
            heads[-1] = Head(statement=heads[-1].statement, attest=attest, signature=signature)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, binascii.Error):
            findings.append(f"Line {place:,} of the heads cannot be read: it was changed.")
    return heads


def _checked_heads(heads: Sequence[Head], chain: Chain, findings: list[str]) -> Iterator[HeadFacts]:
    """The heads that the box has signed, each compared with the one before it."""
    previous: tuple[Head, HeadFacts] | None = None
    for place, head in enumerate(heads, start=1):
        if head.attest is None or head.signature is None:
            if place < len(heads):
                findings.append(f"Head {place:,} is not signed.")
            continue
        try:
            facts = _checked_head(
                head, SignedStatement(statement=head.statement, attest=head.attest, signature=head.signature), chain
            )
        except NotProven as wrong:
            findings.append(f"Head {place:,}: {wrong}")
            continue
        findings += _head_against_previous(facts, previous)
        previous = head, facts
        yield facts


def _checked_head(head: Head, signed: SignedStatement, chain: Chain) -> HeadFacts:
    checked = chain.check(signed)
    facts = head.facts()
    if checked.facts.get("kind") != KIND or checked.attested.index != "journal":
        raise NotProven("this is a statement of another kind.")
    if checked.attested.state != index_after(facts.index_before, head.digest):
        raise NotProven("the TPM's value does not come from the one that the head names.")
    return facts


def _head_against_previous(facts: HeadFacts, previous: tuple[Head, HeadFacts] | None) -> Iterator[str]:
    this = f"Head {facts.head:,} of {_moment(facts.at_ms)}"
    if facts.broken:
        yield (
            f"{this}: the box itself says that its TPM had seen other heads than the file had. "
            "Heads or entries before it were cut off or put back."
        )
    if previous is None:
        if facts.head != 1 or facts.previous_head:
            yield f"{this} is the first here: the {_number(facts.head - 1)} before it are missing."
        return
    head, before = previous
    if facts.broken:
        pass  # said above
    elif facts.head != before.head + 1:
        yield f"Between head {before.head:,} and head {facts.head:,} heads are missing, or their order was changed."
    elif facts.previous_head != head.digest.hex() or facts.index_before != index_after(
        before.index_before, head.digest
    ):
        yield f"{this} does not follow the one before it."
    if facts.number < before.number:
        yield f"{this} counts fewer entries ({facts.number:,}) than the one before it ({before.number:,})."


def _beginning(heads: Sequence[HeadFacts], walk: _Walk) -> Iterator[str]:
    """The journal says where the TPM's index began; so a later head does not pass for the first."""
    if not heads or heads[0].head != 1 or heads[0].broken:
        return
    began = [
        e.notes.get("index") for e in walk.in_place.values() if e.act == _BEGUN and e.notes.get("box") == heads[0].box
    ]
    if began and heads[0].index_before.hex() != began[0]:
        yield "The first head does not begin where the journal says that the heads began: earlier ones were cut off."


def _heads_against_entries(heads: Sequence[HeadFacts], walk: _Walk) -> Iterator[str]:
    holds = 0
    for head in heads:
        entry = walk.in_place.get(head.number)
        if entry is None or entry.digest == head.entry:
            holds = head.number if entry else holds
            continue
        if head.number not in walk.named:
            yield (
                f"Entry {head.number:,} is not the one that the head of {_moment(head.at_ms)} signed: something from "
                f"entry {holds + 1:,} to {head.number:,} was changed, and what follows was made anew."
            )
            return  # all later ones hang on it


def _heads_against_tpm(
    present: Sequence[Head], signed: Sequence[HeadFacts], walk: _Walk, index: bytes
) -> Iterator[str]:
    """The index is where the last head has left it, or found it if that was cut before the TPM signed."""
    if present:
        try:
            before = present[-1].facts().index_before
        except NotProven:
            return  # told by whoever compared it with its signature
        fitting = {index_after(before, present[-1].digest)} | ({before} if present[-1].signature is None else set())
    else:
        begun = [str(e.notes.get("index")) for e in walk.in_place.values() if e.act == _BEGUN]
        fitting = {bytes.fromhex(begun[-1])} if begun else {index}
    if index not in fitting:
        last = f"the last one here is of {_moment(signed[-1].at_ms)}" if signed else "none here is signed"
        yield (
            "The TPM has seen other heads of the journal than its file has: the end of the journal was cut off "
            f"together with its heads, or put back from a copy; {last}."
        )


def _end_of_export(heads: Sequence[HeadFacts], walk: _Walk) -> Iterator[str]:
    if not heads:
        yield "No head that holds: nothing of this is signed."
        return
    last = walk.in_place.get(walk.last_number)
    if last is not None and last.number > heads[-1].number:
        yield f"The entries behind {heads[-1].number:,} (to {last.number:,}) are not signed: put in, or heads were cut."
    elif last is not None and last.number == heads[-1].number and last.act != _EXPORTED:
        yield (
            f"The journal ends at entry {last.number:,}, which is not its export: journal and heads were cut together."
        )


def _moves(walk: _Walk, remarks: list[str]) -> Iterator[str]:
    state = ""
    for entry in walk.in_place.values():
        if entry.act not in _MOVES:
            continue
        if state and entry.notes.get("before") != state and not walk.named:
            yield f"Entry {entry.number:,}: the ring's moves are no chain here, one is missing."
        if entry.act == _MOVES[1]:
            remarks.append(
                f"Entry {entry.number:,}: the ring had moved without an entry, as after a power cut on a full disk."
            )
        state = str(entry.notes.get("after"))


def _against_earlier(export: Export, earlier: Export) -> Iterator[str]:
    """An earlier export of the same box is the beginning of a later one."""
    if export.chain_pem != earlier.chain_pem:
        yield "The earlier export is another box's."
        return
    if len(earlier.journal) > len(export.journal):
        yield (
            f"The earlier export has {len(earlier.journal):,} entries, this one only {len(export.journal):,}: "
            "this is an older one, or it was cut."
        )
    for place, (here, there) in enumerate(zip(export.journal, earlier.journal, strict=False), start=1):
        if here != there:
            yield f"Line {place:,} of the journal is not the one of the earlier export."
            break
    if export.heads[: len(earlier.heads)] != earlier.heads:
        yield "The heads of the earlier export are not the first ones here."


# --- words ----------------------------------------------------------------------------------------------


def _number(count: int) -> str:
    return f"{count:,}"


def _count(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def _moment(at_ms: int) -> str:
    return _time(at_ms, "%Y-%m-%d %H:%M UTC")


def _day(at_ms: int) -> str:
    return _time(at_ms, "%Y-%m-%d")


def _time(at_ms: int, form: str) -> str:
    try:
        return datetime.fromtimestamp(at_ms / 1000, tz=UTC).strftime(form)
    except (ValueError, OverflowError, OSError):
        return f"the time {at_ms}"


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    if archive.getinfo(name).file_size > _LARGEST_MEMBER_BYTES:
        raise ValueError("too large")
    return archive.read(name)


def show(report: Report) -> int:
    """Print it; the exit code: 0 whole, 1 something was found."""
    sentences = [*report.findings[:_MOST_SHOWN], *report.remarks[:_MOST_SHOWN], report.summary]
    if len(report.findings) > _MOST_SHOWN:
        sentences.insert(_MOST_SHOWN, f"... and {len(report.findings) - _MOST_SHOWN:,} more.")
    print("\n".join(sentences))  # noqa: T201 - what the program is for
    return 1 if report.findings else 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Check an exported journal of a Linekeep box.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--root", help="the fingerprint on the box's label")
    parser.add_argument("--earlier", type=Path, help="an earlier export of the same box")
    parsed = parser.parse_args()
    try:
        return show(verify_export(parsed.file, root=parsed.root, earlier=parsed.earlier))
    except NotProven as wrong:
        print(wrong, file=sys.stderr)  # noqa: T201
        return 2


if __name__ == "__main__":
    sys.exit(main())
