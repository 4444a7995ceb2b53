"""What the own side tells the box by keys of its telephone: the consent was spoken, pause, resume, forget, keep longer.

Pure. On a two-wire line nobody can tell which side pressed a key: a caller who knows the codes can type them too. What
that lets him do: keep his own call from being recorded, say himself that he agrees, or ask for it to be kept longer.
Where the sides are apart each has a reader of its own, and a code is an order only if it came from the near one; from
the far one, or if that is unclear, it is nothing, not even keys. A code is typed with less than 3 s between its keys; a
star that begins none is a key like any other.
"""

from __future__ import annotations

from dataclasses import dataclass

from appliance.recorder.ear.keys import Key, Side
from appliance.settings import StarCodes
from appliance.terms import RATE_HZ, Order

_KEYS_APART = 3 * RATE_HZ


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainKey:
    """A key that is part of no code."""

    digit: str
    at_frame: int
    side: Side = Side.LINE


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedOrder:
    """A whole code. at_frame: the end of its last key; from_frame: the beginning of its first."""

    order: Order
    at_frame: int
    from_frame: int


class CodeReader:
    """Reads the keys of one call, in their order; of one of its sides, if they are apart."""

    def __init__(self, codes: StarCodes) -> None:
        typed = {
            codes.confirm: Order.CONFIRM,
            codes.pause: Order.PAUSE,
            codes.resume: Order.RESUME,
            codes.forget: Order.FORGET,
            codes.keep: Order.KEEP,
        }
        self._orders = {code: order for code, order in typed.items() if code}
        self._typed: list[Key] = []

    @property
    def reads(self) -> bool:
        """A code has been begun."""
        return bool(self._typed)

    def take(self, key: Key) -> PlainKey | TypedOrder | None:
        """What this key completes; None if a code may become of it. A key that ends no code counts by itself."""
        if self._typed and key.first_frame - self._typed[-1].end_frame > _KEYS_APART:
            self._typed.clear()
        self._typed.append(key)
        typed = "".join(each.digit for each in self._typed)
        order = self._orders.get(typed)
        if order is not None:
            first, self._typed = self._typed[0], []
            return TypedOrder(order=order, at_frame=key.end_frame, from_frame=first.first_frame)
        if any(code.startswith(typed) for code in self._orders):
            return None
        self._typed.clear()
        if key.digit == "*":
            return self.take(key) if len(typed) > 1 else _plain(key)
        return _plain(key)


def _plain(key: Key) -> PlainKey:
    return PlainKey(digit=key.digit, at_frame=key.end_frame, side=key.side)
