"""Another password for whoever is logged in."""

from __future__ import annotations

from flask import Blueprint, make_response, render_template

from appliance.boundary.vault import VaultRefused
from webui.gate import carry_login, this_login
from webui.pages.forms import MAX_PASSWORD, MIN_PASSWORD, Page, field, missing, unlike
from webui.troubles import SaidTrouble, say_refused
from webui.vault_client import ThreadVault


class PasswordPages:
    def __init__(self, vault: ThreadVault) -> None:
        self._vault = vault

    def blueprint(self) -> Blueprint:
        pages = Blueprint("password", __name__)
        pages.add_url_rule("/password", "show", self.show, methods=["GET"])
        pages.add_url_rule("/password", "change", self.change, methods=["POST"])
        return pages

    def show(self) -> Page:
        return _form()

    def change(self) -> Page:
        password, fresh = field("password", MAX_PASSWORD), field("fresh", MAX_PASSWORD)
        if not (password and fresh):
            return _form(missing())
        if fresh != field("fresh_again", MAX_PASSWORD):
            return _form(unlike())
        try:
            login = self._vault.change_password(this_login(), password, fresh)
        except VaultRefused as refused:
            if refused.kind == "LoginEnded":
                raise
            return _form(say_refused(refused))
        answer = make_response(render_template("password_changed.html"))
        carry_login(answer, login.login)
        return answer


def _form(trouble: SaidTrouble | None = None) -> Page:
    page = render_template("password.html", trouble=trouble, min_password=MIN_PASSWORD)
    return page, trouble.status if trouble else 200
