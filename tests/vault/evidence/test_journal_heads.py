"""Heads on a real (software) TPM: a cut after each step is made good, and what cannot be is said openly."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import structlog

from appliance.audit.events import Act
from appliance.audit.journal import Journal
from appliance.clock import Clock
from appliance.terms import LinekeepError, StorageTrouble
from appliance.vault.evidence.identity import ensure_identity
from appliance.vault.evidence.journal_heads import JournalHeads
from appliance.vault.evidence.journal_verifier import KIND, Head, Report, examine, lines_of, read_heads
from appliance.vault.evidence.notary import Anchor, Notary
from appliance.vault.tpm import Tpm
from tests.simulators.software_tpm import NV_EXTEND, Fault, FaultyTpm, SoftwareTpm, Verdict, nth
from tests.vault.box_house import NOON_MS

NV_CERTIFY = 0x184
ONE_DAY_MS = 86_400_000


class Book:
    """A journal and its heads, opened again as after a restart."""

    def __init__(self, folder: Path, tpm: Tpm) -> None:
        self.now_ms = NOON_MS
        self.tpm = tpm
        self._folder = folder
        self.path = folder / "journal" / "acts.jsonl"
        self._clock = Clock(lambda: self.now_ms, lambda: 0)
        self.open()

    def open(self) -> None:
        self.journal = Journal(self.path, self._clock)
        chain = ensure_identity(self._folder / "identity", self.tpm.signing_point(), NOON_MS)
        self.notary = Notary(self.tpm, chain)
        self.heads = JournalHeads(
            self.path.with_name("heads.jsonl"),
            journal=self.journal,
            tpm=self.tpm,
            notary=self.notary,
            clock=self._clock,
            log=structlog.get_logger(),
        )

    def close(self) -> None:
        self.journal.close()

    def restart(self) -> None:
        self.close()
        self.open()

    def note(self) -> None:
        self.journal.append(Act.CALL_KEPT, by="vault")

    def report(self) -> Report:
        heads, index = self.heads.seen()
        return examine(lines_of(self.path.read_bytes()), lines_of(heads), self.notary.chain, index=index)


@pytest.fixture
def book(tmp_path: Path, tpm: Tpm) -> Iterator[Book]:
    with closing(Book(tmp_path, tpm)) as book:
        yield book


def test_heads_follow_each_other_also_when_nothing_happens(book: Book) -> None:
    book.note()
    for _ in range(3):
        book.now_ms += ONE_DAY_MS
        book.heads.sign()
    book.restart()
    book.note()
    book.heads.sign()
    report = book.report()
    assert report.findings == ()
    assert ", 4 heads," in report.summary


class Cut(Exception):
    """The power went."""


def cut_before(number: int) -> Callable[[], None]:
    seen = 0

    def step() -> None:
        nonlocal seen
        seen += 1
        if seen == number:
            raise Cut

    return step


def test_a_cut_at_any_step_is_made_good(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    book.note()
    book.heads.sign()
    for number in range(1, 20):
        step = cut_before(number)
        with monkeypatch.context() as patch:
            for owner, name in (
                (os, "fsync"),
                (book.tpm, "extend_journal"),
                (book.tpm, "certify_journal"),
                (book.tpm, "journal_state"),
            ):
                _stop_before_and_after(patch, owner, name, step)
            book.note()
            try:
                book.heads.sign()
            except Cut:
                was_cut = True
            else:
                was_cut = False
        book.restart()
        assert book.report().findings == (), f"step {number}"
        book.heads.sign()
        assert book.report().findings == (), f"step {number}"
        if not was_cut:
            assert number > 8
            return
    raise AssertionError("no head without a cut")


def test_a_statement_is_on_the_disk_before_the_tpm_is_extended(
    book: Book, synced: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    extend, seen = book.tpm.extend_journal, []

    def look(digest: bytes) -> None:
        seen.append((list(synced), book.heads.path.read_bytes().count(b"\n")))
        extend(digest)

    monkeypatch.setattr(book.tpm, "extend_journal", look)
    synced.clear()
    book.heads.sign()
    assert seen == [([book.heads.path], 1)]
    assert synced == [book.heads.path] * 2


def _stop_before_and_after(patch: pytest.MonkeyPatch, owner: object, name: str, step: Callable[[], None]) -> None:
    real = getattr(owner, name)

    def stopping(*arguments: object) -> object:
        step()
        answer = real(*arguments)
        step()
        return answer

    patch.setattr(owner, name, stopping)


@pytest.mark.parametrize("left", [1, 30, -1])
def test_a_torn_signature_is_made_again(book: Book, left: int) -> None:
    book.heads.sign()
    content = book.heads.path.read_bytes()
    statement, signature = content.splitlines(keepends=True)
    book.heads.path.write_bytes(statement + signature[:left])
    book.restart()
    assert book.heads.path.read_bytes() == statement
    book.heads.sign()
    assert (book.report().findings, ", 2 heads," in book.report().summary) == ((), True)


@pytest.mark.parametrize("left", [1, 30, -1])
def test_a_torn_statement_is_dropped(book: Book, left: int) -> None:
    book.heads.sign()
    content = book.heads.path.read_bytes()
    book.heads.path.write_bytes(content + content.splitlines(keepends=True)[0][:left])
    book.restart()
    assert book.heads.path.read_bytes() == content
    book.heads.sign()
    assert book.report().findings == ()


@pytest.mark.parametrize("fault", [Fault.LOSE_COMMAND, Fault.LOSE_ANSWER, Fault.FAKE_SUCCESS])
@pytest.mark.parametrize("code", [NV_EXTEND, NV_CERTIFY])
def test_a_fault_on_the_bus_is_made_good(book: Book, bus: FaultyTpm, code: int, fault: Fault) -> None:
    book.heads.sign()
    bus.rule = nth(code, 1, Verdict(fault=fault))
    try:
        book.heads.sign()
    except LinekeepError:
        bus.rule = lambda _code: Verdict()
        book.heads.sign()
    assert book.report().findings == ()
    assert ", 2 heads," in book.report().summary or ", 3 heads," in book.report().summary


def test_a_full_disk_is_made_good(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    book.heads.sign()
    real = os.write

    def short(file: int, content: bytes) -> int:
        if len(content) > 100:
            return real(file, content[:50])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("appliance.recordings.disk.os.write", lambda f, c: short(f, bytes(c)))
    with pytest.raises(StorageTrouble):
        book.heads.sign()
    monkeypatch.undo()
    book.heads.sign()
    assert book.report().findings == ()


def test_heads_and_journal_cut_together_are_noticed_and_the_next_head_says_so(book: Book) -> None:
    book.note()
    book.heads.sign()
    before = book.path.read_bytes(), book.heads.path.read_bytes()
    book.note()
    book.heads.sign()
    book.close()
    book.path.write_bytes(before[0])
    book.heads.path.write_bytes(before[1])
    book.open()
    assert "The TPM has seen other heads" in book.report().findings[0]
    book.note()
    book.heads.sign()
    assert b"journal:heads_broken" in book.path.read_bytes()
    book.heads.sign()
    (finding,) = book.report().findings
    assert "the box itself says" in finding


def test_a_deleted_heads_file_is_noticed_and_the_next_head_says_so(book: Book) -> None:
    book.heads.sign()
    book.close()
    book.heads.path.unlink()
    book.open()
    assert "The TPM has seen other heads" in book.report().findings[0]
    book.heads.sign()
    assert "the box itself says" in book.report().findings[0]


def test_a_journal_cut_below_its_head_is_said_by_the_next_head(book: Book) -> None:
    book.note()
    book.note()
    book.heads.sign()
    book.close()
    book.path.write_bytes(b"".join(book.path.read_bytes().splitlines(keepends=True)[:-1]))
    book.open()
    assert "the last one is missing" in book.report().findings[0]
    book.heads.sign()
    assert any("the box itself says" in finding for finding in book.report().findings)


def test_somebody_elses_extend_is_noticed_and_signing_goes_on(book: Book, tpm: Tpm) -> None:
    book.heads.sign()
    tpm.extend_journal(bytes(32))
    assert "The TPM has seen other heads" in book.report().findings[0]
    book.heads.sign()
    book.heads.sign()
    (finding,) = book.report().findings
    assert "the box itself says" in finding


def test_a_damaged_heads_file_is_noticed_and_signing_goes_on(book: Book) -> None:
    book.heads.sign()
    content = book.heads.path.read_bytes()
    book.heads.path.write_bytes(content.replace(b"index_before", b"index_behind"))
    book.heads.sign()
    book.heads.sign()
    assert any("Head 1" in finding for finding in book.report().findings)


def test_another_tpm_begins_its_own_heads_and_the_former_ones_are_kept(
    book: Book, tmp_path: Path, run_dir: Path
) -> None:
    book.heads.sign()
    former = book.heads.path.read_bytes()
    box = book.notary.chain.root_fingerprint
    with SoftwareTpm(tmp_path / "other", run_dir / "other") as chip, closing(Tpm(chip.tcti)) as other:
        other.provision()
        book.tpm = other
        book.restart()
        book.heads.sign()
        book.heads.sign()
        assert book.report().findings == ()
    assert book.heads.path.with_name(f"heads-{box[:16]}.jsonl").read_bytes() == former


def test_an_export_ends_with_its_own_act(book: Book) -> None:
    book.note()
    head = book.heads.sign(Act.JOURNAL_EXPORTED, by="console")
    book.note()
    book.heads.sign()
    journal = lines_of(book.path.read_bytes()[: head.journal_bytes])
    heads = lines_of(book.heads.path.read_bytes()[: head.heads_bytes])
    assert len(journal) == head.number
    assert examine(journal, heads, book.notary.chain, is_export=True).findings == ()


# heads that the box itself has signed and that are no good, as whoever rules the vault can have them made


def have_signed(book: Book, *, kind: str = KIND, anchor: Anchor = Anchor.JOURNAL, **otherwise: object) -> None:
    """One more head, extended and signed by the box's own TPM, that says something else than the next one would."""
    last = heads_of(book)[-1]
    next_one = {
        **json.loads(last.statement),
        "head": last.facts().head + 1,
        "previous_head": last.digest.hex(),
        "index_before": book.tpm.journal_state().hex(),
    }
    head = Head(statement=book.notary.statement(kind, {**next_one, **otherwise}))
    book.tpm.extend_journal(head.digest)
    signed = book.notary.sign_statement(head.statement, anchor=anchor).as_json()
    with book.heads.path.open("a") as file:
        for names in (("statement",), ("attest", "signature")):
            file.write(json.dumps({name: signed[name] for name in names}) + "\n")


def heads_of(book: Book) -> list[Head]:
    return read_heads(lines_of(book.heads.path.read_bytes()), [])


def findings_elsewhere(book: Book) -> tuple[str, ...]:
    """As who has no TPM to ask."""
    journal, heads = (lines_of(path.read_bytes()) for path in (book.path, book.heads.path))
    return examine(journal, heads, book.notary.chain).findings


def test_a_signed_head_that_follows_has_no_finding(book: Book) -> None:
    book.heads.sign()
    have_signed(book)
    assert findings_elsewhere(book) == book.report().findings == ()


def test_a_signed_head_whose_index_the_tpm_never_had_is_named(book: Book) -> None:
    book.heads.sign()
    have_signed(book, index_before="00" * 32)
    assert findings_elsewhere(book) == ("Head 2: the TPM's value does not come from the one that the head names.",)


def test_a_statement_of_another_kind_and_one_beside_the_ring_pass_for_no_head(book: Book) -> None:
    book.heads.sign()
    have_signed(book, kind="recording")
    have_signed(book, anchor=Anchor.RING, head=2)
    assert findings_elsewhere(book) == tuple(f"Head {place}: this is a statement of another kind." for place in (2, 3))


def test_a_signed_head_that_names_another_one_before_it_is_named(book: Book) -> None:
    book.heads.sign()
    have_signed(book, previous_head="ab" * 32)
    assert findings_elsewhere(book) == ("Head 2 of 2027-01-15 08:00 UTC does not follow the one before it.",)


def test_a_signed_head_between_which_and_the_one_before_the_tpm_was_extended_is_named(book: Book) -> None:
    book.heads.sign()
    book.tpm.extend_journal(bytes(32))
    have_signed(book)
    assert findings_elsewhere(book) == ("Head 2 of 2027-01-15 08:00 UTC does not follow the one before it.",)


def test_a_signed_head_that_counts_fewer_entries_is_named(book: Book) -> None:
    book.note()
    first = book.journal.head
    book.note()
    book.heads.sign()
    have_signed(book, number=first.number, entry=first.hash)
    counted = heads_of(book)[0].facts().number
    assert counted > first.number
    assert findings_elsewhere(book) == (
        f"Head 2 of 2027-01-15 08:00 UTC counts fewer entries ({first.number}) than the one before it ({counted}).",
    )


@pytest.mark.parametrize("unseen", [False, True])
def test_moves_of_the_ring_that_do_not_join_are_named(book: Book, unseen: bool) -> None:
    moves = [Act.RING_MOVED, Act.RING_MOVED_UNSEEN if unseen else Act.RING_MOVED]
    for move, before, after in zip(moves, ("aa", "bb"), ("bb", "cc"), strict=True):
        book.journal.append(move, by="vault", notes={"before": before, "after": after})
    book.heads.sign()
    assert book.report().findings == ()
    book.journal.append(moves[1], by="vault", notes={"before": "dd", "after": "ee"})
    number = book.journal.head.number
    book.heads.sign()
    assert book.report().findings == (f"Entry {number}: the ring's moves are no chain here, one is missing.",)
