"""What people ask for while a call is on a line: confirm its consent, pause, resume, forget it, or ask to keep it
longer.

An order names the start of the call that the person saw, so that it never reaches the next one. What fits when the
vault decides; to forget asks once more, on a page of its own.
"""

from __future__ import annotations

from flask import Blueprint, abort, redirect, render_template, request, url_for

from appliance.boundary.verbs import fitting_orders
from appliance.terms import LineName, Order, SettingsTrouble, parse_line_name
from webui.gate import this_login
from webui.pages.forms import Page, count_field, count_of, field
from webui.vault_client import ThreadVault

_MAX_ORDER = 16


class OrderPages:
    def __init__(self, vault: ThreadVault) -> None:
        self._vault = vault

    def blueprint(self) -> Blueprint:
        pages = Blueprint("orders", __name__, url_prefix="/lines/<line>")
        pages.add_url_rule("/order", "give", self.give, methods=["POST"])
        pages.add_url_rule("/forget", "ask", self.ask_before_forgetting, methods=["GET"])
        return pages

    def give(self, line: str) -> Page:
        try:
            order = Order(field("order", _MAX_ORDER))
        except ValueError:
            abort(400)
        self._vault.order_line(this_login(), _line_of(line), order, count_field("started_at_ms"))
        return redirect(url_for("calls.home"), 303)

    def ask_before_forgetting(self, line: str) -> Page:
        """Once the call is over there is nothing to ask: the first page then shows what became of it."""
        name, started_at_ms = _line_of(line), count_of(request.args.get("started_at_ms", ""))
        now = {each.line: each for each in self._vault.now(this_login()).lines}.get(name)
        if now is None or now.started_at_ms != started_at_ms or Order.FORGET not in fitting_orders(now):
            return redirect(url_for("calls.home"), 303)
        return render_template("forget.html", line=name, started_at_ms=started_at_ms)


def _line_of(untrusted_line: str) -> LineName:
    try:
        return parse_line_name(untrusted_line)
    except SettingsTrouble:
        abort(404)
