"""A call as volts on the wires, through the simulated interface, is told by the recorder as what it was."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from appliance.cli import main
from appliance.recorder.ear.countries import COUNTRIES
from appliance.recorder.ear.signals import Pcm, Signals
from appliance.recorder.line.line_facts import CallBegins
from appliance.recorder.line.line_plan import plan_of
from appliance.recorder.line.line_watch import Event, HookMoves, KeptCallEnds, LineWatch
from appliance.recorder.line_wires import LineWires
from appliance.settings import LineSettings, RecorderSettings
from appliance.sound_file import read_sound_file, write_wav
from appliance.terms import BLOCK_FRAMES, RATE_HZ, Direction
from hardware.bench import ZERO_DBM_V, netlist
from hardware.circuit import read_circuit
from hardware.spice import ask
from tests.simulators import line_tones
from tests.simulators.caller_id_tones import V23, Caller, call_setup, fsk
from tests.simulators.key_tones import Sender
from tests.simulators.line_tones import Sound
from tests.simulators.wired_line import SAMPLE_V, WiredLine, filtered, heard, heard_without_sound, sensed
from tests.simulators.wires import BlockClock, Edges, PlayedWire, ring_wire

CALLER = b"03023125471"
KEYS = "15"
NEAR_DBM0, FAR_DBM0 = -18.0, -26.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    line: WiredLine
    rung_s: tuple[float, float]
    lifted_s: float
    busy_s: float
    put_down_s: float


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Sound:
    """Six seconds of a voice, its level 0 dB."""
    path = tmp_path_factory.mktemp("voice") / "spoken.wav"
    text = "Good morning, this is the workshop. Your car is ready, you can pick it up today until six o'clock."
    subprocess.run(["espeak-ng", "-s", "150", "-w", path, "--", text], check=True, capture_output=True)
    sound = read_sound_file(path)[:, 0] / 32768
    return np.asarray(np.resize(sound, 6 * RATE_HZ) / np.sqrt(np.mean(sound**2)))


@pytest.fixture(scope="module")
def call(spoken: Sound) -> Call:
    busy = next(tone for tone in COUNTRIES["de"].tones if tone.name == "busy")
    caller_id = fsk(call_setup(Caller(number=CALLER)), V23) * SAMPLE_V
    line = WiredLine().wait(3).ring(1).wait(0.8).hear(caller_id).wait(1.5).ring(1).wait(1.2)
    lifted_s = line.lift().at_s
    line.wait(0.5).hear(_at(spoken, NEAR_DBM0)).wait(0.4)
    for key in KEYS:
        line.hear(Sender(tone_ms=120, level_dbm0=-9).key(key, np.random.default_rng(5)) * SAMPLE_V).wait(0.3)
    line.hear(_at(spoken, FAR_DBM0)).wait(0.5)
    busy_s = line.at_s
    line.hear(line_tones.tone(busy, 4, -15) * ZERO_DBM_V)
    put_down_s = line.put_down().at_s
    first, second = (burst.from_s for burst in line.bursts)
    return Call(line=line.wait(3), rung_s=(first, second), lifted_s=lifted_s, busy_s=busy_s, put_down_s=put_down_s)


def _at(sound: Sound, dbm0: float) -> Sound:
    return np.asarray(sound * ZERO_DBM_V * 10 ** (dbm0 / 20))


@pytest.fixture(scope="module")
def pcm(call: Call) -> Pcm:
    return heard(read_circuit(), call.line)


@pytest.fixture(scope="module")
def wires(call: Call) -> tuple[Edges, Edges]:
    return sensed(read_circuit(), call.line)


def test_replay_tells_ring_caller_keys_and_call_of_what_the_codec_hears(
    call: Call, pcm: Pcm, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_wav(tmp_path / "line.wav", pcm[:, np.newaxis])
    assert main(["replay", str(tmp_path / "line.wav"), "--country", "de", "--json"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    rings = [one["t"] for one in told if one["what"] == "ring" and one["state"] == "on"]
    assert rings == pytest.approx(call.rung_s, abs=0.15)
    assert [one["number"] for one in told if one["what"] == "caller_id"] == [CALLER.decode()]
    assert "".join(one["digit"] for one in told if one["what"] == "dtmf") == KEYS
    (begins,) = (one for one in told if one["what"] == "call_begin")
    (ends,) = (one for one in told if one["what"] == "call_end")
    assert (begins["direction"], begins["number"]) == ("in", CALLER.decode())
    # Without a hook input a call begins in the block in which the lifting clicks, or at its first word.
    assert call.lifted_s - 0.2 < begins["t"] < call.lifted_s + 1
    assert ends["t"] == pytest.approx(call.busy_s, abs=0.5)
    assert ends["kept"] is True


def test_the_simulated_wires_tell_ring_and_hook_within_the_promised_time(
    call: Call, pcm: Pcm, wires: tuple[Edges, Edges]
) -> None:
    hook, ring = wires
    events = _watched(pcm, hook, ring)
    moves = [(one.off, one.at_frame / RATE_HZ) for one in events if isinstance(one, HookMoves)]
    assert [off for off, _ in moves] == [False, True, False]
    assert [at_s for _, at_s in moves[1:]] == pytest.approx([call.lifted_s, call.put_down_s], abs=0.2)
    (begins,) = (one for one in events if isinstance(one, CallBegins))
    (ends,) = (one for one in events if isinstance(one, KeptCallEnds))
    assert begins.at_frame / RATE_HZ == pytest.approx(call.lifted_s, abs=0.2)
    assert ends.party.number == CALLER.decode()
    assert ends.party.direction is Direction.IN


def test_ringing_that_a_deaf_codec_does_not_hear_is_known_by_the_ring_input(
    call: Call, pcm: Pcm, wires: tuple[Edges, Edges]
) -> None:
    hook, ring = wires
    deaf = pcm.copy()
    deaf[: round(call.lifted_s * RATE_HZ)] = 0
    (ends,) = (one for one in _watched(deaf, hook, ring) if isinstance(one, KeptCallEnds))
    assert ends.party.direction is Direction.IN
    (unsensed,) = (one for one in _watched(deaf, hook, []) if isinstance(one, KeptCallEnds))
    assert unsensed.party.direction is not Direction.IN


def _watched(pcm: Pcm, hook: Edges, ring: Edges) -> list[Event]:
    settings = RecorderSettings()
    plan = plan_of(LineSettings(name="front", alsa="line0", ground="x", consent="duty"), settings)
    watch = LineWatch(Signals(settings.speech_above_floor_db), plan, lambda _frame: False)
    clock = BlockClock()
    wires = LineWires(hook=PlayedWire(hook, lambda: clock.ns), ring=ring_wire(ring, lambda: clock.ns), now_ns=clock)
    events: list[Event] = []
    for first in range(0, len(pcm) - BLOCK_FRAMES + 1, BLOCK_FRAMES):
        events += watch.hear(first, pcm[first : first + BLOCK_FRAMES], wires.read(first + BLOCK_FRAMES)).events
    return events


def test_ringing_and_hook_through_the_whole_circuit_are_heard_where_they_were(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Clamps and the ring sense bend the wave, and give it overtones.
    line = WiredLine(ring_v=60).wait(2).ring(1).wait(2).lift().wait(1.5)
    write_wav(tmp_path / "line.wav", heard_without_sound(read_circuit(), line)[:, np.newaxis])
    assert main(["replay", str(tmp_path / "line.wav"), "--country", "de", "--json"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    rings = {one["state"]: one["t"] for one in told if one["what"] == "ring"}
    assert rings == pytest.approx({"on": 2, "off": 3}, abs=0.15)


def test_a_tone_through_the_linear_response_is_that_of_the_whole_circuit() -> None:
    circuit = read_circuit()
    tone = "V_a a 0 SIN(3 0.2 1000)", "E_b b 0 a 0 -1"
    answer = ask(netlist(circuit, *tone), "tran 10u 0.05 0 10u", ["out"])
    seconds = np.arange(RATE_HZ // 20) / RATE_HZ
    linear = filtered(circuit, 0.4 * np.sin(2 * np.pi * 1000 * seconds))
    late = seconds > 0.03
    whole = np.interp(seconds, answer.scale, answer["out"])
    assert np.std((linear - whole)[late]) < 0.02 * np.std(whole[late])
