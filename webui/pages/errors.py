"""The page that ends every request which ended in a trouble; the words are in troubles.py."""

from __future__ import annotations

from typing import Any

from flask import Flask, jsonify, make_response, redirect, render_template, request, url_for
from structlog.stdlib import BoundLogger
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from appliance.boundary.vault import VaultRefused
from appliance.terms import LinekeepError
from webui.gate import drop_login
from webui.troubles import LOGIN_ENDED, PIN_NEEDED, SaidTrouble, say, say_refused

_KIND_OF_STATUS = {401: LOGIN_ENDED, 403: "ForeignSite", 404: "PageMissing", 421: "ForeignName", 500: "Fault"}


class Errors:
    """Answers for every page that ended in a trouble."""

    def __init__(self, log: BoundLogger) -> None:
        self._log = log

    def catch(self, app: Flask) -> None:
        app.register_error_handler(VaultRefused, show_refused)
        app.register_error_handler(LinekeepError, show_trouble)
        app.register_error_handler(HTTPException, show_http)
        app.register_error_handler(Exception, self.show_fault)

    def show_fault(self, fault: Exception) -> AnyResponse:
        """The outermost loop of a request: what nobody foresaw goes to the log, never to the page."""
        self._log.error("fault", endpoint=request.endpoint, exc_info=fault)
        return show(say("Fault", {}))


def show(trouble: SaidTrouble) -> AnyResponse:
    """The trouble as a page, or as JSON for a script that asked for it."""
    if request.accept_mimetypes.best == "application/json":
        answer: AnyResponse = jsonify({"error": trouble.kind, "happened": trouble.happened})
    else:
        answer = make_response(render_template("trouble.html", trouble=trouble))
    answer.status_code = trouble.status
    if trouble.wait_s is not None:
        answer.headers["Retry-After"] = str(trouble.wait_s)
    return answer


def show_refused(refused: VaultRefused) -> AnyResponse:
    by_script = request.accept_mimetypes.best == "application/json"
    if refused.kind == PIN_NEEDED and not by_script:
        return redirect(url_for("unlock.show"), 303)
    if refused.kind != LOGIN_ENDED:
        return show(say_refused(refused))
    answer = show(say_refused(refused)) if by_script else redirect(url_for("login.show", ended=1), 303)
    drop_login(answer)
    return answer


def show_trouble(trouble: LinekeepError) -> AnyResponse:
    """A trouble of the web process itself: the vault is away, a recording does not decode."""
    return show(say(type(trouble).__name__, {}, str(trouble)))


def show_http(error: HTTPException) -> Any:
    """What Flask, or the gate, refused."""
    code = error.code or 500
    if code < 400:
        return error.get_response()
    kind = _KIND_OF_STATUS.get(code, "Refused")
    said = say(kind, {})
    answer = show(said)
    answer.status_code = code
    return answer
