"""The attacker inside: as each daemon, within its sandbox, everything that its row of the matrix forbids."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.image.box import Box
from tests.image.inside import run_as_daemon
from tests.image.questions import RIGHTS
from tests.system.house import DAEMONS

PROGRAM = Path(__file__).parent / "guest" / "attack.py"

OWN = {
    "recorder": {
        "ask the vault as recorder",
        "create in /var/lib/linekeep/recordings/growing",
    },
    "vault": set(),
    "webui": {"ask the vault as webui"},
    "front": {"connect to the page's socket"},
}
"""What a row of the matrix allows, and which has to work; everything else is refused."""

EVEN_ROOT: set[str] = set()
"""What the kernel refuses to root too, so that a refusal within the sandbox says nothing more."""


@pytest.fixture(scope="module")
def place(box: Box, census: dict[str, Any]) -> str:
    """Whom and what there is to attack."""
    pids = {name: census["units"][f"linekeep-{name}"]["processes"][0]["pid"] for name in DAEMONS}
    trees = [entries for top, entries in census["trees"].items() if top != "/data"]
    files = [path for tree in trees for path, entry in tree.items() if entry["kind"] == "file"]
    folders = [path for tree in trees for path, entry in tree.items() if entry["kind"] == "folder"]
    return json.dumps({"pids": {"init": 1, **pids}, "files": files, "folders": folders})


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
def test_what_the_row_forbids_is_refused(
    daemon: str, by_daemon: dict[str, dict[str, str]], by_root: dict[str, str]
) -> None:
    done = {attempt for attempt, outcome in by_daemon[daemon].items() if outcome == "done"}
    print(
        f"{daemon}: {len(by_daemon[daemon])} tried, {len(done & OWN[daemon])} allowed, {len(done - OWN[daemon])} succeeded"
    )
    assert done - OWN[daemon] == set()


@pytest.mark.parametrize("daemon", DAEMONS)
def test_what_the_row_allows_works(daemon: str, by_daemon: dict[str, dict[str, str]]) -> None:
    assert {attempt for attempt in OWN[daemon] if by_daemon[daemon].get(attempt) != "done"} == set()


def test_there_is_a_row_for_each_daemon() -> None:
    assert {rights.daemon for rights in RIGHTS} == set(DAEMONS) == set(OWN)
