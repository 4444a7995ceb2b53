"""The chain: every edit is noticed, a torn tail is dropped and noted, a full disk leaves it whole."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from appliance.audit.events import Act
from appliance.audit.journal import Journal, decode_entry
from appliance.clock import Clock
from appliance.terms import StorageTrouble
from appliance.vault.evidence.journal_verifier import chain_findings, lines_of

CLOCK = Clock(lambda: 1_800_000_000_000, lambda: 0)


@contextmanager
def opened(path: Path) -> Iterator[Journal]:
    with closing(Journal(path, CLOCK)) as journal:
        yield journal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal" / "acts.jsonl"


def find_breaks(path: Path) -> list[str]:
    return chain_findings(lines_of(path.read_bytes()))


def write(path: Path, count: int) -> list[bytes]:
    with opened(path) as journal:
        for number in range(count):
            journal.append(Act.CALL_KEPT, by="vault", ids=(f"{number:032x}",), notes={"n": number})
    return path.read_bytes().splitlines(keepends=True)


def test_a_journal_goes_on_where_it_ended(path: Path) -> None:
    write(path, 3)
    write(path, 2)
    entries = [decode_entry(line) for line in path.read_bytes().splitlines()]
    assert [entry.number for entry in entries] == [1, 2, 3, 4, 5]
    assert find_breaks(path) == []


def test_every_single_bit_edit_is_noticed(path: Path) -> None:
    write(path, 2)
    content = path.read_bytes()
    for bit in range(len(content) * 8):
        edited = bytearray(content)
        edited[bit // 8] ^= 1 << bit % 8
        path.write_bytes(edited)
        assert find_breaks(path), f"bit {bit} of byte {bit // 8}"


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: lines[1:],
        lambda lines: [lines[0], *lines[2:]],
        lambda lines: [lines[1], lines[0], *lines[2:]],
        lambda lines: [lines[0], lines[0], *lines[1:]],
        lambda lines: [*lines[:2], b"\n", *lines[2:]],
        lambda lines: [*lines[:2], b"{}\n", *lines[2:]],
    ],
)
def test_a_deleted_swapped_doubled_or_foreign_line_is_noticed(
    path: Path, change: Callable[[list[bytes]], list[bytes]]
) -> None:
    path_lines = write(path, 5)
    path.write_bytes(b"".join(change(path_lines)))
    assert len(find_breaks(path)) == 1


@pytest.mark.parametrize("left", [1, 100, -2, -1])
def test_a_torn_last_line_is_dropped_and_that_is_noted(path: Path, left: int) -> None:
    lines = write(path, 3)
    path.write_bytes(b"".join(lines[:2]) + lines[2][:left])
    with opened(path):
        pass
    last = decode_entry(path.read_bytes().splitlines()[-1])
    assert (last.number, last.act) == (3, Act.JOURNAL_TORN_LINE_DROPPED)
    assert last.notes == {"bytes": len(lines[2][:left])}
    assert find_breaks(path) == []


def test_a_last_line_longer_than_any_window_is_found_again(path: Path) -> None:
    with opened(path) as journal:
        journal.append(Act.VAULT_STARTED, by="vault")
        journal.append(Act.CALLS_FORGOTTEN, by="vault", ids=tuple(f"{n:032x}" for n in range(40_000)))
    before = path.read_bytes()
    with opened(path) as journal:
        journal.append(Act.VAULT_STARTED, by="vault")
    assert path.read_bytes().startswith(before)
    assert find_breaks(path) == []


def test_a_journal_whose_last_line_was_changed_is_not_continued(path: Path) -> None:
    lines = write(path, 2)
    changed = b"".join(lines).replace(b'"n":1', b'"n":7')
    path.write_bytes(changed)
    with pytest.raises(StorageTrouble, match="Nothing was changed"):
        Journal(path, CLOCK)
    assert path.read_bytes() == changed


def test_a_full_disk_leaves_the_chain_whole_and_the_next_act_is_written(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write
    with opened(path) as journal:
        journal.append(Act.VAULT_STARTED, by="vault")
        before = path.read_bytes()
        monkeypatch.setattr(os, "write", lambda file, content: real(file, content[: len(content) // 2]))
        with pytest.raises(StorageTrouble, match="nothing was done"):
            journal.append(Act.CALL_KEPT, by="vault")
        assert path.read_bytes() == before
        monkeypatch.undo()
        journal.append(Act.CALL_OPENED, by="vault")
    assert [decode_entry(line).act for line in path.read_bytes().splitlines()] == [Act.VAULT_STARTED, Act.CALL_OPENED]
    assert find_breaks(path) == []


def test_half_a_line_that_could_not_be_cut_at_once_is_cut_before_the_next_act(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object) -> None:
        raise OSError(5, "Input/output error")

    real = os.write
    with opened(path) as journal:
        journal.append(Act.VAULT_STARTED, by="vault")
        monkeypatch.setattr(os, "write", lambda file, content: real(file, content[:40]))
        monkeypatch.setattr(os, "ftruncate", refuse)
        with pytest.raises(StorageTrouble):
            journal.append(Act.CALL_KEPT, by="vault")
        monkeypatch.undo()
        journal.append(Act.CALL_OPENED, by="vault")
    assert find_breaks(path) == []


def test_an_act_that_was_not_synced_is_taken_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_file: int) -> None:
        raise OSError(5, "Input/output error")

    with opened(path) as journal:
        monkeypatch.setattr(os, "fdatasync", refuse)
        with pytest.raises(StorageTrouble):
            journal.append(Act.CALL_KEPT, by="vault")
        assert path.read_bytes() == b""


def test_many_threads_write_one_chain(path: Path) -> None:
    with opened(path) as journal:

        def write_ten() -> None:
            for _ in range(10):
                journal.append(Act.CALL_OPENED, by="vault")

        threads = [threading.Thread(target=write_ten) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(path.read_bytes().splitlines()) == 80
    assert find_breaks(path) == []


def test_a_journal_that_is_a_folder_is_one_sentence(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(StorageTrouble, match="cannot be opened"):
        Journal(path, CLOCK)


def test_the_last_entry_of_an_act_is_found_from_the_end(path: Path) -> None:
    write(path, 700)
    with opened(path) as journal:
        assert journal.last(Act.VAULT_STARTED) is None
        journal.append(Act.VAULT_STARTED, by="vault", notes={"n": 1})
        journal.append(Act.CALL_KEPT, by="vault", notes={"n": 2})
        journal.append(Act.CALLS_FORGOTTEN, by="vault", ids=tuple(f"{n:032x}" for n in range(4000)))
        found = journal.last(Act.VAULT_STARTED)
        assert found is not None
        assert (found.number, found.notes) == (701, {"n": 1})
        assert journal.last(Act.CALLS_FORGOTTEN, Act.VAULT_STARTED) is not None


@pytest.mark.parametrize("not_an_id", ["Anna Becker", "+49301234567", "front-desk", "", "ab\n"])
def test_what_is_no_id_is_not_written_among_the_ids(path: Path, not_an_id: str) -> None:
    with opened(path) as journal, pytest.raises(ValueError, match="only ids"):
        journal.append(Act.CALL_KEPT, by="vault", ids=(not_an_id,))
    assert path.read_bytes() == b""


def test_entries_are_read_backwards_from_the_end_or_from_a_line_end_over_any_window(path: Path) -> None:
    with opened(path) as journal:
        for number in range(1, 41):
            ids = tuple(f"{each:032x}" for each in range(3000)) if number % 13 == 0 else ()  # longer than a window
            journal.append(Act.CALLS_FORGOTTEN, by="vault" if number % 2 else "retention", ids=ids)
        everything = [*journal.entries_before()]
        assert [entry.number for _place, entry in everything] == [*range(40, 0, -1)]
        assert everything[-1][0] == 0
        for place, entry in everything:
            assert [older.number for _place, older in journal.entries_before(place)] == [
                *range(entry.number - 1, 0, -1)
            ]
        only = [entry.number for _place, entry in journal.entries_before(without=["vault"])]
        assert only == [*range(40, 0, -2)]
        assert [*journal.entries_before(without=["vault", "retention"])] == []


@pytest.mark.parametrize("beside", [-1, 1, 10**9])
def test_a_place_at_which_no_line_ends_is_the_end(beside: int, path: Path) -> None:
    write(path, 3)
    with opened(path) as journal:
        (_place, newest), (place, _entry), *_rest = journal.entries_before()
        assert next(journal.entries_before(place + beside))[1] == newest


def test_an_empty_journal_has_no_entries_before_any_place(path: Path) -> None:
    with opened(path) as journal:
        assert [*journal.entries_before(), *journal.entries_before(0), *journal.entries_before(7)] == []


def test_a_changed_line_is_not_read_over(path: Path) -> None:
    lines = write(path, 3)
    path.write_bytes(lines[0] + lines[1].replace(b"kept", b"held") + lines[2])
    with opened(path) as journal:
        entries = journal.entries_before()
        assert next(entries)[1].number == 3
        with pytest.raises(StorageTrouble):
            next(entries)
