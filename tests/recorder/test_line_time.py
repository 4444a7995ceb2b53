"""Line time without a device: what the card gives against what the clock says."""

from __future__ import annotations

import numpy as np

from appliance.recorder.device.line_time import Block, LineTime, Lost, WhyLost

DRIFT = 1.0002
"""The card's seconds are 0.02 % shorter than the clock's: 17 s a day, twice what the worst crystal does."""


class Card:
    """Gives frames that tell their number, and keeps a clock that does not quite agree."""

    def __init__(self, channels: int = 1) -> None:
        self.line_time = LineTime(channels)
        self.channels = channels
        self.heard = 0

    def pass_time(self, frames: int) -> None:
        self.heard += frames

    def deliver(self, frames: int, *, late_frames: int = 0, waiting_frames: int = 0) -> None:
        """Hear and hand over; the card may report itself a little late, or have more waiting."""
        first = self.heard
        self.heard += frames
        audio = np.repeat(np.arange(first, self.heard), self.channels).astype(np.int16).tobytes()
        now_ns = int((self.heard + waiting_frames + late_frames) / 8000 * DRIFT * 1e9)
        self.line_time.add(audio, now_ns=now_ns, waiting_frames=waiting_frames)

    def pieces(self) -> list[Block | Lost]:
        pieces = []
        while (piece := self.line_time.next()) is not None:
            pieces.append(piece)
        return pieces


def test_crumbs_become_whole_blocks_bit_for_bit() -> None:
    card = Card(channels=2)
    for frames in (1, 799, 300, 800, 1300):
        card.deliver(frames)
    blocks = card.pieces()
    assert [piece.first_frame for piece in blocks] == [0, 800, 1600, 2400]
    heard = np.concatenate([piece.samples for piece in blocks if isinstance(piece, Block)])
    np.testing.assert_array_equal(heard, np.repeat(np.arange(3200), 2).reshape(-1, 2))


def test_hours_of_drift_are_no_gap_and_an_overrun_after_it_is_measured_right() -> None:
    card = Card()
    for _ in range(3 * 3600):
        card.deliver(8000)
        assert all(isinstance(piece, Block) for piece in card.pieces())
    card.line_time.note_overrun()
    card.pass_time(57_000)
    card.deliver(800)
    lost, block = card.pieces()
    assert isinstance(lost, Lost)
    assert lost.why is WhyLost.OVERRUN
    assert lost.first_frame == 3 * 3600 * 8000
    assert abs(lost.frames - 57_000) < 80
    assert block.first_frame == lost.first_frame + lost.frames


def test_the_crumbs_before_an_overrun_are_lost_with_it() -> None:
    card = Card()
    card.deliver(1100)
    card.line_time.note_overrun()
    card.pass_time(5000)
    card.deliver(800)
    block, lost, after = card.pieces()
    assert isinstance(lost, Lost)
    assert (block.first_frame, lost.first_frame) == (0, 800)
    assert abs(lost.frames - 5300) < 10
    assert isinstance(after, Block)
    assert after.samples[0, 0] == 6100


def test_an_overrun_too_short_to_measure_is_still_listed() -> None:
    card = Card()
    card.deliver(800, late_frames=400)
    card.line_time.note_overrun()
    card.deliver(800)
    _, lost, _ = card.pieces()
    assert isinstance(lost, Lost)
    assert lost.frames == 1


def test_frames_that_overran_before_they_had_a_place_are_lost() -> None:
    card = Card()
    card.deliver(800)
    card.line_time.note_overrun()
    card.deliver(800, waiting_frames=-32)
    card.deliver(800)
    _, lost, block = card.pieces()
    assert isinstance(lost, Lost)
    assert abs(lost.frames - 800) < 10
    assert isinstance(block, Block)
    assert block.samples[0, 0] == 1600


def test_a_card_that_leaves_frames_out_silently_makes_a_gap_that_takes_all_audio_of_unsure_place() -> None:
    card = Card()
    card.deliver(1000)
    card.pass_time(4000)
    card.deliver(700)
    card.deliver(800)
    block, lost, after = card.pieces()
    assert isinstance(lost, Lost)
    assert lost.why is WhyLost.DROPOUT
    assert (block.first_frame, lost.first_frame) == (0, 800)
    assert abs(lost.frames - 4900) < 10
    assert isinstance(after, Block)
    assert after.first_frame == lost.first_frame + lost.frames
    assert after.samples[0, 0] == 5700


def test_a_stall_in_whose_beginning_the_card_was_read_is_one_gap_of_its_whole_length() -> None:
    card = Card()
    card.deliver(800)
    card.pass_time(800)  # the card stalls, and what waited in it is read when it has done so for 100 ms
    card.deliver(0)
    card.pass_time(40_000)
    card.deliver(800)
    card.deliver(800)
    first, lost, _after = card.pieces()
    assert isinstance(lost, Lost)
    assert abs(lost.frames - 41_600) < 20  # the audio after it too, which has no sure place
    assert lost.first_frame == first.first_frame + first.frames


def test_a_card_that_counts_in_whole_periods_makes_no_gaps() -> None:
    card = Card()
    for number in range(100):
        card.deliver(800, late_frames=799 * (number % 2))
    assert all(isinstance(piece, Block) for piece in card.pieces())


def test_frames_that_a_card_leaves_out_bit_by_bit_are_listed_before_they_come_to_half_a_second() -> None:
    card = Card()
    lost, unlisted = 0, 0
    for _ in range(600):
        card.pass_time(40)
        card.deliver(800)
        unlisted += 40
        for piece in card.pieces():
            if isinstance(piece, Lost):
                assert piece.why is WhyLost.DROPOUT
                lost += piece.frames
                unlisted = 0
        assert unlisted < 4000
    # The audio whose place was unsure goes with each gap.
    assert lost > 600 * 40 - 4000


def test_the_place_of_audio_stays_within_half_a_second_whatever_a_card_leaves_out() -> None:
    card = Card()
    random = np.random.default_rng(5)
    for _ in range(3000):
        card.pass_time(int(random.integers(0, 1500)) if random.random() < 0.1 else 0)
        card.deliver(800)
        for piece in card.pieces():
            if isinstance(piece, Block):
                away = (int(piece.samples[0, 0]) - piece.first_frame + 32_768) % 65_536 - 32_768
                assert 0 <= away + 100 < 4100


def test_no_lost_frame_is_outside_of_the_gap_of_an_overrun() -> None:
    random = np.random.default_rng(6)
    for _ in range(100):
        card = Card()
        card.deliver(800, late_frames=0)
        card.line_time.note_overrun()
        frames = int(random.integers(1, 40_000))
        card.pass_time(frames)
        card.deliver(800)
        _, lost, _ = card.pieces()
        assert 0 <= lost.frames - frames < 0.0002 * (frames + 800) + 2
