"""What becomes of a call after its period: a hold with its end and its reason, or a request that is answered with no.

A person chooses the last day; the hold ends when that day does, where the box stands. The vault decides.
"""

from __future__ import annotations

from datetime import date, timedelta

from flask import Blueprint, redirect, render_template, url_for

from appliance.boundary import verbs
from appliance.boundary.vault import VaultRefused
from appliance.clock import Clock
from webui.gate import this_login
from webui.language import gettext
from webui.pages.call import call_of_address
from webui.pages.forms import Page, field
from webui.troubles import SaidTrouble, say_refused
from webui.vault_client import ThreadVault
from webui.wording import end_of_day_ms, last_day, local_time

LONGEST_DAYS = 365
_MAX_TYPED = 2 * verbs.MAX_HOLD_REASON
"""A line end in a form is two signs, and becomes one."""
_MAX_DATE = 16


class HoldPages:
    def __init__(self, vault: ThreadVault, clock: Clock) -> None:
        self._vault = vault
        self._clock = clock

    def blueprint(self) -> Blueprint:
        pages = Blueprint("hold", __name__, url_prefix="/calls/<call>/hold")
        pages.add_url_rule("", "ask", self.ask, methods=["GET"])
        pages.add_url_rule("", "place", self.place, methods=["POST"])
        pages.add_url_rule("/lift", "ask_before_lifting", self.ask_before_lifting, methods=["GET"])
        pages.add_url_rule("/lift", "lift", self.lift, methods=["POST"])
        pages.add_url_rule("/dismiss", "dismiss", self.dismiss, methods=["POST"])
        return pages

    def ask(self, call: str) -> Page:
        opened = self._vault.open_call(this_login(), call_of_address(call))
        until_ms = opened.facts.hold_until_ms
        return self._form(opened, reason=opened.hold_reason, until=str(last_day(until_ms)) if until_ms else "")

    def place(self, call: str) -> Page:
        call_id, until = call_of_address(call), field("until", _MAX_DATE)
        reason = " ".join(field("reason", _MAX_TYPED).split())
        day = _day(until)
        if not reason or day is None or len(reason) > verbs.MAX_HOLD_REASON:
            trouble = _missing()
        else:
            try:
                self._vault.hold_call(this_login(), call_id, until_ms=end_of_day_ms(day), reason=reason)
                return redirect(url_for("call.show", call=call_id), 303)
            except VaultRefused as refused:
                if refused.kind != "HoldOutOfBounds":
                    raise
                trouble = say_refused(refused)
        opened = self._vault.open_call(this_login(), call_id)
        return self._form(opened, reason=reason, until=until, trouble=trouble)

    def ask_before_lifting(self, call: str) -> Page:
        opened = self._vault.open_call(this_login(), call_of_address(call))
        return render_template("lift.html", facts=opened.facts)

    def lift(self, call: str) -> Page:
        call_id = call_of_address(call)
        self._vault.lift_hold(this_login(), call_id)
        return redirect(url_for("call.show", call=call_id), 303)

    def dismiss(self, call: str) -> Page:
        call_id = call_of_address(call)
        self._vault.dismiss_keep(this_login(), call_id)
        return redirect(url_for("call.show", call=call_id), 303)

    def _form(
        self, opened: verbs.OpenedCall, *, reason: str, until: str, trouble: SaidTrouble | None = None
    ) -> tuple[str, int]:
        today = local_time(self._clock.now_ms()).date()
        page = render_template(
            "hold.html",
            facts=opened.facts,
            reason=reason,
            until=until,
            earliest=str(today),
            latest=str(today + timedelta(days=LONGEST_DAYS)),
            max_reason=verbs.MAX_HOLD_REASON,
            trouble=trouble,
        )
        return page, trouble.status if trouble else 200


def _day(untrusted_text: str) -> date | None:
    """A day as a form sends it, 2027-03-04, that a moment can be told of."""
    try:
        day = date.fromisoformat(untrusted_text)
    except ValueError:
        return None
    return day if date(2000, 1, 1) <= day <= date(9000, 1, 1) else None


def _missing() -> SaidTrouble:
    return SaidTrouble(
        kind="Missing",
        status=422,
        happened=gettext("Something is missing"),
        safe=gettext("Nothing was changed."),
        to_do=gettext("Give a reason and the last day."),
    )
