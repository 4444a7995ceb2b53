"""An output's relay is closed while something sounds, and at no other time; without it nothing is played."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from appliance.recorder.device import playback
from appliance.recorder.device.gpio import relay_output
from appliance.recorder.device.playback import Outcome, Output, Playback
from appliance.recorder.device.relay import LEAD_FRAMES, Relay
from appliance.settings import GpioSettings
from appliance.terms import LineTrouble
from tests.recorder.heard_log import HeardLog
from tests.recorder.test_playback import COUNTS, found, over, wait_until
from tests.simulators.line import SimulatedLine, build_plugin


class Contact:
    """A wire that notes at which frame of the line it was switched; `gone` takes it away."""

    def __init__(self) -> None:
        self.line: SimulatedLine | None = None
        self.switched: list[tuple[bool, int]] = []
        self.held = self.gone = False
        self.opened = 0

    def open(self) -> None:
        self.opened += 1
        self._must_be_there()
        self.held = True

    def switch(self, *, on: bool) -> None:
        self._must_be_there()
        if not self.held:
            raise AssertionError("switched without being asked for")
        self.switched.append((on, self.line.frame_now() if self.line else 0))

    def close(self) -> None:
        self.held = False

    @property
    def closed(self) -> bool:
        return bool(self.switched) and self.switched[-1][0]

    def _must_be_there(self) -> None:
        if self.gone:
            raise LineTrouble("The relay is gone.")


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_plugin(tmp_path_factory.mktemp("plugin"))


@pytest.fixture
def line(tmp_path: Path, plugin: Path, monkeypatch: pytest.MonkeyPatch) -> SimulatedLine:
    line = SimulatedLine(tmp_path, np.zeros((8, 2), np.int16), plugin=plugin)
    for name, value in line.environment().items():
        monkeypatch.setenv(name, value)
    return line


@pytest.fixture
def contact(line: SimulatedLine) -> Contact:
    contact = Contact()
    contact.line = line
    return contact


@pytest.fixture
def ways(line: SimulatedLine, contact: Contact, heard_log: HeardLog) -> Iterator[Callable[[], tuple[Output, Output]]]:
    """Starts the device; its first channel has the relay, its second none."""
    made = Playback(line.device, 2, heard_log.logger)

    def start() -> tuple[Output, Output]:
        outputs = Output(made, 0, Relay(contact)), Output(made, 1)
        made.start()
        return outputs

    yield start
    made.stop()
    assert not contact.held


Ways = Callable[[], tuple[Output, Output]]


def test_contact_closes_before_the_sound_and_opens_after_its_last_frame(
    ways: Ways, contact: Contact, line: SimulatedLine
) -> None:
    joined, _ = ways()
    assert over(joined.play(COUNTS)) is Outcome.PLAYED
    np.testing.assert_array_equal(found(line), COUNTS)
    sounds = np.flatnonzero(line.spoken()[:, 0])
    (on, closed_at), (off, opened_at) = contact.switched
    assert (on, off) == (True, False)
    assert sounds[0] - closed_at >= LEAD_FRAMES
    assert opened_at > sounds[-1]


def test_contact_opens_when_the_sound_is_stopped_and_when_it_breaks_off(
    ways: Ways, contact: Contact, line: SimulatedLine
) -> None:
    joined, _ = ways()
    stopped = joined.play(np.tile(COUNTS, 10))
    wait_until(lambda: found(line).size > 0)
    assert contact.closed
    stopped.stop()
    assert not contact.closed
    broken = joined.play(np.tile(COUNTS, 10))
    assert contact.closed
    line.unplug()
    assert over(broken) is Outcome.BROKEN
    assert not contact.closed


def test_other_lines_of_the_device_close_no_contact(ways: Ways, contact: Contact) -> None:
    _, always = ways()
    assert over(always.play(COUNTS)) is Outcome.PLAYED
    assert contact.switched == []


def test_relay_that_cannot_be_had_is_a_trouble_from_the_start_and_nothing_is_played_until_it_can(
    ways: Ways, contact: Contact, line: SimulatedLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(playback, "_TRY_AGAIN_S", 0.05)
    contact.gone = True
    joined, always = ways()
    wait_until(lambda: joined.trouble == "The relay is gone.")
    assert joined.play(COUNTS).outcome is Outcome.BROKEN
    assert not always.trouble
    assert over(always.play(COUNTS)) is Outcome.PLAYED
    assert not line.spoken()[:, 0].any()
    contact.gone = False
    wait_until(lambda: not joined.trouble)
    assert over(joined.play(COUNTS)) is Outcome.PLAYED


def test_relay_that_fails_at_the_moment_of_playing_is_a_sound_that_was_not_played(
    ways: Ways, contact: Contact, line: SimulatedLine
) -> None:
    joined, _ = ways()
    wait_until(lambda: contact.held)
    contact.gone = True
    assert joined.play(COUNTS).outcome is Outcome.BROKEN
    assert joined.trouble == "The relay is gone."
    assert not line.spoken().any()


def test_contact_stays_closed_until_the_last_of_two_sounds_is_over() -> None:
    contact = Contact()
    relay = Relay(contact)
    assert relay.join()
    assert relay.join()
    relay.part()
    assert contact.closed
    relay.part()
    assert not contact.closed


def test_missing_chip_says_that_nothing_is_played_without_the_relay() -> None:
    relay = Relay(relay_output(GpioSettings(chip="/dev/gpiochip99", line="speak")))
    assert not relay.join()
    assert relay.trouble.startswith(
        "There is no GPIO chip /dev/gpiochip99, so the relay is not used. Nothing is played"
    )
