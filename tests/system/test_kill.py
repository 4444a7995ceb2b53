"""Kill -9 of every daemon at random moments of running calls: little is lost, nothing is spilled.

LINEKEEP_KILLS says how often each daemon dies (`make soak` takes more). The moments are seeded: a run that fails
can be had again.
"""

from __future__ import annotations

import os
import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from appliance.terms import RATE_HZ
from tests.system.house import DAEMONS, House, run_linekeep, until
from tests.system.sounds import Pcm, as_on_the_line, conversation, decoded_ogg, read_wav, write_wav
from tests.system.visitor import NAME, PASSWORD

pytestmark = pytest.mark.system

KILLS = int(os.environ.get("LINEKEEP_KILLS", "4"))
SEED = 20261101
MOST_LOST_S = 2.0
BACK_WITHIN_S = 30.0
TAKEN_OVER_WITHIN_S = 60.0
CALL_S = 22.0
LONGEST_SILENCE_S = 5.0
"""Pre-roll and pause; of a call that was cut at its first word no more may have been saved."""

MARKER_FRAMES = 64
_MARKER_EVERY_FRAMES = 2 * RATE_HZ
_LATEST_MOMENT_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A recorder that was killed: which call it wrote, and when that was."""

    call: str
    killed_ms: float


def marker() -> Pcm:
    """A kilohertz with a pattern of its own: no chance puts these bytes into a file."""
    tone = 9000 * np.sin(2 * np.pi * 1000 * np.arange(MARKER_FRAMES) / RATE_HZ)
    samples: Pcm = (tone + np.random.default_rng(SEED).integers(-900, 900, MARKER_FRAMES)).astype(np.int16)
    return samples


def write_marked_call(path: Path) -> Path:
    """A call in which the marker is said every two seconds, exactly."""
    said_once = write_wav(path.with_suffix(".spoken.wav"), conversation(CALL_S))
    said = as_on_the_line(said_once)[:, 0].copy()
    for at in range(_MARKER_EVERY_FRAMES, len(said) - MARKER_FRAMES, _MARKER_EVERY_FRAMES):
        said[at : at + MARKER_FRAMES] = marker()
    return write_wav(path, said, rate_hz=RATE_HZ)


class Killer:
    """Kills daemons of a house while calls run, and remembers which calls it cut."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.cuts: list[Cut] = []
        self._random = random.Random(SEED)

    def run(self, kills: int) -> None:
        for _ in range(kills):
            for name in self._random.sample(DAEMONS, len(DAEMONS)):
                self._kill_during_a_call(name)

    def _kill_during_a_call(self, name: str) -> None:
        call = self._call_at_a_random_moment()
        killed_s = self.house.kill(name)
        if name == "recorder":
            self.cuts.append(Cut(call=call, killed_ms=killed_s * 1000))
        until(lambda: is_well(self.house), BACK_WITHIN_S)

    def _call_at_a_random_moment(self) -> str:
        """A call that runs; it was waited for, and then some of it has passed."""
        while True:
            until(self._uncut_call, BACK_WITHIN_S)
            time.sleep(self._random.uniform(0, _LATEST_MOMENT_S))
            if call := self._uncut_call():
                return call

    def _uncut_call(self) -> str:
        call = running_call(self.house)
        return "" if call is None or call in {cut.call for cut in self.cuts} else call


def is_well(house: House) -> bool:
    """The page answers, the vault answers it, and the recorder told it a moment ago that it hears the line."""
    try:
        live = house.ask("/live")
    except OSError:
        return False
    return live.status == 200 and '"alarm":""' in live.text and '"trouble":""' in live.text


def running_call(house: House) -> str | None:
    """The newest call that is being recorded, as the catalogue has it."""
    rows = rows_of(house.state, "select call_id from calls where state = 'running' order by started_at_ms desc")
    return str(rows[0][0]) if rows else None


def rows_of(state: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(f"file:{state / 'catalogue.sqlite'}?mode=ro", uri=True, timeout=30)) as catalogue:
        return catalogue.execute(query).fetchall()


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killer]:
    """A house in which everything was killed KILLS times, and the last call has been taken over."""
    folder = tmp_path_factory.mktemp("killed")
    said = write_marked_call(folder / "call.wav")
    with House(folder / "state", [said], repeat=True) as house:
        assert house.claim().status == 303
        killer = Killer(house)
        killer.run(KILLS)
        until(lambda: {state_of(house, cut.call) for cut in killer.cuts} == {"kept"}, TAKEN_OVER_WITHIN_S)
        yield killer


def state_of(house: House, call: str) -> str:
    ((state,),) = rows_of(house.state, f"select state from calls where call_id = '{call}'")  # noqa: S608 - our own id
    return str(state)


def test_the_recorder_was_killed_in_the_middle_of_calls(killed: Killer) -> None:
    assert len(killed.cuts) == KILLS
    assert len({cut.call for cut in killed.cuts}) == KILLS


def test_a_killed_recorder_costs_a_call_two_seconds_at_most(killed: Killer) -> None:
    for cut in killed.cuts:
        query = f"select started_at_ms from calls where call_id = '{cut.call}'"  # noqa: S608 - our own id
        ((started_at_ms,),) = rows_of(killed.house.state, query)
        assert isinstance(started_at_ms, int)
        recovered_s = len(read_wav(killed.house.download(cut.call))) / RATE_HZ
        lost_s = (cut.killed_ms - started_at_ms) / 1000 - recovered_s
        assert -0.3 < lost_s < MOST_LOST_S, (cut, lost_s)


def test_every_call_that_is_listed_plays(killed: Killer, tmp_path: Path) -> None:
    calls = killed.house.calls()
    assert {cut.call for cut in killed.cuts} <= set(calls)
    for call in calls:
        wav = read_wav(killed.house.download(call))
        ogg = decoded_ogg(killed.house.download(call, "ogg"), tmp_path / "call.ogg")
        assert abs(len(wav) - len(ogg)) < RATE_HZ // 5
        if len(wav) > LONGEST_SILENCE_S * RATE_HZ:
            assert np.abs(wav.astype(int)).max() > 1000, f"call {call} is without a sound"


def test_the_running_box_finds_nothing_wrong_with_itself(killed: Killer) -> None:
    checked = run_linekeep("check", "--state", str(killed.house.state))
    assert (checked.returncode, checked.stdout) == (0, ""), checked.stdout + checked.stderr


def test_nothing_that_was_said_lies_in_the_clear(killed: Killer) -> None:
    house = killed.house
    feed = house.settings.run / "line" / "feed.raw"
    assert marker().tobytes() in feed.read_bytes(), "the search would find nothing"
    secrets = {
        "samples": marker().tobytes(),
        "samples, big-endian": marker().astype(">i2").tobytes(),
        "an Ogg stream": b"OpusHead",
        "the password": PASSWORD.encode(),
        "the claim code": house.ready["claim_code"].encode(),
    }
    files = [path for path in house.state.rglob("*") if path.is_file()]
    assert any(NAME.encode() in content for path in files if (content := path.read_bytes())), "nothing was read"
    for path in [*files, *deleted_but_open(house)]:
        content = path.read_bytes()
        spilled = [name for name, secret in secrets.items() if secret in content]
        assert not spilled, (path, spilled)


def deleted_but_open(house: House) -> list[Path]:
    """Files under the state directory that have no name any more but that a process still holds."""
    found = []
    for process in house.processes():
        for entry in Path(f"/proc/{process.pid}/fd").iterdir():
            try:
                target = str(entry.readlink())
            except OSError:
                continue  # closed meanwhile
            if target.startswith(str(house.state)) and target.endswith(" (deleted)"):
                found.append(entry)
    return found


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may look into processes that forbid it")
def test_the_processes_that_were_searched_are_all_of_them(killed: Killer) -> None:
    searched = {process.pid for process in killed.house.processes()}
    running = {process.pid for name in DAEMONS if (process := killed.house.daemon(name)) is not None}
    assert len(running) == len(DAEMONS)
    assert running <= searched


def test_the_box_ends_in_order_and_nothing_is_wrong(killed: Killer) -> None:
    killed.house.stop()
    checked = run_linekeep("check", "--state", str(killed.house.state))
    assert (checked.returncode, checked.stdout) == (0, ""), checked.stdout + checked.stderr
