"""Receipts for deletions as they are handed out: checked elsewhere, each change found, each export journalled."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from appliance.boundary.verbs import ExportReceipt, ListErasures
from appliance.terms import CallId, NotAllowed
from appliance.vault.evidence import verifier
from appliance.vault.evidence_desk import NoReceipt
from appliance.vault.retention import erasure
from appliance.vault.rights import Right
from tests.simulators.software_tpm import SoftwareTpm
from tests.vault.box_house import OWNER, BoxHouse, acts_of, condemn, kept_call
from tests.vault.evidence.house import Export, by_hand, run_verifier, verdict_of

LOGIN = "A" * 43


@dataclass(frozen=True, kw_only=True)
class Deleted:
    """Two calls deleted at once on a box, and the receipt for it."""

    calls: list[CallId]
    erasure: str
    files: Export
    root: str


def delete_two(house: BoxHouse) -> Deleted:
    with house.opened() as box:
        calls = sorted(kept_call(box) for _ in range(2))
        kept_call(box)
        receipt = box.erasure.erase(calls, by=OWNER.account, why="asked")
        assert receipt is not None
        files = box.evidence_desk.export_receipt(OWNER, ExportReceipt(login=LOGIN, erasure=receipt.erasure_id)).files
        assert json.loads(box.journal_path.read_bytes().splitlines()[-1])["notes"] == {"erasure": receipt.erasure_id}
        assert acts_of(box)[-1] == "receipt:exported"
        return Deleted(calls=calls, erasure=receipt.erasure_id, files=files, root=box.notary.chain.root_fingerprint)


@pytest.fixture(scope="module")
def deleted(house: BoxHouse) -> Deleted:
    return delete_two(house)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deleted]:
    """The same on another box."""
    folder = tmp_path_factory.mktemp("other")
    with TemporaryDirectory(prefix="lk-") as run_dir, SoftwareTpm(folder / "tpm", Path(run_dir)):
        yield delete_two(BoxHouse(folder, Path(run_dir)))


# it holds


def test_a_receipt_verifies_with_its_own_program_where_nothing_of_linekeep_is(deleted: Deleted, tmp_path: Path) -> None:
    done = run_verifier(deleted.files, tmp_path, verifier.shown_fingerprint(deleted.root))
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "Deleted: 2 calls (a person asked for it), asked for 2027-01-15 08:00:00 UTC" in done.stdout
    assert all(call in done.stdout for call in deleted.calls)
    assert "All that is in this file is proven." in done.stdout


def test_openssl_alone_checks_a_receipt_with_the_commands_beside_it(deleted: Deleted, tmp_path: Path) -> None:
    told = by_hand(deleted.files, tmp_path)
    assert "device.pem: OK" in told
    assert told.count("Verified OK") == told.count(": as signed") == 1
    assert "CHANGED" not in told


def test_a_receipt_names_no_person_and_no_line(deleted: Deleted) -> None:
    facts = json.loads(deleted.files[f"receipts/{deleted.erasure}.json"])
    assert set(facts) == {
        "format", "kind", "box", "erasure", "why", "asked_by", "asked_at_ms", "done_at_ms", "classes", "count", "calls",
        "ring_before", "ring_after",
    }  # fmt: skip
    assert (facts["calls"], facts["count"], facts["classes"]) == (deleted.calls, 2, {"standard": 2})


# and a changed one does not


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("calls", []), ("count", 1), ("why", "period"), ("asked_by", "retention"), ("asked_at_ms", 1),
        ("done_at_ms", 1), ("classes", {"standard": 1}), ("ring_before", "00" * 32), ("ring_after", "00" * 32),
        ("erasure", "00" * 8), ("box", "00" * 32), ("kind", "recording"),
    ],
)  # fmt: skip
def test_each_changed_fact_is_found(name: str, value: object, deleted: Deleted, tmp_path: Path) -> None:
    place = f"receipts/{deleted.erasure}.json"
    facts = json.loads(deleted.files[place]) | {name: value}
    changed = json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()
    (finding,) = verdict_of({**deleted.files, place: changed}, tmp_path).findings
    assert finding.startswith(f"The receipt {deleted.erasure}: ")
    assert ("its text was changed" in finding) is (name != "box")


@pytest.mark.parametrize("suffix", ["json", "attest", "sig"])
def test_every_byte_counts(suffix: str, deleted: Deleted, tmp_path: Path) -> None:
    place = f"receipts/{deleted.erasure}.{suffix}"
    content = deleted.files[place]
    for at in range(0, len(content), 7):
        flipped = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        assert verdict_of({**deleted.files, place: flipped}, tmp_path).findings, at


def test_a_receipt_without_a_part_is_missed(deleted: Deleted, tmp_path: Path) -> None:
    for name in deleted.files:
        if name.startswith("receipts/") or name.endswith(".pem"):
            assert verdict_of({n: c for n, c in deleted.files.items() if n != name}, tmp_path).findings, name


def test_another_boxs_receipt_is_told_apart_by_the_label(deleted: Deleted, other: Deleted, tmp_path: Path) -> None:
    assert verdict_of(other.files, tmp_path).findings == []
    (finding,) = verdict_of(other.files, tmp_path, deleted.root).findings
    assert "These certificates are another box's" in finding
    mixed = {**deleted.files, "device.pem": other.files["device.pem"], "root.pem": other.files["root.pem"]}
    (finding,) = verdict_of(mixed, tmp_path).findings
    assert "It names another box than the certificates" in finding


def test_several_receipts_may_lie_in_one_file(house: BoxHouse, deleted: Deleted, tmp_path: Path) -> None:
    with house.opened() as box:
        call = kept_call(box)
        receipt = box.erasure.erase([call], by="retention", why="period")
        assert receipt is not None
        files = box.evidence_desk.export_receipt(OWNER, ExportReceipt(login=LOGIN, erasure=receipt.erasure_id)).files
    verdict = verdict_of(files | deleted.files, tmp_path, deleted.root)
    assert verdict.findings == []
    assert sum(line.startswith("Deleted: ") for line in verdict.said) == 2


# handing out


def test_a_receipt_that_is_not_there_or_may_not_be_seen_is_not_handed_out(house: BoxHouse, deleted: Deleted) -> None:
    nobody = replace(OWNER, rights=frozenset(Right) - {Right.SEE_ERASURES})
    with house.opened() as box:
        before = acts_of(box).count("receipt:exported")
        with pytest.raises(NoReceipt):
            box.evidence_desk.export_receipt(OWNER, ExportReceipt(login=LOGIN, erasure="0f" * 8))
        with pytest.raises(NotAllowed):
            box.evidence_desk.export_receipt(nobody, ExportReceipt(login=LOGIN, erasure=deleted.erasure))
        with pytest.raises(NotAllowed):
            box.evidence_desk.erasures(nobody, ListErasures(login=LOGIN))
        assert acts_of(box).count("receipt:exported") == before


def test_the_list_has_each_request_newest_first_also_one_that_is_not_done(house: BoxHouse) -> None:
    with house.opened(house.settings("listed")) as box:
        for _ in range(3):
            box.erasure.erase([kept_call(box)], by="retention", why="period")
            house.hands.pass_s(1)
        condemn(box, kept_call(box))
        first = box.evidence_desk.erasures(OWNER, ListErasures(login=LOGIN, limit=2))
        last = first.erasures[-1]
        rest = box.evidence_desk.erasures(
            OWNER,
            ListErasures(login=LOGIN, limit=2, before_ms=last.asked_at_ms, before_erasure=last.erasure),
        )
        assert (first.more, rest.more) == (True, False)
        found = [*first.erasures, *rest.erasures]
        assert [each.is_signed for each in found] == [False, True, True, True]
        assert [bool(each.done_at_ms) for each in found] == [False, True, True, True]
        assert [each.calls for each in found] == [1, 1, 1, 1]
        assert sorted(found, key=lambda each: -each.asked_at_ms) == found


def test_more_calls_than_a_receipt_names_get_several_and_go_in_one_commit(
    house: BoxHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasure, "MOST_IN_A_RECEIPT", 2)
    with house.opened(house.settings("many")) as box:
        calls = [kept_call(box, seconds=0.1) for _ in range(5)]
        moves = acts_of(box).count("ring:moved")
        box.erasure.erase(calls, by="retention", why="period")
        assert acts_of(box).count("ring:moved") == moves + 1
        found = box.erasures.page(limit=10)
        assert sorted(each.count for each, _is_signed in found) == [1, 2, 2]
        assert all(is_signed for _each, is_signed in found)
        assert all(box.catalogue.was_forgotten(call) for call in calls)
