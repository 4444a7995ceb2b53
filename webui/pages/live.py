"""The box at this moment: its lines, and the figures that must be right. Once as HTML, then as JSON.

The page never claims more than the recorder's last heartbeat said: a recorder that does not answer makes
every line unknown, whatever it said before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum

from flask import Blueprint, jsonify
from werkzeug.wrappers import Response as AnyResponse

from appliance.boundary import verbs
from appliance.clock import Clock
from appliance.terms import LineNowState, Order
from webui.daemon_sentences import said
from webui.gate import this_login
from webui.language import figure_text, gettext, ngettext
from webui.vault_client import ThreadVault
from webui.wording import age_text, hours_that_fit, length_text, moment_text, period_text

QUIETEST_DBFS = -60.0
"""The left end of a level meter: the noise of a quiet telephone line."""

LITTLE_ROOM_BYTES = 2**30
"""About 140 hours of calls: time enough to do something about it."""


class LineState(StrEnum):
    RECORDING = "recording"
    PAUSED = "paused"
    WAITING = "waiting"
    NOT_RECORDED = "not_recorded"
    RINGING = "ringing"
    LISTENING = "listening"
    TROUBLE = "trouble"
    UNKNOWN = "unknown"


_SEEN_AS = {
    LineNowState.IDLE: LineState.LISTENING,
    LineNowState.RINGING: LineState.RINGING,
    LineNowState.WAITING: LineState.WAITING,
    LineNowState.RECORDING: LineState.RECORDING,
    LineNowState.PAUSED: LineState.PAUSED,
    LineNowState.NOT_RECORDED: LineState.NOT_RECORDED,
}

_DESPITE_TROUBLE = frozenset({LineState.RECORDING, LineState.PAUSED, LineState.WAITING})
"""A call that is, or can be, kept; its line is in order."""


class Tone(StrEnum):
    """How a figure is meant: all well, look at it, act."""

    PLAIN = "plain"
    GOOD = "good"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True, kw_only=True)
class LineView:
    """`level`: 0 to 100. `running`: how long the call has lasted, empty without one. `orders`: what fits now.
    `asked`: that somebody has asked to keep the call longer, empty otherwise."""

    line: str
    state: LineState
    state_text: str
    running: str
    level: int
    trouble: str
    started_at_ms: int
    orders: tuple[Order, ...]
    asked: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """One figure of the first page; `note` says what to do if it is not good, `address` where there is more of it."""

    name: str
    label: str
    value: str
    tone: Tone
    note: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveView:
    lines: tuple[LineView, ...]
    chips: tuple[Chip, ...]
    alarm: str
    newest_change: int


class LivePages:
    def __init__(self, vault: ThreadVault, clock: Clock) -> None:
        self._vault = vault
        self._clock = clock

    def blueprint(self) -> Blueprint:
        pages = Blueprint("live", __name__)
        pages.add_url_rule("/live", "now", self.now, methods=["GET"])
        return pages

    def now(self) -> AnyResponse:
        return jsonify(asdict(view_of(self._vault.now(this_login()), self._clock.now_ms())))


def view_of(now: verbs.Now, now_ms: int) -> LiveView:
    """The box as the first page shows it. `now_ms`: for running times and ages."""
    return LiveView(
        lines=tuple(_line_view(line, now_ms, alive=now.recorder_alive) for line in now.lines),
        chips=tuple(_chips(now, now_ms)),
        alarm="" if now.recorder_alive else _recorder_silent(),
        newest_change=now.newest_change,
    )


def _line_view(line: verbs.LineNow, now_ms: int, *, alive: bool) -> LineView:
    state = _state_of(line, alive=alive)
    is_heard = state not in {LineState.TROUBLE, LineState.UNKNOWN}
    has_call = is_heard and line.started_at_ms > 0
    return LineView(
        line=line.line,
        state=state,
        state_text=_state_text(state),
        running=length_text(now_ms - line.started_at_ms) if has_call else "",
        level=level_percent(line.level_dbfs) if is_heard else 0,
        trouble=said(line.trouble) if alive else "",
        started_at_ms=line.started_at_ms,
        orders=verbs.fitting_orders(line) if is_heard else (),
        asked=gettext("Asked to be kept longer") if is_heard and line.keep_asked else "",
    )


def _state_of(line: verbs.LineNow, *, alive: bool) -> LineState:
    if not alive:
        return LineState.UNKNOWN
    state = _SEEN_AS[line.state]
    return LineState.TROUBLE if line.trouble and state not in _DESPITE_TROUBLE else state


def _state_text(state: LineState) -> str:
    match state:
        case LineState.RECORDING:
            return gettext("Recording now")
        case LineState.PAUSED:
            return gettext("Recording paused")
        case LineState.WAITING:
            return gettext("Waiting for consent")
        case LineState.NOT_RECORDED:
            return gettext("Call is not recorded")
        case LineState.RINGING:
            return gettext("Ringing")
        case LineState.LISTENING:
            return gettext("Listening")
        case LineState.TROUBLE:
            return gettext("Not recording")
        case LineState.UNKNOWN:
            return gettext("No sign of life")


def level_percent(level_dbfs: float) -> int:
    """A level as the length of a bar."""
    share = (level_dbfs - QUIETEST_DBFS) / -QUIETEST_DBFS
    return round(100 * min(1.0, max(0.0, share)))


def _recorder_silent() -> str:
    return gettext(
        "The recorder does not answer: calls are not being recorded at the moment. Everything recorded before "
        "is safe. Wait a minute; if this stays, switch the box off and on again."
    )


def _chips(now: verbs.Now, now_ms: int) -> Iterator[Chip]:
    yield _overdue_chip(now.overdue_calls)
    if now.case is not None:
        yield _case_chip(now.case, alive=now.recorder_alive)
    if now.unreadable_calls:
        yield _unreadable_chip(now.unreadable_calls)
    if now.keep_requests or now.held_calls:
        yield _longer_chip(now.keep_requests, now.held_calls)
    yield _clock_chip(now.clock_trouble)
    yield _room_chip(now.free_bytes)
    if now.backup is not None:
        yield _backup_chip(now.backup, now_ms)
    yield _recovery_chip(now.recovery)
    yield Chip(name="keep", label=gettext("Kept for"), value=period_text(now.keep_s), tone=Tone.PLAIN)
    yield Chip(name="kept", label=gettext("Calls kept"), value=figure_text(now.kept_calls), tone=Tone.PLAIN)


def _overdue_chip(overdue: int) -> Chip:
    label = gettext("Overdue deletions")
    if not overdue:
        return Chip(name="overdue", label=label, value="0", tone=Tone.GOOD)
    note = ngettext(
        "%(num)s call should have been deleted by now and is not. Leave the box switched on: it tries again by "
        "itself. If this number stays, call your technician.",
        "%(num)s calls should have been deleted by now and are not. Leave the box switched on: it tries again by "
        "itself. If this number stays, call your technician.",
        overdue,
    )
    return Chip(name="overdue", label=label, value=figure_text(overdue), tone=Tone.BAD, note=note)


def _case_chip(case: verbs.CaseNow, *, alive: bool) -> Chip:
    label, address, is_open = gettext("Case"), "/case", case.is_open if alive else None
    if case.openings:
        value = gettext("open") if is_open else gettext("opened")
        note = ngettext(
            "The case of the box was opened %(num)s time, noted last: %(when)s. Nothing was deleted or locked by "
            "that. See 'Case' above.",
            "The case of the box was opened %(num)s times, noted last: %(when)s. Nothing was deleted or locked by "
            "that. See 'Case' above.",
            case.openings,
            when=moment_text(case.opened_at_ms),
        )
        return Chip(name="case", label=label, value=value, tone=Tone.BAD, note=note, address=address)
    if is_open:
        note = gettext("The case of the box is open. Close it. If it is closed, its switch or a wire is broken.")
        return Chip(name="case", label=label, value=gettext("open"), tone=Tone.WARN, note=note, address=address)
    if is_open is None:
        note = said(case.trouble) or gettext("Nobody watches the case at the moment: an opening is not noticed.")
        return Chip(name="case", label=label, value=gettext("not watched"), tone=Tone.WARN, note=note, address=address)
    return Chip(name="case", label=label, value=gettext("closed"), tone=Tone.GOOD, address=address)


def _unreadable_chip(unreadable: int) -> Chip:
    note = ngettext(
        "%(num)s call cannot be opened. All other calls are well. Call your technician.",
        "%(num)s calls cannot be opened. All other calls are well. Call your technician.",
        unreadable,
    )
    label = gettext("Unreadable calls")
    return Chip(name="unreadable", label=label, value=figure_text(unreadable), tone=Tone.BAD, note=note)


def _longer_chip(requests: int, held: int) -> Chip:
    label, address = gettext("Kept longer"), "/?longer=1"
    if not requests:
        value = ngettext("%(num)s call held", "%(num)s calls held", held)
        return Chip(name="longer", label=label, value=value, tone=Tone.PLAIN, address=address)
    note = ngettext(
        "Somebody has asked to keep %(num)s call longer. See 'Kept longer' above: hold it, or leave it to its date. An "
        "open request puts off a deletion to no more than two weeks after it was made.",
        "Somebody has asked to keep %(num)s calls longer. See 'Kept longer' above: hold them, or leave them to their "
        "dates. An open request puts off a deletion to no more than two weeks after it was made.",
        requests,
    )
    value = ngettext("%(num)s request", "%(num)s requests", requests)
    return Chip(name="longer", label=label, value=value, tone=Tone.WARN, note=note, address=address)


def _clock_chip(trouble: str) -> Chip:
    label = gettext("Clock")
    if not trouble:
        return Chip(name="clock", label=label, value=gettext("right"), tone=Tone.GOOD)
    note = gettext(
        "%(trouble)s Calls go on being recorded, but nothing is deleted until the clock is right again. Ask your "
        "technician to set it.",
        trouble=said(trouble),
    )
    return Chip(name="clock", label=label, value=gettext("not certain"), tone=Tone.BAD, note=note)


def _room_chip(free_bytes: int) -> Chip:
    label, value = gettext("Room left"), hours_that_fit(free_bytes)
    if free_bytes >= LITTLE_ROOM_BYTES:
        return Chip(name="room", label=label, value=value, tone=Tone.PLAIN)
    note = gettext(
        "The box is nearly full. When it is full, new calls are not recorded; what is recorded stays safe. Delete "
        "calls that you no longer need, or keep calls for a shorter time."
    )
    return Chip(name="room", label=label, value=value, tone=Tone.WARN, note=note)


def _backup_chip(backup: verbs.BackupFacts, now_ms: int) -> Chip:
    label = gettext("Last backup")
    value = age_text(now_ms - backup.made_at_ms) if backup.made_at_ms else gettext("none yet")
    if backup.failed or backup.late:
        note = gettext(
            "The last backup could not be made. What is on the box is safe. See whether the backup drive is plugged "
            "in and has room; the box tries again by itself. If this stays, call your technician."
        )
        return Chip(name="backup", label=label, value=value, tone=Tone.BAD, note=note)
    if backup.waiting:
        note = ngettext(
            "%(num)s deleted call still lies in the backup, where nobody can open it: its key is gone. It is removed "
            "as soon as the backup drive is there.",
            "%(num)s deleted calls still lie in the backup, where nobody can open them: their keys are gone. They are "
            "removed as soon as the backup drive is there.",
            backup.waiting,
        )
        return Chip(name="backup", label=label, value=value, tone=Tone.WARN, note=note)
    return Chip(name="backup", label=label, value=value, tone=Tone.PLAIN)


def _recovery_chip(choice: verbs.RecoveryChoice) -> Chip:
    label, address = gettext("Recovery"), "/recovery"
    match choice:
        case verbs.RecoveryChoice.KEY:
            return Chip(name="recovery", label=label, value=gettext("on paper"), tone=Tone.GOOD, address=address)
        case verbs.RecoveryChoice.SHUT:
            note = gettext(
                "The disk of this box does not open with the words on paper: if the box breaks, its recordings are "
                "lost. Make a new recovery key, under 'Recovery' above."
            )
            value = gettext("not for the disk")
            return Chip(name="recovery", label=label, value=value, tone=Tone.BAD, note=note, address=address)
        case verbs.RecoveryChoice.NONE:
            return Chip(name="recovery", label=label, value=gettext("none"), tone=Tone.PLAIN, address=address)
        case verbs.RecoveryChoice.OPEN:
            note = gettext(
                "Nobody has decided yet whether there is to be a recovery key. Without one, nobody can open the "
                "recordings if this box breaks. See 'Recovery' above."
            )
            value = gettext("not decided")
            return Chip(name="recovery", label=label, value=value, tone=Tone.WARN, note=note, address=address)
