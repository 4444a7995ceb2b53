"""A long call: what the whole path costs beside the usual tools, and how fast the end of an hour is reached.

The cost is measured on twenty minutes through ALSA, faster than life. The hour to seek in is written by the
recorder's own class and handed to the vault as the recorder would: nothing is heard there, so no time need pass.
"""

from __future__ import annotations

import random
import resource
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np

from appliance.boundary.vault import VaultClient
from appliance.boundary.verbs import Caller, Purpose
from appliance.recorder.call import Call, CallStart
from appliance.recordings.container import Consent, EndReason
from appliance.recordings.folder import RecordingsFolder
from appliance.terms import RATE_HZ, CallId, ConsentBy, Direction, LineName
from tests.bench.box import BenchBox
from tests.bench.visitor import Visitor
from tests.system.sounds import Pcm, as_on_the_line, conversation, write_wav

SPEED = 20.0
"""ALSA's buffer of 5 s of line time is then 250 ms of ours: even a busy machine rarely keeps us waiting so long."""

CALL_S = 20 * 60
HOUR_S = 3600
SEEK_S = 59 * 60
PIECE_BYTES = 64 * 1024
_ASKED = 200
_AUDIO_BYTES_A_SECOND = 2052


def measure_hour(folder: Path) -> dict[str, Any]:
    """CPU seconds a line-hour beside ffmpeg and age, seek latency, and the first byte of a piece."""
    said = talking(folder, CALL_S)
    quiet = np.zeros(20 * RATE_HZ, np.int16)
    feed = np.concatenate([quiet[: 3 * RATE_HZ], said, quiet])[:, np.newaxis]
    (folder / "said.raw").write_bytes(said.tobytes())
    with BenchBox(folder, feed, speed=SPEED) as box:
        for daemon in ("vault", "webui", "front"):
            box.start(daemon)
        with Visitor(box) as visitor:
            ours_s, ended = _record(box)
            hours = ended["seconds"] / 3600
            theirs_s = ffmpeg_and_age_s(folder) / (CALL_S / 3600)
            figures = {
                "speed": SPEED,
                "recorded_s": ended["seconds"],
                "frames_lost_events": sum("frames_lost" in line for line in box.complaints),
                "recorder_s": round(ours_s["recorder"] / hours, 2),
                "vault_s": round(ours_s["vault"] / hours, 2),
                "recorder_and_vault_s": round(sum(ours_s.values()) / hours, 2),
                "ffmpeg_and_age_s": round(theirs_s, 2),
                "ratio": round(sum(ours_s.values()) / hours / theirs_s, 3),
            }
            box.end("recorder")
            call = _hour(box)
            return {
                "cpu_s_per_line_hour": figures,
                "seek_59_00_ms": _seek(box, visitor, call),
                "first_byte_https_64_kib_ms": _first_byte(visitor, call),
            }


def talking(folder: Path, seconds: float) -> Pcm:
    """Two voices that go on and on, at 8 kHz."""
    minute = as_on_the_line(write_wav(folder / "minute.wav", conversation(60, lead_s=0)))[:, 0]
    return np.tile(minute, int(seconds // 60) + 1)[: int(seconds * RATE_HZ)]


def _record(box: BenchBox) -> tuple[dict[str, float], dict[str, Any]]:
    """CPU seconds of the two daemons from the first frame until the call is kept; starting them is left out."""
    box.start("recorder")
    box.wait_for("recorder_ready")
    before = {name: box.cpu_s(name) for name in ("recorder", "vault")}
    ended = box.wait_for("call_ended", within_s=CALL_S / SPEED + 60)
    return {name: box.cpu_s(name) - cpu_s for name, cpu_s in before.items()}, ended


def _hour(box: BenchBox) -> CallId:
    """A call of an hour that the vault has taken over."""
    line, now_ms = LineName("line0"), int(time.time() * 1000)
    client = VaultClient(box.settings.vault_socket(Caller.RECORDER))
    issued = client.issue_call(line)
    start = CallStart(
        issued=issued,
        line=line,
        ground="A measurement.",
        consent=Consent(at_ms=now_ms, by=ConsentBy.DUTY),
        software="bench",
        started_at_ms=now_ms,
    )
    call = Call(RecordingsFolder(box.settings.state / "recordings").growing_path(issued.call), start)
    client.begin_call(issued.call, line, now_ms)
    second = np.zeros(RATE_HZ, np.int16)
    for _ in range(HOUR_S):
        call.add(second)
    call.finish(EndReason.SILENCE, direction=Direction.UNKNOWN, number="")
    client.finish_call(issued.call)
    client.close()
    return issued.call


def ffmpeg_and_age_s(folder: Path) -> float:
    """CPU seconds of the usual tools over the same audio."""
    made = subprocess.run(["age-keygen"], capture_output=True, text=True, check=True)
    recipient = next(line for line in made.stdout.splitlines() if "public key: " in line).rpartition(" ")[2]
    before_s = _children_cpu_s()
    ffmpeg = subprocess.Popen(
        [
            *("ffmpeg", "-v", "error", "-f", "s16le", "-ar", str(RATE_HZ), "-ac", "1", "-i", str(folder / "said.raw")),
            *("-c:a", "libopus", "-b:a", "16k", "-application", "voip", "-f", "ogg", "-"),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    subprocess.run(["age", "-r", recipient, "-o", str(folder / "said.age")], stdin=ffmpeg.stdout, check=True)
    if ffmpeg.wait() != 0:
        raise RuntimeError("ffmpeg failed")
    return _children_cpu_s() - before_s


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _seek(box: BenchBox, visitor: Visitor, call: CallId) -> dict[str, float]:
    """First the socket, where the first reading also has to find the key and open the file; then HTTPS."""
    offset = SEEK_S * _AUDIO_BYTES_A_SECOND
    client = VaultClient(box.vault_socket())
    client.who(visitor.login)  # connects
    socket_ms = []
    for number in range(20):
        began_s = time.perf_counter()
        read = client.read(visitor.login, call, offset - number, PIECE_BYTES, Purpose.LISTEN)
        socket_ms.append((time.perf_counter() - began_s) * 1000)
        if len(read.audio) != PIECE_BYTES:
            raise RuntimeError("the call has no 59th minute")
    client.close()
    visitor.connect_anew()
    https_ms = [_range(visitor, call, offset - number)[1] for number in range(20)]
    return {
        "socket_first_reading": round(socket_ms[0], 2),
        "socket_p50": round(statistics.median(socket_ms[1:]), 2),
        "https_p50": round(statistics.median(https_ms), 2),
    }


def _first_byte(visitor: Visitor, call: CallId) -> dict[str, float]:
    places = random.Random(1).choices(range(SEEK_S * _AUDIO_BYTES_A_SECOND), k=_ASKED)
    first_ms = sorted(_range(visitor, call, place)[0] for place in places)
    return {"p50": round(first_ms[_ASKED // 2], 2), "p95": round(first_ms[_ASKED * 95 // 100], 2)}


def _range(visitor: Visitor, call: CallId, first: int) -> tuple[float, float]:
    first_s, whole_s = visitor.first_byte_s(f"/calls/{call}/audio.ogg", first, PIECE_BYTES)
    return first_s * 1000, whole_s * 1000
