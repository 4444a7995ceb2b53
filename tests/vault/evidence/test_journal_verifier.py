"""Ten thousand entries with their heads: whatever is done to one of them is noticed, and the place is named."""

from __future__ import annotations

import hashlib
import json
import random
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
import structlog

from appliance.audit.events import Act
from appliance.audit.journal import Journal
from appliance.clock import Clock
from appliance.vault.evidence.identity import ensure_identity
from appliance.vault.evidence.journal_export import write_export
from appliance.vault.evidence.journal_heads import JournalHeads
from appliance.vault.evidence.journal_verifier import (
    CHAIN_NAME,
    HEADS_NAME,
    JOURNAL_NAME,
    Report,
    examine,
    lines_of,
    verify_export,
)
from appliance.vault.evidence.notary import Notary
from appliance.vault.evidence.verifier import Chain, NotProven
from tests.simulators.signing_tpm import SigningTpm
from tests.vault.box_house import NOON_MS

COUNT = 10_000
HEAD_EVERY = 250
SPOTS = sorted({1, 2, 249, 250, 251, COUNT - 1, COUNT, *random.Random(7).sample(range(1, COUNT), 13)})

Lines = list[bytes]


@dataclass(frozen=True, kw_only=True)
class Written:
    """A journal as a box wrote it, its heads, and an export after every so many entries."""

    journal: Lines
    heads: Lines
    chain: Chain
    exports: list[Path]

    def after(self, change: Callable[[Lines], Lines]) -> Report:
        return examine(change(list(self.journal)), self.heads, self.chain, is_export=True)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    folder = tmp_path_factory.mktemp("written")
    clock, tpm = Clock(lambda: NOON_MS, lambda: 0), cast("Any", SigningTpm())
    notary = Notary(tpm, ensure_identity(folder / "identity", tpm.signing_point(), NOON_MS))
    path, exports = folder / "journal" / "acts.jsonl", []
    with pytest.MonkeyPatch.context() as patch, closing(Journal(path, clock)) as journal:
        patch.setattr("os.fdatasync", lambda _file: None)
        patch.setattr("os.fsync", lambda _file: None)
        heads = JournalHeads(
            path.with_name("heads.jsonl"),
            journal=journal,
            tpm=tpm,
            notary=notary,
            clock=clock,
            log=structlog.get_logger(),
        )
        while journal.head.number < COUNT:
            number = journal.head.number + 1
            if number % (COUNT // 2) == 0:
                head = heads.sign(Act.JOURNAL_EXPORTED)
                exports.append(folder / f"{number}.zip")
                write_export(
                    exports[-1],
                    journal=path,
                    heads=heads.path,
                    chain=folder / "identity" / "chain.pem",
                    journal_bytes=head.journal_bytes,
                    heads_bytes=head.heads_bytes,
                )
            elif number % HEAD_EVERY == 0:
                heads.sign(Act.CHECK_RUN)
            else:
                journal.append(Act.CALL_KEPT, by="vault", ids=(f"{number:032x}",))
    return Written(
        journal=lines_of(path.read_bytes()),
        heads=lines_of(heads.path.read_bytes()),
        chain=notary.chain,
        exports=exports,
    )


def sealed(entry: dict[str, Any]) -> bytes:
    """A line as somebody makes it who knows how."""
    body = json.dumps({k: v for k, v in entry.items() if k != "own"}, separators=(",", ":")).encode()[:-1]
    return body + b',"own":"' + hashlib.sha256(body).hexdigest().encode() + b'"}'


def made_anew(line: bytes, **changes: Any) -> bytes:
    return sealed({**json.loads(line), **changes})


def test_what_nobody_touched_is_whole(written: Written) -> None:
    report = written.after(lambda lines: lines)
    assert (report.findings, report.remarks) == ((), ())
    assert re.match(r"10,000 entries from 2027-01-15 to 2027-01-15, 4\d heads, box .*: whole\.", report.summary)


@pytest.mark.parametrize("number", SPOTS)
def test_a_deleted_entry_is_named(written: Written, number: int) -> None:
    findings = written.after(lambda lines: lines[: number - 1] + lines[number:]).findings
    if number < COUNT:
        assert findings == (f"Entry {number:,} of 10,000 is missing, between {number - 1:,} and {number + 1:,}.",)
    else:
        assert findings[0].startswith("The journal ends at entry 9,999, but the head of 2027-01-15")


@pytest.mark.parametrize("number", SPOTS)
def test_an_edited_entry_is_named(written: Written, number: int) -> None:
    def edit(lines: Lines) -> Lines:
        lines[number - 1] = lines[number - 1].replace(b'"by":"vault"', b'"by":"fault"')
        return lines

    assert written.after(edit).findings == (f"Entry {number:,} of 10,000 was changed.",)


@pytest.mark.parametrize("number", SPOTS)
def test_an_entry_edited_by_somebody_who_makes_its_own_hash_anew_is_named(written: Written, number: int) -> None:
    def edit(lines: Lines) -> Lines:
        lines[number - 1] = made_anew(lines[number - 1], by="fault")
        return lines

    finding, *more = written.after(edit).findings
    assert not more
    if number < COUNT:
        assert finding == f"Entry {number:,} of 10,000 was changed."
    else:
        assert finding.startswith("Entry 10,000 is not the one that the head of")


@pytest.mark.parametrize("number", SPOTS)
def test_a_chain_made_anew_from_an_entry_on_is_named_by_its_heads(written: Written, number: int) -> None:
    def edit(lines: Lines) -> Lines:
        previous = ""
        for place in range(number - 1, len(lines)):
            changes = {"previous": previous} if previous else {"by": "fault"}
            lines[place] = made_anew(lines[place], **changes)
            previous = hashlib.sha256(lines[place]).hexdigest()
        return lines

    (finding,) = written.after(edit).findings
    first, last = (int(n.replace(",", "")) for n in re.findall(r"from entry ([\d,]+) to ([\d,]+)", finding)[0])
    assert first <= number <= last <= first + HEAD_EVERY


@pytest.mark.parametrize("number", SPOTS)
def test_two_entries_that_changed_places_are_named(written: Written, number: int) -> None:
    other = number % COUNT + 1

    def swap(lines: Lines) -> Lines:
        lines[number - 1], lines[other - 1] = lines[other - 1], lines[number - 1]
        return lines

    findings = written.after(swap).findings
    assert any(re.match(rf"Entry ({number:,}|{other:,}) stands on line ({number:,}|{other:,}):", f) for f in findings)


@pytest.mark.parametrize("number", SPOTS)
def test_a_moved_entry_is_named_alone(written: Written, number: int) -> None:
    to = (number + 4_999) % COUNT

    def move(lines: Lines) -> Lines:
        line = lines.pop(number - 1)
        lines.insert(to, line)
        return lines

    moved = f"Entry {number:,} stands on line {to + 1:,}: the order was changed."
    assert written.after(move).findings[0] == moved


@pytest.mark.parametrize("number", SPOTS)
def test_a_doubled_entry_and_a_foreign_line_are_named(written: Written, number: int) -> None:
    doubled = written.after(lambda lines: [*lines[:number], lines[number - 1], *lines[number:]]).findings
    assert doubled in (
        (f"Entry {number:,} stands a second time, on line {number:,}.",),
        (f"Entry {number:,} stands a second time, on line {number + 1:,}.",),
    )
    foreign = written.after(lambda lines: [*lines[:number], b"{}", *lines[number:]]).findings
    assert foreign == (f"Behind entry {number:,}, line {number + 1:,} is not an entry of this journal: put in.",)


@pytest.mark.parametrize("gone", [1, 2, 10, 249, 250, 5000, 9999, 10_000])
def test_a_cut_tail_is_named_by_the_head(written: Written, gone: int) -> None:
    finding = written.after(lambda lines: lines[: COUNT - gone]).findings[0]
    how_many = "the last one is" if gone == 1 else f"the last {gone:,} are"
    assert finding == (
        f"The journal ends at entry {COUNT - gone:,}, but the head of 2027-01-15 08:00 UTC says 10,000: "
        f"{how_many} missing."
    )


def test_a_forged_number_costs_nothing(written: Written) -> None:
    def change(lines: Lines) -> Lines:
        lines[4710] = made_anew(lines[4710], number=10**18)
        return lines

    findings = written.after(change).findings
    assert "Entry 1,000,000,000,000,000,000 stands on line 4,711: the order was changed." in findings
    assert any("Entry 4,711 of" in finding for finding in findings)


def test_several_changes_are_all_named(written: Written) -> None:
    def change(lines: Lines) -> Lines:
        lines[4710] = lines[4710][:-5]
        return [*lines[:99], *lines[120:]][: COUNT - 21 - 3]

    assert [finding[:38] for finding in written.after(change).findings] == [
        "Between entry 99 and entry 121 21 entr",
        "Entry 4,711 of 10,000 was changed.",
        "The journal ends at entry 9,997, but t",
    ]


def test_journal_and_heads_cut_together_do_not_end_with_an_export(written: Written) -> None:
    cut = examine(written.journal[: HEAD_EVERY * 3], written.heads[: 2 * 3], written.chain, is_export=True)
    assert len(cut.findings) == 1
    assert "were cut together" in cut.findings[0]


@pytest.mark.parametrize("place", [0, 2, 40, -2])
def test_a_head_that_is_gone_changed_or_moved_is_noticed(written: Written, place: int) -> None:
    heads = written.heads
    place %= len(heads)
    gone = heads[:place] + heads[place + 2 :]
    edited = [*heads[:place], heads[place].replace(b'\\"broken\\":0', b'\\"broken\\":00'), *heads[place + 1 :]]
    unsigned = heads[: place + 1] + heads[place + 2 :]
    moved = [*gone[: place // 4 * 2], *heads[place : place + 2], *gone[place // 4 * 2 :]] if place > 1 else gone
    for changed in (gone, edited, unsigned, moved):
        assert changed != heads
        assert examine(written.journal, changed, written.chain, is_export=True).findings


def test_an_export_is_checked_and_its_root_is_asked_for(written: Written) -> None:
    assert verify_export(written.exports[1], root=written.chain.root_fingerprint).findings == ()
    with pytest.raises(NotProven, match="another box's"):
        verify_export(written.exports[1], root="ab" * 32)


def test_an_older_export_in_place_of_a_newer_one_is_noticed_by_an_earlier_one(written: Written) -> None:
    older, newer = written.exports
    assert verify_export(older).findings == ()
    assert verify_export(newer, earlier=older).findings == ()
    findings = verify_export(older, earlier=newer).findings
    assert "has 10,000 entries, this one only 5,000" in findings[0]


def with_another(member: str, content: bytes, export: Path, target: Path) -> Path:
    """An export in which one file is another."""
    with zipfile.ZipFile(export) as archive, zipfile.ZipFile(target, "w") as changed:
        for name in archive.namelist():
            changed.writestr(name, content if name == member else archive.read(name))
    return target


def test_an_earlier_export_with_another_entry_is_noticed(written: Written, tmp_path: Path) -> None:
    older, newer = written.exports
    journal = list(written.journal[: COUNT // 2])
    journal[2] = made_anew(journal[2], by="fault")
    earlier = with_another(JOURNAL_NAME, b"\n".join(journal) + b"\n", older, tmp_path / "earlier.zip")
    findings = verify_export(newer, earlier=earlier).findings
    assert findings == ("Line 3 of the journal is not the one of the earlier export.",)


def test_an_earlier_export_with_another_head_is_noticed(written: Written, tmp_path: Path) -> None:
    older, newer = written.exports
    heads = [*written.heads[:10], *written.heads[2:4]]
    earlier = with_another(HEADS_NAME, b"\n".join(heads) + b"\n", older, tmp_path / "earlier.zip")
    findings = verify_export(newer, earlier=earlier).findings
    assert findings == ("The heads of the earlier export are not the first ones here.",)


def test_an_earlier_export_of_another_box_is_compared_no_further(written: Written, tmp_path: Path) -> None:
    older, newer = written.exports
    another = ensure_identity(tmp_path / "identity", SigningTpm().signing_point(), NOON_MS)
    earlier = with_another(CHAIN_NAME, another.pem, older, tmp_path / "earlier.zip")
    assert verify_export(newer, earlier=earlier).findings == ("The earlier export is another box's.",)


def test_what_is_no_export_is_one_sentence(written: Written, tmp_path: Path) -> None:
    content = written.exports[0].read_bytes()
    for number, broken in enumerate((b"", b"PK", content[: len(content) // 2], content[:-1], b"x" * 1000)):
        (tmp_path / f"{number}.zip").write_bytes(broken)
        with pytest.raises(NotProven, match="no export"):
            verify_export(tmp_path / f"{number}.zip")
    with pytest.raises(NotProven, match="cannot be read"):
        verify_export(tmp_path / "missing.zip")


def test_the_programs_in_the_export_run_without_linekeep(written: Written, tmp_path: Path) -> None:
    with zipfile.ZipFile(written.exports[1]) as archive:
        archive.extractall(tmp_path)
    hide = (
        "import sys, runpy; sys.modules['appliance'] = None; runpy.run_path('journal_verifier.py', run_name='__main__')"
    )
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, '.'); {hide}", str(written.exports[1])]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "10,000 entries" in ended.stdout


@pytest.mark.parametrize("line", [b"", b"{}", b"[]", b"null", b"\xff", b'{"statement":3}', b'{"attest":1}'])
def test_heads_of_any_form_are_a_finding_and_no_fault(written: Written, line: bytes) -> None:
    for place in (0, 1, len(written.heads)):
        heads = [*written.heads[:place], line, *written.heads[place:]]
        assert examine(written.journal[:10], heads, written.chain).findings
