"""The box's PIN, asked for after every start of a box that has one. Nothing else is shown until then."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, url_for

from appliance.boundary.vault import VaultRefused
from webui.pages.forms import MAX_PASSWORD, Page, field
from webui.troubles import PIN_NEEDED, SaidTrouble, say_refused
from webui.vault_client import ThreadVault


class UnlockPages:
    def __init__(self, vault: ThreadVault) -> None:
        self._vault = vault

    def blueprint(self) -> Blueprint:
        pages = Blueprint("unlock", __name__)
        pages.add_url_rule("/unlock", "show", self.show, methods=["GET"])
        pages.add_url_rule("/unlock", "answer", self.answer, methods=["POST"])
        return pages

    def show(self) -> Page:
        try:
            self._vault.is_claimed()
        except VaultRefused as refused:
            if refused.kind == PIN_NEEDED:
                return _form()
            raise
        return redirect(url_for("calls.home"), 303)

    def answer(self) -> Page:
        pin = field("pin", MAX_PASSWORD)
        if not pin:
            return _form()
        try:
            self._vault.unlock(pin)
        except VaultRefused as refused:
            return _form(say_refused(refused))
        return redirect(url_for("calls.home"), 303)


def _form(trouble: SaidTrouble | None = None) -> Page:
    return render_template("unlock.html", trouble=trouble), trouble.status if trouble else 200
