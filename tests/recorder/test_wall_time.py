"""The time of a frame."""

from __future__ import annotations

from appliance.recorder.wall_time import WallTime
from appliance.terms import BLOCK_FRAMES, RATE_HZ

OPENED_MS = 1_800_000_000_000


def fed(wall: WallTime, seconds: int, *, from_frame: int = 0, late_ms: int = 0, drift: float = 0.0) -> int:
    frame = from_frame
    for _ in range(seconds * RATE_HZ // BLOCK_FRAMES):
        frame += BLOCK_FRAMES
        wall.note(frame, OPENED_MS + round(frame / 8 * (1 + drift)) + late_ms)
    return frame


def test_frames_count_from_the_opening() -> None:
    assert WallTime(OPENED_MS).at_ms(8 * RATE_HZ) == OPENED_MS + 8000


def test_a_block_that_waited_does_not_move_the_time() -> None:
    wall = WallTime(OPENED_MS)
    frame = fed(wall, 30)
    frame = fed(wall, 30, from_frame=frame, late_ms=25_000)
    assert abs(wall.at_ms(frame) - (OPENED_MS + 60_000)) < 10


def test_a_slow_card_is_followed() -> None:
    wall = WallTime(OPENED_MS)
    frame = fed(wall, 4 * 3600, drift=1e-4)
    true_ms = OPENED_MS + round(frame / 8 * (1 + 1e-4))
    assert 0 <= true_ms - wall.at_ms(frame) < 20


def test_a_clock_that_steps_back_is_followed_at_once() -> None:
    wall = WallTime(OPENED_MS)
    frame = fed(wall, 10)
    wall.note(frame, OPENED_MS - 3_600_000)
    assert wall.at_ms(frame) == OPENED_MS - 3_600_000


def test_a_clock_that_steps_forward_is_followed_within_two_minutes() -> None:
    wall = WallTime(OPENED_MS)
    frame = fed(wall, 121, late_ms=3_600_000)
    assert wall.at_ms(frame) == OPENED_MS + 3_600_000 + frame // 8


def test_a_card_faster_than_the_clock_is_followed() -> None:
    wall = WallTime(OPENED_MS)
    frame = fed(wall, 3600, drift=-1e-4)
    true_ms = OPENED_MS + round(frame / 8 * (1 - 1e-4))
    assert abs(true_ms - wall.at_ms(frame)) < 10
