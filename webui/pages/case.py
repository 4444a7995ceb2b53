"""The case of the box: what its switch says, and a person's word that the openings are known. The vault decides."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, url_for

from webui.daemon_sentences import said
from webui.gate import this_login
from webui.pages.forms import Page, count_field
from webui.vault_client import ThreadVault


class CasePages:
    def __init__(self, vault: ThreadVault) -> None:
        self._vault = vault

    def blueprint(self) -> Blueprint:
        pages = Blueprint("case", __name__, url_prefix="/case")
        pages.add_url_rule("", "show", self.show, methods=["GET"])
        pages.add_url_rule("/acknowledge", "acknowledge", self.acknowledge, methods=["POST"])
        return pages

    def show(self) -> Page:
        now = self._vault.now(this_login())
        if now.case is None:
            return redirect(url_for("calls.home"), 303)
        is_open = now.case.is_open if now.recorder_alive else None
        return render_template("case.html", case=now.case, is_open=is_open, trouble=said(now.case.trouble))

    def acknowledge(self) -> Page:
        """The openings that the person saw, by their count, so that a later one is not among them."""
        self._vault.acknowledge_openings(this_login(), count_field("counted"))
        return redirect(url_for("calls.home"), 303)
