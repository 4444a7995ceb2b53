"""Holds and requests through the pages: before the stub, and once through the whole vault."""

from __future__ import annotations

import dataclasses
import os
import re
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
import structlog
from flask.testing import FlaskClient

from appliance.boundary import verbs
from appliance.boundary.peer import Listener
from appliance.settings import WebuiSettings
from appliance.vault.box import Box
from appliance.vault.rights import RIGHTS, Right, Role
from appliance.vault.service import Service
from tests.simulators.software_tpm import SoftwareTpm
from tests.simulators.vault_stub import NOW_MS, StubCall, VaultStub, made_up_facts, speaking_call, trouble
from tests.vault.box_house import PASSWORD, BoxHouse, acts_of, begin_writing, end_writing, kept_call
from webui.app import create_app
from webui.vault_client import ThreadVault

CALL = speaking_call(made_up_facts(1, NOW_MS - 60_000, seconds=1))
PLAIN = speaking_call(made_up_facts(2, NOW_MS - 120_000, seconds=1))
ADDRESS = f"/calls/{CALL.facts.call}"
HOLD = f"{ADDRESS}/hold"
MARCH = {"until": "2027-03-04", "reason": "Claim 4711 <b>"}
MARCH_ENDS_MS = int(datetime(2027, 3, 4, 23, tzinfo=UTC).timestamp() * 1000)
"""Midnight in Berlin."""


def asked(at_ms: int = NOW_MS - 90_000) -> StubCall:
    return dataclasses.replace(CALL, facts=msgspec.structs.replace(CALL.facts, keep_asked_at_ms=at_ms))


def held() -> StubCall:
    facts = msgspec.structs.replace(CALL.facts, hold_until_ms=MARCH_ENDS_MS, due_at_ms=MARCH_ENDS_MS)
    return dataclasses.replace(CALL, facts=facts, hold_reason="Claim 4711 <b>", held_since_ms=NOW_MS)


@pytest.fixture(autouse=True)
def kept(stub: VaultStub) -> None:
    stub.keep(CALL, PLAIN)


def test_hold_is_placed_until_the_end_of_the_day_where_the_box_stands(owner: FlaskClient, stub: VaultStub) -> None:
    assert f'"{HOLD}"' in owner.get(ADDRESS).text
    form = owner.get(HOLD).text
    assert ('min="2026-11-22"' in form, 'max="2027-11-22"' in form) == (True, True)
    answer = owner.post(HOLD, data=MARCH)
    assert (answer.status_code, answer.location) == (303, ADDRESS)
    (given,) = stub.requests(verbs.HoldCall)
    assert isinstance(given, verbs.HoldCall)
    assert (given.call, given.until_ms, given.reason) == (CALL.facts.call, MARCH_ENDS_MS, "Claim 4711 <b>")


def test_page_of_a_held_call_says_until_when_why_and_offers_no_deletion(owner: FlaskClient, stub: VaultStub) -> None:
    stub.keep(held())
    page = owner.get(ADDRESS).text
    for said in ("Held until the end of 4 Mar 2027", "Claim 4711 &lt;b&gt;", "Held since Sunday, 22 November 2026"):
        assert said in page
    assert "Löschsperre bis zum Ende des 04.03.2027" in owner.get(ADDRESS, headers={"Accept-Language": "de"}).text
    assert f"{ADDRESS}/delete" not in page
    assert (f'"{HOLD}"' in page, f'"{HOLD}/lift"' in page) == (True, True)
    form = owner.get(HOLD).text
    assert 'value="2027-03-04"' in form
    assert "Claim 4711 &lt;b&gt;</textarea>" in form


def test_hold_whose_reason_was_lost_says_so(owner: FlaskClient, stub: VaultStub) -> None:
    stub.keep(dataclasses.replace(held(), hold_reason="", held_since_ms=0))
    assert "The reason is not known" in owner.get(ADDRESS).text


def test_lifting_is_asked_about_first(owner: FlaskClient, stub: VaultStub) -> None:
    stub.keep(held())
    assert "Lift the hold?" in owner.get(f"{HOLD}/lift").text
    assert stub.requests(verbs.LiftHold) == []
    answer = owner.post(f"{HOLD}/lift")
    assert (answer.status_code, answer.location) == (303, ADDRESS)
    assert "Held until" not in owner.get(ADDRESS).text


@pytest.mark.parametrize(("at_ms", "says_when"), [(NOW_MS - 90_000, True), (0, False)])
def test_request_is_shown_and_can_be_dismissed(
    at_ms: int, says_when: bool, owner: FlaskClient, stub: VaultStub
) -> None:
    stub.keep(asked(at_ms))
    page = owner.get(ADDRESS).text
    assert "Somebody asked to keep this call longer" in page
    assert ("Sunday, 22 November 2026, 14:03" in page) is says_when
    assert "Without an answer: will be deleted on 22 Dec 2026." in page
    assert f"{ADDRESS}/delete" in page
    answer = owner.post(f"{HOLD}/dismiss")
    assert (answer.status_code, answer.location) == (303, ADDRESS)
    assert "Somebody asked" not in owner.get(ADDRESS).text


def test_list_shows_what_is_kept_longer_and_can_show_only_that(owner: FlaskClient, stub: VaultStub) -> None:
    other = made_up_facts(3, NOW_MS - 30_000, seconds=1, keep_asked_at_ms=NOW_MS)
    stub.keep(held(), StubCall(facts=other, audio=b"", frames=0))
    page = owner.get("/").text
    assert page.count("keep longer?</span>") == page.count(">held</span>") == 1
    only = owner.get("/?longer=1").text
    assert f"/calls/{PLAIN.facts.call}" not in only
    assert ('name="longer" value="1"' in only, f"/calls/{other.call}" in only, ADDRESS in only) == (True, True, True)
    stub.keep(CALL)
    del stub.calls[other.call]
    assert "None is held" in owner.get("/?longer=1").text


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({}, 422),
        ({"until": "2027-03-04", "reason": "  \r\n "}, 422),
        ({"until": "", "reason": "R"}, 422),
        ({"until": "soon", "reason": "R"}, 422),
        ({"until": "0001-01-01", "reason": "R"}, 422),
        ({"until": "9999-12-31", "reason": "R"}, 422),
        ({"until": "2027-03-04", "reason": "r" * 201}, 422),
        ({"until": "2027-03-04", "reason": "r" * 401}, 400),
        ({"until": "2" * 17, "reason": "R"}, 400),
    ],
)
def test_hold_without_a_reason_or_a_day_is_not_put_to_the_vault_and_what_was_typed_stays(
    form: dict[str, str], status: int, owner: FlaskClient, stub: VaultStub
) -> None:
    answer = owner.post(HOLD, data=form)
    assert answer.status_code == status
    assert stub.requests(verbs.HoldCall) == []
    if status == 422:
        assert "Something is missing" in answer.text
        assert form.get("reason", "").strip() in answer.text


def test_line_ends_in_a_reason_become_blanks(owner: FlaskClient, stub: VaultStub) -> None:
    owner.post(HOLD, data={"until": "2027-03-04", "reason": "Claim\r\n4711"})
    (given,) = stub.requests(verbs.HoldCall)
    assert isinstance(given, verbs.HoldCall)
    assert given.reason == "Claim 4711"


@pytest.mark.parametrize(
    ("kind", "status", "said"),
    [
        ("HoldOutOfBounds", 422, "A hold ends on a day to come, within a year"),
        ("HoldNeedsClock", 409, "The clock of the box is not certain"),
        ("NoSuchCall", 404, "This call is not here"),
    ],
)
def test_hold_that_the_vault_refuses_is_said_in_words(
    kind: str, status: int, said: str, owner: FlaskClient, stub: VaultStub
) -> None:
    stub.troubles[verbs.HoldCall] = trouble(kind)
    answer = owner.post(HOLD, data=MARCH)
    assert (answer.status_code, said in answer.text) == (status, True)
    assert ("Claim 4711" in answer.text) is (status == 422)


def test_deletion_of_a_held_call_is_refused_in_words(owner: FlaskClient, stub: VaultStub) -> None:
    stub.troubles[verbs.EraseCall] = trouble("CallHeld")
    answer = owner.post(f"{ADDRESS}/delete")
    assert (answer.status_code, "This call is held" in answer.text) == (409, True)


@pytest.mark.parametrize("address", [HOLD, f"{HOLD}/lift", f"{HOLD}/dismiss"])
def test_another_site_places_lifts_and_dismisses_nothing(address: str, owner: FlaskClient, stub: VaultStub) -> None:
    answer = owner.post(address, data=MARCH, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert not [*stub.requests(verbs.HoldCall), *stub.requests(verbs.LiftHold), *stub.requests(verbs.DismissKeep)]


# the whole vault behind the pages


@pytest.fixture
def house(tmp_path: Path) -> Iterator[BoxHouse]:
    with tempfile.TemporaryDirectory(prefix="lk-") as run_dir, SoftwareTpm(tmp_path / "tpm", Path(run_dir)):
        yield BoxHouse(tmp_path, Path(run_dir))


@pytest.fixture
def box(house: BoxHouse) -> Iterator[Box]:
    """With its verbs for the web page on their socket."""
    with house.opened() as box:
        assert box.watch.trouble() is None
        faults: list[BaseException] = []
        socket = house.settings().vault_socket("webui")
        listener = Listener(socket, verbs.WEBUI, os.geteuid(), Service(box).handlers(), faults.append)
        listener.start()
        yield box
        listener.stop()
    assert faults == []


class Ada:
    """The owner before the pages of the whole vault."""

    def __init__(self, house: BoxHouse, box: Box, vault: ThreadVault) -> None:
        log: structlog.stdlib.BoundLogger = structlog.get_logger()
        self._client = create_app(WebuiSettings(), vault, log, house.hands.clock).test_client()
        words = {"name": "Ada", "password": PASSWORD, "password_again": PASSWORD}
        assert self.post("/claim", code=box.accounts.claim_code() or "", **words) == 303

    def sees(self, address: str) -> str:
        return self._client.get(address, base_url="https://localhost").text

    def post(self, address: str, **form: str) -> int:
        return self._client.post(address, data=form, base_url="https://localhost").status_code

    def logs_in(self) -> None:
        assert self.post("/login", name="Ada", password=PASSWORD) == 303


@pytest.fixture
def ada(house: BoxHouse, box: Box, compiled_translations: None) -> Iterator[Ada]:
    vault = ThreadVault(house.settings().vault_socket("webui"))
    yield Ada(house, box, vault)
    vault.close()


def test_owner_answers_a_request_holds_and_lifts_and_the_vault_obeys(house: BoxHouse, box: Box, ada: Ada) -> None:
    call, writer, pages = begin_writing(box)
    assert box.holds.ask(call)
    end_writing(call, writer, pages)
    box.intake.finish(call)
    page = f"/calls/{call}"
    assert "1 request" in ada.sees("/")
    assert page in ada.sees("/?longer=1")
    assert "Somebody asked to keep this call longer" in ada.sees(page)
    last_day = datetime.fromtimestamp(house.hands.wall_ms / 1000, UTC).date() + timedelta(days=100)
    assert ada.post(f"{page}/hold", until=str(last_day), reason="Claim 4711") == 303
    assert "Claim 4711" in ada.sees(page)
    assert "1 call held" in ada.sees("/")
    assert ada.post(f"{page}/delete") == 409
    house.hands.pass_s(31 * 86_400)
    box.retention.run()
    ada.logs_in()
    assert "Claim 4711" in ada.sees(page)
    assert 'data-chip="overdue" data-tone="good"' in ada.sees("/")
    assert ada.post(f"{page}/hold/lift") == 303
    box.retention.run()
    assert "This call is not here" in ada.sees(page)
    told = [act for act in acts_of(box) if act.startswith(("call:keep_", "call:h", "call:erasure"))]
    assert told == ["call:keep_asked", "call:held", "call:erasure_asked", "call:hold_lifted"]


def test_last_day_that_the_page_offers_is_one_that_the_vault_takes(house: BoxHouse, box: Box, ada: Ada) -> None:
    page = f"/calls/{kept_call(box)}"
    (latest,) = re.findall(r'max="([0-9-]+)"', ada.sees(f"{page}/hold"))
    too_late = datetime.fromisoformat(latest).date() + timedelta(days=3)
    assert ada.post(f"{page}/hold", until=str(too_late), reason="R") == 422
    assert ada.post(f"{page}/hold", until=latest, reason="R") == 303
    assert "Held until the end of" in ada.sees(page)


def test_who_lacks_the_right_holds_lifts_and_dismisses_nothing(
    box: Box, ada: Ada, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, before = f"/calls/{kept_call(box)}", acts_of(box)
    monkeypatch.setattr("appliance.vault.accounts.RIGHTS", {Role.OWNER: RIGHTS[Role.OWNER] - {Right.HOLD_CALLS}})
    tomorrow = datetime.fromtimestamp(box.clock.now_ms() / 1000, UTC).date() + timedelta(days=1)
    assert ada.post(f"{page}/hold", until=str(tomorrow), reason="R") == 403
    assert ada.post(f"{page}/hold/lift") == 403
    assert ada.post(f"{page}/hold/dismiss") == 403
    assert acts_of(box) == before
