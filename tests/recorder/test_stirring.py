"""Somebody who speaks, and what is only a noise, a click, or explained."""

from __future__ import annotations

import pytest

from appliance.recorder.line.stirring import STILL, Sound, Stirring
from appliance.terms import BLOCK_FRAMES, RATE_HZ


class Line:
    """Blocks of 100 ms, one after the other."""

    def __init__(self) -> None:
        self.stirring = Stirring()
        self.at_frame = 0

    def hear(
        self, steps: int, lowest_dbfs: float, blocks: int = 1, explained: tuple[tuple[int, int], ...] = ()
    ) -> None:
        for _ in range(blocks):
            end = self.at_frame + BLOCK_FRAMES
            self.stirring.add(
                Sound(
                    first_frame=self.at_frame,
                    end_frame=end if steps else 0,
                    steps=steps,
                    level_dbfs=-20 if steps else lowest_dbfs,
                    lowest_dbfs=lowest_dbfs,
                ),
                end,
                explained,
            )
            self.at_frame = end

    def talk(self, blocks: int) -> None:
        self.hear(5, -60, blocks)

    def be_still(self, blocks: int) -> None:
        self.hear(0, -60, blocks)


def test_nothing_is_nobody() -> None:
    line = Line()
    assert not line.stirring.is_somebody
    line.be_still(50)
    assert not line.stirring.stirs
    assert not line.stirring.is_somebody


def test_four_loud_tenths_are_somebody_and_three_are_not() -> None:
    line = Line()
    line.be_still(20)
    line.talk(3)
    line.be_still(10)
    assert line.stirring.stirs
    assert not line.stirring.is_somebody
    line.talk(1)
    line.be_still(4)
    assert line.stirring.is_somebody
    assert line.stirring.first_frame == 20 * BLOCK_FRAMES


def test_a_voice_that_has_fallen_is_known_at_once() -> None:
    line = Line()
    line.be_still(20)
    line.talk(4)
    line.be_still(1)
    assert line.stirring.is_somebody


def test_sounds_that_lie_more_than_three_seconds_apart_are_not_added_up() -> None:
    line = Line()
    for _ in range(4):
        line.talk(3)
        line.be_still(30)
        assert not line.stirring.is_somebody


def test_a_noise_that_sets_in_is_nobody_until_somebody_speaks_in_it_and_picked_up_where_it_set_in() -> None:
    line = Line()
    line.be_still(20)
    set_in = line.at_frame
    line.hear(5, -24, blocks=30)
    assert not line.stirring.is_somebody
    for _ in range(6):  # a voice above the noise
        line.stirring.add(
            Sound(
                first_frame=line.at_frame,
                end_frame=line.at_frame + BLOCK_FRAMES,
                steps=5,
                level_dbfs=-12,
                lowest_dbfs=-24,
            ),
            line.at_frame + BLOCK_FRAMES,
            (),
        )
        line.at_frame += BLOCK_FRAMES
    line.hear(5, -24, blocks=4)
    assert line.stirring.is_somebody
    assert line.stirring.first_frame == set_in


def test_the_edge_of_a_noise_falls_to_one_side_only_and_is_nobody() -> None:
    line = Line()
    line.be_still(20)
    line.hear(5, -23, blocks=60)
    line.be_still(20)
    assert not line.stirring.is_somebody


def test_a_lone_word_up_to_eight_seconds_before_was_theirs_and_an_older_one_was_not() -> None:
    for apart, theirs in ((60, True), (90, False)):
        line = Line()
        line.be_still(10)
        word = line.at_frame
        line.talk(1)
        line.be_still(apart)
        said = line.at_frame
        line.talk(4)
        line.be_still(4)
        assert line.stirring.is_somebody
        assert line.stirring.first_frame == (word if theirs else said)


def test_a_click_of_the_hook_was_theirs_within_three_seconds_only() -> None:
    for apart, theirs in ((15, True), (40, False)):
        line = Line()
        line.be_still(10)
        click = line.at_frame
        line.hear(1, -60)
        line.be_still(apart)
        said = line.at_frame
        line.talk(4)
        line.be_still(4)
        assert line.stirring.is_somebody
        assert line.stirring.first_frame == (click if theirs else said)


def test_what_is_explained_later_is_struck_again() -> None:
    line = Line()
    line.be_still(10)
    line.talk(10)
    line.be_still(4)
    assert line.stirring.is_somebody
    line.hear(0, -60, explained=((9 * BLOCK_FRAMES, 20 * BLOCK_FRAMES),))
    assert not line.stirring.is_somebody
    assert not line.stirring.stirs


def test_what_is_explained_in_part_leaves_the_rest() -> None:
    line = Line()
    line.be_still(10)
    line.talk(10)
    line.be_still(4)
    line.stirring.strike(10 * BLOCK_FRAMES, 15 * BLOCK_FRAMES)
    assert line.stirring.is_somebody
    assert line.stirring.first_frame == 15 * BLOCK_FRAMES


def test_an_explanation_of_what_is_still_to_come_strikes_nothing_yet() -> None:
    line = Line()
    line.talk(5)
    line.stirring.strike(5 * BLOCK_FRAMES, 50 * BLOCK_FRAMES)
    line.be_still(4)
    assert line.stirring.is_somebody


def test_cleared_it_has_heard_nothing() -> None:
    line = Line()
    line.talk(10)
    line.stirring.clear()
    assert not line.stirring.stirs
    line.be_still(4)
    assert not line.stirring.is_somebody


def test_it_stirs_no_longer_than_a_lone_word_counts() -> None:
    line = Line()
    line.talk(1)
    line.be_still(79)
    assert line.stirring.stirs
    line.be_still(2)
    assert not line.stirring.stirs


@pytest.mark.parametrize("blocks", [1, 3, 5])
def test_whoever_is_there_can_be_heard_from_a_frame_of_his_own_on(blocks: int) -> None:
    """Never before the first sound of all, never after the last one."""
    line = Line()
    line.be_still(7)
    for _ in range(20):
        line.talk(blocks)
        line.be_still(blocks)
        if line.stirring.is_somebody:
            assert 7 * BLOCK_FRAMES <= line.stirring.first_frame < line.at_frame
    assert line.stirring.is_somebody


def test_still_is_no_sound() -> None:
    stirring = Stirring()
    stirring.add(STILL, RATE_HZ, ())
    assert not stirring.stirs


def sound(line: Line, level_dbfs: float, steps: int) -> None:
    """A block above noise of -32 dBFS."""
    end = line.at_frame + BLOCK_FRAMES
    heard = Sound(
        first_frame=line.at_frame, end_frame=end if steps else 0, steps=steps, level_dbfs=level_dbfs, lowest_dbfs=-32
    )
    line.stirring.add(heard, end, ())
    line.at_frame = end


@pytest.mark.parametrize(("level_dbfs", "steps"), [(-25, 1), (-21, 0)])
def test_a_soft_first_syllable_and_a_soft_click_are_theirs_who_then_speak(level_dbfs: float, steps: int) -> None:
    line = Line()
    for _ in range(10):
        sound(line, -31, 0)
    first = line.at_frame
    sound(line, level_dbfs, steps)
    for _ in range(5):
        sound(line, -31, 0)
    assert not line.stirring.is_somebody
    for _ in range(5):
        sound(line, -15, 4)
    sound(line, -31, 0)
    assert line.stirring.is_somebody
    assert first <= line.stirring.first_frame < first + BLOCK_FRAMES


def test_noise_that_rises_by_its_own_swing_was_nobodys() -> None:
    line = Line()
    for _ in range(10):
        sound(line, -27, 1)
    said = line.at_frame
    for _ in range(5):
        sound(line, -15, 4)
    sound(line, -31, 0)
    assert line.stirring.first_frame == said
