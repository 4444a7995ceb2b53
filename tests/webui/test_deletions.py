"""What has been deleted, and its receipts: the list, the ZIP, and what is said right after a deletion."""

from __future__ import annotations

import io
import zipfile

import pytest
from flask.testing import FlaskClient

from appliance.boundary import verbs
from tests.simulators.vault_stub import NOW_MS, VaultStub, made_up_erasure, made_up_facts, speaking_call
from webui.pages.deletions import PAGE_ERASURES

RUN = made_up_erasure(1, NOW_MS - 3_600_000, calls=12)
ASKED = made_up_erasure(2, NOW_MS - 60_000, why="asked")
WAITING = made_up_erasure(3, NOW_MS - 30_000, is_signed=False)
BEGUN = made_up_erasure(4, NOW_MS, is_signed=False, done_at_ms=0)


@pytest.fixture(autouse=True)
def deleted(stub: VaultStub) -> None:
    stub.erasures = [RUN, ASKED, WAITING, BEGUN]


def files_of(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_list_tells_when_how_many_and_why_newest_first(owner: FlaskClient) -> None:
    page = owner.get("/deletions").text
    places = [page.index(f"/deletions/{each.erasure}/receipt.zip") for each in (ASKED, RUN)]
    assert places == sorted(places)
    for told in ("12 calls", "their time was over", "somebody asked for it", "Sunday, 22 November 2026, 13:05"):
        assert told in page


def test_a_deletion_without_a_receipt_says_how_far_it_is(owner: FlaskClient) -> None:
    page = owner.get("/deletions").text
    assert page.count("gone; the receipt follows") == page.count("being deleted") == 1
    assert WAITING.erasure not in page
    assert BEGUN.erasure not in page


def test_a_box_that_has_deleted_nothing_says_so(owner: FlaskClient, stub: VaultStub) -> None:
    stub.erasures = []
    assert "No deletion yet" in owner.get("/deletions").text


def test_older_ones_are_a_page_further(owner: FlaskClient, stub: VaultStub) -> None:
    stub.erasures = [made_up_erasure(nth, NOW_MS - nth // 2) for nth in range(PAGE_ERASURES + 3)]
    first = owner.get("/deletions").text
    assert first.count("receipt.zip") == PAGE_ERASURES
    address = first.partition('href="/deletions?')[2].partition('"')[0].replace("&amp;", "&")
    second = owner.get(f"/deletions?{address}").text
    assert second.count("receipt.zip") == 3
    assert 'href="/deletions"' in second


@pytest.mark.parametrize(
    "place", ["before_ms=1", "before=" + "0f" * 8, "before_ms=-1&before=" + "0f" * 8, "before_ms=1&before=x"]
)
def test_a_place_that_is_none_is_no_page(place: str, owner: FlaskClient, stub: VaultStub) -> None:
    assert owner.get(f"/deletions?{place}").status_code == 404
    assert stub.requests(verbs.ListErasures) == []


def test_receipt_holds_what_the_vault_gave_and_two_pages_that_explain_it(owner: FlaskClient) -> None:
    answer = owner.get(f"/deletions/{ASKED.erasure}/receipt.zip", headers={"Accept-Language": "de"})
    assert answer.headers["Content-Disposition"] == f'attachment; filename="receipt_{ASKED.erasure}.zip"'
    files = files_of(answer.data)
    assert set(files) == {f"receipts/{ASKED.erasure}.json", "verify.py", "REPORT.de.html", "REPORT.en.html"}
    english, german = files["REPORT.en.html"].decode(), files["REPORT.de.html"].decode()
    for page, told in (
        (english, ("Receipt for a deletion: 1 call", "somebody asked for it", "0123456789abcdef", "It is not signed")),
        (german, ("Quittung über eine Löschung: 1 Gespräch", "jemand hat es verlangt", "nicht unterschrieben")),
    ):
        for sentence in (*told, "0" * 32, "1b" * 32, "2a" * 32, "0F0F 0F0F"):
            assert sentence in page, sentence
    assert '<html lang="de">' in german
    assert "<script" not in english + german


def test_what_the_box_did_by_itself_is_no_accounts(owner: FlaskClient) -> None:
    page = files_of(owner.get(f"/deletions/{RUN.erasure}/receipt.zip").data)["REPORT.en.html"].decode()
    assert "the box itself" in page
    assert page.count("<code>" + "0" * 24) == 12


def test_head_exports_nothing(owner: FlaskClient, stub: VaultStub) -> None:
    assert owner.head(f"/deletions/{RUN.erasure}/receipt.zip").mimetype == "application/zip"
    assert stub.requests(verbs.ExportReceipt) == []


@pytest.mark.parametrize("erasure", ["x", "0F" * 8, "0f" * 9, "%00" * 8])
def test_a_name_that_is_no_deletions_is_not_put_to_the_vault(erasure: str, owner: FlaskClient, stub: VaultStub) -> None:
    assert owner.get(f"/deletions/{erasure}/receipt.zip").status_code == 404
    assert stub.requests(verbs.ExportReceipt) == []


def test_a_receipt_that_is_not_there_is_said(owner: FlaskClient) -> None:
    answer = owner.get(f"/deletions/{WAITING.erasure}/receipt.zip")
    assert (answer.status_code, answer.mimetype) == (404, "text/html")
    assert "There is no such receipt, or not yet" in answer.text


@pytest.mark.parametrize(
    ("erased", "told", "address"),
    [
        (verbs.Erased(erasure="e0" * 8, is_signed=True), "Receipt (ZIP)", f"/deletions/{'e0' * 8}/receipt.zip"),
        (verbs.Erased(erasure="e0" * 8, is_signed=False), "The receipt follows", "/deletions"),
        (verbs.Erased(erasure="", is_signed=False), "The call is deleted", "/deletions"),
    ],
)
def test_whoever_deletes_a_call_is_offered_its_receipt(
    erased: verbs.Erased, told: str, address: str, owner: FlaskClient, stub: VaultStub
) -> None:
    call = speaking_call(made_up_facts(1, NOW_MS - 60_000, seconds=1))
    stub.keep(call)
    stub.erased = erased
    page = owner.post(f"/calls/{call.facts.call}/delete").text
    assert told in page
    assert f'href="{address}"' in page
    assert ("The receipt follows" in page) is (bool(erased.erasure) and not erased.is_signed)
