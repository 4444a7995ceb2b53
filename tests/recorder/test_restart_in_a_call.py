"""The recorder starts, or its card is plugged in, in the middle of a call: what it did not hear it cannot know."""

from __future__ import annotations

import numpy as np

from appliance.recorder.ear.signals import Pcm
from appliance.terms import RATE_HZ
from tests.recorder.desk import MakeDesk
from tests.recorder.fake_vault import FakeVault
from tests.recorder.test_line_consent import NUMBER, Noise, keys, ring


def test_a_call_that_may_have_been_refused_before_is_not_kept_for_a_key_pressed_later(
    make_desk: MakeDesk, vault: FakeVault, spoken: Pcm, noise: Noise
) -> None:
    """The 2 was pressed before the restart; the 1 is for a menu."""
    vault.come()
    desk = make_desk(consent="opt_in")
    desk.wait_for_key()
    desk.hear(np.concatenate((spoken[: 2 * RATE_HZ], keys("1"), spoken, noise(4, -65))))
    assert desk.finished() == []


def test_a_key_that_comes_first_does_not_make_it_a_call_that_was_dialled(
    make_desk: MakeDesk, vault: FakeVault, spoken: Pcm, noise: Noise
) -> None:
    vault.come()
    desk = make_desk(consent="opt_in")
    desk.wait_for_key()
    desk.hear(np.concatenate((keys("3"), noise(1, -65), spoken, keys("1"), spoken, noise(4, -65))))
    assert desk.finished() == []


def test_a_call_whose_number_nobody_heard_may_be_one_that_is_never_recorded(
    make_desk: MakeDesk, vault: FakeVault, spoken: Pcm, noise: Noise
) -> None:
    """It rang, and the exchange told who calls, before the restart."""
    vault.come()
    desk = make_desk(never_numbers=(NUMBER,))
    desk.wait_for_key()
    desk.hear(np.concatenate((spoken, noise(4, -65))))
    assert desk.finished() == []


def test_after_a_minute_that_was_lost_at_once_a_no_before_it_may_be_forgotten_and_no_key_keeps_what_follows(
    make_desk: MakeDesk, vault: FakeVault, spoken: Pcm, noise: Noise
) -> None:
    """Whether the same call goes on nobody can know: the 2 may be behind it, and the 1 be for a menu."""
    vault.come()
    desk = make_desk(consent="opt_in")
    desk.wait_for_key()
    desk.hear(np.concatenate((ring(), spoken[: 4 * RATE_HZ], keys("2"), spoken[: 4 * RATE_HZ])))
    desk.lose(61 * RATE_HZ)
    desk.hear(np.concatenate((spoken[: 4 * RATE_HZ], keys("1"), spoken[: 4 * RATE_HZ], noise(4, -65))))
    assert desk.finished() == []
    assert desk.folder.growing_calls() == []
