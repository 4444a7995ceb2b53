"""What must not be recorded leaves no trace: not on the disk, in a log, in a core dump, nor in memory for long.

Calls of every kind come in side by side, on one card, beside calls that are kept; marks in their audio are hunted
while the calls wait, after the decision and when all is over, and after every kill -9 of recorder and vault. The same
hunt finds the marks where they are played, in the recorder's memory while a call waits, and behind a recorder that
makes two mistakes. LINEKEEP_KILLS says how often is killed (`make soak` takes more); the moments are seeded.

Swap is not read: what is shown is that all memory is locked and none of it swapped out. What packets of Opus without
their container would look like nobody can search for; that audio is encoded at all only once there is a ground shows in
`tests/recorder/test_line_consent.py`.
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from appliance.terms import RATE_HZ
from tests.simulators.many_lines import REST_S
from tests.simulators.unkept_calls import (
    ANSWERED_AT_S,
    FORGOTTEN,
    KEPT,
    KINDS,
    MAGIC,
    MARK_EVERY_FRAMES,
    Kind,
    marked_at_frame,
    number_of,
    write_calls,
)
from tests.system.house import ROOT, House, run_linekeep, until
from tests.system.hunt import Found, forms, hunt, hunt_files, hunt_memory, hunt_open_files
from tests.system.sounds import as_on_the_line, match, read_wav
from tests.system.test_kill import BACK_WITHIN_S, is_well, rows_of
from tests.system.visitor import NAME

pytestmark = pytest.mark.system

KILLS = int(os.environ.get("LINEKEEP_KILLS", "12"))
SEED = 20261104
TALK_S, KILLED_TALK_S = 16.0, 14.0
WAITING_S, DECIDED_S, OVER_S = 8.0, ANSWERED_AT_S + 13, ANSWERED_AT_S + TALK_S + REST_S
"""Of the feed: nothing is decided but what a number decides; all is that will be before a hang-up; all are over."""
TAKEN_OVER_WITHIN_S = 20.0
MEMORY_KEEPS_S = 6.0
"""The ear for caller ID hears the last 5 s at once, and what is new comes in blocks."""
LEAVES_WITHIN_S = 10.0
_WAV_HEADER_BYTES = 44
_LATEST_MOMENT_S = 1.5
_CRASHES = {0: signal.SIGABRT, 1: signal.SIGABRT, 2: signal.SIGSEGV, 3: signal.SIGSEGV}
"""In place of kill -9: what would leave a core, of the recorder and of the vault."""

UNKEPT = [kind for kind in KINDS if kind.name not in KEPT]
WAITS_TO_THE_END = "hung-up"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may look into processes that forbid it")


@dataclass
class Box:
    """A house with a line for every kind of call.

    spilled: every mark that was ever found outside of memory.
    remembered: the marks in the recorder's memory, by the second of the feed at which the hunt began.
    """

    folder: Path
    house: House
    audio: Path
    spilled: list[Found] = field(default_factory=list)
    remembered: dict[float, list[Found]] = field(default_factory=dict)

    @cached_property
    def _begun_ns(self) -> int:
        until((self.house.knobs / "started").exists)
        return int((self.house.knobs / "started").read_text())

    @property
    def now_s(self) -> float:
        return (time.monotonic_ns() - self._begun_ns) / 1e9

    def wait_until(self, feed_s: float) -> None:
        time.sleep(max(0.0, feed_s - self.now_s))

    def hunt(self) -> None:
        """Everywhere but in memory."""
        house, folder = self.house, self.folder
        self.spilled += hunt_files(house.state, house.settings.run, Path("/dev/shm"), *map(folder.joinpath, _OWN))  # noqa: S108
        for process in house.processes():
            try:
                self.spilled += hunt_open_files(process)
            except (FileNotFoundError, PermissionError):
                continue  # killed meanwhile; or we are not root, and it forbids us to look

    def look_into_memory(self) -> None:
        recorder = self.house.daemon("recorder")
        if os.geteuid() == 0 and recorder is not None:
            began_s = self.now_s
            self.remembered[began_s] = hunt_memory(recorder)

    def oldest_s(self, began_s: float) -> dict[str, float]:
        """By line, how long ago the oldest mark was said that the hunt at that second of the feed has found."""
        oldest: dict[str, float] = {}
        for found in self.remembered[began_s]:
            if found.channel >= 0:
                age_s = began_s - marked_at_frame(found.index) / RATE_HZ
                oldest[KINDS[found.channel].name] = max(age_s, oldest.get(KINDS[found.channel].name, 0.0))
        return oldest

    def channels_spilled(self) -> set[str]:
        return {KINDS[found.channel].name for found in self.spilled if found.channel >= 0}

    def recorded(self) -> dict[str, str]:
        """Every call of which there is, or was, audio: its line."""
        query = "select call_id, line from calls where state not in ('issued', 'forgotten') and not_kept = ''"
        return {str(call): str(line) for call, line in rows_of(self.house.state, query)}

    def files(self) -> list[Path]:
        return [path for path in (self.house.state / "recordings").rglob("*") if path.is_file()]

    def told(self, daemon: str) -> list[dict[str, Any]]:
        log = (self.folder / "logs" / daemon).read_text("utf-8")
        return [json.loads(line) for line in log.splitlines() if line.startswith("{")]

    def why_not_kept(self, line: str) -> list[str]:
        """As the recorder says in its log."""
        events = {"call_not_kept", "call_dropped"}
        return [told["why"] for told in self.told("recorder") if told["event"] in events and told["line"] == line]


_OWN = ("tmp", "logs", "cores")


def begin(stack: ExitStack, folder: Path, *, talk_s: float, first_pass: bool, recorder: str = "") -> Box:
    """Start a box, with a folder for passing files of its own."""
    folder.mkdir()
    audio, _lines = write_calls(folder, talk_s=talk_s, first_pass=first_pass)
    (folder / "tmp").mkdir()
    patch = stack.enter_context(pytest.MonkeyPatch.context())
    patch.setenv("TMPDIR", str(folder / "tmp"))
    command = [sys.executable, "-m", "tests.simulators.many_lines", str(folder)]
    command += ["--recorder", recorder] if recorder else []
    house = House(folder / "state", [audio], repeat=not first_pass, command=command)
    stack.enter_context(house)
    assert house.claim().status == 303
    return Box(folder, house, audio)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    product: Box
    careless: Box


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """All calls once, before the product and before a recorder that makes mistakes; all of them are over."""
    folder = tmp_path_factory.mktemp("scene")
    with ExitStack() as stack:
        product = begin(stack, folder / "product", talk_s=TALK_S, first_pass=True)
        careless = begin(
            stack,
            folder / "careless",
            talk_s=TALK_S,
            first_pass=True,
            recorder="tests.simulators.careless_recorder",
        )
        product.wait_until(WAITING_S)
        product.hunt()
        product.look_into_memory()
        careless.wait_until(WAITING_S)
        careless.hunt()
        careless.wait_until(DECIDED_S - 3)
        careless.hunt()
        product.wait_until(DECIDED_S)
        product.hunt()
        product.look_into_memory()
        for box in (product, careless):
            box.wait_until(OVER_S + 1)
            until(lambda box=box: all_taken_over(box), TAKEN_OVER_WITHIN_S)  # type: ignore[misc]
        product.hunt()
        product.look_into_memory()
        yield Scene(product=product, careless=careless)


def all_taken_over(box: Box) -> bool:
    states = {str(state) for (state,) in rows_of(box.house.state, "select state from calls where state != 'issued'")}
    return states == {"kept"} and set(box.recorded().values()) >= KEPT


@pytest.fixture(scope="module")
def product(scene: Scene) -> Box:
    return scene.product


# what is hunted can be found


def test_the_hunt_finds_every_mark_where_it_is_played(product: Box) -> None:
    played = list(hunt(product.audio.read_bytes(), "the audio"))
    expected = {
        (channel, index)
        for channel in range(len(KINDS))
        for index in range(round(TALK_S * RATE_HZ) // MARK_EVERY_FRAMES)
    }
    assert len(expected) > 40 * len(KINDS)
    assert {(found.channel, found.index) for found in played} == expected


def test_the_hunt_finds_a_mark_in_every_form() -> None:
    for form, content in forms().items():
        (found,) = (found for found in hunt(b"xyz" + content + b"xyz", "a file") if found.form == form)
        assert found.where == "a file"


def test_companded_marks_are_what_a_stranger_makes_of_them(tmp_path: Path) -> None:
    for codec, own in (("mulaw", forms()["mu-law"]), ("alaw", forms()["A-law"])):
        command = ["ffmpeg", "-v", "error", "-f", "s16le", "-ar", "8000", "-ac", "1", "-i", "-", "-f", codec, "-"]
        made = subprocess.run(command, input=MAGIC.tobytes(), capture_output=True, check=True, timeout=60).stdout
        assert made == own


@as_root
def test_a_call_that_waits_is_in_the_memory_of_the_recorder_and_is_found_there(product: Box) -> None:
    for began_s in sorted(product.remembered)[:2]:
        assert product.oldest_s(began_s)[WAITS_TO_THE_END] > began_s - ANSWERED_AT_S - 1


def test_a_recorder_that_keeps_waiting_audio_in_a_file_is_caught(scene: Scene) -> None:
    spilled = scene.careless.channels_spilled()
    assert {kind.name for kind in UNKEPT if kind.why} <= spilled, spilled


def test_a_recorder_that_takes_a_no_for_a_yes_is_caught(scene: Scene) -> None:
    recorded = set(scene.careless.recorded().values())
    assert {kind.name for kind in UNKEPT if kind.why} <= recorded, recorded


# what must not be recorded


@pytest.mark.parametrize("kind", UNKEPT, ids=lambda kind: kind.name)
def test_of_a_call_that_must_not_be_kept_only_the_reason_remains(product: Box, kind: Kind) -> None:
    assert kind.name not in product.recorded().values()
    assert product.why_not_kept(kind.name) == ([kind.why] if kind.why else [])


def test_no_mark_is_anywhere_while_calls_wait_nor_later(product: Box) -> None:
    assert product.spilled == []


def test_the_calls_beside_them_are_kept_and_are_their_own(product: Box) -> None:
    said = as_on_the_line(product.audio)
    names = [kind.name for kind in KINDS]
    recorded = {call: line for call, line in product.recorded().items() if line in KEPT}
    assert sorted(recorded.values()) == sorted(KEPT)
    for call, line in recorded.items():
        wav = read_wav(product.house.download(call))
        alike = {name: match(wav, said[:, channel]).whole for channel, name in enumerate(names)}
        assert alike.pop(line) > 0.8, (line, alike)
        assert max(alike.values()) < 0.5, (line, alike)


def test_no_file_of_a_recording_is_there_but_theirs(product: Box) -> None:
    recorded = product.recorded()
    for path in product.files():
        assert path.name[:32] in recorded, path


def test_nobody_gets_a_sound_of_them_with_any_key_that_is_left(product: Box) -> None:
    unkept = {kind.name for kind in UNKEPT} - set(product.recorded().values())
    ids = [call for call, line in rows_of(product.house.state, "select call_id, line from calls") if line in unkept]
    assert len(ids) >= len(unkept) - 2
    for call in ids:
        answer = product.house.ask(f"/calls/{call}/download.wav")
        assert answer.status in {404, 409, 410} or len(answer.body) <= _WAV_HEADER_BYTES


def test_their_numbers_are_nowhere_and_those_of_kept_calls_are_only_behind_the_login(product: Box) -> None:
    numbers = {kind.name: number_of(channel) for channel, kind in enumerate(KINDS)}
    roots = (product.house.state, product.house.settings.run, *map(product.folder.joinpath, _OWN))
    files = [path.read_bytes() for root in roots for path in root.rglob("*") if path.is_file()]
    assert any(NAME.encode() in content for content in files), "nothing was read"
    shown = product.house.ask("/").text
    for name, number in numbers.items():
        in_bytes = bytes.fromhex(f"{number}f")
        swapped = bytes(byte >> 4 | byte << 4 & 0xF0 for byte in in_bytes)  # as in ITU-T Q.931 and on SIM cards
        for form in (number.encode(), number.encode("utf-16-le"), in_bytes, swapped):
            assert not any(form in content for content in files), name
        assert (number in shown) == (name in product.recorded().values()), name


# memory


@as_root
def test_what_is_decided_leaves_the_memory_within_seconds(product: Box) -> None:
    unkept = {kind.name for kind in UNKEPT} - set(product.recorded().values()) - {WAITS_TO_THE_END}
    oldest_s = product.oldest_s(sorted(product.remembered)[1])
    assert {name: age_s for name, age_s in oldest_s.items() if name in unkept and age_s > MEMORY_KEEPS_S} == {}


@as_root
def test_when_the_calls_are_over_none_of_them_is_left_in_memory(product: Box) -> None:
    over = product.remembered[max(product.remembered)]
    assert [found for found in over if found.index >= 0] == []


@as_root
@pytest.mark.parametrize("daemon", ["recorder", "vault"])
def test_the_memory_is_locked_so_that_it_is_never_swapped(product: Box, daemon: str) -> None:
    process = product.house.daemon(daemon)
    assert process is not None
    status = Path(f"/proc/{process.pid}/status").read_text()
    locked_kb, swapped_kb = (int(status.partition(f"{field}:")[2].split()[0]) for field in ("VmLck", "VmSwap"))
    assert locked_kb > 0
    assert swapped_kb == 0
    smaps = Path(f"/proc/{process.pid}/smaps").read_text().splitlines()
    flags = [line.split() for line in smaps if line.startswith("VmFlags:")]
    assert all("lo" in each for each in flags if "wr" in each and "io" not in each)


@as_root
def test_nobody_but_root_can_read_the_memory_of_a_daemon() -> None:
    """Not even its own user: two processes of `nobody`, one of which reads the other, as gcore would."""
    assert _read_by_its_own_user(forbids=False) == "read"
    assert _read_by_its_own_user(forbids=True) == "PermissionError"


def _read_by_its_own_user(*, forbids: bool) -> str:
    # Changing the user forbids already, so it is allowed again first.
    become = "import os; os.setgroups([]); os.setgid(65534); os.setuid(65534)"
    allow = "import ctypes; ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)"
    forbid = "forbid_core_dumps()" if forbids else ""
    told = f"""
from appliance.daemon import forbid_core_dumps
{become}
{allow}
{forbid}
print("ready", flush=True)
input()
"""
    reads = f"""
import sys
{become}
try:
    open(f"/proc/{{sys.argv[1]}}/mem", "rb")
    print("read")
except OSError as error:
    print(type(error).__name__)
"""
    with subprocess.Popen(
        [sys.executable, "-c", told], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as watched:
        assert watched.stdout is not None
        assert watched.stdout.readline() == "ready\n"
        command = [sys.executable, "-c", reads, str(watched.pid)]
        read = subprocess.run(command, capture_output=True, check=True, timeout=60, text=True)
        watched.communicate("\n", timeout=60)
    return read.stdout.strip()


# after kill -9


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory, scene: Scene) -> Iterator[Box]:
    """A box whose recorder and vault crashed twice each, and were killed again and again in the midst of calls."""
    for box in (scene.product, scene.careless):
        box.house.stop()
    chance = random.Random(SEED)
    moments: list[float] = []
    with ExitStack() as stack:
        box = begin(stack, tmp_path_factory.mktemp("killed") / "box", talk_s=KILLED_TALK_S, first_pass=False)
        round_s = ANSWERED_AT_S + KILLED_TALK_S + REST_S
        for kill in range(KILLS):
            until(lambda: is_well(box.house), BACK_WITHIN_S)
            box.hunt()
            time.sleep(chance.uniform(0, _LATEST_MOMENT_S))
            into_s = box.now_s % round_s
            if into_s > ANSWERED_AT_S + KILLED_TALK_S:
                time.sleep(round_s - into_s + ANSWERED_AT_S + chance.uniform(0, _LATEST_MOMENT_S))
            moments.append(box.now_s % round_s)
            # In turn, as the demonstration waits the longer before a start the sooner a daemon dies again.
            box.house.kill(("recorder", "vault")[kill % 2], _CRASHES.get(kill, signal.SIGKILL))
            box.hunt()
        until(lambda: is_well(box.house), BACK_WITHIN_S)
        box.wait_until(box.now_s // round_s * round_s + WAITING_S)
        if box.now_s % round_s > ANSWERED_AT_S + KILLED_TALK_S - 1:
            box.wait_until((box.now_s // round_s + 1) * round_s + WAITING_S)
        (box.house.knobs / "unplugged").touch()
        until(lambda: any(told["event"] == "device_closed" for told in box.told("recorder")))
        until(lambda: not rows_of(box.house.state, "select 1 from calls where state = 'running'"), TAKEN_OVER_WITHIN_S)
        box.hunt()
        assert sum(into_s > ANSWERED_AT_S for into_s in moments) > KILLS / 3, moments
        yield box


def test_after_each_kill_no_mark_is_anywhere(killed: Box) -> None:
    assert killed.spilled == []


def test_after_the_kills_nothing_is_recorded_on_the_lines_of_unkept_calls(killed: Box) -> None:
    """But for what was granted and recorded when the recorder was killed, before anybody said "forget"."""
    lines = set(killed.recorded().values())
    assert lines & KEPT
    assert lines <= KEPT | {FORGOTTEN}, lines
    recorded = killed.recorded()
    for path in killed.files():
        assert path.name[:32] in recorded or path.stat().st_size <= 1024, path


def test_a_crash_leaves_no_core_where_another_program_would(killed: Box) -> None:
    cores = killed.folder / "cores"
    assert list(cores.iterdir()) == []
    pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    if pattern.startswith(("|", "/")) or resource.getrlimit(resource.RLIMIT_CORE)[1] == 0:
        pytest.skip(f"cores do not lie beside their program here: {pattern}")
    others = killed.folder / "others"
    others.mkdir()
    crash = "import os, resource as r; r.setrlimit(r.RLIMIT_CORE, (r.getrlimit(r.RLIMIT_CORE)[1],) * 2); os.abort()"
    subprocess.run([sys.executable, "-c", crash], cwd=others, check=False, capture_output=True, timeout=60)
    assert list(others.iterdir()), "a crash leaves no core on this machine, whatever crashes"


@as_root
def test_a_card_that_is_pulled_out_leaves_nothing_of_its_calls_in_memory(killed: Box) -> None:
    """Not even freed: the seconds that an ear had heard."""

    def nothing_is_left() -> bool:
        killed.look_into_memory()
        return not [mark for mark in killed.remembered[max(killed.remembered)] if mark.index >= 0]

    until(nothing_is_left, LEAVES_WITHIN_S)


def test_the_killed_box_finds_nothing_wrong_with_itself(killed: Box) -> None:
    checked = run_linekeep("check", "--state", str(killed.house.state))
    assert (checked.returncode, checked.stdout) == (0, ""), checked.stdout + checked.stderr
