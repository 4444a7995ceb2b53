"""Capture through real ALSA, from a line that plays an array and has knobs to break it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from appliance.clock import Clock
from appliance.recorder.device import capture
from appliance.recorder.device.capture import (
    Block,
    CaptureThread,
    Closed,
    DeviceBusy,
    DeviceLost,
    DeviceMissing,
    DeviceStalled,
    DeviceUnsuitable,
    Event,
    Lost,
    Opened,
    SoundDevice,
    WhyLost,
)
from appliance.terms import BLOCK_FRAMES, RATE_HZ, LineTrouble
from tests.simulators.line import SimulatedLine, build_plugin

# Every sample tells its place, so that audio in the wrong place is seen.
FEED = np.arange(65_536, dtype=np.uint16).view(np.int16)[:, np.newaxis]
TOLERANCE_FRAMES = RATE_HZ // 10
PATIENCE_S = 20.0

MakeLine = Callable[..., SimulatedLine]


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_plugin(tmp_path_factory.mktemp("plugin"))


@pytest.fixture
def make_line(tmp_path: Path, plugin: Path, monkeypatch: pytest.MonkeyPatch) -> MakeLine:
    """A line that this process sees; its feed runs round for ever."""

    def make(speed: float = 1, feed: NDArray[np.int16] = FEED) -> SimulatedLine:
        line = SimulatedLine(tmp_path, feed, speed=speed, repeat=True, plugin=plugin)
        for name, value in line.environment().items():
            monkeypatch.setenv(name, value)
        return line

    return make


@pytest.fixture
def open_device() -> Iterator[Callable[..., SoundDevice]]:
    """Open a line with a clock as fast as the line."""
    devices: list[SoundDevice] = []

    def open_it(line: SimulatedLine, channels: int = 1) -> SoundDevice:
        device = SoundDevice(line.device, channels, now_ns=lambda: int(time.monotonic_ns() * line.speed))
        devices.append(device)
        device.open()
        return device

    yield open_it
    for device in devices:
        device.close()


@pytest.fixture
def start_thread() -> Iterator[Callable[..., CaptureThread]]:
    threads: list[CaptureThread] = []

    def start(device: SoundDevice, queue_blocks: int = capture.QUEUE_BLOCKS) -> CaptureThread:
        thread = CaptureThread(device, Clock(), queue_blocks=queue_blocks)
        threads.append(thread)
        thread.start()
        return thread

    yield start
    for thread in threads:
        thread.stop()


def next_piece(device: SoundDevice) -> Block | Lost:
    give_up_at = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up_at:
        if (piece := device.read()) is not None:
            return piece
    raise AssertionError("nothing came from the line")


def read_until_lost(device: SoundDevice) -> tuple[list[Block], Lost]:
    blocks: list[Block] = []
    while isinstance(piece := next_piece(device), Block):
        blocks.append(piece)
    return blocks, piece


def expect(thread: CaptureThread, kind: type[Event]) -> Event:
    event = thread.next_event(PATIENCE_S)
    assert isinstance(event, kind), event
    return event


def place(block: Block) -> int:
    """Where in the feed (which goes round) a block begins."""
    return int(np.uint16(block.samples[0, 0]))


def assert_in_its_place(block: Block, origin: int) -> None:
    """The feed's frame and the line time of a block must agree to 100 ms; origin is the place of frame 0."""
    away = (place(block) - origin - block.first_frame + 32_768) % 65_536 - 32_768
    assert abs(away) <= TOLERANCE_FRAMES


def assert_without_holes(pieces: list[Block | Lost], first_frame: int = 0) -> None:
    for piece in pieces:
        assert piece.first_frame == first_frame
        first_frame += piece.frames


def test_five_seconds_are_captured_bit_for_bit(make_line: MakeLine, open_device: Callable[..., SoundDevice]) -> None:
    device = open_device(make_line(speed=10))
    blocks = [next_piece(device) for _ in range(50)]
    assert_without_holes(blocks)
    heard = np.concatenate([block.samples for block in blocks if isinstance(block, Block)])
    origin = int(np.uint16(heard[0, 0]))
    np.testing.assert_array_equal(heard, np.roll(FEED, -origin, axis=0)[:40_000])


def test_each_channel_is_a_line(make_line: MakeLine, open_device: Callable[..., SoundDevice]) -> None:
    device = open_device(make_line(speed=10, feed=np.hstack([FEED, ~FEED])), channels=2)
    block = next_piece(device)
    assert isinstance(block, Block)
    assert block.samples.shape == (BLOCK_FRAMES, 2)
    np.testing.assert_array_equal(block.samples[:, 0], FEED[place(block) :, 0][:BLOCK_FRAMES])
    np.testing.assert_array_equal(block.samples[:, 1], ~block.samples[:, 0])


def test_an_overrun_is_a_gap_and_the_audio_after_it_is_in_its_place(
    make_line: MakeLine, open_device: Callable[..., SoundDevice]
) -> None:
    line = make_line(speed=4)
    device = open_device(line)
    first = next_piece(device)
    assert isinstance(first, Block)
    line.overrun(6000)
    before, lost = read_until_lost(device)
    after = [next_piece(device) for _ in range(3)]
    assert_without_holes([first, *before, lost, *after])
    assert lost.why is WhyLost.OVERRUN
    assert abs(lost.frames - 6000) <= TOLERANCE_FRAMES
    assert isinstance(after[0], Block)
    assert_in_its_place(after[0], place(first))


def test_reading_too_late_is_a_gap_as_long_as_the_delay(
    make_line: MakeLine, open_device: Callable[..., SoundDevice]
) -> None:
    line = make_line(speed=4)
    device = open_device(line)
    first = next_piece(device)
    assert isinstance(first, Block)
    late = line.frame_now() + (capture.BUFFER_BLOCKS + 5) * BLOCK_FRAMES
    while line.frame_now() < late:
        time.sleep(0.05)  # being late is the case at hand
    before, lost = read_until_lost(device)
    after = next_piece(device)
    assert isinstance(after, Block)
    assert_without_holes([first, *before, lost, after])
    assert lost.why is WhyLost.OVERRUN
    assert_in_its_place(after, place(first))


def test_frames_that_a_card_leaves_out_silently_are_a_gap(
    make_line: MakeLine, open_device: Callable[..., SoundDevice]
) -> None:
    line = make_line(speed=4)
    device = open_device(line)
    first = next_piece(device)
    assert isinstance(first, Block)
    line.stall(True)
    until = line.frame_now() + RATE_HZ
    while line.frame_now() < until:
        device.read(timeout_s=0.02)
    line.stall(False)
    _, lost = read_until_lost(device)
    after = next_piece(device)
    assert isinstance(after, Block)
    assert lost.why is WhyLost.DROPOUT
    assert_in_its_place(after, place(first))


def test_reading_ends_in_time_when_nothing_comes(make_line: MakeLine, open_device: Callable[..., SoundDevice]) -> None:
    line = make_line()
    device = open_device(line)
    line.stall(True)
    asked_at = time.monotonic()
    while device.read(timeout_s=0.1) is not None:  # what came before the stall
        asked_at = time.monotonic()
    assert time.monotonic() - asked_at < 1


def test_a_device_without_frames_for_ten_seconds_has_stalled(
    make_line: MakeLine, open_device: Callable[..., SoundDevice]
) -> None:
    line = make_line(speed=10)
    device = open_device(line)
    line.stall(True)
    stalled_at = line.frame_now()
    with pytest.raises(DeviceStalled, match="'line0' has delivered nothing for 10 seconds"):
        read_until_lost(device)
    assert line.frame_now() - stalled_at >= 9 * RATE_HZ


def test_an_unplugged_device_is_lost_and_opens_again_where_the_line_is_by_then(
    make_line: MakeLine, open_device: Callable[..., SoundDevice]
) -> None:
    line = make_line(speed=2)
    device = open_device(line)
    line.unplug()
    with pytest.raises(DeviceLost, match="'line0' is gone"):
        next_piece(device)
    device.close()
    line.plug()
    reopened_at = line.frame_now()
    device.open()
    block = next_piece(device)
    assert isinstance(block, Block)
    assert block.first_frame == 0
    assert reopened_at <= place(block) <= line.frame_now() - BLOCK_FRAMES


def test_a_missing_device_is_named_and_alsa_itself_keeps_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DeviceMissing, match="no sound device 'hw:CARD=Nobody'"):
        SoundDevice("hw:CARD=Nobody", 1).open()
    assert capfd.readouterr().err == ""


def test_a_device_that_another_program_uses_is_busy(
    make_line: MakeLine, open_device: Callable[..., SoundDevice]
) -> None:
    line = make_line()
    open_device(line)
    with pytest.raises(DeviceBusy, match="Another program uses the sound device 'line0'"):
        SoundDevice(line.device, 1).open()


def test_a_device_with_other_channels_than_wanted_is_refused(
    make_line: MakeLine, open_device: Callable[..., SoundDevice]
) -> None:
    line = make_line()
    with pytest.raises(DeviceUnsuitable, match="gives 1 channels of S16_LE at 8000 Hz, not 2"):
        open_device(line, channels=2)
    open_device(line, channels=1)  # the refused one was let go


def test_a_thread_tells_opening_blocks_and_end_in_order(
    make_line: MakeLine, start_thread: Callable[..., CaptureThread]
) -> None:
    before_ms = Clock().now_ms()
    thread = start_thread(SoundDevice(make_line(speed=10).device, 1))
    opened = expect(thread, Opened)
    assert isinstance(opened, Opened)
    assert before_ms <= opened.wall_ms <= Clock().now_ms()
    blocks = [expect(thread, Block) for _ in range(10)]
    assert_without_holes([block for block in blocks if isinstance(block, Block)])
    thread.stop()
    events = []
    while (event := thread.next_event(0)) is not None:
        events.append(event)
    assert events[-1] == Closed(trouble=None)


def test_a_thread_stops_within_a_second_though_no_frames_come(
    make_line: MakeLine, start_thread: Callable[..., CaptureThread]
) -> None:
    line = make_line()
    line.stall(True)
    thread = start_thread(SoundDevice(line.device, 1))
    asked_at = time.monotonic()
    thread.stop()
    assert time.monotonic() - asked_at < 1
    assert thread.next_event(0) == Closed(trouble=None)


def test_a_device_that_is_plugged_in_again_is_opened_again(
    make_line: MakeLine, start_thread: Callable[..., CaptureThread], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture, "REOPEN_S", 0.02)
    line = make_line(speed=4)
    line.unplug()
    thread = start_thread(SoundDevice(line.device, 1))
    closed = expect(thread, Closed)
    assert isinstance(closed, Closed)
    assert isinstance(closed.trouble, DeviceMissing)
    assert thread.next_event(0.2) is None  # tried ten times, told once
    for _ in range(2):
        line.plug()
        expect(thread, Opened)
        block = expect(thread, Block)
        assert isinstance(block, Block)
        assert block.first_frame == 0
        line.unplug()
        while isinstance(event := thread.next_event(PATIENCE_S), Block):
            pass
        assert isinstance(event, Closed)
        assert isinstance(event.trouble, DeviceLost)
        missing = expect(thread, Closed)
        assert isinstance(missing, Closed)
        assert isinstance(missing.trouble, DeviceMissing)


def test_a_device_that_opens_but_stays_dumb_is_in_trouble_until_frames_come(
    make_line: MakeLine, start_thread: Callable[..., CaptureThread], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture, "REOPEN_S", 0.02)
    monkeypatch.setattr(capture, "STALLED_AFTER_S", 0.2)
    line = make_line()
    line.stall(True)
    thread = start_thread(SoundDevice(line.device, 1))
    closed = expect(thread, Closed)
    assert isinstance(closed, Closed)
    assert isinstance(closed.trouble, DeviceStalled)
    assert thread.next_event(1) is None  # opened some three times more, in vain
    line.stall(False)
    expect(thread, Opened)
    line.stall(True)
    while isinstance(event := thread.next_event(PATIENCE_S), Block):
        pass
    assert isinstance(event, Closed)
    assert isinstance(event.trouble, DeviceStalled)


def test_blocks_that_the_consumer_does_not_fetch_are_counted_as_lost(
    make_line: MakeLine, start_thread: Callable[..., CaptureThread]
) -> None:
    line = make_line(speed=10)
    thread = start_thread(SoundDevice(line.device, 1), queue_blocks=5)
    expect(thread, Opened)
    while line.frame_now() < 30 * BLOCK_FRAMES:
        time.sleep(0.05)  # not fetching is the case at hand
    pieces: list[Block | Lost] = []
    while not pieces or (isinstance(pieces[-1], Block) and len(pieces) < 100):
        piece = expect(thread, Block | Lost)  # type: ignore[arg-type]
        assert isinstance(piece, Block | Lost)
        pieces.append(piece)
    first, lost, after = pieces[0], pieces[-1], expect(thread, Block)
    assert isinstance(first, Block)
    assert isinstance(lost, Lost)
    assert isinstance(after, Block)
    assert_without_holes([*pieces, after])
    assert lost.why is WhyLost.OVERLOAD
    assert_in_its_place(after, place(first))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_fault_of_the_program_does_not_end_capture_in_silence(
    make_line: MakeLine, start_thread: Callable[..., CaptureThread], monkeypatch: pytest.MonkeyPatch
) -> None:
    device = SoundDevice(make_line().device, 1)
    monkeypatch.setattr(device, "read", lambda: 1 // 0)
    thread = start_thread(device)
    with pytest.raises(LineTrouble, match="broke off"):
        thread.next_event(1)


def test_a_card_is_looked_for_at_each_opening_under_the_name_that_it_has_by_then(make_line: MakeLine) -> None:
    make_line()
    names = iter(["gone", "line0"])
    device = SoundDevice("usb 1-1.2", 1, find=lambda: next(names))
    with pytest.raises(DeviceMissing, match=r"usb 1-1\.2"):
        device.open()
    device.open()
    device.close()
