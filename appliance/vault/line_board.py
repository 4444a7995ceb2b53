"""What the recorder last said of its lines, and what people have ordered since. In memory only: it is about now.

An order is for one call, known by its line and its start. It is handed to the recorder with each heartbeat's answer
until the next heartbeat names it, so that an answer that is missed loses none; it is dropped when its call is over.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection

from appliance.boundary.verbs import LineNow, OrderFor, fitting_orders
from appliance.terms import CallId, LineName, LineNowState, NotAllowed, Order

ALIVE_S = 3.0
"""The recorder speaks twice a second; after so long a silence it counts as away."""

_LEADS_TO = {
    Order.CONFIRM: LineNowState.RECORDING,
    Order.PAUSE: LineNowState.PAUSED,
    Order.RESUME: LineNowState.RECORDING,
}


class NothingToOrder(NotAllowed):
    def __init__(self) -> None:
        super().__init__(
            "This call is over, or this cannot be done with it at the moment. Nothing was changed; look at its line."
        )


class LineBoard:
    """Safe for use by several threads. `steady_s` gives seconds of a clock that never steps."""

    def __init__(self, steady_s: Callable[[], float]) -> None:
        self._steady_s = steady_s
        self._lock = threading.Lock()
        self._lines: dict[str, LineNow] = {}
        self._orders: list[OrderFor] = []
        self._heard_at_s: float | None = None

    def hear(self, lines: tuple[LineNow, ...], heard: Collection[str] = ()) -> tuple[OrderFor, ...]:
        """The recorder's word on all lines, and which orders it has; returns those that it has not."""
        with self._lock:
            self._lines = {line.line: line for line in lines}
            self._heard_at_s = self._steady_s()
            self._orders = [each for each in self._orders if each.name not in heard and self._is_on(each)]
            return tuple(self._orders)

    def order(self, line: LineName, order: Order, started_at_ms: int, note: Callable[[CallId | None], None]) -> None:
        """Have the recorder told, once.

        Args:
            note: told of the call, if it has an id yet, before the recorder can be.
        Raises:
            NothingToOrder: another call is on the line, or none, or the order does not fit what it is in now.
        """
        with self._lock:
            now = self._lines.get(line)
            if now is None or not self._is_alive() or now.started_at_ms != started_at_ms:
                raise NothingToOrder
            if now.state is _LEADS_TO.get(order) or (order is Order.KEEP and now.keep_asked):
                return  # carried out already: asked twice
            if order not in fitting_orders(now):
                raise NothingToOrder
            wanted = OrderFor(name=os.urandom(8).hex(), line=line, order=order, started_at_ms=started_at_ms)
            if any((each.line, each.order) == (line, order) and self._is_on(each) for each in self._orders):
                return
            note(now.call)
            self._orders.append(wanted)

    def show_call(self, call: CallId, line: LineName, started_at_ms: int) -> None:
        """A recording has begun: shown at once, not only with the next beat.

        The call may have been on the line before; then its start stays the one that the beat told, so that an order
        given in this moment still means it.
        """
        with self._lock:
            before = self._lines.get(line)
            level_dbfs = before.level_dbfs if before else -200.0
            if before is not None and before.state is LineNowState.WAITING:
                started_at_ms = before.started_at_ms
            self._lines[line] = LineNow(
                line=line,
                level_dbfs=level_dbfs,
                state=LineNowState.RECORDING,
                call=call,
                started_at_ms=started_at_ms,
            )

    def recorder_is_alive(self) -> bool:
        with self._lock:
            return self._is_alive()

    def lines(self) -> tuple[LineNow, ...]:
        with self._lock:
            return tuple(self._lines[name] for name in sorted(self._lines))

    def _is_alive(self) -> bool:
        return self._heard_at_s is not None and self._steady_s() - self._heard_at_s < ALIVE_S

    def _is_on(self, order: OrderFor) -> bool:
        """Whether the call that it is for is still on its line."""
        now = self._lines.get(order.line)
        return now is not None and now.started_at_ms == order.started_at_ms
