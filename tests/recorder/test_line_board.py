"""What the vault is told of a line."""

from __future__ import annotations

from appliance.boundary.verbs import LineNow
from appliance.recorder.line_board import LineBoard
from appliance.terms import CallId, LineName, LineNowState

LINE = LineName("line1")
CALL = CallId("a" * 32)


def now(board: LineBoard) -> LineNow:
    (line,) = board.read()
    return line


def test_the_loudest_since_the_last_reading_is_shown() -> None:
    board = LineBoard([LINE])
    for level_dbfs in (-50.0, -20.0, -40.0):
        board.show_level(LINE, level_dbfs)
    assert now(board).level_dbfs == -20
    board.show_level(LINE, -45.0)
    assert now(board).level_dbfs == -45


def test_between_two_blocks_the_level_stays() -> None:
    board = LineBoard([LINE])
    board.show_level(LINE, -30.0)
    assert now(board).level_dbfs == now(board).level_dbfs == -30


def test_a_line_that_is_not_heard_shows_no_level() -> None:
    board = LineBoard([LINE])
    assert now(board).level_dbfs == -100
    board.show_level(LINE, -30.0)
    board.show_no_level(LINE)
    assert now(board).level_dbfs == -100


def test_call_and_trouble_are_shown_until_they_are_over() -> None:
    board = LineBoard([LINE])
    board.show_call(LINE, CALL, 1_800_000_000_000)
    board.show_trouble(LINE, "t" * 500)
    assert (now(board).call, now(board).started_at_ms) == (CALL, 1_800_000_000_000)
    assert len(now(board).trouble) == 400  # the boundary takes no more
    board.show_call(LINE, None)
    board.show_trouble(LINE, "")
    assert (now(board).call, now(board).started_at_ms, now(board).trouble) == (None, 0, "")


def test_state_and_start_of_the_call_on_the_line_are_shown() -> None:
    board = LineBoard([LINE])
    shown = []
    board.show_state(LINE, LineNowState.RINGING)
    shown.append((now(board).state, now(board).started_at_ms))
    board.show_state(LINE, LineNowState.WAITING, 7)
    shown.append((now(board).state, now(board).started_at_ms))
    board.show_call(LINE, CALL, 7)
    shown.append((now(board).state, now(board).started_at_ms))
    board.show_state(LINE, LineNowState.PAUSED)
    shown.append((now(board).state, now(board).started_at_ms))
    assert now(board).call == CALL
    board.show_call(LINE, None)
    shown.append((now(board).state, now(board).started_at_ms))
    assert shown == [("ringing", 0), ("waiting", 7), ("recording", 7), ("paused", 7), ("idle", 0)]
