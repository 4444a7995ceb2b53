"""The first page: the lines now, the figures that must be right, and the calls, newest first.

Which calls are shown stands in the address, so that a page can be kept, shared and loaded again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from urllib.parse import urlencode

from flask import Blueprint, abort, redirect, render_template, request, url_for

from appliance.boundary import verbs
from appliance.clock import Clock
from appliance.terms import CallId, LineName, SettingsTrouble, parse_call_id, parse_line_name
from webui.gate import is_in_person, this_login
from webui.language import ngettext
from webui.pages.forms import Page
from webui.pages.live import view_of
from webui.vault_client import ThreadVault
from webui.wording import CUT_SHORT, day_heading, due_text, local_time

PAGE_CALLS = 50
MAX_NUMBER = 32
_LATEST_MS = 2**53


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which calls: of one line, with one number, kept longer than their period, older than a given one."""

    line: LineName | None = None
    number: str = ""
    longer: bool = False
    before_ms: int | None = None
    before_call: CallId | None = None

    @property
    def is_narrow(self) -> bool:
        return bool(self.line or self.number or self.longer)

    @property
    def is_first_page(self) -> bool:
        return self.before_ms is None

    def query(self, **further: str | int) -> str:
        """The address that shows these calls, from the first page of them."""
        chosen = {"line": self.line, "number": self.number, "longer": int(self.longer)} | further
        return urlencode({name: value for name, value in chosen.items() if value})


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRow:
    """A call as the list shows it."""

    facts: verbs.CallFacts
    due: str
    gaps: str
    is_cut_short: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    heading: str
    rows: tuple[CallRow, ...]


class CallList:
    def __init__(self, vault: ThreadVault, clock: Clock) -> None:
        self._vault = vault
        self._clock = clock

    def blueprint(self) -> Blueprint:
        pages = Blueprint("calls", __name__)
        pages.add_url_rule("/", "home", self.home, methods=["GET"])
        pages.add_url_rule("/calls", "fragment", self.fragment, methods=["GET"])
        return pages

    def home(self) -> Page:
        wanted, now_ms = read_filter(), self._clock.now_ms()
        live = view_of(self._vault.now(this_login()), now_ms)
        found = self._find(wanted)
        return render_template("calls.html", live=live, wanted=wanted, **_list_facts(found, wanted, now_ms, live.lines))

    def fragment(self) -> Page:
        """The list alone, for a page that is open already."""
        if "fragment" not in request.args:
            return redirect(f"{url_for('calls.home')}?{read_filter().query()}", 303)
        wanted, now_ms = read_filter(), self._clock.now_ms()
        live = view_of(self._vault.now(this_login()), now_ms)
        facts = _list_facts(self._find(wanted), wanted, now_ms, live.lines)
        return render_template("call_list.html", wanted=wanted, **facts)

    def _find(self, wanted: Filter) -> verbs.CallPage:
        return self._vault.list_calls(
            verbs.ListCalls(
                login=this_login(),
                in_person=is_in_person(),
                limit=PAGE_CALLS,
                before_ms=wanted.before_ms,
                before_call=wanted.before_call,
                line=wanted.line,
                number=wanted.number,
                longer=wanted.longer,
            )
        )


def read_filter() -> Filter:
    """The filter in the address; what is no line, number or call is not looked for."""
    untrusted = request.args
    try:
        line = parse_line_name(untrusted["line"]) if untrusted.get("line") else None
        call = parse_call_id(untrusted["before_call"]) if "before_call" in untrusted else None
    except SettingsTrouble:
        abort(404)
    before_ms = untrusted.get("before_ms", type=int)
    if (before_ms is None) != (call is None) or not 0 <= (before_ms or 0) <= _LATEST_MS:
        abort(404)
    number = untrusted.get("number", "").strip()[:MAX_NUMBER]
    longer = untrusted.get("longer") == "1"
    return Filter(line=line, number=number, longer=longer, before_ms=before_ms, before_call=call)


def group_by_day(calls: Iterable[verbs.CallFacts], now_ms: int) -> tuple[Day, ...]:
    """Calls under the days on which they began, in the box's time zone; their order is kept."""
    today = local_time(now_ms).date()

    def day_of(facts: verbs.CallFacts) -> date:
        return local_time(facts.started_at_ms).date()

    return tuple(
        Day(heading=day_heading(day, today), rows=tuple(_row(facts, now_ms) for facts in of_day))
        for day, of_day in groupby(calls, day_of)
    )


def gaps_text(gaps: int) -> str:
    """Empty if nothing is missing."""
    return ngettext("%(num)s gap", "%(num)s gaps", gaps) if gaps else ""


def _row(facts: verbs.CallFacts, now_ms: int) -> CallRow:
    return CallRow(
        facts=facts,
        due=due_text(facts.due_at_ms, now_ms),
        gaps=gaps_text(facts.gaps),
        is_cut_short=facts.ended in CUT_SHORT,
    )


def _list_facts(found: verbs.CallPage, wanted: Filter, now_ms: int, lines: Iterable[object]) -> dict[str, object]:
    older = ""
    if found.more and found.calls:
        last = found.calls[-1]
        older = wanted.query(before_ms=last.started_at_ms, before_call=last.call)
    return {"days": group_by_day(found.calls, now_ms), "older": older, "lines": tuple(lines)}
