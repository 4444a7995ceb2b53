"""A device's thread, fed by a script instead of a card."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pytest

from appliance.clock import Clock
from appliance.recorder.device.capture import Block, Closed, Event, Lost, Opened, WhyLost
from appliance.recorder.device_worker import FAULT, DeviceWorker
from appliance.recorder.ear.signals import Pcm
from appliance.recorder.line_worker import LineWorker
from appliance.recorder.wall_time import WallTime
from appliance.recordings.container import EndReason
from appliance.terms import BLOCK_FRAMES, LineTrouble
from tests.recorder.heard_log import HeardLog

PATIENCE_S = 10.0


class ScriptedCapture:
    """Events come when the test gives them; stopping ends with Closed(None), as the real one does."""

    def __init__(self) -> None:
        self.events: queue.SimpleQueue[Event | LineTrouble] = queue.SimpleQueue()
        self.started = self.stopped = False

    def start(self) -> None:
        self.started = True

    def stop(self) -> None:
        self.stopped = True
        self.events.put(Closed(trouble=None))

    def next_event(self, timeout_s: float) -> Event | None:
        try:
            event = self.events.get(timeout=timeout_s)
        except queue.Empty:
            return None
        if isinstance(event, LineTrouble):
            raise event
        return event


@dataclass
class RememberingLine:
    """Notes what a LineWorker would be told."""

    told: queue.SimpleQueue[tuple[Any, ...]] = field(default_factory=queue.SimpleQueue)
    faulty: bool = False

    def open(self, wall_time: WallTime) -> None:
        self.told.put(("open", wall_time.at_ms(0)))

    def hear(self, first_frame: int, samples: Pcm) -> None:
        if self.faulty:
            raise RuntimeError("a bug")
        assert samples.flags.c_contiguous
        self.told.put(("hear", first_frame, samples[0].tolist(), len(samples)))

    def lose(self, first_frame: int, frames: int, why: str) -> None:
        self.told.put(("lose", first_frame, frames, why))

    def close(self, why: EndReason, trouble: str) -> None:
        self.told.put(("close", why, trouble))

    def abandon(self, trouble: str) -> None:
        self.told.put(("abandon", trouble))

    def next(self) -> tuple[Any, ...]:
        return self.told.get(timeout=PATIENCE_S)


@dataclass
class Bench:
    worker: DeviceWorker
    left: RememberingLine
    right: RememberingLine
    both: RememberingLine
    captures: list[ScriptedCapture]
    made: queue.SimpleQueue[ScriptedCapture]


@pytest.fixture
def bench(heard_log: HeardLog) -> Iterator[Bench]:
    left, right, both = RememberingLine(), RememberingLine(), RememberingLine()
    captures: list[ScriptedCapture] = []
    made: queue.SimpleQueue[ScriptedCapture] = queue.SimpleQueue()

    def new_capture() -> ScriptedCapture:
        captures.append(ScriptedCapture())
        made.put(captures[-1])
        return captures[-1]

    lines = cast("dict[tuple[int, ...], LineWorker]", {(0,): left, (1,): right, (1, 0): both})
    worker = DeviceWorker("line0", new_capture, lines, Clock(wall=lambda: 5000), heard_log.logger)
    worker.start()
    yield Bench(worker=worker, left=left, right=right, both=both, captures=captures, made=made)
    worker.ask_to_stop()
    assert worker.join(PATIENCE_S)
    assert all(capture.started and capture.stopped for capture in captures)


def block(first_frame: int, left: int, right: int) -> Block:
    samples = np.stack((np.full(BLOCK_FRAMES, left), np.full(BLOCK_FRAMES, right)), axis=1).astype(np.int16)
    return Block(first_frame=first_frame, samples=samples)


def test_each_line_hears_its_own_channel(bench: Bench) -> None:
    capture = bench.made.get(timeout=PATIENCE_S)
    capture.events.put(Opened(wall_ms=4900))
    capture.events.put(block(0, 11, 22))
    capture.events.put(Lost(first_frame=800, frames=333, why=WhyLost.OVERRUN))
    assert [bench.left.next() for _ in range(3)] == [
        ("open", 4900),
        ("hear", 0, 11, BLOCK_FRAMES),
        ("lose", 800, 333, "overrun"),
    ]
    assert [bench.right.next() for _ in range(2)] == [("open", 4900), ("hear", 0, 22, BLOCK_FRAMES)]


def test_a_line_whose_sides_are_apart_hears_the_near_channel_and_then_the_far_one(bench: Bench) -> None:
    capture = bench.made.get(timeout=PATIENCE_S)
    capture.events.put(Opened(wall_ms=4900))
    capture.events.put(block(0, 11, 22))
    assert [bench.both.next() for _ in range(2)] == [("open", 4900), ("hear", 0, [22, 11], BLOCK_FRAMES)]


def test_a_device_that_cannot_be_opened_is_said_to_its_lines(bench: Bench, heard_log: HeardLog) -> None:
    capture = bench.made.get(timeout=PATIENCE_S)
    capture.events.put(Closed(trouble=LineTrouble("There is no such device.")))
    assert bench.left.next() == ("close", EndReason.DEVICE_LOST, "There is no such device.")
    assert heard_log.wait_for("device_closed")["why"] == "There is no such device."


def test_what_was_heard_before_the_stop_is_still_taken(bench: Bench) -> None:
    capture = bench.made.get(timeout=PATIENCE_S)
    for number in range(50):
        capture.events.put(block(number * BLOCK_FRAMES, number, 0))
    bench.worker.ask_to_stop()
    assert bench.worker.join(PATIENCE_S)
    heard = [bench.left.next() for _ in range(51)]
    assert [told[2] for told in heard[:50]] == list(range(50))
    assert heard[50] == ("close", EndReason.STOPPED, "")


def test_a_fault_in_a_line_is_logged_and_the_device_opened_again(
    bench: Bench, heard_log: HeardLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.recorder.device_worker._AFTER_FAULT_S", 0.01)
    capture = bench.made.get(timeout=PATIENCE_S)
    bench.left.faulty = True
    capture.events.put(block(0, 1, 2))
    assert bench.left.next() == ("abandon", FAULT)
    assert bench.right.next() == ("abandon", FAULT)
    assert isinstance(heard_log.wait_for("device_worker_fault")["exc_info"], RuntimeError)
    bench.left.faulty = False
    again = bench.made.get(timeout=PATIENCE_S)
    again.events.put(Opened(wall_ms=1))
    assert bench.left.next() == ("open", 1)


def test_a_capture_that_broke_off_is_made_anew(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.recorder.device_worker._AFTER_FAULT_S", 0.01)
    capture = bench.made.get(timeout=PATIENCE_S)
    capture.events.put(LineTrouble("Listening broke off."))
    assert bench.made.get(timeout=PATIENCE_S) is not capture
