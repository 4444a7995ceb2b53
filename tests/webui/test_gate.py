"""Who gets past the gate, under which name, from which page; and what every answer carries."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient
from werkzeug.datastructures import Headers

from appliance.boundary import verbs
from appliance.settings import Settings
from tests.simulators.vault_stub import OWNER, PASSWORD, VaultStub
from webui.gate import LOGIN_COOKIE, is_from_our_pages, is_own_name, own_names

HOST = "linekeep.local"


@pytest.mark.parametrize(
    "host",
    [
        "linekeep.local",
        "LINEKEEP.local:8443",
        "linekeep.local.",
        "192.0.2.7",
        "127.0.0.1:8443",
        "localhost",
        "10.1.2.3",
        "[::1]:8443",
    ],
)
def test_own_name_or_an_address_in_digits_is_answered(host: str, settings: Settings) -> None:
    assert is_own_name(host, own_names(settings.webui))


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "linekeep.local.evil.example",
        "evil.example@linekeep.local",
        "linekeep.local:x",
        "127.0.0.1.evil.example",
        "0x7f000001",
        "[linekeep.local]",
    ],
)
def test_foreign_name_is_refused(host: str, settings: Settings) -> None:
    assert not is_own_name(host, own_names(settings.webui))


def test_rebound_name_gets_no_page_even_with_a_login(owner: FlaskClient) -> None:
    answer = owner.get("/", headers={"Host": "evil.example"})
    assert answer.status_code == 421
    assert OWNER not in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "same-origin", "Origin": f"https://{HOST}"},
        {"Origin": f"https://{HOST}"},
        # What a browser sends with our own forms under `Referrer-Policy: no-referrer`.
        {"Sec-Fetch-Site": "same-origin", "Origin": "null"},
    ],
)
def test_request_of_our_own_pages_may_change_things(headers: dict[str, str]) -> None:
    assert is_from_our_pages("POST", Headers({"Host": HOST} | headers))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "ANYTHING"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": ""},
        {"Sec-Fetch-Site": "cross-site", "Origin": f"https://{HOST}"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "null"},
        {"Origin": "null"},
        {"Origin": "https://evil.example"},
        {"Origin": f"https://{HOST}:444"},
        {"Origin": f"https://{HOST}.evil.example"},
        {"Origin": "https://[broken"},
    ],
)
def test_request_that_another_site_caused_may_change_nothing(method: str, headers: dict[str, str]) -> None:
    assert not is_from_our_pages(method, Headers({"Host": HOST} | headers))


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_link_from_another_site_may_be_followed(method: str) -> None:
    assert is_from_our_pages(method, Headers({"Host": HOST, "Sec-Fetch-Site": "cross-site"}))


def test_forged_deletion_never_reaches_the_vault(owner: FlaskClient, stub: VaultStub) -> None:
    answer = owner.post(f"/calls/{'a' * 32}/delete", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert stub.asked == []


def test_forged_login_never_reaches_the_vault(stranger: FlaskClient, stub: VaultStub) -> None:
    form = {"name": OWNER, "password": PASSWORD}
    answer = stranger.post("/login", data=form, headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403
    assert stub.asked == []


def test_login_cookie_is_out_of_reach_of_scripts_and_other_sites(stranger: FlaskClient) -> None:
    answer = stranger.post("/login", data={"name": OWNER, "password": PASSWORD})
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith(f"{LOGIN_COOKIE}=")
    parts = {part.strip() for part in cookie.split(";")[1:]}
    assert parts == {"Secure", "HttpOnly", "SameSite=Strict", "Path=/"}


@pytest.mark.parametrize("token", ["", "short", "x" * 44, "%" * 43, "'" * 43])
def test_cookie_that_is_no_token_is_not_shown_to_the_vault(token: str, stranger: FlaskClient, stub: VaultStub) -> None:
    stranger.set_cookie(LOGIN_COOKIE, token)
    assert stranger.get("/").location == "/login"
    assert stub.requests(verbs.AskWho) == []


def test_ended_login_leads_to_the_login_page_and_its_cookie_is_dropped(owner: FlaskClient, stub: VaultStub) -> None:
    stub.end_logins()
    answer = owner.get("/")
    assert (answer.status_code, answer.location) == (303, "/login?ended=1")
    assert answer.headers["Set-Cookie"].startswith(f"{LOGIN_COOKIE}=;")
    assert "Your login has ended" in owner.get("/login?ended=1").text


def test_open_page_is_not_reported_as_a_persons_activity(owner: FlaskClient, stub: VaultStub) -> None:
    assert owner.get("/live").status_code == 200
    assert [type(request) for request in stub.asked] == [verbs.AskNow]


FORBIDDEN = {
    "Strict-Transport-Security": "max-age=31536000",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cache-Control": "no-store",
}
"""Spelled out: a promise that is compared with itself is always kept."""

POLICY = [
    "base-uri 'none'",
    "connect-src 'self'",
    "default-src 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
    "img-src 'self'",
    "media-src 'self'",
    "script-src 'self'",
    "style-src 'self'",
]


@pytest.mark.parametrize(("address", "status"), [("/", 200), ("/login", 303), ("/nowhere", 404)])
def test_what_the_headers_forbid(address: str, status: int, owner: FlaskClient) -> None:
    answer = owner.get(address)
    assert answer.status_code == status
    assert {name: answer.headers.getlist(name) for name in FORBIDDEN} == {
        name: [value] for name, value in FORBIDDEN.items()
    }
    (policy,) = answer.headers.getlist("Content-Security-Policy")
    assert sorted(policy.split("; ")) == POLICY


@pytest.mark.parametrize(
    ("fetched_for", "in_person"),
    [({}, True), ({"Sec-Fetch-Dest": "document"}, True), ({"Sec-Fetch-Dest": "empty"}, False)],
)
def test_what_a_page_fetches_by_itself_is_no_persons_activity_and_a_navigation_is(
    fetched_for: dict[str, str], in_person: bool, owner: FlaskClient, stub: VaultStub
) -> None:
    assert owner.get("/calls?fragment=1", headers=fetched_for).status_code == 200
    asked = stub.requests(verbs.AskWho) + stub.requests(verbs.ListCalls)
    assert [(type(request), request.in_person) for request in asked] == [  # type: ignore[attr-defined]
        (verbs.AskWho, in_person),
        (verbs.ListCalls, in_person),
    ]
