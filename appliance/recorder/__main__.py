"""The recorder daemon: settings, log, board, link, lines, devices; then waits to be told to stop."""

from __future__ import annotations

import contextlib
import time
from datetime import datetime
from importlib.metadata import version
from zoneinfo import ZoneInfo

import structlog

from appliance.boundary.verbs import Caller
from appliance.clock import Clock
from appliance.daemon import (
    collect_garbage_rarely,
    forbid_core_dumps,
    lock_memory,
    start_log,
    stop_on_signals,
    wipe_freed_memory,
)
from appliance.recorder.device.capture import CaptureThread
from appliance.recorder.device.sound_cards import sound_device
from appliance.recorder.device_worker import DeviceWorker
from appliance.recorder.disk_room import DiskRoom
from appliance.recorder.ear.signals import Signals
from appliance.recorder.line.line_plan import plan_of
from appliance.recorder.line_board import LineBoard
from appliance.recorder.line_wires import LineWires
from appliance.recorder.line_worker import LineWorker, may_be_recorded
from appliance.recorder.start_checks import check_lines
from appliance.recorder.vault_link import VaultLink
from appliance.recordings.container import Consent, OpeningRecord, encode_opening
from appliance.recordings.disk import RecordingMissing
from appliance.recordings.folder import RecordingsFolder
from appliance.recordings.sealing import check_known_answers
from appliance.settings import DeviceSettings, LineSettings, Settings
from appliance.terms import RATE_HZ, CallId, ConsentBy, SettingsTrouble

SOFTWARE = f"linekeep {version('linekeep')}"
"""What an opening record names as its writer."""

_CALLS_END_WITHIN_S = 5.0


def main(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT.

    Raises:
        SettingsTrouble: the settings cannot be followed; the sentence says which.
        KeyTrouble: sealing does not work on this machine.
        StorageTrouble: the folder of growing recordings may not be used.
    """
    _check_grounds(settings.recorder.lines)
    check_lines(settings.recorder)
    log = start_log("recorder")
    stop = stop_on_signals()
    forbid_core_dumps()
    if not lock_memory():
        log.info("memory_not_locked")  # a person's own machine; the image has no swap
    wipe_freed_memory()
    check_known_answers()
    recorder = Recorder(settings, log)
    collect_garbage_rarely()
    recorder.start()
    log.info("recorder_ready")
    stop.wait()
    recorder.stop()
    return 0


class Recorder:
    """Every part of the recorder, wired."""

    def __init__(self, settings: Settings, log: structlog.stdlib.BoundLogger, clock: Clock | None = None) -> None:
        self._log = log
        self._clock = clock or Clock()
        self._settings = settings.recorder
        self._timezone = ZoneInfo(settings.webui.timezone)
        self._folder = RecordingsFolder(settings.state / "recordings")
        self._room = DiskRoom(self._folder.free_bytes, self._settings.reserve_mib)
        lines = self._settings.lines
        self._board = LineBoard(line.line for line in lines)
        self._link = VaultLink(
            settings.vault_socket(Caller.RECORDER),
            [line.line for line in lines if may_be_recorded(line)],
            self._board.read,
            self._clock,
            log,
        )
        self._workers = [self._worker(device) for device in self._settings.devices]

    def start(self) -> None:
        with contextlib.suppress(RecordingMissing):  # the vault makes the folder, and may start later
            self._folder.sweep_growing()
        self._link.start()
        for worker in self._workers:
            worker.start()

    def stop(self) -> None:
        """End the running calls, tell the vault, and end all threads."""
        for worker in self._workers:
            worker.ask_to_stop()
        end_by_s = time.monotonic() + _CALLS_END_WITHIN_S
        for worker in self._workers:
            if not worker.join(max(end_by_s - time.monotonic(), 0)):
                self._log.error("calls_not_ended")
        self._link.stop()

    def _worker(self, device: DeviceSettings) -> DeviceWorker:
        lines = {line.channel: self._line(line) for line in self._settings.lines if line.device == device.device}

        def new_capture() -> CaptureThread:
            return CaptureThread(sound_device(device), self._clock)

        return DeviceWorker(device.device, new_capture, lines, self._clock, self._log)

    def _local_time(self, at_ms: int) -> datetime:
        return datetime.fromtimestamp(at_ms / 1000, self._timezone)

    def _line(self, line: LineSettings) -> LineWorker:
        return LineWorker(
            line,
            Signals(self._settings.speech_above_floor_db),
            plan_of(line, self._settings),
            self._local_time,
            folder=self._folder,
            room=self._room,
            link=self._link,
            board=self._board,
            software=SOFTWARE,
            log=self._log,
            wires=_wires(line),
        )


def _wires(line: LineSettings) -> LineWires:
    if line.hook is None and line.ring is None:
        return LineWires()
    from appliance.recorder.device.gpio_input import hook_input, ring_input  # noqa: PLC0415 - most boxes have no such wire

    return LineWires(
        hook=hook_input(line.hook) if line.hook else None, ring=ring_input(line.ring) if line.ring else None
    )


def _check_grounds(lines: tuple[LineSettings, ...]) -> None:
    """Try whether each ground fits an opening record: better now than at the first call. Raises SettingsTrouble."""
    for line in lines:
        trial = OpeningRecord(
            call=CallId("0" * 32),
            line=line.line,
            started_at_ms=2**53,
            rate_hz=RATE_HZ,
            ground=line.ground.strip(),
            consent=Consent(at_ms=2**53, by=ConsentBy.ANNOUNCEMENT),
            software=SOFTWARE,
        )
        try:
            encode_opening(trial)
        except SettingsTrouble as trouble:
            raise SettingsTrouble(f"The ground of line '{line.name}' cannot be used: {trouble}") from trouble
