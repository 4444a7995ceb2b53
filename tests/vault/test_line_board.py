"""What is shown of the lines: the last word, and whether the recorder still speaks."""

from __future__ import annotations

import msgspec
import pytest

from appliance.boundary.verbs import FITTING_ORDERS, LineNow, fitting_orders
from appliance.terms import CallId, LineName, LineNowState, Order, StorageTrouble
from appliance.vault.line_board import ALIVE_S, LineBoard, NothingToOrder

CALL = CallId("ab" * 16)


class Seconds:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def line(name: str, level_dbfs: float = -30.0) -> LineNow:
    return LineNow(line=LineName(name), level_dbfs=level_dbfs)


def test_a_recorder_counts_as_alive_only_for_a_while_after_its_last_word() -> None:
    seconds = Seconds()
    board = LineBoard(seconds)
    assert not board.recorder_is_alive()
    board.hear(())
    seconds.now += ALIVE_S - 0.1
    assert board.recorder_is_alive()
    seconds.now += 0.1
    assert not board.recorder_is_alive()


def test_the_last_beat_replaces_all_lines_and_they_are_shown_by_name() -> None:
    board = LineBoard(Seconds())
    board.hear((line("b"), line("old")))
    board.hear((line("b", -20.0), line("a")))
    assert board.lines() == (line("a"), line("b", -20.0))


def test_a_call_is_shown_as_soon_as_it_begins_with_the_level_last_heard() -> None:
    board = LineBoard(Seconds())
    board.hear((line("a", -12.0),))
    board.show_call(CALL, LineName("a"), 7)
    board.show_call(CALL, LineName("new"), 8)
    first, second = board.lines()
    assert (first.call, first.level_dbfs, first.started_at_ms) == (CALL, -12.0, 7)
    assert (second.call, second.level_dbfs) == (CALL, -200.0)
    assert {first.state, second.state} == {LineNowState.RECORDING}


A, B = LineName("a"), LineName("b")


def on(line: LineName, state: LineNowState, started_at_ms: int = 7, call: CallId | None = None) -> LineNow:
    return LineNow(line=line, level_dbfs=-30.0, state=state, started_at_ms=started_at_ms, call=call)


class Ordering:
    """A board with a call on line a, and what was noted of orders."""

    def __init__(self, state: LineNowState = LineNowState.RECORDING) -> None:
        self.seconds = Seconds()
        self.board = LineBoard(self.seconds)
        self.noted: list[CallId | None] = []
        self.board.hear((on(A, state, call=CALL), on(B, LineNowState.IDLE, 0)))

    def order(self, order: Order, *, line: LineName = A, started_at_ms: int = 7) -> None:
        self.board.order(line, order, started_at_ms, self.noted.append)

    def beat(self, state: LineNowState, *heard: str, started_at_ms: int = 7) -> list[Order]:
        given = self.board.hear((on(A, state, started_at_ms),), heard)
        self.names = [each.name for each in given]
        return [each.order for each in given]


@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("state", LineNowState)
def test_an_order_is_taken_only_where_it_fits_and_a_repeated_one_harms_nothing(
    state: LineNowState, order: Order
) -> None:
    is_done = (order, state) in {
        (Order.CONFIRM, LineNowState.RECORDING),
        (Order.PAUSE, LineNowState.PAUSED),
        (Order.RESUME, LineNowState.RECORDING),
    }
    ordering = Ordering(state)
    if order in FITTING_ORDERS.get(state, ()):
        ordering.order(order)
        assert ordering.noted == [CALL]
        assert ordering.beat(state) == [order]
    elif is_done:
        ordering.order(order)
        assert (ordering.noted, ordering.beat(state)) == ([], [])
    else:
        with pytest.raises(NothingToOrder):
            ordering.order(order)
        assert (ordering.noted, ordering.beat(state)) == ([], [])


def test_every_order_fits_some_state_and_a_call_can_be_forgotten_in_each_of_them() -> None:
    assert {order for orders in FITTING_ORDERS.values() for order in orders} == set(Order)
    assert all(Order.FORGET in orders for orders in FITTING_ORDERS.values())


def test_a_call_is_asked_to_be_kept_once_and_by_whomever() -> None:
    ordering = Ordering()
    asked = msgspec.structs.replace(on(A, LineNowState.RECORDING, call=CALL), keep_asked=True)
    assert Order.KEEP not in fitting_orders(asked)
    ordering.board.hear((asked,))
    ordering.order(Order.KEEP)
    assert (ordering.noted, ordering.board.hear((asked,))) == ([], ())


def test_an_order_comes_with_every_beat_until_one_says_that_it_was_heard() -> None:
    ordering = Ordering()
    ordering.order(Order.PAUSE)
    assert [ordering.beat(LineNowState.RECORDING) for _ in range(2)] == [[Order.PAUSE]] * 2
    assert ordering.beat(LineNowState.RECORDING, *ordering.names) == []
    assert ordering.beat(LineNowState.RECORDING) == []


def test_an_order_given_twice_is_one_and_a_different_one_keeps_its_place() -> None:
    ordering = Ordering()
    for order in (Order.PAUSE, Order.PAUSE, Order.FORGET, Order.PAUSE):
        ordering.order(order)
    assert ordering.beat(LineNowState.RECORDING) == [Order.PAUSE, Order.FORGET]
    assert ordering.noted == [CALL, CALL]


def test_an_order_survives_that_recording_of_the_waiting_call_begins_in_that_moment() -> None:
    ordering = Ordering(LineNowState.WAITING)
    ordering.order(Order.FORGET)
    ordering.board.show_call(CALL, A, 9)
    ordering.order(Order.PAUSE)
    assert ordering.beat(LineNowState.RECORDING) == [Order.FORGET, Order.PAUSE]


def test_an_order_for_a_call_that_is_over_is_dropped_and_does_not_reach_the_next_one() -> None:
    ordering = Ordering()
    ordering.order(Order.FORGET)
    assert ordering.beat(LineNowState.RECORDING, started_at_ms=99) == []
    assert ordering.beat(LineNowState.RECORDING) == []


@pytest.mark.parametrize(("line", "started_at_ms"), [(A, 8), (A, 0), (B, 7), (B, 0), (LineName("none"), 7)])
def test_an_order_for_another_call_than_the_one_on_the_line_is_refused(line: LineName, started_at_ms: int) -> None:
    ordering = Ordering()
    with pytest.raises(NothingToOrder):
        ordering.order(Order.FORGET, line=line, started_at_ms=started_at_ms)
    assert ordering.noted == []


def test_nothing_can_be_ordered_of_a_recorder_that_is_silent() -> None:
    ordering = Ordering()
    ordering.seconds.now += ALIVE_S
    with pytest.raises(NothingToOrder):
        ordering.order(Order.PAUSE)


def test_an_order_that_cannot_be_noted_is_not_given() -> None:
    def refuse(_call: CallId | None) -> None:
        raise StorageTrouble

    ordering = Ordering()
    with pytest.raises(StorageTrouble):
        ordering.board.order(A, Order.FORGET, 7, refuse)
    assert ordering.beat(LineNowState.RECORDING) == []
