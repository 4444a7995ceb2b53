"""One call: its facts, its waveform and player, and its deletion."""

from __future__ import annotations

import base64

from flask import Blueprint, abort, render_template

from appliance.clock import Clock
from appliance.recordings.container import PAUSED
from appliance.terms import RATE_HZ, CallId, SettingsTrouble, parse_call_id
from webui.gate import this_login
from webui.language import gettext
from webui.pages.calls import gaps_text
from webui.pages.forms import Page
from webui.vault_client import ThreadVault
from webui.wording import CUT_SHORT, consent, due_text, gap_reason


class CallPages:
    def __init__(self, vault: ThreadVault, clock: Clock) -> None:
        self._vault = vault
        self._clock = clock

    def blueprint(self) -> Blueprint:
        pages = Blueprint("call", __name__, url_prefix="/calls/<call>")
        pages.add_url_rule("", "show", self.show, methods=["GET"])
        pages.add_url_rule("/delete", "ask", self.ask_before_deleting, methods=["GET"])
        pages.add_url_rule("/delete", "delete", self.delete, methods=["POST"])
        return pages

    def show(self, call: str) -> Page:
        opened = self._vault.open_call(this_login(), call_of_address(call))
        return render_template(
            "call.html",
            facts=opened.facts,
            due=due_text(opened.facts.due_at_ms, self._clock.now_ms()),
            missing=gaps_text(opened.facts.gaps),
            is_cut_short=opened.facts.ended in CUT_SHORT,
            paused_ms=sum(frames for _at, frames, why in opened.gaps if why == PAUSED) * 1000 // RATE_HZ,
            gaps=[_gap_facts(gap) for gap in opened.gaps],
            peaks=base64.b64encode(opened.peaks).decode("ascii"),
            channels=opened.channels,
            seconds=opened.frames / RATE_HZ,
            consent=consent(opened.consent_by, opened.consent_at_ms, opened.ground),
            evidence=opened.evidence,
            hold_reason=opened.hold_reason,
            held_since_ms=opened.held_since_ms,
        )

    def ask_before_deleting(self, call: str) -> Page:
        opened = self._vault.open_call(this_login(), call_of_address(call))
        return render_template("delete.html", facts=opened.facts)

    def delete(self, call: str) -> Page:
        """Shows the end at once, without a redirect: a page that could be loaded by itself could be forged."""
        erased = self._vault.erase_call(this_login(), call_of_address(call))
        return render_template("deleted.html", erased=erased)


def call_of_address(untrusted_call: str) -> CallId:
    try:
        return parse_call_id(untrusted_call)
    except SettingsTrouble:
        abort(404)


def _gap_facts(gap: tuple[int, int, str]) -> dict[str, object]:
    first, frames, why = gap
    return {
        "at_ms": first * 1000 // RATE_HZ,
        "ms": frames * 1000 // RATE_HZ,
        "start_s": round(first / RATE_HZ, 3),
        "end_s": round((first + frames) / RATE_HZ, 3),
        "why": gap_reason(why) or gettext("not known"),
    }
