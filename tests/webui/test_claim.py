"""The one time that a box gets its owner."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from appliance.boundary import verbs
from appliance.vault.accounts import PASSWORD_MIN_LENGTH
from tests.simulators.vault_stub import CODE, OWNER, PASSWORD, VaultStub, trouble
from webui.gate import LOGIN_COOKIE
from webui.pages.forms import MIN_PASSWORD

FORM = {"code": CODE, "name": OWNER, "password": PASSWORD, "password_again": PASSWORD}


@pytest.fixture(autouse=True)
def unclaimed(stub: VaultStub) -> None:
    stub.claimed = False


def test_right_code_makes_the_person_owner_and_logs_them_in(stranger: FlaskClient, stub: VaultStub) -> None:
    answer = stranger.post("/claim", data=FORM | {"code": f" {CODE.lower()} "})
    assert (answer.status_code, answer.location) == (303, "/")
    assert stub.claimed
    assert stranger.get("/").status_code == 200


def test_wrong_code_is_said_and_what_was_typed_stays_but_for_the_passwords(
    stranger: FlaskClient, stub: VaultStub
) -> None:
    answer = stranger.post("/claim", data=FORM | {"code": "KEEP-0000"})
    assert answer.status_code == 403
    assert "That is not the code of this box" in answer.text
    assert OWNER in answer.text
    assert "KEEP-0000" in answer.text
    assert PASSWORD not in answer.text
    assert not stub.claimed


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"password_again": "something else"}, "The two passwords are not the same"),
        ({"password": "", "password_again": ""}, "Something is missing"),
        ({"name": "   "}, "Something is missing"),
        ({"code": ""}, "Something is missing"),
    ],
)
def test_form_that_is_not_right_is_said_without_asking_the_vault(
    changed: dict[str, str], said: str, stranger: FlaskClient, stub: VaultStub
) -> None:
    answer = stranger.post("/claim", data=FORM | changed)
    assert answer.status_code == 422
    assert said in answer.text
    assert stub.requests(verbs.Claim) == []


def test_short_password_is_refused_by_the_vault_with_its_own_bound(stranger: FlaskClient) -> None:
    answer = stranger.post("/claim", data=FORM | {"password": "short", "password_again": "short"})
    assert answer.status_code == 422
    assert f"at least {MIN_PASSWORD} characters" in answer.text


def test_bound_said_in_the_form_is_the_vaults() -> None:
    assert MIN_PASSWORD == PASSWORD_MIN_LENGTH


def test_too_many_tries_say_when_to_try_again(stranger: FlaskClient, stub: VaultStub) -> None:
    stub.troubles[verbs.Claim] = trouble("TooManyTries", wait_s=240)
    answer = stranger.post("/claim", data=FORM)
    assert answer.status_code == 429
    assert "Try again in 4 minutes." in answer.text


def test_claimed_box_has_no_claim_page(stranger: FlaskClient, stub: VaultStub) -> None:
    stub.claimed = True
    assert stranger.get("/claim").location == "/login"
    assert stranger.post("/claim", data=FORM).location == "/login"
    assert stub.requests(verbs.Claim) == []


def test_claim_that_another_won_in_between_leads_to_the_login_page(stranger: FlaskClient, stub: VaultStub) -> None:
    stub.troubles[verbs.Claim] = trouble("AlreadyClaimed")
    answer = stranger.post("/claim", data=FORM)
    assert answer.location == "/login"
    assert LOGIN_COOKIE not in answer.headers.get("Set-Cookie", "")


@pytest.mark.parametrize(("name", "length"), [("code", 65), ("name", 65), ("password", 1025)])
def test_text_longer_than_the_form_allows_is_refused(name: str, length: int, stranger: FlaskClient) -> None:
    assert stranger.post("/claim", data=FORM | {name: "x" * length}).status_code == 400
