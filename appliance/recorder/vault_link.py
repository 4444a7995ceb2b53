"""The recorder's link to the vault: spare keys ahead of time, messages in order, a heartbeat, people's orders.

Promise: nobody who hears a line ever waits for the vault. A spare key for each line lies ready here, so that a
call begins at once even while the vault restarts; what is to be told waits in a queue until the vault has taken
it. A vault that is away is asked again, for ever; one that refuses is believed.

The fact of a call that was not recorded needs an id and a key too. It gets them when it is sent, and never the spare:
that one is for the next call. These facts wait in a queue of their own, so that a line whose keys are refused holds up
no other message.

What the switch of the case did is one message, into which the next change is counted until the vault has taken it: so
a vault that refuses, because it waits for its PIN, hears of an opening afterwards. After an answer that is missed it
may hear of it twice, and never not at all.

Leaves to others: what is recorded, and what the vault makes of it.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import structlog

from appliance.boundary import verbs
from appliance.boundary.vault import VaultAway, VaultClient, VaultRefused
from appliance.clock import Clock
from appliance.recorder.line.party import Party
from appliance.terms import CallId, LineName, NotKept, Order

HEARTBEAT_S = 0.5
SPARE_KEEPS_MS = 12 * 3_600_000
"""Older spares are replaced: the vault wraps a key for the day on which it was issued, and forgets by the day."""

STOP_WITHIN_S = 3.0
_BACK_OFF_S = (0.2, 2.0)
_REFUSED_AGAIN_S = 2.0

_MOST_UNRECORDED = 1000
"""So many facts of calls that were not recorded wait; of more, the oldest are lost, and the log says so."""

_MOST_ORDERS = 16
"""For a line whose worker fetches none; there are five kinds of them."""

_MOST_TROUBLE_CHARACTERS = 400

_FACTS_AT_ONCE = 10
"""Then it is the heartbeat's turn, and the spare keys'."""

_MOST_WAITING = 1000
"""With so many messages waiting, gaps are no longer told one by one; they all stand in the closing record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spare:
    issued: verbs.IssuedCall
    steady_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UnrecordedCall:
    """A call of which nothing is kept but this. party: without its number where that is not to be kept."""

    started_at_ms: int
    length_ms: int
    party: Party
    why: NotKept


@dataclass(slots=True, kw_only=True, eq=False)
class _Fact:
    """An unrecorded call that the vault is yet to be told of. issued: its id, from the first attempt on."""

    line: LineName
    call: UnrecordedCall
    issued: CallId | None = None


class VaultLink:
    """One thread, one connection.

    Args:
        socket_path: where the vault hears the recorder.
        lines: for which spare keys are kept: those that may be recorded.
        read_board: what the heartbeat says of all lines.
    """

    def __init__(
        self,
        socket_path: Path,
        lines: Iterable[LineName],
        read_board: Callable[[], tuple[verbs.LineNow, ...]],
        clock: Clock,
        log: structlog.stdlib.BoundLogger,
    ) -> None:
        self._client = VaultClient(socket_path)
        self._lines = tuple(lines)
        self._read_board = read_board
        self._clock = clock
        self._log = log
        self._spares: dict[LineName, _Spare] = {}
        self._no_key: dict[LineName, str] = {}
        self._ask_again_s: dict[LineName, float] = {}
        self._waiting: deque[verbs.Request] = deque()
        self._unrecorded: deque[_Fact] = deque()
        self._case: verbs.ReportCase | None = None
        self._case_due_s = 0.0
        self._orders: dict[LineName, deque[verbs.OrderFor]] = {}
        self.is_claimed = True
        """Whether the box has an owner, as the vault said last; nobody is alarmed before it has said so."""
        self._heard: tuple[str, ...] = ()
        """The names of the orders that came with the last beat's answer."""
        self._refused = ""
        """Why the last beat was, if it was."""
        self._beat_due_s = 0.0
        self._back_off_s = 0.0
        self._stop_by_s: float | None = None
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="vault link", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        """Let what waits be told, and end; give up after STOP_WITHIN_S."""
        with self._news:
            self._stop_by_s = self._stop_by_s or time.monotonic() + STOP_WITHIN_S
            self._news.notify()
        self._thread.join(STOP_WITHIN_S)

    # the line workers' side; never waits for the vault

    def take_key(self, line: LineName) -> verbs.IssuedCall | None:
        """The spare key of this line, once. None if there is none; `why_no_key` then says why."""
        with self._news:
            spare = self._spares.pop(line, None)
            self._news.notify()
        return spare.issued if spare else None

    def why_no_key(self, line: LineName) -> str:
        return self._no_key.get(line, "")

    def begin_call(self, call: CallId, line: LineName, started_at_ms: int) -> None:
        self._tell(verbs.BeginCall(call=call, line=line, started_at_ms=started_at_ms))

    def note_party(self, call: CallId, party: Party) -> None:
        self._tell(verbs.NoteParty(call=call, direction=party.direction.value, number=party.number))

    def report_gap(self, call: CallId, at_frame: int, frames: int, why: str) -> None:
        if len(self._waiting) < _MOST_WAITING:
            self._tell(verbs.ReportGap(call=call, at_frame=at_frame, frames=frames, why=why))

    def finish_call(self, call: CallId) -> None:
        self._tell(verbs.FinishCall(call=call))

    def drop_call(self, call: CallId, why: NotKept) -> None:
        """Nothing of this call is to be kept; its recording is discarded already."""
        self._tell(verbs.DropCall(call=call, why=why))

    def ask_to_keep(self, call: CallId) -> None:
        """Somebody wants this running call to be kept longer."""
        self._tell(verbs.AskToKeep(call=call))

    def note_unrecorded(self, line: LineName, call: UnrecordedCall) -> None:
        """A call was on the line and is not kept; this fact is."""
        with self._news:
            self._unrecorded.append(_Fact(line=line, call=call))
            is_too_many = len(self._unrecorded) > _MOST_UNRECORDED
            if is_too_many:
                self._unrecorded.popleft()
            self._news.notify()
        if is_too_many:
            self._log.error("unrecorded_call_lost", line=line)

    def note_case(self, *, is_open: bool | None, is_found: bool = False, trouble: str = "") -> None:
        """The case was opened or closed, or found so; or its switch cannot be read (None), and trouble says why."""
        opens = bool(is_open)
        report = verbs.ReportCase(
            is_open=is_open,
            found_open=opens and is_found,
            openings=int(opens and not is_found),
            since_ms=self._clock.now_ms(),
            trouble=trouble[:_MOST_TROUBLE_CHARACTERS],
        )
        with self._news:
            self._case = verbs.joined(self._case, report)
            self._news.notify()

    def _tell(self, message: verbs.Request) -> None:
        with self._news:
            self._waiting.append(message)
            self._news.notify()

    def take_orders(self, line: LineName, started_at_ms: int) -> list[Order]:
        """What people have ordered since the last time for the call that began then, as the board shows it.

        Orders for another call of this line are dropped: it is over.
        """
        with self._news:
            orders = self._orders.pop(line, ())
        return [each.order for each in orders if each.started_at_ms == started_at_ms]

    def give_order(self, line: LineName, started_at_ms: int, order: Order) -> None:
        """What the own side wants of the call that began then, by the button beside the line."""
        here = verbs.OrderFor(name="0" * 16, line=line, order=order, started_at_ms=started_at_ms)
        with self._news:
            self._orders.setdefault(line, deque(maxlen=_MOST_ORDERS)).append(here)

    # the link's own thread

    def _run(self) -> None:
        while not self._is_over():
            try:
                self._tell_all()
                self._tell_case()
                self._fetch_keys()
                self._tell_unrecorded()
                self._beat_if_due()
                self._back_off_s = 0.0
                self._wait_for_news()
            except VaultAway as away:
                self._note_away(str(away))
        if self._unrecorded:
            self._log.error("unrecorded_calls_lost", count=len(self._unrecorded))
        self._client.close()

    def _is_over(self) -> bool:
        with self._news:
            if self._stop_by_s is None:
                return False
            return not self._has_news() or time.monotonic() >= self._stop_by_s

    def _has_news(self) -> bool:
        return bool(self._waiting or self._case_is_due() or self._sendable())

    def _case_is_due(self) -> bool:
        return self._case is not None and time.monotonic() >= self._case_due_s

    def _sendable(self) -> list[_Fact]:
        """Facts that have an id, or can have one now."""
        with self._news:
            return [fact for fact in self._unrecorded if fact.issued or self._may_ask_for_key(fact.line)]

    def _tell_all(self) -> None:
        """Send what waits, oldest first. A message leaves the queue only when the vault has answered it."""
        while self._waiting:
            self._send(self._waiting[0])
            self._waiting.popleft()
            self._beat_due_s = 0.0

    def _tell_case(self) -> None:
        with self._news:
            report = self._case
            if report is None or not self._case_is_due():
                return
            self._case = None
        is_heard = False
        try:
            is_heard = self._send(report)
        finally:
            if not is_heard:
                self._case_due_s = time.monotonic() + _REFUSED_AGAIN_S
                with self._news:
                    self._case = verbs.joined(report, self._case) if self._case else report

    def _send(self, message: verbs.Request) -> bool:
        """Whether the vault took it; else it refused."""
        try:
            self._client.ask(message, verbs.Done)
        except VaultRefused as refused:
            self._log.error("vault_refused", verb=type(message).__name__, kind=refused.kind, why=str(refused))
            return False
        return True

    def _tell_unrecorded(self) -> None:
        for fact in self._sendable()[:_FACTS_AT_ONCE]:
            if self._waiting:
                return  # what concerns recordings goes first
            if fact.issued is None and self._may_ask_for_key(fact.line):
                issued = self._issue(fact.line)
                fact.issued = issued.call if issued else None
            if fact.issued is not None:
                # Sent again under the same id if the answer is missed: it is one call.
                self._send(_message_of(fact, fact.issued))
                with self._news, contextlib.suppress(ValueError):  # it may have been the oldest of too many
                    self._unrecorded.remove(fact)

    def _fetch_keys(self) -> None:
        for line in self._lines:
            if self._needs_key(line):
                self._fetch_key(line)

    def _needs_key(self, line: LineName) -> bool:
        if not self._may_ask_for_key(line):
            return False
        spare = self._spares.get(line)
        return spare is None or self._clock.mark().steady_ms - spare.steady_ms > SPARE_KEEPS_MS

    def _may_ask_for_key(self, line: LineName) -> bool:
        return time.monotonic() >= self._ask_again_s.get(line, 0.0)

    def _fetch_key(self, line: LineName) -> None:
        issued = self._issue(line)
        if issued is None:
            return
        with self._news:
            self._spares[line] = _Spare(issued=issued, steady_ms=self._clock.mark().steady_ms)
        self._no_key.pop(line, None)

    def _issue(self, line: LineName) -> verbs.IssuedCall | None:
        """None if the vault refuses; it is asked again in a while."""
        try:
            return self._client.issue_call(line)
        except VaultRefused as refused:
            self._no_key[line] = str(refused)
            self._ask_again_s[line] = time.monotonic() + _REFUSED_AGAIN_S
            return None

    def _beat_if_due(self) -> None:
        now_s = time.monotonic()
        if now_s < self._beat_due_s:
            return
        try:
            answer = self._client.heartbeat(self._read_board(), self._heard)
            self.is_claimed = answer.claimed
            self._hear(answer.orders)
            self._refused = ""
        except VaultRefused as refused:
            if refused.kind != self._refused:  # or twice a second, for as long as nobody types the PIN
                self._log.error("vault_refused", verb="Heartbeat", kind=refused.kind, why=str(refused))
            self._refused = refused.kind
        self._beat_due_s = now_s + HEARTBEAT_S

    def _hear(self, orders: tuple[verbs.OrderFor, ...]) -> None:
        self._heard = tuple(each.name for each in orders)
        with self._news:
            for each in orders:
                self._orders.setdefault(each.line, deque(maxlen=_MOST_ORDERS)).append(each)

    def _wait_for_news(self) -> None:
        with self._news:
            if not self._has_news() and self._stop_by_s is None and not self._lacks_key():
                self._news.wait(max(self._beat_due_s - time.monotonic(), 0.0))

    def _lacks_key(self) -> bool:
        return any(self._needs_key(line) for line in self._lines)

    def _note_away(self, why: str) -> None:
        """Wait before the next attempt, longer each time; news does not shorten it, as nobody is there to hear."""
        if not self._back_off_s:
            self._log.warning("vault_away", why=why)
        shortest_s, longest_s = _BACK_OFF_S
        self._back_off_s = min(max(self._back_off_s * 2, shortest_s), longest_s)
        for line in self._lines:
            if line not in self._spares:
                self._no_key[line] = (
                    "The vault does not answer, so there is no key to record with. "
                    "The last seconds are kept in memory, and recording begins by itself when it is back."
                )
        with self._news:
            wait_s = self._back_off_s
            if self._stop_by_s is not None:
                wait_s = min(wait_s, self._stop_by_s - time.monotonic())
            self._news.wait_for(lambda: self._stop_by_s is not None and not self._has_news(), max(wait_s, 0.0))


def _message_of(fact: _Fact, issued: CallId) -> verbs.NoteUnrecorded:
    return verbs.NoteUnrecorded(
        call=issued,
        line=fact.line,
        started_at_ms=fact.call.started_at_ms,
        length_ms=fact.call.length_ms,
        direction=fact.call.party.direction.value,
        number=fact.call.party.number,
        why=fact.call.why,
    )
