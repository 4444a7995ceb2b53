"""First use: the person with the code from the label becomes the owner. Gone once there is one."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from appliance.boundary.vault import VaultRefused
from webui.gate import carry_login
from webui.pages.forms import MAX_CODE, MAX_NAME, MAX_PASSWORD, MIN_PASSWORD, Page, field, missing, unlike
from webui.troubles import SaidTrouble, say_refused
from webui.vault_client import ThreadVault


class ClaimPages:
    def __init__(self, vault: ThreadVault) -> None:
        self._vault = vault

    def blueprint(self) -> Blueprint:
        pages = Blueprint("claim", __name__)
        pages.add_url_rule("/claim", "show", self.show, methods=["GET"])
        pages.add_url_rule("/claim", "answer", self.answer, methods=["POST"])
        return pages

    def show(self) -> Page:
        if self._vault.is_claimed():
            return redirect(url_for("login.show"), 303)
        return _form()

    def answer(self) -> Page:
        code, name = field("code", MAX_CODE).strip(), field("name", MAX_NAME).strip()
        password = field("password", MAX_PASSWORD)
        if self._vault.is_claimed():
            return redirect(url_for("login.show"), 303)
        if not (code and name and password):
            return _form(missing(), name=name)
        if password != field("password_again", MAX_PASSWORD):
            return _form(unlike(), name=name)
        try:
            login = self._vault.claim(code, name, password)
        except VaultRefused as refused:
            if refused.kind == "AlreadyClaimed":
                return redirect(url_for("login.show"), 303)
            return _form(say_refused(refused), name=name)
        answer: AnyResponse = redirect(url_for("calls.home"), 303)
        carry_login(answer, login.login)
        return answer


def _form(trouble: SaidTrouble | None = None, *, name: str = "") -> Page:
    page = render_template(
        "claim.html",
        trouble=trouble,
        name=name,
        code=request.form.get("code", ""),
        min_password=MIN_PASSWORD,
        max_name=MAX_NAME,
    )
    return page, trouble.status if trouble else 200
