"""A box with a recovery key on paper, the death of its board, and a new one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from appliance.boundary import verbs
from appliance.settings import Settings
from appliance.vault.accounts import Visitor
from appliance.vault.box import Box, reach_tpm
from appliance.vault.recovery.copy import open_copy
from appliance.vault.recovery.recovering import copy_in, recover_ring
from appliance.vault.recovery.words import key_of
from appliance.vault.ring_folder import REAL_DISK, Disk
from tests.simulators.software_tpm import SoftwareTpm
from tests.vault.box_house import PASSWORD, BoxHouse


def owner_of(box: Box) -> Visitor:
    """Claims the box if nobody has."""
    if box.accounts.is_claimed():
        return box.accounts.visitor(box.accounts.log_in("Owner", PASSWORD)[0])
    return box.accounts.visitor(box.accounts.claim(box.accounts.claim_code() or "", "Owner", PASSWORD)[0])


def begun(box: Box, owner: Visitor, *, needed: int = 1, sheets: int = 1) -> tuple[str, ...]:
    request = verbs.BeginRecovery(login="x" * 43, password=PASSWORD, needed=needed, sheets=sheets)
    return box.recovery.begin(owner, request).sheets


def asked_for(box: Box, owner: Visitor, sheets: tuple[str, ...]) -> list[str]:
    """The words that the box asks for, as a person reads them off the sheets."""
    return [sheets[asked.sheet - 1].split()[asked.word - 1] for asked in box.recovery.state(owner).asked]


def written_down(box: Box, *, needed: int = 1, sheets: int = 1) -> tuple[str, ...]:
    """Set a recovery key up; its sheets."""
    owner = owner_of(box)
    made = begun(box, owner, needed=needed, sheets=sheets)
    box.recovery.confirm(owner, asked_for(box, owner, made))
    return made


@contextmanager
def new_board(house: BoxHouse, state: str = "state") -> Iterator[Settings]:
    """The disk in another board, whose TPM is fresh."""
    moved = house.folder / f"{state}-moved"
    shutil.copytree(house.folder / state, moved)
    with TemporaryDirectory(prefix="lk-") as run, SoftwareTpm(house.folder / f"{state}-new-tpm", Path(run)):
        yield msgspec.structs.replace(house.settings(), state_dir=str(moved), run_dir=run)


def recover(settings: Settings, *sheets: str, disk: Disk = REAL_DISK) -> None:
    """As the command does, after the words were typed."""
    folder = settings.state / "ring"
    copy = copy_in(folder)
    with closing(reach_tpm(settings)) as tpm:
        recover_ring(folder, tpm, open_copy(copy, key_of(sheets)), now_ms=1, disk=disk)
