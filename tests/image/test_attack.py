"""The attacker inside: as each daemon, within its sandbox, everything that its column of the matrix forbids."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.image.box import Box
from tests.image.inside import run_as_daemon
from tests.image.questions import RIGHTS
from tests.systemd import matrix
from tests.systemd.matrix import DAEMONS

PROGRAM = Path(__file__).parent / "guest" / "attack.py"

OWN = {
    "recorder": {"open /dev/snd/controlC7", "open /dev/snd/pcmC7D0c", "open /dev/snd/pcmC7D0p", "open /dev/snd/timer"},
    # It asks itself, as the person at the console would, whether it lives.
    "vault": {"open /dev/tpmrm0", "ask the vault as console", "connect to what writes the disk's key slots"},
    "webui": set[str](),
    "front": {
        "make a TCP socket",
        "make a TCP socket (IPv6)",
        "make a UDP socket",
        "reach port 443 of the box",
        # Strangers do not get there: the firewall knows three ports.
        "listen on port 22",
        "listen on port 8080",
    },
}
"""What a column of the matrix allows besides files and sockets."""

OF_ITSELF = ("signal", "read environ of", "read maps of", "read cmdline of", "read fd of", "read root/etc of")
"""What the kernel lets a process do to others of its user; not to memory, and to a daemon that holds secrets less."""

EVEN_ROOT = {
    "write /opt/linekeep/bin/linekeep",
    "write /usr/bin/true",
    "create in /",
    "create in /etc",
    "create in /usr/lib/systemd/system",
    "create in /opt/linekeep",
    "create in /root",
    "open /dev/mem",
    "open /dev/hwrng",
    "reach the router",
    "reach a machine of the company",
    "reach the internet",
    "ask a name server",
    "send to the internet",
    "load another kernel",
    "reach the hardware's ports",
    "raise the I/O level",
    "run a program from /tmp",
    "run a program from /var/tmp",
    "run a program from /dev/shm",
    "run a program from /var/lib/linekeep",
    "run a program from /var/lib/linekeep/recordings/growing",
}
"""What the box refuses to root too: a root that is read-only, a locked kernel, a firewall, no programs but its own.
Of these a refusal within the sandbox says nothing more. Nor does anybody's memory, which is not root's (Yama)."""


STAND_INS = {
    "recorder": {"read /var/lib/linekeep", "read /var/lib/linekeep/recordings"},
    "front": {"read /var/lib/linekeep"},
}
"""Empty folders in the place of the real ones (TemporaryFileSystem=), which a daemon may list: only its own mount is
there."""


OF_THE_STICK = {
    "write /etc/linekeep/linekeep.toml",
    "ask the vault as console",
    "connect to what opens the box with words",
}
OTHER_SOCKETS = {
    "ask the vault as recorder",
    "ask the vault as webui",
    "connect to the page's socket",
    "connect to what writes the disk's key slots",
    "connect to systemd's own socket",
    "start a unit over the bus",
}
SHUT_TO_THE_STICK = ("/var/lib", "/var/log", "/run/log", "/dev/vda", "/dev/mapper", "/dev/tpm")


def allowed(daemon: str, attempts: Iterable[str]) -> set[str]:
    """Of these attempts, those that the tables of systemd/README.md allow: they are no attacks."""
    cells = {path.rstrip("/"): row[daemon] for path, row in matrix.table("Files and sockets").items()}
    found = OWN[daemon] | {f"{what} {daemon}" for what in OF_ITSELF}
    found |= {"read /etc/linekeep/before.toml"}  # the settings before these
    found |= STAND_INS.get(daemon, set())
    for path, cell in cells.items():
        found |= {f"read {path}"} if "r" in cell else set()
        found |= {f"write {path}", f"create in {path}"} if "w" in cell else set()
    if "c" in cells["/run/linekeep/webui/http.sock"]:
        found.add("connect to the page's socket")
    if daemon in {"recorder", "webui"}:
        found.add(f"ask the vault as {daemon}")
    tops = [f"{path}/" for path, cell in cells.items() if "rw" in cell]
    return {each for each in attempts if each in found or _is_below(each, tops)}


def _is_below(attempt: str, tops: Sequence[str]) -> bool:
    """The table names folders that are a daemon's own, and not each file in them."""
    return attempt.startswith(("read /", "write /", "create in /")) and attempt.rsplit(maxsplit=1)[-1].startswith(
        tuple(tops)
    )


@pytest.fixture(scope="module")
def place(box: Box, census: dict[str, Any]) -> str:
    """Whom and what there is to attack."""
    pids = {name: census["units"][f"linekeep-{name}"]["processes"][0]["pid"] for name in DAEMONS}
    trees = [entries for top, entries in census["trees"].items() if top != "/data"]
    files = [path for tree in trees for path, entry in tree.items() if entry["kind"] == "file"]
    folders = [path for tree in trees for path, entry in tree.items() if entry["kind"] == "folder"]
    journal = box.sh("ls /var/log/journal/*/system.journal /run/log/journal/*/system.journal 2>/dev/null | head -1")
    found = {"pids": {"init": 1, **pids}, "files": files, "folders": folders, "journal": journal.strip()}
    return json.dumps(found)


@contextmanager
def unwatched(box: Box) -> Iterator[None]:
    """To open the settings for writing is a change, after which everything is started again."""
    box.sh("systemctl stop linekeep-settings.path")
    yield
    box.sh("systemctl start linekeep-settings.path")


@pytest.fixture(scope="module")
def by_root(box: Box, place: str) -> dict[str, str]:
    """The same attempts by root, outside of every sandbox."""
    with unwatched(box):
        told = box.python(PROGRAM.read_text("utf-8"), place, interpreter="/opt/linekeep/bin/python", timeout_s=600)
    return dict(json.loads(told))


@pytest.fixture(scope="module")
def by_daemon(box: Box, place: str) -> dict[str, dict[str, str]]:
    return {daemon: json.loads(run_as_daemon(box, daemon, PROGRAM, place)) for daemon in DAEMONS}


def test_each_attempt_is_one(by_root: dict[str, str]) -> None:
    failed = {attempt for attempt, outcome in by_root.items() if outcome != "done"}
    memory = {
        each for each in failed if each.startswith(("trace ", "peek into ", "read memory of ", "take a descriptor "))
    }
    print(f"{len(by_root)} attempts, of which root succeeds in {len(by_root) - len(failed)}")
    assert failed - memory == EVEN_ROOT


@pytest.mark.parametrize("daemon", DAEMONS)
def test_what_the_matrix_forbids_is_refused(daemon: str, by_daemon: dict[str, dict[str, str]]) -> None:
    tried = by_daemon[daemon]
    done = {attempt for attempt, outcome in tried.items() if outcome == "done"}
    may = allowed(daemon, tried)
    print(f"{daemon}: {len(tried) - len(may)} forbidden things tried, {len(done - may)} succeeded")
    assert done - may == set()


@pytest.mark.parametrize("daemon", DAEMONS)
def test_what_the_matrix_allows_works(daemon: str, by_daemon: dict[str, dict[str, str]]) -> None:
    refused = {attempt for attempt in OWN[daemon] if by_daemon[daemon].get(attempt) != "done"}
    assert refused == set()


def test_who_reads_strangers_sticks_has_the_settings_two_sockets_and_of_the_disk_nothing_else(
    box: Box, place: str
) -> None:
    """It is root's, so no file's rights hold anything back there: only its sandbox does."""
    with unwatched(box):
        tried = json.loads(run_as_daemon(box, "stick@null", PROGRAM, place))
    done = {attempt for attempt, outcome in tried.items() if outcome == "done"}
    shut = {each for each in tried if each.rsplit(maxsplit=1)[-1].startswith(SHUT_TO_THE_STICK)} | OTHER_SOCKETS
    print(f"the stick's unit: {len(shut)} forbidden things tried, {len(done & shut)} succeeded")
    assert done & shut == set()
    assert len(shut) > 50
    assert done >= OF_THE_STICK


def test_there_is_a_row_for_each_daemon() -> None:
    assert {rights.daemon for rights in RIGHTS} == set(DAEMONS) == set(OWN)
