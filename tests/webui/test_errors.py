"""Every trouble ends in a page that says what happened, what is safe and what to do."""

from __future__ import annotations

import ast
import io
import json
from pathlib import Path

import pytest
import structlog
from flask import Flask
from flask.testing import FlaskClient

import appliance.terms
from appliance.boundary import verbs
from appliance.boundary.vault import VaultAway
from appliance.clock import Clock
from appliance.settings import Settings
from appliance.terms import LinekeepError
from tests.simulators.vault_stub import VaultStub, trouble
from webui.app import create_app
from webui.gate import LOGIN_COOKIE
from webui.troubles import LOGIN_ENDED, PIN_NEEDED, TROUBLES, say
from webui.vault_client import ThreadVault

CALL_PAGE = f"/calls/{'a' * 32}"
APPLIANCE = Path(appliance.terms.__file__).parent
FOR_DAEMONS_ONLY = {"LinekeepError", "LineTrouble"}


@pytest.mark.parametrize("kind", sorted(TROUBLES.keys() - {LOGIN_ENDED, PIN_NEEDED}))
@pytest.mark.parametrize("language", ["en", "de"])
def test_trouble_is_said_in_full_in_the_persons_language(
    kind: str, language: str, owner: FlaskClient, stub: VaultStub
) -> None:
    stub.troubles[verbs.OpenCall] = trouble(kind, "Not for people.", wait_s=120, min_length=10)
    answer = owner.get(CALL_PAGE, headers={"Accept-Language": language})
    with owner.application.test_request_context(headers={"Accept-Language": language}):
        said = say(kind, {"wait_s": 120, "min_length": 10})
        english = TROUBLES[kind]
    assert answer.status_code == english.status
    for sentence in (said.happened, said.safe, said.to_do):
        assert sentence
        assert sentence in answer.text
    assert (said.happened == english.happened) is (language == "en")
    assert "Not for people." not in answer.text


def test_trouble_that_passes_tells_browsers_when(owner: FlaskClient, stub: VaultStub) -> None:
    stub.troubles[verbs.OpenCall] = trouble("TooManyOpenings", wait_s=120)
    answer = owner.get(CALL_PAGE)
    assert answer.headers["Retry-After"] == "120"
    assert "Try again in 2 minutes." in answer.text


def test_unknown_trouble_is_said_in_the_vaults_own_sentence(owner: FlaskClient, stub: VaultStub) -> None:
    stub.troubles[verbs.OpenCall] = trouble("Brand<New", "Something <new> came up.")
    answer = owner.get(CALL_PAGE)
    assert answer.status_code == 500
    assert "Something &lt;new&gt; came up." in answer.text


def test_every_family_of_trouble_has_its_words() -> None:
    families = {kind.__name__ for kind in vars(appliance.terms).values() if _is_trouble(kind)}
    assert families - FOR_DAEMONS_ONLY <= TROUBLES.keys()
    assert VaultAway.__name__ in TROUBLES


def test_every_trouble_that_the_vault_defines_has_its_words() -> None:
    defined = {
        node.name
        for path in (APPLIANCE / "vault").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ClassDef) and {ast.unparse(base) for base in node.bases} & _families()
    }
    assert defined - TROUBLES.keys() == set()


def _families() -> set[str]:
    return {kind.__name__ for kind in vars(appliance.terms).values() if _is_trouble(kind)}


def _is_trouble(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, LinekeepError)


def test_page_that_does_not_exist_is_said(owner: FlaskClient) -> None:
    answer = owner.get("/no-such-page")
    assert answer.status_code == 404
    assert "There is no such page" in answer.text


def test_wrong_method_is_said_and_keeps_its_status(owner: FlaskClient) -> None:
    assert owner.put("/").status_code == 405


def test_large_body_is_refused_unread(stranger: FlaskClient, stub: VaultStub) -> None:
    answer = stranger.post("/login", data={"name": "x" * 70_000, "password": "y"})
    assert answer.status_code == 413
    assert stub.requests(verbs.LogIn) == []


def test_fault_is_logged_and_the_page_tells_nothing_of_it(settings: Settings, stub: VaultStub) -> None:
    written = io.StringIO()
    log: structlog.stdlib.BoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(written),
        processors=[structlog.processors.format_exc_info, structlog.processors.JSONRenderer()],
    )
    vault = ThreadVault(settings.vault_socket("webui"))
    app = create_app(settings.webui, vault, log, Clock())
    app.jinja_env.globals["static"] = _fail_once()
    client = app.test_client()
    client.set_cookie(LOGIN_COOKIE, stub.new_login())
    answer = client.get("/?number=0176")
    vault.close()
    assert answer.status_code == 500
    assert "Something went wrong inside the box" in answer.text
    assert "broken on purpose" not in answer.text
    logged = json.loads(written.getvalue())
    assert "broken on purpose" in logged["exception"]
    assert "0176" not in written.getvalue()


def _fail_once() -> object:
    failures = iter([RuntimeError("broken on purpose")])

    def address(name: str) -> str:
        for failure in failures:
            raise failure
        return name

    return address


def test_language_of_a_refusal_follows_the_cookie(app: Flask, stranger: FlaskClient) -> None:
    stranger.set_cookie("lang", "de")
    answer = stranger.post("/login", data={"name": "x", "password": "y"}, headers={"Accept-Language": "en"})
    assert "Name oder Passwort stimmt nicht" in answer.text
    assert '<html lang="de">' in answer.text
