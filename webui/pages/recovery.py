"""The recovery key: its price, its words shown once, some of them asked for, or the decision to have none.

The words are in one answer and nowhere else: not in an address, not in a page that can be loaded again.
"""

from __future__ import annotations

from dataclasses import dataclass

import segno
from flask import Blueprint, abort, redirect, render_template, request, url_for
from markupsafe import Markup

from appliance.boundary import verbs
from appliance.boundary.vault import VaultRefused
from webui.gate import this_login
from webui.language import gettext
from webui.pages.forms import MAX_PASSWORD, Page, field
from webui.troubles import SaidTrouble, say_refused
from webui.vault_client import ThreadVault

MAX_WORD = 64
DIVISIONS = {"1-1": (1, 1), "2-3": (2, 3), "3-5": (3, 5)}
"""What the page offers, by the form's value: so many needed, of so many sheets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """One sheet of paper. `qr`: the same words as a drawing."""

    number: int
    words: tuple[str, ...]
    qr: Markup


class RecoveryPages:
    def __init__(self, vault: ThreadVault) -> None:
        self._vault = vault

    def blueprint(self) -> Blueprint:
        pages = Blueprint("recovery", __name__, url_prefix="/recovery")
        pages.add_url_rule("", "show", self.show, methods=["GET"])
        pages.add_url_rule("/words", "words", self.words, methods=["GET", "POST"])
        pages.add_url_rule("/confirm", "confirm", self.confirm, methods=["GET", "POST"])
        pages.add_url_rule("/none", "none", self.none, methods=["GET", "POST"])
        return pages

    def show(self) -> Page:
        return self._page()

    def words(self) -> Page:
        """Shows the words: the answer to the form, and to nothing else."""
        if request.method != "POST":
            return _back()
        division = DIVISIONS.get(field("division", MAX_WORD)) or abort(400)
        needed, sheets = division
        try:
            made = self._vault.begin_recovery(this_login(), _password(), needed=needed, sheets=sheets)
        except VaultRefused as refused:
            return self._page(say_refused(refused))
        return render_template(
            "recovery_words.html",
            needed=needed,
            sheets=[
                Sheet(number=number, words=tuple(words.split()), qr=_qr(words))
                for number, words in enumerate(made, start=1)
            ],
        )

    def confirm(self) -> Page:
        if request.method != "POST":
            return _back()
        untrusted = request.form.getlist("word")
        if any(len(word) > MAX_WORD for word in untrusted) or len(untrusted) > 32:
            abort(400)
        try:
            self._vault.confirm_recovery(this_login(), untrusted)
        except VaultRefused as refused:
            return self._page(say_refused(refused))
        return _back()

    def none(self) -> Page:
        if request.method != "POST":
            return _back()
        try:
            self._vault.decline_recovery(this_login(), _password())
        except VaultRefused as refused:
            return self._page(say_refused(refused))
        return _back()

    def _page(self, trouble: SaidTrouble | None = None) -> Page:
        state = self._vault.recovery(this_login())
        page = render_template(
            "recovery.html", state=state, trouble=trouble, divisions=_divisions(), asked=_asked(state)
        )
        return page, trouble.status if trouble else 200


def _back() -> Page:
    return redirect(url_for("recovery.show"), 303)


def _password() -> str:
    return field("password", MAX_PASSWORD) or abort(400)


def _divisions() -> dict[str, tuple[str, str]]:
    return {
        "2-3": (
            gettext("Three sheets, any two of them open"),
            gettext("For three people or places. One may get lost, and one alone opens nothing."),
        ),
        "3-5": (
            gettext("Five sheets, any three of them open"),
            gettext("For a board or a family. Two may get lost, and two alone open nothing."),
        ),
        "1-1": (
            gettext("One sheet"),
            gettext("The simplest. But whoever finds it needs nothing else but the disk or a backup."),
        ),
    }


def _asked(state: verbs.RecoveryState) -> list[str]:
    return [
        gettext("Sheet %(sheet)s, word %(word)s", sheet=asked.sheet, word=asked.word)
        if state.sheets > 1 or len({each.sheet for each in state.asked}) > 1
        else gettext("Word %(word)s", word=asked.word)
        for asked in state.asked
    ]


def _qr(words: str) -> Markup:
    # In capitals, which a QR code holds in less room; whoever types or scans them may use either.
    drawn = segno.make_qr(words.upper(), error="m")
    return Markup(drawn.svg_inline(omitsize=True, border=4, svgclass="qr", lineclass=None))  # noqa: S704 (our drawing)
