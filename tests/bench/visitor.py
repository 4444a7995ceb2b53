"""A person before the page, as a browser asks: one TLS connection that stays open, checked with the box's authority."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from typing import Any, Self
from urllib.parse import urlencode

from tests.bench.box import NAME, PASSWORD, BenchBox
from webui.gate import LOGIN_COOKIE

_PATIENCE_S = 20.0


class Visitor:
    """Waits for the page to come up, and claims the box."""

    def __init__(self, box: BenchBox) -> None:
        self._tls = ssl.create_default_context(cafile=str(box.settings.state / "tls" / "ca.pem"))
        self._port = box.port
        self._wait_for_page()
        self._connection = self._connect()
        form = {"code": box.claim_code(), "name": NAME, "password": PASSWORD, "password_again": PASSWORD}
        answer = self._ask("POST", "/claim", body=urlencode(form), type="application/x-www-form-urlencoded")
        answer.read()
        cookie = str(answer.headers["Set-Cookie"]).partition(";")[0]
        if answer.status != 303 or not cookie.startswith(f"{LOGIN_COOKIE}="):
            raise RuntimeError(f"the box could not be claimed: {answer.status}")
        self._cookie = cookie
        self.login = cookie.partition("=")[2]

    def connect_anew(self) -> None:
        """The front ends a connection on which nothing was asked for half a minute."""
        self._connection.close()
        self._connection = self._connect()
        self.live()

    def live(self) -> Any:
        return json.loads(self.get("/live"))

    def get(self, path: str) -> bytes:
        answer = self._ask("GET", path)
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path} was answered with {answer.status}")
        return body

    def first_byte_s(self, path: str, first: int, length: int) -> tuple[float, float]:
        """Ask for a range. Returns: seconds to its first byte, and to its last."""
        began_s = time.perf_counter()
        answer = self._ask("GET", path, range=f"bytes={first}-{first + length - 1}")
        answer.read(1)
        first_s = time.perf_counter() - began_s
        rest = answer.read()
        if answer.status != 206 or len(rest) + 1 != length:
            raise RuntimeError(f"a range was answered with {answer.status} and {len(rest) + 1} bytes")
        return first_s, time.perf_counter() - began_s

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    _cookie = ""

    def _ask(self, verb: str, path: str, *, body: str | None = None, **told: str) -> http.client.HTTPResponse:
        headers = {"Accept-Language": "en", "Cookie": self._cookie}
        headers |= {{"type": "Content-Type", "range": "Range"}[name]: value for name, value in told.items()}
        self._connection.request(verb, path, body=body, headers=headers)
        return self._connection.getresponse()

    def _connect(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection("localhost", self._port, context=self._tls, timeout=_PATIENCE_S)

    def _wait_for_page(self) -> None:
        give_up = time.monotonic() + _PATIENCE_S
        while True:
            connection = self._connect()
            try:
                connection.request("GET", "/claim")
                if connection.getresponse().status == 200:
                    return
            except OSError:
                pass
            finally:
                connection.close()
            if time.monotonic() > give_up:
                raise TimeoutError("the page does not come up")
            time.sleep(0.05)
