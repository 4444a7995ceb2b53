"""The gate: every request passes here before a page sees it, every answer before it leaves.

Promises: nobody without a login gets past, except to the pages that make one; a request that another site
caused changes nothing; a name that is not ours is not answered; no answer may be stored, framed or run
foreign code. Whether a login is good the vault decides, not this file.

There is no session and no secret key: the only thing a browser carries is the vault's token, in a cookie that
no script can read and no other site can send. Forged requests are refused by Sec-Fetch-Site and Origin, which
every browser since 2023 sends and no page can set: the argument of Go 1.25's CrossOriginProtection.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from flask import Flask, Response, abort, g, redirect, request, url_for
from werkzeug.datastructures import Headers
from werkzeug.wrappers import Response as AnyResponse

from appliance.boundary import verbs
from appliance.settings import WebuiSettings
from webui.language import switch_language
from webui.vault_client import ThreadVault

LOGIN_COOKIE = "__Host-login"
OPEN_ENDPOINTS = frozenset(
    {"static", "claim.show", "claim.answer", "login.show", "login.answer", "unlock.show", "unlock.answer"}
)
"""What a person without a login may reach. Everything else is closed, also what is added later."""

ASKS_BY_ITSELF = frozenset({"live.now"})
"""Polled twice a second: its own question to the vault carries the login and is refused without one. A second
question would tell the vault that a person is active where only a tab is open."""

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Strict-Transport-Security": "max-age=31536000",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
}
"""The front sends the same with what it serves itself."""

_HOST = re.compile(r"(?:(?P<name>[A-Za-z0-9.-]+)|\[(?P<ipv6>[0-9A-Fa-f:.]+)\])(?::[0-9]{1,5})?")
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Gate:
    """
    Args:
        vault: asked whose login it is, and whether the box has an owner.
        own_names: host names, lower case, under which the box may be called.
    """

    def __init__(self, vault: ThreadVault, own_names: frozenset[str]) -> None:
        self._vault = vault
        self._own_names = own_names

    def guard(self, app: Flask) -> None:
        """Stand before and behind every page of the application. The order matters."""
        app.before_request(self.refuse_foreign_names)
        app.before_request(refuse_foreign_sites)
        app.before_request(self.refuse_strangers)
        app.before_request(switch_language)
        app.after_request(harden)

    def refuse_foreign_names(self) -> None:
        """A foreign name that points here is DNS rebinding, or a mistake; neither is answered."""
        if not is_own_name(request.headers.get("Host", ""), self._own_names):
            abort(421)

    def refuse_strangers(self) -> AnyResponse | None:
        if request.endpoint in OPEN_ENDPOINTS:
            return None
        token = login_of_request()
        if token is None:
            return self._to_the_door()
        g.login = token
        if request.endpoint not in ASKS_BY_ITSELF:
            g.person = self._vault.who(token, in_person=is_in_person())
        return None

    def _to_the_door(self) -> AnyResponse:
        if request.endpoint in ASKS_BY_ITSELF:
            abort(401)
        claimed = self._vault.is_claimed()
        return redirect(url_for("login.show" if claimed else "claim.show"), 303)


def is_in_person() -> bool:
    """False for what a page fetches by itself: an open page must not keep a login alive (Fetch Metadata)."""
    return request.headers.get("Sec-Fetch-Dest") != "empty"


def own_names(webui: WebuiSettings) -> frozenset[str]:
    return frozenset({name.lower() for name in webui.names} | {webui.address.lower(), "localhost"})


def is_own_name(untrusted_host: str, names: frozenset[str]) -> bool:
    """Whether a Host header names this box.

    Any address in digits passes: rebinding needs a name whose meaning the attacker can change, and a box that
    got its address from DHCP cannot list it.
    """
    host = _HOST.fullmatch(untrusted_host)
    if host is None:
        return False
    name = (host["name"] or host["ipv6"]).lower()
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name.removesuffix(".") in names
    return True


def is_from_our_pages(method: str, headers: Headers) -> bool:
    """Whether a request may change something: it must come from our own pages, or from no page at all.

    `Origin: null` beside Sec-Fetch-Site: same-origin is our own form: the referrer policy makes it null.
    """
    if method in _SAFE_METHODS:
        return True
    site = headers.get("Sec-Fetch-Site")
    if site is not None and site not in {"same-origin", "none"}:
        return False
    origin = headers.get("Origin")
    if origin is None or (origin == "null" and site is not None):
        return True
    try:
        return urlsplit(origin).netloc.lower() == headers.get("Host", "").lower()
    except ValueError:
        return False


def refuse_foreign_sites() -> None:
    if not is_from_our_pages(request.method, request.headers):
        abort(403)


def login_of_request() -> str | None:
    """The token that the browser carries, if it has the shape of one."""
    untrusted = request.cookies.get(LOGIN_COOKIE, "")
    return untrusted if _TOKEN.fullmatch(untrusted) else None


def this_login() -> str:
    """The token of a request that passed the gate."""
    token: str = g.login
    return token


def this_person() -> verbs.Person | None:
    """Whose login it is; None on the pages that need none."""
    person: verbs.Person | None = g.get("person")
    return person


def carry_login(answer: AnyResponse, token: str) -> None:
    """Let the browser carry the token until it is closed; the vault ends it sooner."""
    answer.set_cookie(LOGIN_COOKIE, token, secure=True, httponly=True, samesite="Strict", path="/")


def drop_login(answer: AnyResponse) -> None:
    answer.delete_cookie(LOGIN_COOKIE, secure=True, httponly=True, samesite="Strict", path="/")


def harden(answer: Response) -> Response:
    answer.headers.update(SECURITY_HEADERS)
    if request.endpoint != "static":
        answer.headers["Cache-Control"] = "no-store"
    return answer
