"""The vault daemon: settings, log, sockets, box, schedule; then waits to be told to stop."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from appliance.audit.events import Act
from appliance.boundary import verbs
from appliance.boundary.peer import Handler, Listener
from appliance.boundary.vault import VaultAway, VaultClient, VaultRefused
from appliance.boundary.verbs import Caller
from appliance.daemon import forbid_core_dumps, lock_memory, start_log, stay_until, stop_on_signals
from appliance.settings import Settings
from appliance.terms import LinekeepError, SettingsTrouble
from appliance.vault.backup.keeper import LOOK_EVERY_S, STEP_EVERY_S
from appliance.vault.box import Box
from appliance.vault.door import Door
from appliance.vault.evidence.run import RUN_EVERY_S
from appliance.vault.retention.run import interval_s
from appliance.vault.schedule import Schedule
from appliance.vault.service import Service, fault_reporter
from appliance.vault.tpm import PinNeeded

_TAKE_OVER, _BACKUP, _HEAD, _DISK = "take_over", "backup", "journal_head", "disk"
_SWEEP_S = 20
_CASE_S = 60
_WORDS_S = 60
_HOUR_S, _DAY_S = 3600, 86_400
_ANSWERS_WITHIN_S = 15.0
"""Of the question that nothing long can hold up."""

_DISK_KEY = "LINEKEEP_DISK_KEY"
"""Names, in the image, the socket of who writes the key slots of the data partition."""

_HEAD_S = 6 * 3600
"""Between two signed heads of the journal, also when nothing happens: docs/decisions/journal-heads.md."""


def main(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT. Raises LinekeepError with the sentence to show if it cannot start."""
    log = start_log("vault")
    stop = stop_on_signals()
    forbid_core_dumps()
    lock_memory()
    users = {
        Caller.RECORDER: _user_id(settings.vault.recorder_user),
        Caller.WEBUI: _user_id(settings.vault.webui_user),
        Caller.CONSOLE: os.geteuid(),
    }
    vault = _Vault(settings, log)
    door = Door(vault.put_in_service)
    try:
        try:
            door.open(None)
        except PinNeeded:
            log.info("vault_locked")
        # A recorder that went away may have left a recording: it is taken over at once, not at the next sweep.
        on_end: dict[Caller, Callable[[], None]] = {Caller.RECORDER: vault.take_over_soon}
        listeners = [
            Listener(
                settings.vault_socket(caller),
                caller,
                user,
                door.handlers(),
                fault_reporter(log),
                on_end.get(caller, _nothing),
            )
            for caller, user in users.items()
        ]
        for listener in listeners:
            listener.start()
        log.info("vault_ready", locked=door.is_locked)
        stay_until(stop, lambda: all(listener.is_listening for listener in listeners) and _answers(settings))
        for listener in listeners:
            listener.stop()
    finally:
        vault.stop()
    return 0


class _Vault:
    """The box and its schedule, once they are there."""

    def __init__(self, settings: Settings, log: Any) -> None:
        self._settings = settings
        self._log = log
        self._box: Box | None = None
        self._schedule: Schedule | None = None

    def put_in_service(self, pin: str | None) -> Mapping[type[verbs.Request], Handler]:
        """See door.py."""
        disk_key = os.environ.get(_DISK_KEY)
        self._box = box = Box(self._settings, self._log, pin=pin, disk_key=Path(disk_key) if disk_key else None)
        try:
            box.make_front_certificate()
            box.note_start()
            box.catalogue.shorten_due(self._settings.vault.keep_s * 1000)
            self._schedule = schedule = _schedule(box, self._settings, self._log)
            box.backup.wake = lambda: schedule.soon(_BACKUP)
            box.case_watch.when_opened = lambda: schedule.soon(_HEAD)
            box.recovery.when_decided = lambda: schedule.soon(_DISK)
            schedule.start()
        except BaseException:
            self.stop()
            raise
        return Service(box).handlers()

    def take_over_soon(self) -> None:
        if self._schedule is not None:
            self._schedule.soon(_TAKE_OVER)

    def stop(self) -> None:
        was_in_service = self._schedule is not None
        if self._box is not None:
            self._box.backup.stop()
        if self._schedule is not None:
            self._schedule.stop()
            self._schedule = None
        if self._box is not None:
            if was_in_service:
                _note_stop(self._box, self._log)
            self._box.close()
            self._box = None


def _note_stop(box: Box, log: Any) -> None:
    """The last entry, and a head over it. A TPM or disk that refuses now must not keep the vault from stopping."""
    try:
        box.case_watch.write_down(at_the_end=True)
        box.journal.append(Act.VAULT_STOPPED, by="vault")
        box.sign_journal_head()
    except LinekeepError as trouble:
        log.warning("stop_not_signed", why=str(trouble))


def _schedule(box: Box, settings: Settings, log: Any) -> Schedule:
    def trouble(name: str, error: BaseException) -> None:
        log.error("job_failed", job=name, why=str(error), exc_info=error)

    schedule = Schedule(trouble)
    schedule.every(interval_s(settings.vault.keep_s), "retention", box.retention.run)
    schedule.every(_SWEEP_S, _TAKE_OVER, box.intake.take_over_what_was_left)
    schedule.every(RUN_EVERY_S, "evidence", box.evidence.run)
    schedule.every(_DAY_S, "certificate", box.make_front_certificate)
    schedule.every(_WORDS_S, "unconfirmed_words", box.recovery.drop_unconfirmed)
    schedule.every(_HOUR_S, _DISK, box.recovery.tidy_disk, beside=True)
    schedule.every(_DAY_S, "empty_buckets", box.call_keys.drop_empty_buckets)
    schedule.every(_HEAD_S, _HEAD, box.sign_journal_head)
    schedule.every(_CASE_S, "case", box.case_watch.write_down)
    schedule.every(LOOK_EVERY_S, _BACKUP, box.backup.run, beside=True)
    schedule.every(STEP_EVERY_S, "backup_in_step", box.backup.keep_in_step, beside=True)
    return schedule


def _answers(settings: Settings) -> bool:
    """Ask ourselves, as the person at the console would: a refusal is an answer too, also that of a locked box."""
    client = VaultClient(settings.vault_socket(Caller.CONSOLE), timeout_s=_ANSWERS_WITHIN_S)
    try:
        client.backup_state()
    except VaultRefused:
        return True
    except VaultAway:
        return False
    finally:
        client.close()
    return True


def _nothing() -> None:
    pass


def _user_id(name: str) -> int:
    if not name:
        return os.geteuid()
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError as error:
        raise SettingsTrouble(f"The settings name the system user '{name}', which does not exist.") from error
