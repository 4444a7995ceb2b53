"""A person before the page of a box: TLS checked with the box's own authority, forms, and what the pages say.

Leaves to others: where the box is and what starts it (House here, Machine in tests/image).
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from webui.gate import LOGIN_COOKIE

NAME, PASSWORD = "Anna Becker", "drei kurze Worte im Mai"
ANSWER_WITHIN_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8")


class Visitor:
    """
    Args:
        port: on 127.0.0.1, where the page is reached.
        tls: trusts the box's authority and nothing else; can be set later, when the authority is known.
        name: by which the box is called; its certificate must be for it. Can be set later.
        answer_within_s: how long each answer may take.
    """

    def __init__(
        self,
        port: int,
        tls: ssl.SSLContext | None = None,
        name: str = "localhost",
        answer_within_s: float = ANSWER_WITHIN_S,
    ) -> None:
        self._port = port
        self.tls = tls or ssl.create_default_context()
        self.name = name
        self._answer_within_s = answer_within_s
        self._cookie = ""

    def ask(
        self, path: str, form: Mapping[str, str | Sequence[str]] | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """One request over TLS; with a form it is a POST, and a field of several values comes as often."""
        connection = http.client.HTTPSConnection(self.name, self._port, context=self.tls)
        plain = socket.create_connection(("127.0.0.1", self._port), self._answer_within_s)
        sent = {"Accept-Language": "en", "Connection": "close", **(headers or {})}
        if self._cookie:
            sent["Cookie"] = f"{LOGIN_COOKIE}={self._cookie}"
        if form is not None:
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        with contextlib.closing(plain), contextlib.closing(connection):
            connection.sock = self.tls.wrap_socket(plain, server_hostname=self.name)
            body = None if form is None else urlencode(form, doseq=True)
            connection.request("GET" if form is None else "POST", path, body=body, headers=sent)
            got = connection.getresponse()
            answer = Answer(status=got.status, headers=got.headers, body=got.read())
        for cookie in answer.headers.get_all("Set-Cookie") or ():
            if match := re.match(rf"{LOGIN_COOKIE}=([^;]*)", cookie):
                self._cookie = match[1]
        return answer

    def claim(self, code: str) -> Answer:
        return self.ask("/claim", {"code": code, "name": NAME, "password": PASSWORD, "password_again": PASSWORD})

    def log_in(self) -> Answer:
        return self.ask("/login", {"name": NAME, "password": PASSWORD})

    def live(self) -> Any:
        answer = self.ask("/live")
        assert answer.status == 200, answer.text
        return json.loads(answer.body)

    def calls(self) -> list[str]:
        """The calls that the page lists, newest first, over all its pages."""
        found: list[str] = []
        path = "/"
        while path:
            page = self.ask(path)
            assert page.status == 200, page.text
            found += re.findall(r'class="row-time" href="/calls/([0-9a-f]{32})"', page.text)
            older = re.search(r'href="(/\?[^"]*before_ms[^"]*)"', page.text)
            path = older[1].replace("&amp;", "&") if older else ""
        return found

    def download(self, call: str, kind: str = "wav") -> bytes:
        """A call as a file. Where the box asks for patience, it is had."""
        answer = self.ask(f"/calls/{call}/download.{kind}")
        give_up = time.monotonic() + 70
        while answer.status == 429 and time.monotonic() < give_up:
            time.sleep(2)
            answer = self.ask(f"/calls/{call}/download.{kind}")
        assert answer.status == 200, answer.text
        assert len(answer.body) == int(answer.headers["Content-Length"])
        return answer.body

    def delete(self, call: str) -> None:
        answer = self.ask(f"/calls/{call}/delete", {})
        assert answer.status == 200, answer.text
