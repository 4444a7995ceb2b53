"""A box that waits for its PIN: every page leads to the one that asks for it, and from there to where one was going."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient

from appliance.boundary import verbs
from tests.simulators.vault_stub import VaultStub, trouble
from tests.webui.test_every_route import every_request
from webui.gate import ASKS_BY_ITSELF, LOGIN_COOKIE


@pytest.fixture
def locked(stub: VaultStub) -> VaultStub:
    stub.pin = "2580"
    return stub


@pytest.mark.parametrize("visitor", ["stranger", "owner"])
def test_every_route_leads_to_the_pin(
    visitor: str, app: Flask, locked: VaultStub, request: pytest.FixtureRequest
) -> None:
    client: FlaskClient = request.getfixturevalue(visitor)
    for method, address in every_request(app, closed_only=False):
        if address.startswith(("/static/", "/unlock")) or method == "POST":
            continue
        answer = client.get(address)
        polled = address in {rule.rule for rule in app.url_map.iter_rules() if rule.endpoint in ASKS_BY_ITSELF}
        assert answer.location == "/unlock" or polled, address
    assert "PIN of the box" in client.get("/unlock").text


def test_the_right_pin_opens_and_the_page_is_gone(stranger: FlaskClient, locked: VaultStub) -> None:
    assert stranger.post("/unlock", data={"pin": "2580"}).location == "/"
    assert locked.pin is None
    assert stranger.get("/unlock").location == "/"


def test_a_wrong_pin_is_said_and_not_shown_again(stranger: FlaskClient, locked: VaultStub) -> None:
    answer = stranger.post("/unlock", data={"pin": "1111"})
    assert answer.status_code == 403
    assert "That is not the PIN of this box" in answer.text
    assert "1111" not in answer.text


def test_a_tpm_that_makes_everybody_wait_says_so(stranger: FlaskClient, locked: VaultStub) -> None:
    locked.troubles[verbs.Unlock] = trouble("PinLocked")
    answer = stranger.post("/unlock", data={"pin": "2580"})
    assert answer.status_code == 429
    assert "try again in an hour" in answer.text


def test_a_script_gets_no_page_to_follow(stranger: FlaskClient, locked: VaultStub) -> None:
    stranger.set_cookie(LOGIN_COOKIE, locked.new_login())
    answer = stranger.get("/", headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json["error"]) == (503, "PinNeeded")  # type: ignore[index]
