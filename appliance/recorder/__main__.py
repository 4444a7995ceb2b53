"""The recorder daemon: settings, log, board, link, lines, devices; then waits to be told to stop."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from datetime import datetime
from importlib.metadata import version
from zoneinfo import ZoneInfo

import structlog

from appliance.boundary.verbs import Caller
from appliance.clock import Clock
from appliance.daemon import (
    Pulse,
    collect_garbage_rarely,
    forbid_core_dumps,
    lock_memory,
    start_log,
    stay_until,
    stop_on_signals,
    wipe_freed_memory,
)
from appliance.recorder.daily_tone import DailyTime
from appliance.recorder.device.capture import CaptureThread
from appliance.recorder.device.playback import Output
from appliance.recorder.device.relay import Relay
from appliance.recorder.device.sound_cards import playback_device, sound_device
from appliance.recorder.device_worker import DeviceWorker
from appliance.recorder.disk_room import DiskRoom
from appliance.recorder.ear.sides import signals_for
from appliance.recorder.line.line_plan import LinePlan, plan_of
from appliance.recorder.line_board import LineBoard
from appliance.recorder.line_voice import LineVoice
from appliance.recorder.line_wires import LineWires
from appliance.recorder.line_worker import LineWorker, may_be_recorded
from appliance.recorder.panel.case_switch import CaseWatch
from appliance.recorder.panel.panel import GiveOrder, LinePanel, PanelThread
from appliance.recorder.start_checks import check_lines
from appliance.recorder.vault_link import VaultLink
from appliance.recordings.container import Consent, OpeningRecord, encode_opening
from appliance.recordings.disk import RecordingMissing
from appliance.recordings.folder import RecordingsFolder
from appliance.recordings.sealing import check_known_answers
from appliance.settings import DeviceSettings, GpioSettings, LineSettings, Settings
from appliance.terms import RATE_HZ, CallId, ConsentBy, SettingsTrouble

SOFTWARE = f"linekeep {version('linekeep')}"
"""What an opening record names as its writer."""

_CALLS_END_WITHIN_S = 5.0

_HANGS_AFTER_S = 20.0
"""A thread that has not come round for so long; each does within a second, whether its device is there or not. With
systemd's patience on top this stays below a minute; a slow disk may hold a thread up for some seconds."""


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
    stay_until(stop, recorder.is_alive)
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
        outputs = {line.output.device: line.output for line in lines if line.output}
        self._playbacks = {device: playback_device(output, log) for device, output in outputs.items()}
        self._pulses: list[Pulse] = []
        self._workers = [self._worker(device) for device in self._settings.devices]
        self._panel = PanelThread(
            self._panels(), self._board.look, lambda: self._link.is_claimed, log=log, case=self._case_watch()
        )

    def start(self) -> None:
        with contextlib.suppress(RecordingMissing):  # the vault makes the folder, and may start later
            self._folder.sweep_growing()
        self._link.start()
        for playback in self._playbacks.values():
            playback.start()
        for worker in self._workers:
            worker.start()
        self._panel.start()

    def is_alive(self) -> bool:
        """Does every thread go round? To wait for a device that is missing is to live; to hang in it is not."""
        return self._link.is_alive and all(pulse.silent_s < _HANGS_AFTER_S for pulse in self._pulses)

    def stop(self) -> None:
        """End the running calls, tell the vault, and end all threads."""
        for worker in self._workers:
            worker.ask_to_stop()
        end_by_s = time.monotonic() + _CALLS_END_WITHIN_S
        for worker in self._workers:
            if not worker.join(max(end_by_s - time.monotonic(), 0)):
                self._log.error("calls_not_ended")
        for playback in self._playbacks.values():
            playback.stop()
        self._panel.stop()
        self._link.stop()

    def _worker(self, device: DeviceSettings) -> DeviceWorker:
        lines = {line.channels: self._line(line) for line in self._settings.lines if line.device == device.device}

        hearing, working = Pulse(), Pulse()
        self._pulses += (hearing, working)

        def new_capture() -> CaptureThread:
            return CaptureThread(sound_device(device), self._clock, pulse=hearing)

        return DeviceWorker(device.device, new_capture, lines, self._clock, self._log, pulse=working)

    def _panels(self) -> Iterator[LinePanel]:
        for line in self._settings.lines:
            if line.lamp is not None or line.button is not None:
                yield _panel(line, self._link.give_order, self._log)

    def _case_watch(self) -> CaseWatch | None:
        if self._settings.tamper is None:
            return None
        from appliance.recorder.device.gpio import case_input  # noqa: PLC0415 - most boxes have no such wire

        return CaseWatch(case_input(self._settings.tamper), self._link.note_case, self._log)

    def _local_time(self, at_ms: int) -> datetime:
        return datetime.fromtimestamp(at_ms / 1000, self._timezone)

    def _line(self, line: LineSettings) -> LineWorker:
        plan = plan_of(line, self._settings)
        return LineWorker(
            line,
            signals_for(len(line.channels), self._settings.speech_above_floor_db),
            plan,
            self._local_time,
            folder=self._folder,
            room=self._room,
            link=self._link,
            board=self._board,
            software=SOFTWARE,
            log=self._log,
            wires=_wires(line),
            voice=self._voice(line, plan),
        )

    def _voice(self, line: LineSettings, plan: LinePlan) -> LineVoice | None:
        output = line.output
        if output is None:
            return None
        announcement = plan.announcement.samples if plan.announcement and line.plays_announcement else None
        tested = [each for each in self._settings.lines if each.output and each.output.self_test]
        self_test = DailyTime(output.self_test, turn=tested.index(line)) if output.self_test else None
        way_in = Output(self._playbacks[output.device], output.channel, _relay(output.relay))
        return LineVoice(line.line, way_in, announcement, self_test, self._log)


def _wires(line: LineSettings) -> LineWires:
    if line.hook is None and line.ring is None:
        return LineWires()
    from appliance.recorder.device.gpio import hook_input, ring_input  # noqa: PLC0415 - most boxes have no such wire

    return LineWires(
        hook=hook_input(line.hook) if line.hook else None, ring=ring_input(line.ring) if line.ring else None
    )


def _relay(wire: GpioSettings | None) -> Relay | None:
    if wire is None:
        return None
    from appliance.recorder.device.gpio import relay_output  # noqa: PLC0415 - as above

    return Relay(relay_output(wire))


def _panel(line: LineSettings, give_order: GiveOrder, log: structlog.stdlib.BoundLogger) -> LinePanel:
    from appliance.recorder.device.gpio import GpioOutput, button_input  # noqa: PLC0415 - as above

    return LinePanel(
        line.line,
        lamp=GpioOutput(line.lamp) if line.lamp else None,
        button=button_input(line.button) if line.button else None,
        give_order=give_order,
        log=log,
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
            channels=2,
        )
        try:
            encode_opening(trial)
        except SettingsTrouble as trouble:
            raise SettingsTrouble(f"The ground of line '{line.name}' cannot be used: {trouble}") from trouble
