"""The attacker inside: as each daemon, within its sandbox, everything that its column of the matrix forbids."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.image.box import Box
from tests.image.inside import run_as_daemon
from tests.image.questions import RIGHTS
from tests.systemd import matrix
from tests.systemd.matrix import DAEMONS

PROGRAM = Path(__file__).parent / "guest" / "attack.py"

ALL = {"read /etc/linekeep/linekeep.toml", "read /etc/linekeep"}
OWN = {
    "recorder": {"open /dev/snd/controlC7", "open /dev/snd/pcmC7D0c", "open /dev/snd/pcmC7D0p", "open /dev/snd/timer"},
    "vault": {"open /dev/tpmrm0"},
    "webui": set[str](),
    "front": {
        "make a TCP socket",
        "make a TCP socket (IPv6)",
        "make a UDP socket",
        "reach port 443 of the box",
    },
}
"""What a column of the matrix allows besides files and sockets; a daemon may always signal itself."""


def allowed(daemon: str, attempts: Iterable[str]) -> set[str]:
    """Of these attempts, those that the tables of systemd/README.md allow: they are no attacks."""
    files = {path.rstrip("/"): cells[daemon] for path, cells in matrix.table("Files and sockets").items()}
    found = OWN[daemon] | ALL | {f"signal {daemon}"}
    for path, cell in files.items():
        found |= {f"read {path}"} if "r" in cell else set()
        found |= {f"write {path}", f"create in {path}"} if "w" in cell else set()
    for caller in ("recorder", "webui", "console"):
        if "c" in files[f"/run/linekeep/vault/{caller}/vault.sock"] and caller == daemon:
            found.add(f"ask the vault as {caller}")
    if "c" in files["/run/linekeep/webui/http.sock"]:
        found.add("connect to the page's socket")
    tops = [path for path, cell in files.items() if "rw" in cell]
    return {each for each in attempts if each in found or (daemon == "vault" and _is_below(each, tops))}


def _is_below(attempt: str, tops: Sequence[str]) -> bool:
    """The table names folders of the vault's, and not each file in them."""
    return attempt.startswith(("read ", "write ", "create in ")) and attempt.rsplit(maxsplit=1)[-1].startswith(
        tuple(tops)
    )


EVEN_ROOT: set[str] = set()
"""What the kernel refuses to root too, so that a refusal within the sandbox says nothing more."""


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


@pytest.fixture(scope="module")
def by_root(box: Box, place: str) -> dict[str, str]:
    """The same attempts by root, outside of every sandbox."""
    told = box.python(PROGRAM.read_text("utf-8"), place, interpreter="/opt/linekeep/bin/python", timeout_s=600)
    return dict(json.loads(told))


@pytest.fixture(scope="module")
def by_daemon(box: Box, place: str) -> dict[str, dict[str, str]]:
    return {daemon: json.loads(run_as_daemon(box, daemon, PROGRAM, place)) for daemon in DAEMONS}


def test_each_attempt_is_one(by_root: dict[str, str]) -> None:
    failed = {attempt for attempt, outcome in by_root.items() if outcome != "done"}
    assert failed == EVEN_ROOT


@pytest.mark.parametrize("daemon", DAEMONS)
def test_what_the_matrix_forbids_is_refused(daemon: str, by_daemon: dict[str, dict[str, str]]) -> None:
    tried = by_daemon[daemon]
    done = {attempt for attempt, outcome in tried.items() if outcome == "done"}
    may = allowed(daemon, tried)
    print(f"{daemon}: {len(tried) - len(may)} forbidden things tried, {len(done - may)} succeeded")
    assert done - may == set()


@pytest.mark.parametrize("daemon", DAEMONS)
def test_what_the_matrix_allows_works(daemon: str, by_daemon: dict[str, dict[str, str]]) -> None:
    assert {attempt for attempt in OWN[daemon] | ALL if by_daemon[daemon].get(attempt) != "done"} == set()


def test_there_is_a_row_for_each_daemon() -> None:
    assert {rights.daemon for rights in RIGHTS} == set(DAEMONS) == set(OWN)
