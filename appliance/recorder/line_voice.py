"""What the box itself says into one line: the announcement to who calls, and the daily test tone.

Promise: it speaks only into a call that came in and waits for its consent, once, and only as long as that waits. What
is refused, forgotten, agreed to or over is not spoken into, nor a call at private hours, of a listed number, on a line
without a ground, nor one that was on the line before the box. It tests only where nothing has gone on for a minute,
and breaks off when something begins.

That it has played says nothing of consent: what was heard on the line does (`line/consent`), and this is only how the
announcement gets there. So whatever goes wrong here leaves the call as it is: without an announcement.

Outgoing calls hear nothing. That somebody has answered is known by a voice, which may be the network's or a machine's,
and the text is written for who calls; there the own side says it, and confirms.

Leaves to others: the sound device and its thread (device/playback), what a call is (line_watch).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

import numpy as np
import structlog

from appliance.recorder.daily_tone import HEARD_FOR_S, DailyTime, daily_tone, tone_level_dbfs, tone_trouble
from appliance.recorder.device.playback import Outcome
from appliance.recorder.ear.signals import Pcm
from appliance.recorder.line.line_facts import CallBegins, Route
from appliance.recorder.line.line_state import State
from appliance.recorder.line.line_watch import LineWatch, Watched
from appliance.terms import RATE_HZ, LineName

_SETTLES_FRAMES = RATE_HZ
"""From when the call is known: whoever has lifted the handset has it at the ear by then."""
_PAUSE_FRAMES = RATE_HZ // 2
"""Without a voice: who says the firm's name first has said it."""
_WAITS_FRAMES = 5 * RATE_HZ
"""For that pause."""
_IDLE_FRAMES = 60 * RATE_HZ


class Sounding(Protocol):
    """As playback.Sounding promises it."""

    @property
    def outcome(self) -> Outcome: ...

    def stop(self) -> None: ...


class Output(Protocol):
    """As playback.Output promises it."""

    @property
    def trouble(self) -> str: ...

    def play(self, samples: Pcm) -> Sounding: ...


class LineVoice:
    """The voice of one line. All methods are called by the thread of its device.

    Args:
        announcement: as it is played, int16, 8 kHz; None: there is none to play.
        self_test: when the tone is due; None: never.
    """

    def __init__(
        self,
        line: LineName,
        output: Output,
        announcement: Pcm | None,
        self_test: DailyTime | None,
        log: structlog.stdlib.BoundLogger,
    ) -> None:
        self._line = line
        self._output = output
        self._announcement = announcement
        self._self_test = self_test
        self._log = log
        self._answered_frame: int | None = None
        """Where a call began to which the announcement is still to be played."""
        self._quiet_frames = 0
        self._idle_frames = 0
        self._announces: Sounding | None = None
        self._tests: Sounding | None = None
        self._heard: list[Pcm] = []
        """Since the tone was asked for."""
        self._test_trouble = ""

    @property
    def announces(self) -> bool:
        """The announcement is on its way."""
        return self._announces is not None

    @property
    def tests(self) -> bool:
        """The tone is on its way, and no fact of the line."""
        return self._tests is not None

    @property
    def trouble(self) -> str:
        """Why it cannot speak, or is not heard, as a sentence."""
        return self._output.trouble or self._test_trouble

    def follow(self, watch: LineWatch, watched: Watched, samples: Pcm, now: Callable[[], datetime]) -> None:
        """After each block, of one channel or two: what is to be said next, and is what is said still wanted?"""
        self._quiet_frames = 0 if watched.heard.speech else self._quiet_frames + len(samples)
        self._announce(watch, watched)
        self._test(watch, watched, samples, now)

    def fall_silent(self) -> None:
        """The line is not heard any more."""
        self._end_announcement()
        self._end_test()
        self._answered_frame, self._quiet_frames, self._idle_frames = None, 0, 0

    # the announcement

    def _announce(self, watch: LineWatch, watched: Watched) -> None:
        if self._announcement is None:
            return
        for event in watched.events:
            if isinstance(event, CallBegins) and not event.goes_on:
                self._end_announcement()
                self._answered_frame = watch.end_frame if event.route is Route.RANG else None
        if watch.gate is None or not watch.gate.waits:
            self._end_announcement()
            self._answered_frame = None
        elif self._answered_frame is not None and self._may_begin(watch.end_frame - self._answered_frame):
            self._answered_frame = None
            self._announces = self._output.play(self._announcement)
            self._log.info("announcement_plays", line=self._line)
        elif self._announces is not None and self._announces.outcome is not Outcome.PLAYS:
            self._end_announcement()

    def _may_begin(self, since_frames: int) -> bool:
        settled = since_frames >= _SETTLES_FRAMES and self._quiet_frames >= _PAUSE_FRAMES
        return settled or since_frames >= _WAITS_FRAMES

    def _end_announcement(self) -> None:
        if self._announces is not None:
            self._announces.stop()
            self._log.info("announcement_ends", line=self._line, how=self._announces.outcome.name.lower())
            self._announces = None

    # the test

    def _test(self, watch: LineWatch, watched: Watched, samples: Pcm, now: Callable[[], datetime]) -> None:
        if self._self_test is None:
            return
        due = self._self_test.is_due(now())
        if watch.state is not State.IDLE:
            self._end_test()
            self._idle_frames = 0
        elif self._tests is not None:
            self._heard.append(samples.copy())
            if sum(map(len, self._heard)) >= HEARD_FOR_S * RATE_HZ:
                self._judge(self._tests, self._self_test, now())
        elif watched.heard.speech:
            self._idle_frames = 0
        else:
            self._idle_frames += len(samples)
            if due and self._idle_frames >= _IDLE_FRAMES:
                self._tests = self._output.play(daily_tone())

    def _judge(self, tested: Sounding, self_test: DailyTime, now: datetime) -> None:
        # Where the sides are apart, the coupler returns it on the one that it speaks into.
        sides = np.atleast_2d(np.concatenate(self._heard).T)
        levels = [level for side in sides if (level := tone_level_dbfs(side)) is not None]
        level_dbfs = max(levels, default=None)
        broken = tested.outcome is Outcome.BROKEN
        if not broken:  # else the output says why
            self._test_trouble = tone_trouble(level_dbfs)
        if broken or self._test_trouble:
            self_test.failed(now)
        else:
            self_test.done(now)
        how = tested.outcome.name.lower()
        self._log.info("self_test", line=self._line, how=how, level_dbfs=level_dbfs, trouble=self._test_trouble)
        self._end_test()

    def _end_test(self) -> None:
        """Also of one that was not finished, which is due still."""
        if self._tests is not None:
            self._tests.stop()
            self._tests = None
        for piece in self._heard:
            piece.fill(0)
        self._heard.clear()
