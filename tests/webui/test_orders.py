"""Orders to a running call: what the page sends on, and what it does not."""

from __future__ import annotations

import msgspec
import pytest
from flask.testing import FlaskClient

from appliance.boundary import verbs
from appliance.terms import LineName, LineNowState, Order
from tests.simulators.vault_stub import NOW_MS, VaultStub, quiet_box, trouble

STARTED_MS = NOW_MS - 187_000
PAUSED = verbs.LineNow(line=LineName("office"), level_dbfs=-15.0, state=LineNowState.PAUSED, started_at_ms=STARTED_MS)
FORGET = f"/lines/office/forget?started_at_ms={STARTED_MS}"


@pytest.mark.parametrize("order", Order)
def test_order_goes_to_the_vault_with_the_start_of_the_call_that_was_seen(
    order: Order, owner: FlaskClient, stub: VaultStub
) -> None:
    answer = owner.post("/lines/office/order", data={"order": order, "started_at_ms": STARTED_MS})
    assert (answer.status_code, answer.location) == (303, "/")
    (given,) = stub.requests(verbs.OrderLine)
    assert isinstance(given, verbs.OrderLine)
    assert (given.line, given.order, given.started_at_ms) == ("office", order, STARTED_MS)


@pytest.mark.parametrize(
    ("line", "form", "status"),
    [
        ("office", {}, 400),
        ("office", {"order": "erase", "started_at_ms": "1"}, 400),
        ("office", {"order": "pause"}, 400),
        ("office", {"order": "pause", "started_at_ms": "-1"}, 400),
        ("office", {"order": "pause", "started_at_ms": "²"}, 400),
        ("office", {"order": "pause", "started_at_ms": "9" * 16}, 400),
        ("office", {"order": "pause", "started_at_ms": "9" * 400}, 400),
        ("Office", {"order": "pause", "started_at_ms": "1"}, 404),
    ],
)
def test_what_is_no_order_is_not_put_to_the_vault(
    line: str, form: dict[str, str], status: int, owner: FlaskClient, stub: VaultStub
) -> None:
    assert owner.post(f"/lines/{line}/order", data=form).status_code == status
    assert stub.requests(verbs.OrderLine) == []


def test_order_from_another_site_is_refused(owner: FlaskClient, stub: VaultStub) -> None:
    form = {"order": "confirm", "started_at_ms": str(STARTED_MS)}
    answer = owner.post("/lines/office/order", data=form, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert stub.requests(verbs.OrderLine) == []


def test_order_for_a_call_that_is_over_is_said_in_words(owner: FlaskClient, stub: VaultStub) -> None:
    stub.troubles[verbs.OrderLine] = trouble("NothingToOrder")
    answer = owner.post("/lines/office/order", data={"order": "pause", "started_at_ms": "1"})
    assert answer.status_code == 409
    assert "This cannot be done with the call any more" in answer.text


def test_forgetting_is_asked_about_first(owner: FlaskClient, stub: VaultStub) -> None:
    stub.now = quiet_box(lines=(PAUSED,))
    page = owner.get(FORGET).text
    assert "Forget this call?" in page
    assert f'value="{STARTED_MS}"' in page
    assert stub.requests(verbs.OrderLine) == []


@pytest.mark.parametrize(
    "changed", [{"started_at_ms": NOW_MS}, {"state": LineNowState.IDLE}, {"line": LineName("other")}]
)
def test_question_about_a_call_that_is_over_leads_back(
    changed: dict[str, object], owner: FlaskClient, stub: VaultStub
) -> None:
    stub.now = quiet_box(lines=(msgspec.structs.replace(PAUSED, **changed),))
    assert owner.get(FORGET).location == "/"
