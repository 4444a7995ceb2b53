"""What holds for every route there is, also for those that come later."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import Rule

from tests.simulators.vault_stub import NOW_MS, OWNER, VaultStub, made_up_facts, speaking_call
from webui.gate import LOGIN_COOKIE, OPEN_ENDPOINTS, SECURITY_HEADERS

CALL = made_up_facts(1, NOW_MS - 60_000, seconds=1, number="+49 30 901820")
SECRETS = (OWNER, CALL.number, CALL.call, "front-desk")


def every_request(app: Flask, *, closed_only: bool) -> Iterator[tuple[str, str]]:
    """Method and address of every route, with a real call where one is named."""
    for rule in app.url_map.iter_rules():
        if closed_only and rule.endpoint in OPEN_ENDPOINTS:
            continue
        for method in sorted((rule.methods or set()) - {"OPTIONS"}):
            yield method, address_of(rule)


def address_of(rule: Rule) -> str:
    return (
        rule.rule.replace("<call>", CALL.call)
        .replace("<erasure>", "0f" * 8)
        .replace("<line>", "front-desk")
        .replace("<path:filename>", "base.css")
    )


@pytest.fixture
def kept(stub: VaultStub) -> VaultStub:
    stub.keep(speaking_call(CALL))
    return stub


@pytest.mark.parametrize("login", [None, "broken", "x" * 43])
def test_without_a_login_no_route_shows_or_changes_anything(
    login: str | None, app: Flask, stranger: FlaskClient, kept: VaultStub
) -> None:
    for method, address in every_request(app, closed_only=True):
        if login is not None:
            stranger.set_cookie(LOGIN_COOKIE, login)
        answer = stranger.open(address, method=method)
        assert answer.status_code == 401 or answer.location in {"/login", "/login?ended=1"}, address
        assert not [secret for secret in SECRETS if secret in answer.text], address
    assert CALL.call in kept.calls


def test_unclaimed_box_leads_every_route_to_the_claim_page(app: Flask, stranger: FlaskClient, stub: VaultStub) -> None:
    stub.claimed = False
    for method, address in every_request(app, closed_only=True):
        answer = stranger.open(address, method=method)
        assert answer.status_code == 401 or answer.location == "/claim", address
    assert stranger.get("/login").location == "/claim"


def test_page_that_does_not_exist_tells_a_stranger_nothing(stranger: FlaskClient) -> None:
    assert stranger.get("/no-such-page").location == "/login"


@pytest.mark.parametrize("visitor", ["stranger", "owner"])
def test_every_answer_is_hardened(visitor: str, app: Flask, kept: VaultStub, request: pytest.FixtureRequest) -> None:
    client: FlaskClient = request.getfixturevalue(visitor)
    for method, address in [*every_request(app, closed_only=False), ("GET", "/no-such-page"), ("PUT", "/")]:
        kept.keep(speaking_call(CALL))
        client.set_cookie(LOGIN_COOKIE, kept.new_login() if visitor == "owner" else "")
        answer = client.open(address, method=method)
        for name, value in SECURITY_HEADERS.items():
            assert answer.headers.get(name) == value, (method, address, name)
        stored = address.startswith("/static/")
        assert ("no-store" in answer.headers.get("Cache-Control", "")) is not stored, (method, address)
        answer.close()


def test_vault_that_is_away_makes_every_route_say_so(app: Flask, stub: VaultStub) -> None:
    client = app.test_client()
    client.set_cookie(LOGIN_COOKIE, stub.new_login())
    stub.stop()
    try:
        for method, address in every_request(app, closed_only=True):
            answer = client.open(address, method=method)
            assert answer.status_code == 503, (method, address)
            assert method == "HEAD" or "The box is not ready yet" in answer.text
    finally:
        stub.restart()
