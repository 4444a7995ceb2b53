"""A state directory, for a command: its running vault is asked, or the box is opened by the command itself."""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from appliance.boundary.vault import VaultAway, VaultClient
from appliance.boundary.verbs import Caller
from appliance.commands import software_tpm
from appliance.commands.children import Child
from appliance.daemon import start_log
from appliance.settings import BOX_SETTINGS, BOX_STATE, SETTINGS_NAME, SOFTWARE_TPM, Settings, read_settings
from appliance.terms import StorageTrouble

if TYPE_CHECKING:
    from appliance.vault.box import Box

_VAULT_RETURNS_WITHIN_S = 15.0

_T = TypeVar("_T")


def settings_of(state: Path) -> Settings:
    """The settings of a state directory: they lie in it, or, for a box, in /etc. Raises StorageTrouble: it is none."""
    if state.absolute() == BOX_STATE and BOX_SETTINGS.exists():
        # Also if some lie there: the directory is the vault's, and root follows what root has written.
        return read_settings(BOX_SETTINGS)
    settings_file = state / SETTINGS_NAME
    if not settings_file.exists():
        raise StorageTrouble(
            f"{state} is no state directory of Linekeep: it has no {SETTINGS_NAME}. Name the right one."
        )
    return read_settings(settings_file)


def ask_vault_or_open(state: Path, ask: Callable[[VaultClient], _T], alone: Callable[[Box], _T]) -> _T:
    """Ask the running vault; if none runs, open the box here and find out alone.

    Raises: LinekeepError if the box cannot be opened at all.
    """
    settings = settings_of(state)
    give_up = time.monotonic() + _VAULT_RETURNS_WITHIN_S
    while True:
        try:
            return ask(VaultClient(settings.vault_socket(Caller.CONSOLE)))
        except VaultAway:
            if not is_running(state):
                with opened_box(settings) as box:
                    return alone(box)
            if time.monotonic() > give_up:
                raise
            time.sleep(0.2)  # the vault is being restarted


def is_running(state: Path) -> bool:
    """Does a demonstration hold this directory, whatever its vault is doing at the moment?"""
    lock_file = state / "demo.lock"
    if not lock_file.exists():
        return False
    lock = os.open(lock_file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


@contextmanager
def reachable_tpm(settings: Settings) -> Iterator[Settings]:
    """Settings with a run directory of the command's own; the software TPM answers in it if they name one."""
    with ExitStack() as stack:
        run = stack.enter_context(tempfile.TemporaryDirectory(prefix="linekeep-"))
        settings = msgspec.structs.replace(settings, run_dir=run)
        if settings.vault.tpm == SOFTWARE_TPM:
            tpm = Child(software_tpm.program(settings), lambda _name, _line: None, lambda _name: None)
            tpm.start()
            stack.callback(tpm.stop)
            software_tpm.wait_until_ready(settings)
        yield settings


@contextmanager
def opened_box(settings: Settings) -> Iterator[Box]:
    """The box, opened by this command; nobody else may have it open."""
    from appliance.vault.box import Box  # noqa: PLC0415 - the commands that need no vault must not load it

    with left_to_owner(settings.state), reachable_tpm(settings) as reached:
        box = Box(reached, start_log("command"))
        try:
            yield box
        finally:
            box.close()


@contextmanager
def left_to_owner(state: Path) -> Iterator[None]:
    """Leave what root makes in a state directory to the user who has the directory: the vault must open it later."""
    try:
        yield
    finally:
        if os.geteuid() == 0 and state.is_dir() and (owner := state.stat()).st_uid != 0:
            _leave_to(state, owner)


def _leave_to(state: Path, owner: os.stat_result) -> None:
    # By descriptors and never through a link: the directory is another user's, who may change it meanwhile.
    for _, folders, files, descriptor in os.fwalk(state, follow_symlinks=False):
        gives_group = bool(os.fstat(descriptor).st_mode & stat.S_ISGID)
        for name in (*folders, *files):
            with suppress(FileNotFoundError):
                if os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_uid == 0:
                    group = -1 if gives_group else owner.st_gid
                    os.chown(name, owner.st_uid, group, dir_fd=descriptor, follow_symlinks=False)
