"""A vault that only remembers what it was told: the recorder's verbs on a real socket.

Promises the boundary's own listener and messages. Its keys are random and last as long as it does, also while
it is away, as those of the real vault do.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable
from pathlib import Path

from appliance.boundary import verbs
from appliance.boundary.peer import Listener
from appliance.terms import CallId, KeyTrouble, LineName, NotAllowed, Order

PATIENCE_S = 10.0


class FakeVault:
    """
    Fields:
        told: every request but heartbeats, in order.
        keys: the keys it has issued.
        lines: what the last heartbeat said.
        orders: what the next heartbeats are answered with, until they are heard.
        refuses_keys: answer IssueCall with a refusal.  refuses_keys_of: for these lines only.
        refuses: answer this verb with a refusal.
    """

    def __init__(self, socket_path: Path) -> None:
        self.socket_path = socket_path
        self._news = threading.Condition()
        self._listener: Listener | None = None
        self.told: list[verbs.Request] = []
        self.keys: dict[CallId, bytes] = {}
        self.lines: dict[LineName, verbs.LineNow] = {}
        self.beats = 0
        self.orders: list[verbs.OrderFor] = []
        self.claimed = True
        self.refuses_keys = False
        self.refuses_keys_of: set[LineName] = set()
        self.refuses: type[verbs.Request] | None = None
        self.faults: list[BaseException] = []

    def come(self) -> None:
        """Be there."""
        handlers: dict[type[verbs.Request], Callable[[verbs.Request], verbs.Answer]] = {
            verbs.IssueCall: self._issue,
            verbs.BeginCall: self._take,
            verbs.ReportGap: self._take,
            verbs.FinishCall: self._take,
            verbs.NoteParty: self._take,
            verbs.NoteUnrecorded: self._take,
            verbs.DropCall: self._take,
            verbs.AskToKeep: self._take,
            verbs.ReportCase: self._take,
            verbs.Heartbeat: self._beat,
        }
        self._listener = Listener(self.socket_path, verbs.Caller.RECORDER, os.geteuid(), handlers, self.faults.append)
        self._listener.start()

    def go(self) -> None:
        """Be away, until `come`."""
        if self._listener is not None:
            self._listener.stop()
            self._listener = None

    def wait_until(self, is_so: Callable[[], object], within_s: float = PATIENCE_S) -> None:
        """Wait for something to have been told. Looks again after every request, and never otherwise."""
        with self._news:
            assert self._news.wait_for(is_so, within_s), f"not within {within_s} s; told: {self.told}"

    def wait_for_beats(self, count: int = 2) -> None:
        """After this the link has done all that was to be done before: two beats, as one may be under way."""
        with self._news:
            wanted = self.beats + count
        self.wait_until(lambda: self.beats >= wanted)

    def order(self, line: LineName, order: Order, started_at_ms: int) -> None:
        """A person orders something."""
        with self._news:
            name = secrets.token_hex(8)
            self.orders.append(verbs.OrderFor(name=name, line=line, order=order, started_at_ms=started_at_ms))

    def calls(self, verb: type[verbs.BeginCall] | type[verbs.FinishCall]) -> list[CallId]:
        return [request.call for request in self.told if isinstance(request, verb)]

    def _issue(self, request: verbs.Request) -> verbs.Answer:
        assert isinstance(request, verbs.IssueCall)
        if self.refuses_keys or request.line in self.refuses_keys_of:
            raise KeyTrouble("The keys are locked.")
        call = CallId(secrets.token_hex(16))
        with self._news:
            self.keys[call] = secrets.token_bytes(32)
        self._take(request)
        return verbs.IssuedCall(call=call, key=self.keys[call])

    def _beat(self, request: verbs.Request) -> verbs.Answer:
        assert isinstance(request, verbs.Heartbeat)
        with self._news:
            if type(request) is self.refuses:
                self.beats += 1
                self._news.notify_all()
                raise NotAllowed("Not this.")
            self.lines = {line.line: line for line in request.lines}
            self.orders = [each for each in self.orders if each.name not in request.heard]
            self.beats += 1
            self._news.notify_all()
            return verbs.Orders(orders=tuple(self.orders), claimed=self.claimed)

    def _take(self, request: verbs.Request) -> verbs.Answer:
        if type(request) is self.refuses:
            raise NotAllowed("Not this.")
        with self._news:
            self.told.append(request)
            self._news.notify_all()
        return verbs.Done()
