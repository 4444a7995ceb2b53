"""Each planted fault is found, and a sound box has none."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from appliance.audit.events import Act
from appliance.terms import CallId
from appliance.vault.box import Box
from appliance.vault.check import find_faults
from tests.vault.box_house import OWNER, BoxHouse, condemn, kept_call, unrecorded_call, written_call

Plant = Callable[[Box], str]
"""Plants a fault; returns what the finding must say."""


def flip(box: Box, place: float) -> None:
    path = box.folder.finished_path(kept_call(box))
    content = bytearray(path.read_bytes())
    content[int(len(content) * place)] ^= 1
    path.write_bytes(content)


def sql(box: Box, statement: str, *values: object) -> None:
    with box.store.transaction() as connection:
        connection.exec_driver_sql(statement, values)


def damaged_audio(box: Box) -> str:
    flip(box, 0.5)
    return "not what was sealed"


def missing_file(box: Box) -> str:
    box.folder.finished_path(kept_call(box)).unlink()
    return "A file is missing"


def cut_file(box: Box) -> str:
    path = box.folder.finished_path(kept_call(box))
    os.truncate(path, path.stat().st_size - 10)
    return "no sealed end"


def swapped_files(box: Box) -> str:
    one, two = (box.folder.finished_path(kept_call(box)) for _ in range(2))
    one.write_bytes(two.read_bytes())
    return "not what was sealed"


def damaged_card(box: Box) -> str:
    sql(box, "UPDATE calls SET card=? WHERE call_id=?", b"x" * 600, kept_call(box))
    return "card of this call"


def other_line(box: Box) -> str:
    sql(box, "UPDATE calls SET line='other' WHERE call_id=?", kept_call(box))
    return "different lines"


def lost_wrap(box: Box) -> str:
    sql(box, "DELETE FROM call_keys WHERE call_id=?", kept_call(box))
    return "has been forgotten"


def lost_row(box: Box) -> str:
    sql(box, "DELETE FROM calls WHERE call_id=?", kept_call(box))
    return "a recording without a row"


def lost_row_of_growing(box: Box) -> str:
    sql(box, "DELETE FROM calls WHERE call_id=?", written_call(box))
    return "an unfinished recording without a row"


def lost_row_and_file(box: Box) -> str:
    call = kept_call(box)
    sql(box, "DELETE FROM calls WHERE call_id=?", call)
    box.folder.remove_all([call])
    return "but it is nowhere"


def stranger(box: Box) -> str:
    box.folder.finished_path(written_call(box)).with_name("notes.txt").write_text("x")
    return "finished/notes.txt"


def stranger_with_an_ugly_name(box: Box) -> str:
    folder = os.fsencode(box.folder.growing_path(written_call(box)).parent)
    os.close(os.open(folder + b"/\xff\x1b[31m\nCall 1", os.O_CREAT | os.O_WRONLY))
    return r"growing/\udcff\x1b[31m\nCall 1"


def journal_edited(box: Box) -> str:
    kept_call(box)
    content = box.journal_path.read_bytes()
    box.journal_path.write_bytes(content.replace(b'"by":"vault"', b'"by":"fault"', 1))
    return "Entry 1 of"


def journal_gone(box: Box) -> str:
    lines = box.journal_path.read_bytes().splitlines(keepends=True)
    box.journal_path.write_bytes(b"".join(lines[1:]))
    return "Entry 1 of"


def journal_and_heads_cut(box: Box) -> str:
    box.sign_journal_head()
    kept_call(box)
    paths = box.journal_path, box.journal_heads.path
    before = [path.read_bytes() for path in paths]
    box.journal.append(Act.CALL_OPENED, by="vault")
    box.sign_journal_head()
    for path, content in zip(paths, before, strict=True):
        path.write_bytes(content)
    return "The TPM has seen other heads"


def journal_cut(box: Box) -> str:
    box.sign_journal_head()
    lines = box.journal_path.read_bytes().splitlines(keepends=True)
    box.journal_path.write_bytes(b"".join(lines[:-1]))
    return f"The journal ends at entry {len(lines) - 1}, but the head of"


def heads_deleted(box: Box) -> str:
    box.sign_journal_head()
    box.journal_heads.path.write_bytes(b"")
    return "The TPM has seen other heads"


def head_edited(box: Box) -> str:
    for _ in range(2):
        box.sign_journal_head()
    content = box.journal_heads.path.read_bytes()
    box.journal_heads.path.write_bytes(content.replace(b"at_ms", b"at_mS", 1))
    return "Head 1: "


def move_not_told(box: Box) -> str:
    box.ring.when_moved = lambda _commit: None
    box.ring.commit(box.ring.contents)
    return "The ring has moved since"


def never_journalled(box: Box) -> str:
    call = kept_call(box)
    sql(box, "UPDATE calls SET call_id=? WHERE call_id=?", "ab" * 16, call)
    return "does not know that it was kept"


def waiting_deletion(box: Box) -> str:
    condemn(box, kept_call(box))
    return "1 decided deletions"


def lost_row_of_unrecorded(box: Box) -> str:
    sql(box, "DELETE FROM calls WHERE call_id=?", unrecorded_call(box))
    return "but it is nowhere"


def recording_said_to_be_none(box: Box) -> str:
    sql(box, "UPDATE calls SET not_kept='missed' WHERE call_id=?", kept_call(box))
    return "a recording is there"


def unrecorded_never_journalled(box: Box) -> str:
    sql(box, "UPDATE calls SET not_kept='missed' WHERE call_id=?", kept_call(box))
    return "does not know that it was kept"


def damaged_card_of_unrecorded(box: Box) -> str:
    sql(box, "UPDATE calls SET card=? WHERE call_id=?", b"x" * 600, unrecorded_call(box))
    return "card of this call"


def unrecorded_said_to_be_recorded(box: Box) -> str:
    sql(box, "UPDATE calls SET not_kept='' WHERE call_id=?", unrecorded_call(box))
    return "A file is missing"


def held(box: Box) -> CallId:
    call = kept_call(box)
    box.holds.place(call, until_ms=box.clock.now_ms() + 86_400_000, reason="Claim", by=OWNER.account)
    assert list(find_faults(box)) == []
    return call


def hold_struck(box: Box) -> str:
    sql(box, "UPDATE calls SET hold_until_ms=NULL WHERE call_id=?", held(box))
    return "the journal says that it is held"


def hold_shortened(box: Box) -> str:
    sql(box, "UPDATE calls SET hold_until_ms=hold_until_ms-1 WHERE call_id=?", held(box))
    return "the journal does not know of that hold"


def hold_never_journalled(box: Box) -> str:
    sql(box, "UPDATE calls SET hold_until_ms=? WHERE call_id=?", 2**45, kept_call(box))
    return "the journal does not know of that hold"


def erased_while_held(box: Box) -> str:
    call = held(box)
    box.journal.append(Act.CALLS_CONDEMNED, by="vault", ids=(call,), notes={"erasure": "ab" * 8, "why": "asked"})
    box.erasure.finish_condemned()
    return "its erasure was begun all the same"


FAULTS: list[Plant] = [
    hold_struck,
    hold_shortened,
    hold_never_journalled,
    erased_while_held,
    lost_row_of_unrecorded,
    recording_said_to_be_none,
    unrecorded_never_journalled,
    damaged_card_of_unrecorded,
    unrecorded_said_to_be_recorded,
    damaged_audio,
    missing_file,
    cut_file,
    swapped_files,
    damaged_card,
    other_line,
    lost_wrap,
    lost_row,
    lost_row_of_growing,
    lost_row_and_file,
    stranger,
    stranger_with_an_ugly_name,
    journal_edited,
    journal_gone,
    journal_and_heads_cut,
    journal_cut,
    heads_deleted,
    head_edited,
    move_not_told,
    never_journalled,
    waiting_deletion,
]


@pytest.mark.parametrize("plant", FAULTS)
def test_a_planted_fault_is_found_and_said_in_plain_text(house: BoxHouse, plant: Plant) -> None:
    with house.opened(house.settings(plant.__name__)) as box:
        kept_call(box)
        unrecorded_call(box)
        written_call(box)
        assert list(find_faults(box)) == []
        said = plant(box)
        findings = list(find_faults(box))
    assert any(said in finding for finding in findings), findings
    assert all(finding.isprintable() for finding in findings)
