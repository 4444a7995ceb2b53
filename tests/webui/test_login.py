"""Logging in and out."""

from __future__ import annotations

import msgspec
import pytest
from flask.testing import FlaskClient

from appliance.boundary import verbs
from tests.simulators.vault_stub import OWNER, PASSWORD, VaultStub, trouble
from webui.gate import LOGIN_COOKIE
from webui.pages import forms


def test_right_password_opens_the_first_page(stranger: FlaskClient) -> None:
    answer = stranger.post("/login", data={"name": f" {OWNER} ", "password": PASSWORD})
    assert (answer.status_code, answer.location) == (303, "/")
    assert OWNER in stranger.get("/").text


@pytest.mark.parametrize("password", ["", "wrong", f" {PASSWORD}"])
def test_wrong_password_is_said_and_the_name_stays(password: str, stranger: FlaskClient) -> None:
    answer = stranger.post("/login", data={"name": OWNER, "password": password})
    assert answer.status_code == 403
    assert "Name or password is not right" in answer.text
    assert f'value="{OWNER}"' in answer.text
    assert "Set-Cookie" not in answer.headers


def test_name_that_looks_like_markup_is_shown_as_text(stranger: FlaskClient) -> None:
    answer = stranger.post("/login", data={"name": '"><script>', "password": "x"})
    assert "<script>" not in answer.text
    assert "&lt;script&gt;" in answer.text


def test_too_many_tries_say_when_to_try_again(stranger: FlaskClient, stub: VaultStub) -> None:
    stub.troubles[verbs.LogIn] = trouble("TooManyTries", wait_s=30)
    answer = stranger.post("/login", data={"name": OWNER, "password": PASSWORD})
    assert answer.status_code == 429
    assert "Try again in 30 seconds." in answer.text


def test_logging_out_ends_the_login_in_the_vault_too(owner: FlaskClient, stub: VaultStub) -> None:
    cookie = owner.get_cookie(LOGIN_COOKIE)
    assert cookie is not None
    answer = owner.post("/logout")
    assert answer.location == "/login"
    assert owner.get_cookie(LOGIN_COOKIE) is None
    owner.set_cookie(LOGIN_COOKIE, cookie.value)
    assert owner.get("/").location == "/login?ended=1"


def test_following_a_link_does_not_log_out(owner: FlaskClient, stub: VaultStub) -> None:
    assert owner.get("/logout").status_code == 405
    assert stub.requests(verbs.LogOut) == []


def test_who_is_logged_in_does_not_see_the_login_page(owner: FlaskClient) -> None:
    assert owner.get("/login").location == "/"


def test_form_bounds_are_the_vaults() -> None:
    bounds = {field.name: field.type for field in msgspec.inspect.type_info(verbs.Claim).fields}  # type: ignore[attr-defined]
    assert {name: text.max_length for name, text in bounds.items()} == {
        "code": forms.MAX_CODE,
        "name": forms.MAX_NAME,
        "password": forms.MAX_PASSWORD,
    }
