"""The journal on the page, and its export."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import msgspec
import pytest
from flask.testing import FlaskClient

from appliance.audit.events import Act
from appliance.boundary import verbs
from appliance.terms import Order
from tests.simulators.vault_stub import NOW_MS, OWNER, VaultStub, trouble
from webui.acts import ACTS
from webui.pages.journal import PAGE_ACTS

ACCOUNT = "0123456789abcdef"
ORDERED = ("here: confirmed", "here: paused", "here: resumed", "here: forgotten", "here: asked to be kept")


def made_up_act(number: int, act: Act, by: str = ACCOUNT, name: str = OWNER, **changed: object) -> verbs.ActFacts:
    facts = verbs.ActFacts(number=number, at_ms=NOW_MS + number, act=act, by=by, name=name, call="", calls=0, notes={})
    return msgspec.structs.replace(facts, **changed)


@pytest.fixture(autouse=True)
def acts(stub: VaultStub) -> None:
    stub.acts = [
        made_up_act(5, Act.CALL_OPENED, call="ab" * 16, calls=1),
        made_up_act(4, Act.CALLS_CONDEMNED, calls=12),
        made_up_act(3, Act.CALL_KEPT, "vault", "", call="ab" * 16, calls=1),
        made_up_act(2, Act.LOGIN_REFUSED, "webui", ""),
        made_up_act(1, Act.PIN_SET, "console", ""),
    ]


def test_every_act_that_the_journal_may_hold_has_words() -> None:
    assert set(ACTS) == set(Act)


def test_what_people_did_is_shown_newest_first_with_who_and_with_the_call(owner: FlaskClient) -> None:
    page = owner.get("/journal").text
    told = ["call listened to", "deletion decided", "wrong name or password", "PIN set"]
    places = [page.index(sentence) for sentence in told]
    assert places == sorted(places)
    assert f'href="/calls/{"ab" * 16}"' in page
    for also in ("12 calls", "somebody who was not logged in", "console", "Sunday, 22 November 2026, 14:05"):
        assert also in page
    assert "call kept" not in page


def test_what_the_box_did_by_itself_is_shown_when_asked_for(owner: FlaskClient) -> None:
    page = owner.get("/journal?all=1").text
    assert "call kept when it had ended" in page
    assert "the box itself" in page


@pytest.mark.parametrize(
    ("act", "notes", "told"),
    [
        (Act.PERIOD_CHANGED, {"before_s": 30 * 86_400, "after_s": 7 * 86_400}, "from 30 days to 7 days"),
        (Act.CALL_HELD, {"until_ms": NOW_MS}, "last day 22 Nov 2026"),
        (Act.CALLS_LISTED, {"by_line": 1}, "calls listed"),
        *((Act.CALL_ORDERED, {"order": order.value}, told) for order, told in zip(Order, ORDERED, strict=True)),
    ],
)
def test_what_matters_of_an_act_stands_beside_it(
    act: Act, notes: dict[str, int | str], told: str, owner: FlaskClient, stub: VaultStub
) -> None:
    stub.acts = [made_up_act(1, act, notes=notes)]
    assert told in owner.get("/journal").text


def test_an_account_that_is_gone_and_an_act_of_a_later_version_are_shown_as_they_are(
    owner: FlaskClient, stub: VaultStub
) -> None:
    stub.acts = [msgspec.structs.replace(made_up_act(1, Act.PIN_SET, name=""), act="pin:<forged>")]
    page = owner.get("/journal").text
    assert f"account {ACCOUNT}" in page
    assert "pin:&lt;forged&gt;" in page


def test_older_entries_are_a_page_further_and_of_the_same_kind(owner: FlaskClient, stub: VaultStub) -> None:
    count = 2 * PAGE_ACTS + 3
    stub.acts = [made_up_act(count - nth, Act.PIN_SET, ("vault", "console")[nth % 2], "") for nth in range(count)]
    first = owner.get("/journal").text
    assert first.count('class="act"') == PAGE_ACTS
    assert "before=" in first
    second = owner.get("/journal?all=1").text
    address = second.partition('class="pages"')[2].partition('href="')[2].partition('"')[0].replace("&amp;", "&")
    assert address.startswith("/journal?all=1&before=")
    assert owner.get(address).text.count('class="act"') == PAGE_ACTS


def test_a_page_behind_the_first_entry_leads_back(owner: FlaskClient) -> None:
    page = owner.get("/journal?before=0").text
    assert "No older entry" in page


@pytest.mark.parametrize("place", ["x", "-1", str(2**53 + 1)])
def test_a_place_that_is_none_is_no_page(place: str, owner: FlaskClient, stub: VaultStub) -> None:
    assert owner.get(f"/journal?before={place}").status_code == 404
    assert stub.requests(verbs.ListActs) == []


def test_export_is_what_the_vault_hands_out_piece_by_piece(owner: FlaskClient, stub: VaultStub, tmp_path: Path) -> None:
    answer = owner.get("/journal/journal.zip")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="journal_2026-11-22_14-05.zip"'
    with zipfile.ZipFile(io.BytesIO(answer.data)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    assert files == stub.journal | {"README.txt": b"Read me."}
    assert len(stub.requests(verbs.ReadJournal)) > 2


def test_what_was_written_after_the_export_is_not_in_it(owner: FlaskClient, stub: VaultStub) -> None:
    before = dict(stub.journal)
    answer = owner.get("/journal/journal.zip", buffered=False)
    stub.journal["heads.jsonl"] += b"{}\n"
    with zipfile.ZipFile(io.BytesIO(answer.data)) as archive:
        assert archive.read("heads.jsonl") == before["heads.jsonl"]


def test_head_exports_nothing(owner: FlaskClient, stub: VaultStub) -> None:
    assert owner.head("/journal/journal.zip").mimetype == "application/zip"
    assert stub.requests(verbs.ExportJournal) == []


@pytest.mark.parametrize("address", ["/journal", "/journal/journal.zip"])
def test_who_has_no_right_to_it_is_told_so(address: str, owner: FlaskClient, stub: VaultStub) -> None:
    stub.troubles = {verb: trouble("NotAllowed") for verb in (verbs.ListActs, verbs.ExportJournal)}
    answer = owner.get(address)
    assert answer.status_code == 403
    assert "You may not do this" in answer.text
