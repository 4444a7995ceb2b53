"""Who called whom: the number of a call, from what was heard before it and at its beginning.

Pure. Whether a call came in or went out is seen by `line_state`: it rang, or somebody dialled.

    heard                                                              the number
    a caller ID since it began to ring                                 of who calls
    keys since somebody has picked up, or where no dial tone           that was dialled
        was heard: from the call's first 3 s on
    a caller ID in the middle of a call                                is not believed: either side can sing one
    a key later in a call                                              is for whoever was called

All keys between picking up and the answer are one number, since the exchange takes them for one; where nobody heard
somebody pick up, as long as less than 5 s lie between two of them. Dial tone begins a number anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from appliance.recorder.ear.caller_id import CallerId
from appliance.recorder.ear.keys import Key
from appliance.recorder.line.line_facts import Route
from appliance.terms import RATE_HZ, Direction

_FIRST_KEY_AFTER = 3 * RATE_HZ
_KEYS_APART = 5 * RATE_HZ
_FEWEST_KEYS = 2
_MOST_KEYS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """The other side. number: digits, * and #; empty if it is not known.  withheld: the exchange said so."""

    direction: Direction = Direction.UNKNOWN
    number: str = ""
    withheld: bool = False

    def __repr__(self) -> str:
        return f"Party({self.direction.value}, a number)" if self.number else f"Party({self.direction.value})"


NOBODY_KNOWN = Party()


class PartyFinder:
    """One line's memory of who is at the other end.

    Args:
        international: what is dialled in place of a "+"; a number is kept as it would be dialled.
    """

    def __init__(self, international: str = "00") -> None:
        self._international = international
        self.begin(Route.UNKNOWN)

    def begin(self, route: Route) -> None:
        """It begins to ring, or somebody has picked up: what came before belongs to no later call."""
        self._known: Party | None = None
        self._route = route
        self._caller: CallerId | None = None
        self._keys: list[Key] = []
        self._answered: int | None = None

    def answer(self, at_frame: int, route: Route) -> None:
        """A call has begun, and its first sound was at this frame. A number may still be under way."""
        self._answered = at_frame
        self._keys = [key for key in self._keys if key.first_frame < at_frame]
        self._known = None
        if route is Route.UNKNOWN:
            self.begin(route)
            self._answered = at_frame

    def hear_caller(self, caller: CallerId) -> None:
        """Take in who calls; in a call it is not believed."""
        if self._answered is None:
            self._caller, self._known = caller, None

    def hear_keys(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self._take_key(key)

    @property
    def party(self) -> Party:
        """As far as it is known by now."""
        if self._known is None:
            self._known = self._found()
        return self._known

    def _found(self) -> Party:
        if self._route is Route.RANG:
            caller = self._caller
            return Party(
                direction=Direction.IN,
                number=self._as_dialled(caller.number) if caller else "",
                withheld=caller is not None and caller.withheld,
            )
        if self._route is Route.DIALLED or len(self._keys) >= _FEWEST_KEYS:
            return Party(direction=Direction.OUT, number="".join(key.digit for key in self._keys))
        return NOBODY_KNOWN

    def _as_dialled(self, number: str) -> str:
        """Empty if it is too long for any: a number is never cut."""
        dialled = self._international + number[1:] if number.startswith("+") else number
        return dialled if len(dialled) <= _MOST_KEYS else ""

    def _take_key(self, key: Key) -> None:
        if self._route is Route.RANG or (self._route is Route.DIALLED and self._answered is not None):
            return
        if self._route is Route.UNKNOWN and not self._goes_on(key):
            return
        if len(self._keys) < _MOST_KEYS:
            self._keys.append(key)
            self._known = None

    def _goes_on(self, key: Key) -> bool:
        """Where nobody heard somebody pick up: whether it is the next key of a number, or its first one."""
        if self._keys:
            return key.first_frame - self._keys[-1].end_frame <= _KEYS_APART
        # A star there is more likely a code of the own side.
        soon = self._answered is not None and key.first_frame - self._answered <= _FIRST_KEY_AFTER
        return soon and key.digit != "*"
