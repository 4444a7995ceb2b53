"""Another password, by whoever knows the one until now."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from appliance.boundary import verbs
from tests.simulators.vault_stub import PASSWORD, VaultStub, trouble
from webui.gate import LOGIN_COOKIE

FRESH = "four quiet words now"
FORM = {"password": PASSWORD, "fresh": FRESH, "fresh_again": FRESH}


def test_who_knows_the_password_changes_it_and_stays_logged_in(owner: FlaskClient, stub: VaultStub) -> None:
    answer = owner.post("/password", data=FORM)
    assert answer.status_code == 200
    assert "Your password is changed" in answer.text
    assert owner.get("/").status_code == 200
    (asked,) = stub.requests(verbs.ChangePassword)
    assert isinstance(asked, verbs.ChangePassword)
    assert (asked.password, asked.fresh) == (PASSWORD, FRESH)


def test_who_copied_the_cookie_of_this_browser_is_out(owner: FlaskClient, stranger: FlaskClient) -> None:
    stolen = owner.get_cookie(LOGIN_COOKIE)
    assert stolen is not None
    owner.post("/password", data=FORM)
    stranger.set_cookie(LOGIN_COOKIE, stolen.value)
    assert stranger.get("/").location == "/login?ended=1"


@pytest.mark.parametrize(
    ("changed", "status", "said"),
    [
        ({"password": "not it at all"}, 403, "That is not your password"),
        ({"fresh": "short", "fresh_again": "short"}, 422, "at least 10 characters"),
    ],
)
def test_what_the_vault_refuses_is_said_and_shows_no_password(
    changed: dict[str, str], status: int, said: str, owner: FlaskClient
) -> None:
    answer = owner.post("/password", data=FORM | changed)
    assert answer.status_code == status
    assert said in answer.text
    for typed in (FORM | changed).values():
        assert f'value="{typed}"' not in answer.text


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"fresh_again": "something else"}, "The two passwords are not the same"),
        ({"password": ""}, "Something is missing"),
        ({"fresh": "", "fresh_again": ""}, "Something is missing"),
    ],
)
def test_form_that_is_not_right_is_said_without_asking_the_vault(
    changed: dict[str, str], said: str, owner: FlaskClient, stub: VaultStub
) -> None:
    answer = owner.post("/password", data=FORM | changed)
    assert answer.status_code == 422
    assert said in answer.text
    assert stub.requests(verbs.ChangePassword) == []


def test_a_login_that_ended_meanwhile_leads_to_the_door(owner: FlaskClient, stub: VaultStub) -> None:
    stub.troubles[verbs.ChangePassword] = trouble("LoginEnded")
    assert owner.post("/password", data=FORM).location == "/login?ended=1"


def test_every_page_of_who_is_logged_in_leads_there(owner: FlaskClient, stranger: FlaskClient) -> None:
    assert 'href="/password"' in owner.get("/journal").text
    assert 'href="/password"' not in stranger.get("/login").text
