"""A PIN for the box, set and removed by whoever knows their password."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from appliance.boundary import verbs
from tests.simulators.vault_stub import PASSWORD, VaultStub, trouble

PIN = "482916"
FORM = {"pin": PIN, "pin_again": PIN, "password": PASSWORD}


def test_page_says_whether_there_is_one_and_what_it_costs(owner: FlaskClient, stub: VaultStub) -> None:
    without = owner.get("/pin").text
    assert "The box starts without a PIN." in without
    assert "records nothing until somebody types the PIN" in without
    assert "Remove the PIN" not in without
    stub.has_pin = True
    assert "The box asks for a PIN at each start." in owner.get("/pin").text


def test_a_pin_is_set_and_removed_again(owner: FlaskClient, stub: VaultStub) -> None:
    page = owner.post("/pin", data=FORM)
    assert page.status_code == 200
    assert "The box asks for a PIN at each start." in page.text
    assert PIN not in page.text
    page = owner.post("/pin/remove", data={"password": PASSWORD})
    assert "The box starts without a PIN." in page.text
    asked = stub.requests(verbs.ChoosePin)
    assert [request.pin for request in asked if isinstance(request, verbs.ChoosePin)] == [PIN, None]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"pin_again": "482917"}, "The two PINs are not the same"),
        ({"pin": "482", "pin_again": "482"}, "Take at least 4 characters."),
        ({"pin": "", "pin_again": ""}, "Something is missing"),
        ({"password": ""}, "Something is missing"),
    ],
)
def test_form_that_is_not_right_is_said_and_changes_nothing(
    changed: dict[str, str], said: str, owner: FlaskClient, stub: VaultStub
) -> None:
    answer = owner.post("/pin", data=FORM | changed)
    assert answer.status_code == 422
    assert said in answer.text
    assert stub.requests(verbs.ChoosePin) == []


@pytest.mark.parametrize("address", ["/pin", "/pin/remove"])
def test_a_login_alone_neither_sets_nor_removes_one(address: str, owner: FlaskClient, stub: VaultStub) -> None:
    stub.has_pin = address == "/pin/remove"
    before = stub.has_pin
    answer = owner.post(address, data=FORM | {"password": "not it at all"})
    assert answer.status_code == 403
    assert "That is not your password" in answer.text
    assert stub.has_pin is before


def test_a_login_that_ended_meanwhile_leads_to_the_door(owner: FlaskClient, stub: VaultStub) -> None:
    stub.troubles[verbs.ChoosePin] = trouble("LoginEnded")
    assert owner.post("/pin", data=FORM).location == "/login?ended=1"
