"""What is shown of the lines: the last word, and whether the recorder still speaks."""

from __future__ import annotations

from appliance.boundary.verbs import LineNow
from appliance.terms import CallId, LineName
from appliance.vault.line_board import ALIVE_S, LineBoard

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
