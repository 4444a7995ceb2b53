"""The journal is shown and handed out to whoever has that right, whole and signed, and checked elsewhere."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.audit.journal import JournalDamaged
from appliance.boundary import verbs
from appliance.terms import NotAllowed
from appliance.vault.accounts import Visitor
from appliance.vault.box import Box
from appliance.vault.evidence.journal_verifier import verify_export
from appliance.vault.journal_desk import EXPORTS_A_DAY, TooManyExports
from appliance.vault.rights import Right
from tests.vault.box_house import OWNER, BoxHouse, acts_of, kept_call

LOGIN = "A" * 43
PIECE = 1000


def acts(box: Box, **wanted: object) -> verbs.ActPage:
    return box.journal_desk.page(OWNER, verbs.ListActs(login=LOGIN, **wanted))  # type: ignore[arg-type]


def taken_away(box: Box, target: Path) -> Path:
    """The export as the page puts it together, in a ZIP."""
    exported = box.journal_desk.export(OWNER)
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in exported.files.items():
            archive.writestr(name, content)
        for name, length in exported.lengths.items():
            pieces = [
                box.journal_desk.read(
                    OWNER, verbs.ReadJournal(login=LOGIN, file=name, offset=at, length=min(PIECE, length - at))
                ).content
                for at in range(0, length, PIECE)
            ]
            archive.writestr(name, b"".join(pieces))
    return target


def test_pages_show_each_act_once_newest_first(house: BoxHouse) -> None:
    with house.opened() as box:
        call = kept_call(box)
        all_acts = acts_of(box)
        shown: list[verbs.ActFacts] = []
        before = None
        for _page in range(len(all_acts)):
            page = acts(box, limit=3, before=before)
            shown += page.acts
            before = page.before
            if before is None:
                break
        assert [act.act for act in shown] == all_acts[::-1]
        newest = next(act for act in shown if act.act == "call:kept")
        assert (newest.call, newest.calls, newest.by, newest.name) == (call, 1, "vault", "")


def test_what_people_did_comes_with_the_name_of_their_account_and_without_what_the_box_did(house: BoxHouse) -> None:
    with house.opened() as box:
        code = box.accounts.claim_code()
        assert code is not None
        box.accounts.claim(code, "Ludmilla", "three quiet words")
        kept_call(box)
        page = acts(box, people_only=True)
        assert [(act.act, act.name, act.call) for act in page.acts[:2]] == [
            ("login:begun", "Ludmilla", ""),
            ("box:claimed", "Ludmilla", ""),
        ]
        assert b"Ludmilla" not in box.journal_path.read_bytes()


def test_an_erasure_of_many_calls_is_shown_by_their_count(house: BoxHouse) -> None:
    with house.opened() as box:
        calls = [kept_call(box) for _ in range(3)]
        box.erasure.erase(calls, by=OWNER.account, why="asked")
        condemned = next(act for act in acts(box).acts if act.act == "calls:condemned")
        assert (condemned.call, condemned.calls, condemned.by) == ("", 3, OWNER.account)


def test_what_is_taken_away_is_found_whole_elsewhere_and_ends_with_its_own_export(
    house: BoxHouse, tmp_path: Path
) -> None:
    with house.opened() as box:
        first = taken_away(box, tmp_path / "first.zip")
        kept_call(box)
        second = taken_away(box, tmp_path / "second.zip")
        kept_call(box)
        root = box.notary.chain.root_fingerprint
    report = verify_export(second, root=root, earlier=first)
    assert report.findings == ()
    with zipfile.ZipFile(second) as archive:
        assert set(archive.namelist()) >= {"README.txt", "journal_verifier.py", "verifier.py", "chain.pem"}
        last = json.loads(archive.read("journal.jsonl").splitlines()[-1])
    assert (last["act"], last["by"]) == ("journal:exported", OWNER.account)


def test_an_export_from_which_an_act_was_cut_is_found_out(house: BoxHouse, tmp_path: Path) -> None:
    with house.opened() as box:
        kept_call(box)
        whole = taken_away(box, tmp_path / "whole.zip")
    cut = tmp_path / "cut.zip"
    with zipfile.ZipFile(whole) as archive, zipfile.ZipFile(cut, "w") as target:
        for name in archive.namelist():
            content = archive.read(name)
            if name == "journal.jsonl":
                content = b"".join(line for line in content.splitlines(keepends=True) if b"call:kept" not in line)
            target.writestr(name, content)
    assert verify_export(whole).findings == ()
    assert verify_export(cut).findings


def test_a_read_beyond_the_end_is_empty(house: BoxHouse) -> None:
    with house.opened() as box:
        request = verbs.ReadJournal(login=LOGIN, file="journal.jsonl", offset=2**40, length=1)
        assert box.journal_desk.read(OWNER, request).content == b""


def test_whoever_may_not_see_the_journal_is_shown_and_handed_out_nothing(house: BoxHouse) -> None:
    nobody: Visitor = replace(OWNER, rights=OWNER.rights - {Right.SEE_JOURNAL})
    with house.opened() as box:
        before = acts_of(box)
        desk = box.journal_desk
        with pytest.raises(NotAllowed):
            desk.page(nobody, verbs.ListActs(login=LOGIN))
        with pytest.raises(NotAllowed):
            desk.export(nobody)
        with pytest.raises(NotAllowed):
            desk.read(nobody, verbs.ReadJournal(login=LOGIN, file="journal.jsonl", offset=0, length=1))
        assert acts_of(box) == before


def test_a_login_cannot_wear_out_the_chip_by_exports(house: BoxHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    with house.opened() as box:
        now_s = 1000.0
        monkeypatch.setattr(box.journal_desk, "_steady_s", lambda: now_s)
        for _ in range(EXPORTS_A_DAY):
            box.journal_desk.export(OWNER)
            now_s += 60
        before = box.journal_heads.seen()
        with pytest.raises(TooManyExports) as refused:
            box.journal_desk.export(OWNER)
        assert box.journal_heads.seen() == before
        now_s += int(refused.value.facts["wait_s"])
        box.journal_desk.export(OWNER)
        with pytest.raises(TooManyExports):
            box.journal_desk.export(OWNER)


def test_a_damaged_journal_is_said_to_be_that_and_can_be_taken_away_for_somebody_to_look_at(
    house: BoxHouse, tmp_path: Path
) -> None:
    with house.opened(house.settings("damaged")) as box:
        kept_call(box)
        written = box.journal_path.read_bytes()
        box.journal_path.write_bytes(written.replace(b"call:kept", b"call:held"))
        with pytest.raises(JournalDamaged):
            acts(box)
        assert verify_export(taken_away(box, tmp_path / "damaged.zip")).findings
