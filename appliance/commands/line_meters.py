"""Listening to lines for a technician: the devices, and three ways to show what is heard.

The devices are opened as the recorder opens them. Nothing is written anywhere but to standard output, and no audio is
kept longer than its block.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Protocol

import numpy as np

from appliance.clock import Clock
from appliance.recorder.device.capture import Block, CaptureThread, Closed, DeviceBusy, Event, Lost, Opened
from appliance.recorder.device.sound_cards import sound_cards, sound_device
from appliance.recorder.ear.countries import COUNTRIES
from appliance.recorder.line_check import LineCheck, Told, Verdict
from appliance.settings import DeviceSettings, LineSettings, RecorderSettings
from appliance.terms import LineTrouble

_LOOK_S = 0.05
_PLAIN_EVERY_S = 1.0

_LOWEST_DBFS = -60
_BAR = 30
_DB_A_MARK = -_LOWEST_DBFS // _BAR
_NAME_WIDTH = 14
_SCALE = f"{'':{_NAME_WIDTH}} -60       -40  -24  -14      0 dBFS"
"""Above the bars; between -38 and -14 lies good speech, at -24 the best."""


class Screen(Protocol):
    """Where a check is shown."""

    def show_news(self, news: Iterable[Told]) -> None: ...

    def show_levels(self, lines: Sequence[LineCheck]) -> None:
        """Called some ten times a second."""

    def show_verdict(self, line: LineCheck, verdict: Verdict, /) -> None: ...


def screen_for(*, as_json: bool) -> Screen:
    if as_json:
        return _Json()
    return _Meters() if sys.stdout.isatty() else _Plain()


def check_lines(settings: RecorderSettings, screen: Screen, seconds: float) -> bool:
    """Listen to all lines for so long, or until Ctrl-C, and show what there is to say. Returns: all are good.

    Raises:
        LineTrouble: a device cannot be opened, or is lost.
    """
    devices = [_Device(device, settings) for device in settings.devices]
    lines = [line for device in devices for line in device.lines]
    with _listening(devices), suppress(KeyboardInterrupt):
        _listen(devices, lines, screen, time.monotonic() + seconds)
    verdicts = [line.verdict() for line in lines]
    for line, verdict in zip(lines, verdicts, strict=True):
        screen.show_verdict(line, verdict)
    return all(verdict.good for verdict in verdicts)


def list_cards() -> None:
    """Print the cards that are there, with what the settings may call them."""
    cards = sound_cards()
    for card in cards:
        known = [f"usb port {card.port}" if card.port else "not usb"]
        known += [f"serial {card.serial}"] if card.serial else []
        known += [f"channels {card.channels}"] if card.channels else []
        _say(f"{card.number}  {card.alsa:<24} {', '.join(known)}  {card.product}".rstrip())
    if not cards:
        _say("There is no sound card on this machine. Plug one in and ask again.")


class _Device:
    """A sound device and a line for each of its channels, those included that the settings do not name."""

    def __init__(self, device: DeviceSettings, settings: RecorderSettings) -> None:
        named = dict(_names(line for line in settings.lines if line.device == device.device))
        names = [named.get(channel, f"channel{channel}") for channel in range(device.channels)]
        country, above_db = COUNTRIES[settings.country], settings.speech_above_floor_db
        self.lines = [LineCheck(name, country, above_db) for name in names]
        self.capture = CaptureThread(sound_device(device), Clock())

    def take_all(self) -> Iterator[Told]:
        """What is new by now. Raises LineTrouble."""
        while (event := self.capture.next_event(_LOOK_S)) is not None:
            yield from self._take(event)
            if isinstance(event, Block):
                return  # so that many blocks in a row are seen one by one

    def _take(self, event: Event) -> Iterator[Told]:
        match event:
            case Block():
                for channel, line in enumerate(self.lines):
                    yield from line.hear(np.ascontiguousarray(event.samples[:, channel]))
            case Lost():
                yield from (line.lose(event.frames) for line in self.lines)
            case Closed(trouble=DeviceBusy() as busy):
                raise LineTrouble(
                    f"{busy} If it is the recorder (systemctl stop linekeep-recorder), start it again after the check."
                )
            case Closed():
                if event.trouble is not None:
                    raise event.trouble
            case Opened():
                pass


def _names(lines: Iterable[LineSettings]) -> Iterator[tuple[int, str]]:
    """What each channel is called; of sides that are apart, each by itself."""
    for line in lines:
        sides = ("",) if len(line.channels) == 1 else (" near", " far")
        yield from ((channel, line.name + side) for channel, side in zip(line.channels, sides, strict=True))


@contextmanager
def _listening(devices: Sequence[_Device]) -> Iterator[None]:
    for device in devices:
        device.capture.start()
    try:
        yield
    finally:
        for device in devices:
            device.capture.stop()


def _listen(devices: Sequence[_Device], lines: Sequence[LineCheck], screen: Screen, until_s: float) -> None:
    while time.monotonic() < until_s:
        for device in devices:
            screen.show_news(device.take_all())
        screen.show_levels(lines)


class _Json:
    """One object a line, as in a replay; `level` once a second, and `verdict` at the end."""

    def __init__(self) -> None:
        self._pace = _Pace()

    def show_news(self, news: Iterable[Told]) -> None:
        for told in news:
            _say(json.dumps(told))

    def show_levels(self, lines: Sequence[LineCheck]) -> None:
        if self._pace.due():
            for line in lines:
                _say(
                    json.dumps(
                        {"t": line.seconds, "what": "level", "line": line.name, "dbfs": round(line.level_dbfs, 1)}
                    )
                )

    def show_verdict(self, line: LineCheck, verdict: Verdict) -> None:
        facts: dict[str, Any] = {"good": verdict.good, "speech_dbfs": verdict.speech_dbfs}
        _say(json.dumps({"t": line.seconds, "what": "verdict", "line": line.name, **facts, "say": verdict.sentences}))


class _Plain:
    """Lines for a file or a pipe: each meter once a second."""

    def __init__(self) -> None:
        self._pace = _Pace()

    def show_news(self, news: Iterable[Told]) -> None:
        for _told in news:
            pass  # the meter names it

    def show_levels(self, lines: Sequence[LineCheck]) -> None:
        if self._pace.due():
            for line in lines:
                _say(_meter(line))

    def show_verdict(self, _line: LineCheck, verdict: Verdict) -> None:
        for sentence in verdict.sentences:
            _say(sentence)


class _Meters(_Plain):
    """One line of the terminal for each line of the telephone, drawn again and again."""

    def __init__(self) -> None:
        super().__init__()
        self._drawn = 0

    def show_levels(self, lines: Sequence[LineCheck]) -> None:
        width = shutil.get_terminal_size().columns - 1
        if not self._drawn:
            _say(_SCALE)
        up = f"\x1b[{self._drawn}F" if self._drawn else ""
        _say(up + "\n".join(f"{_meter(line)[:width]}\x1b[K" for line in lines))
        self._drawn = len(lines)


class _Pace:
    """Due once a second."""

    def __init__(self) -> None:
        self._next_s = 0.0

    def due(self) -> bool:
        now_s = time.monotonic()
        if now_s < self._next_s:
            return False
        self._next_s = now_s + _PLAIN_EVERY_S
        return True


def _meter(line: LineCheck) -> str:
    marks = round((max(line.level_dbfs, _LOWEST_DBFS) - _LOWEST_DBFS) / _DB_A_MARK)
    return f"{line.name:<{_NAME_WIDTH}} [{'#' * marks:<{_BAR}}] {line.level_dbfs:4.0f} dBFS  {line.heard_now}".rstrip()


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - the command's own output
