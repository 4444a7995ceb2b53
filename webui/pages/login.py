"""Logging in and out. Who may is the vault's decision; this page carries question and answer."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from appliance.boundary.vault import VaultRefused
from webui.gate import carry_login, drop_login, login_of_request, this_login
from webui.pages.forms import MAX_NAME, MAX_PASSWORD, Page, field
from webui.troubles import SaidTrouble, say, say_refused
from webui.vault_client import ThreadVault


class LoginPages:
    def __init__(self, vault: ThreadVault) -> None:
        self._vault = vault

    def blueprint(self) -> Blueprint:
        pages = Blueprint("login", __name__)
        pages.add_url_rule("/login", "show", self.show, methods=["GET"])
        pages.add_url_rule("/login", "answer", self.answer, methods=["POST"])
        pages.add_url_rule("/logout", "end", self.end, methods=["POST"])
        return pages

    def show(self) -> Page:
        if not self._vault.is_claimed():
            return redirect(url_for("claim.show"), 303)
        if self._is_logged_in():
            return redirect(url_for("calls.home"), 303)
        return _form()

    def answer(self) -> Page:
        name, password = field("name", MAX_NAME).strip(), field("password", MAX_PASSWORD)
        if not (name and password):
            return _form(say("WrongLogin", {}), name=name)
        try:
            login = self._vault.log_in(name, password)
        except VaultRefused as refused:
            return _form(say_refused(refused), name=name)
        answer: AnyResponse = redirect(url_for("calls.home"), 303)
        carry_login(answer, login.login)
        return answer

    def end(self) -> Page:
        self._vault.log_out(this_login())
        answer: AnyResponse = redirect(url_for("login.show"), 303)
        drop_login(answer)
        return answer

    def _is_logged_in(self) -> bool:
        token = login_of_request()
        if token is None:
            return False
        try:
            self._vault.who(token)
        except VaultRefused:
            return False
        return True


def _form(trouble: SaidTrouble | None = None, *, name: str = "") -> Page:
    page = render_template("login.html", trouble=trouble, name=name, max_name=MAX_NAME, ended="ended" in request.args)
    return page, trouble.status if trouble else 200
