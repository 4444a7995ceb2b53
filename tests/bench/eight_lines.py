"""Eight lines at once in real time: how soon the page shows a call, and how much of it a dead recorder takes along."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

from appliance.boundary import verbs
from appliance.boundary.vault import VaultClient
from appliance.boundary.verbs import Purpose
from appliance.terms import RATE_HZ, CallId
from tests.bench.box import BenchBox
from tests.bench.hour import talking
from tests.bench.visitor import Visitor
from tests.system.sounds import Pcm, decoded_ogg, match

LINES = 8
KILLS = 3
_QUIET_S = 4.0
_APART_S = 0.43
"""Calls begin at different places of a second, so that one kill hits each at another place of its page."""

_KILL_AFTER_S = (6.1, 7.4, 6.7)
_LOOK_EVERY_S = 0.1
_MOST_LOST_S = 5.0
_BYTES_A_SECOND = 2000


def measure_eight_lines(folder: Path) -> dict[str, Any]:
    """Seconds until 'recording now' is on the page, and seconds lost by kill -9 of the recorder."""
    feed = _feed(folder)
    with BenchBox(folder, feed) as box:
        for daemon in ("vault", "webui", "front"):
            box.start(daemon)
        with Visitor(box) as visitor:
            box.start("recorder")
            shown_s = _until_shown(box, visitor, feed)
            lost_s = [lost for pause_s in _KILL_AFTER_S[:KILLS] for lost in _kill(box, visitor, feed, folder, pause_s)]
    return {
        "speech_to_recording_now_s": {"tries": len(shown_s), "p50": _median(shown_s), "max": round(max(shown_s), 2)},
        "lost_by_kill_of_recorder": {
            "tries": len(lost_s),
            "p50_s": _median(lost_s),
            "max_s": round(max(lost_s), 2),
            "max_audio_bytes": round(max(lost_s) * _BYTES_A_SECOND),
        },
    }


def _feed(folder: Path) -> Pcm:
    said = talking(folder, 100)
    feed = np.zeros((round((_QUIET_S + LINES * _APART_S) * RATE_HZ) + len(said), LINES), np.int16)
    for line in range(LINES):
        first = round((_QUIET_S + line * _APART_S) * RATE_HZ)
        feed[first : first + len(said), line] = said
    return feed


def _until_shown(box: BenchBox, visitor: Visitor, feed: Pcm) -> list[float]:
    """For each line, from the first loud frame until the page says that it is recorded."""
    spoken = {f"line{line}": int(np.argmax(np.abs(feed[:, line]) > 300)) for line in range(LINES)}
    shown: dict[str, float] = {}
    give_up = time.monotonic() + 30
    while len(shown) < LINES and time.monotonic() < give_up:
        for line in visitor.live()["lines"]:
            if line["state"] == "recording" and line["line"] not in shown:
                shown[line["line"]] = (box.line.frame_now() - spoken[line["line"]]) / RATE_HZ
        time.sleep(_LOOK_EVERY_S)
    return [shown[line] for line in spoken]


def _kill(box: BenchBox, visitor: Visitor, feed: Pcm, folder: Path, pause_s: float) -> list[float]:
    """Kill the recorder amid eight calls; let the vault take over what is left; compare."""
    time.sleep(pause_s)
    killed_at = box.line.frame_now()
    box.kill("recorder")
    ended = [box.wait_for("call_ended") for _ in range(LINES)]
    box.start("recorder")
    client = VaultClient(box.vault_socket())
    calls = {page.call: int(page.line.removeprefix("line")) for page in _listed(client, visitor)}
    lost = []
    for told in ended:
        heard = decoded_ogg(_whole(client, visitor, told["call"]), folder / "heard.ogg")
        lost.append(_lost_s(heard, feed[:, calls[told["call"]]], killed_at))
    client.close()
    for _ in range(LINES):
        box.wait_for("call_begun")
    return lost


def _listed(client: VaultClient, visitor: Visitor) -> Any:
    return client.list_calls(verbs.ListCalls(login=visitor.login)).calls


def _whole(client: VaultClient, visitor: Visitor, call: CallId) -> bytes:
    return client.read(visitor.login, call, 0, 2**20, Purpose.LISTEN).audio


def _lost_s(heard: Pcm, said: Pcm, killed_at: int) -> float:
    """From the last frame that was kept to the one that was being said. Looks only near the end: speech repeats."""
    first = max(0, killed_at - len(heard) - round(_MOST_LOST_S * RATE_HZ))
    fit = match(heard, said[first:killed_at])
    return (killed_at - first - (len(heard) - fit.lead)) / RATE_HZ


def _median(seconds: list[float]) -> float:
    return round(statistics.median(seconds), 2)
