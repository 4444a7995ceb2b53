"""The vault put together from its settings: one box, opened by one process at a time.

Opening decides, before anything is changed, whether this state directory, this TPM and this ring belong
together. What does not fit is said in one sentence, and nothing is made new over it.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from appliance.audit.events import Act
from appliance.audit.journal import Journal
from appliance.clock import Clock
from appliance.recordings.folder import RecordingsFolder
from appliance.recordings.sealing import check_known_answers
from appliance.settings import SOFTWARE_TPM, Settings
from appliance.terms import SettingsTrouble, StorageTrouble
from appliance.vault.accounts import Accounts
from appliance.vault.backup.copying import Copying
from appliance.vault.backup.keeper import BackupKeeper
from appliance.vault.backup.restored import note_restored, refuse_half_restored
from appliance.vault.backup.wrap_log import WrapLog
from appliance.vault.boot_policies import read_boot_policies
from appliance.vault.call_keys import CallKeys
from appliance.vault.case_watch import CaseWatch
from appliance.vault.catalogue import Catalogue
from appliance.vault.clock_watch import ClockWatch
from appliance.vault.evidence.day_book import DayBook
from appliance.vault.evidence.identity import CHAIN_NAME, ensure_identity
from appliance.vault.evidence.journal_heads import JournalHeads
from appliance.vault.evidence.notary import Notary
from appliance.vault.evidence.run import EvidenceRun
from appliance.vault.evidence_desk import EvidenceDesk
from appliance.vault.front_certificate import ensure_front_certificate, new_authority_key
from appliance.vault.intake import Intake
from appliance.vault.journal_desk import JournalDesk
from appliance.vault.line_board import LineBoard
from appliance.vault.playback import Playback
from appliance.vault.provisioning import own, provision
from appliance.vault.recovery.recovering import finish_recovery
from appliance.vault.recovery.set_up import RecoverySetUp
from appliance.vault.retention.erasure import Eraser
from appliance.vault.retention.erasure_book import ErasureBook
from appliance.vault.retention.holds import Holds
from appliance.vault.retention.run import RetentionRun
from appliance.vault.ring import Ring
from appliance.vault.ring_file import RingContents
from appliance.vault.ring_moves import RingMoves
from appliance.vault.state_lock import lock_state
from appliance.vault.store import Store
from appliance.vault.tpm import Ownership, Tpm

AUTHORITY_SECRET = "tls_authority"  # noqa: S105 - the name of a secret


class Box:
    """Every part of the vault, wired. Raises StorageTrouble, KeyTrouble with the sentence to show."""

    def __init__(
        self,
        settings: Settings,
        log: Any,
        clock: Clock | None = None,
        pin: str | None = None,
        disk_key: Path | None = None,
    ) -> None:
        check_known_answers()
        self.settings = settings
        self.clock = clock or Clock()
        self.log = log
        self._disk_key = disk_key
        state = settings.state
        self._closers: list[Callable[[], None]] = []
        try:
            self._closers.append(lock_state(state))
            refuse_half_restored(state)
            self.folder = RecordingsFolder(state / "recordings")
            _refuse_half_a_box(state)
            self.tpm = reach_tpm(settings)
            self._closers.append(self.tpm.close)
            self.tpm.disable_platform()
            self.tpm.use_pin(pin)
            self.ring = self._create_ring(state) if not _has_ring(state) else self._open_ring(state)
            # From here on they are known to belong together, and things may be made and tidied.
            self.folder.create()
            self.folder.sweep_finished()
            self.journal_path = state / "journal" / "acts.jsonl"
            self.journal = Journal(self.journal_path, self.clock)
            self._closers.append(self.journal.close)
            self.store = Store(state / "catalogue.sqlite")
            self._closers.append(self.store.close)
            self._assemble()
        except BaseException:
            self.close()
            raise

    def _create_ring(self, state: Path) -> Ring:
        provision(self.tpm)
        ring = Ring.create(state / "ring", self.tpm)
        self._ownership = own(self.tpm, ring)
        return ring

    def _open_ring(self, state: Path) -> Ring:
        ring = Ring.open(state / "ring", self.tpm)
        # It is this ring's TPM. What a later version needs in it is made now, by the owner, so after `own`.
        self._ownership = own(self.tpm, ring)
        provision(self.tpm)
        return ring

    def _assemble(self) -> None:
        settings, clock = self.settings, self.clock
        if self.journal.is_new:  # also when the first start was cut after the ring was made
            self.journal.append(Act.BOX_PROVISIONED, by="vault")
        if self.ring.repaired:
            self.journal.append(Act.RING_REPAIRED, by="vault")
            self.log.warning("ring_repaired")
        self.ring_moves = RingMoves(self.ring, self.journal, self.log)
        self._note_ownership()
        if not self.ring.is_sealed_as_now:
            self.ring.change(lambda now: now)
            self.journal.append(Act.RING_SEALED_ANEW, by="vault")
        self.notary = Notary(
            self.tpm, ensure_identity(settings.state / "identity", self.tpm.signing_point(), clock.now_ms())
        )
        self.journal_heads = JournalHeads(
            self.journal_path.with_name("heads.jsonl"),
            journal=self.journal,
            tpm=self.tpm,
            notary=self.notary,
            clock=clock,
            log=self.log,
        )
        self.catalogue = Catalogue(self.store)
        wrap_log = WrapLog(settings.state / "ring" / "wraps", clock, self.log)
        self.catalogue.when_wrapped = wrap_log.note
        note_restored(settings.state, self.journal)
        self.accounts = Accounts(self.store, self.journal, clock, settings.state / "claim-code")
        self.watch = ClockWatch(clock, self.catalogue, self.journal)
        self.call_keys = CallKeys(self.ring, self.catalogue, clock)
        finish_recovery(self.ring, self.journal, self.call_keys)
        self.recovery = RecoverySetUp(
            ring=self.ring,
            accounts=self.accounts,
            journal=self.journal,
            clock=clock,
            log=self.log,
            disk_key=self._disk_key,
            steady_s=time.monotonic,
        )
        self.playback = Playback(
            catalogue=self.catalogue,
            call_keys=self.call_keys,
            folder=self.folder,
            journal=self.journal,
            clock=clock,
            watch=self.watch,
            steady_s=time.monotonic,
        )
        self._closers.append(self.playback.close)
        self.erasures = ErasureBook(self.store, self.catalogue)
        self.erasure = Eraser(
            store=self.store,
            catalogue=self.catalogue,
            book=self.erasures,
            notary=self.notary,
            call_keys=self.call_keys,
            folder=self.folder,
            journal=self.journal,
            clock=clock,
            watch=self.watch,
            log=self.log,
            let_go=self.playback.let_go,
        )
        self.holds = Holds(
            catalogue=self.catalogue,
            call_keys=self.call_keys,
            playback=self.playback,
            erasure=self.erasure,
            journal=self.journal,
            clock=clock,
            watch=self.watch,
            log=self.log,
        )
        self.retention = RetentionRun(
            catalogue=self.catalogue,
            erasure=self.erasure,
            clock=clock,
            watch=self.watch,
            keep_s=settings.vault.keep_s,
        )
        self.day_book = DayBook(self.store)
        self.evidence = EvidenceRun(
            book=self.day_book,
            call_keys=self.call_keys,
            folder=self.folder,
            notary=self.notary,
            clock=clock,
            watch=self.watch,
            lines=[line.line for line in settings.recorder.lines],
            log=self.log,
        )
        self.evidence_desk = EvidenceDesk(
            book=self.day_book,
            catalogue=self.catalogue,
            erasures=self.erasures,
            call_keys=self.call_keys,
            journal=self.journal,
            playback=self.playback,
            notary=self.notary,
            clock=clock,
            identity=settings.state / "identity",
        )
        self.journal_desk = JournalDesk(
            journal=self.journal,
            heads=self.journal_heads,
            ring_moves=self.ring_moves,
            accounts=self.accounts,
            chain=settings.state / "identity" / CHAIN_NAME,
            steady_s=time.monotonic,
        )
        self.intake = Intake(
            catalogue=self.catalogue,
            call_keys=self.call_keys,
            folder=self.folder,
            erasure=self.erasure,
            journal=self.journal,
            clock=clock,
            watch=self.watch,
            day_book=self.day_book,
            keep_s=settings.vault.keep_s,
            log=self.log,
        )
        self.line_board = LineBoard(time.monotonic)
        self.case_watch = CaseWatch(
            catalogue=self.catalogue,
            journal=self.journal,
            clock=clock,
            is_watched=settings.recorder.tamper is not None,
            steady_s=time.monotonic,
        )
        self.backup = self._backup_keeper(wrap_log)

    def _backup_keeper(self, wrap_log: WrapLog) -> BackupKeeper:
        settings = self.settings
        copying = Copying(
            state=settings.state,
            store=self.store,
            catalogue=self.catalogue,
            call_keys=self.call_keys,
            ring=self.ring,
            folder=self.folder,
            wrap_log=wrap_log,
            chain=self.notary.chain,
            clock=self.clock,
        )
        return BackupKeeper(
            directory=Path(settings.vault.backup) if settings.vault.backup else None,
            every_s=settings.vault.backup_every_s,
            state=settings.state,
            copying=copying,
            store=self.store,
            folder=self.folder,
            journal=self.journal,
            clock=self.clock,
            log=self.log,
        )

    def _note_ownership(self) -> None:
        if self._ownership is Ownership.TAKEN:
            self.journal.append(Act.TPM_OWNED, by="vault")
        elif self._ownership is Ownership.ANOTHERS:
            self.journal.append(Act.TPM_OWNED_BY_ANOTHER, by="vault")
            self.log.warning("tpm_owned_by_another")

    def note_start(self) -> None:
        """Journal the start, and whether the settings are other ones than at the last."""
        keep_s, now = self.settings.vault.keep_s, _settings_digest(self.settings)
        last = self.journal.last(Act.VAULT_STARTED)
        before = last.notes if last is not None else {}
        if before.get("settings", now) != now:
            self.journal.append(Act.SETTINGS_CHANGED, by="vault", notes={"before": before["settings"], "after": now})
        if before.get("keep_s", keep_s) != keep_s:
            self.journal.append(Act.PERIOD_CHANGED, by="vault", notes={"before_s": before["keep_s"], "after_s": keep_s})
        self.journal.append(Act.VAULT_STARTED, by="vault", notes={"settings": now, "keep_s": keep_s})

    def sign_journal_head(self) -> None:
        """Also when nothing has happened since the last one. Raises KeyTrouble, StorageTrouble."""
        self.ring_moves.make_good()
        self.journal_heads.sign()

    def set_pin(self, pin: str | None, *, by: str) -> None:
        """Seal the ring with this PIN, or with none; rings that are sealed otherwise die by it.

        The journal has it first; that it was done is said by the move of the ring that comes next there.
        Raises KeyTrouble, StorageTrouble.
        """
        act = Act.PIN_REMOVED if pin is None else Act.PIN_SET
        self.ring.change_pin(pin, lambda: self.journal.append(act, by=by))

    def make_front_certificate(self) -> None:
        """Have a certificate for the page, its authority's key in the ring."""
        if AUTHORITY_SECRET not in self.ring.contents.secrets:
            added = {AUTHORITY_SECRET: new_authority_key()}
            self.ring.change(lambda now: RingContents(buckets=now.buckets, secrets={**now.secrets, **added}))
        is_new = ensure_front_certificate(
            self.settings.state / "tls",
            self.ring.contents.secrets[AUTHORITY_SECRET],
            self.settings.webui.names,
            self.clock.now_ms(),
        )
        if is_new:
            self.journal.append(Act.CERTIFICATE_ISSUED, by="vault")

    def close(self) -> None:
        while self._closers:
            self._closers.pop()()


def reach_tpm(settings: Settings) -> Tpm:
    """The TPM that the settings name, with what they say about other boots. Raises KeyTrouble, SettingsTrouble."""
    update_key = settings.vault.update_key
    try:
        update_key_pem = Path(update_key).read_bytes() if update_key else None
    except OSError as error:
        raise SettingsTrouble(f"vault.update_key names {update_key}, which cannot be read.") from error
    return Tpm(
        tcti_of(settings),
        pcrs=settings.vault.pcrs,
        update_key_pem=update_key_pem,
        boot_policies=lambda: read_boot_policies(settings.state / "boot-policies"),
    )


def tcti_of(settings: Settings) -> str:
    """How to reach the TPM that the settings name, in the words of tpm2-tss."""
    if settings.vault.tpm == SOFTWARE_TPM:
        return f"swtpm:path={settings.run / 'tpm'}"
    return f"device:{settings.vault.tpm}"


def _settings_digest(settings: Settings) -> str:
    """SHA-256 of what the settings say, and of the announcements that they name: what callers hear is decided there.

    Where sockets lie for this run is not part of it. An announcement that cannot be read here is as one that is empty.
    """
    lasting = msgspec.structs.replace(settings, run_dir="")
    digest = hashlib.sha256(msgspec.json.encode(lasting, order="sorted"))
    for path in sorted({Path(line.announcement) for line in settings.recorder.lines if line.announcement}):
        with suppress(OSError):
            if path.is_file():
                with path.open("rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _has_ring(state: Path) -> bool:
    ring = state / "ring"
    return ring.is_dir() and any(entry.suffix in {".a", ".b"} for entry in ring.iterdir())


def _holds_something(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:  # not `iterdir`, which reads all names first: a million of them
            return any(True for _ in entries)
    except PermissionError:  # the recorder's own, which it may bar
        return True


def _refuse_half_a_box(state: Path) -> None:
    has_catalogue = (state / "catalogue.sqlite").exists()
    folders = [state / "recordings" / name for name in ("finished", "growing")]
    has_recordings = any(folder.is_dir() and _holds_something(folder) for folder in folders)
    if not _has_ring(state) and (has_catalogue or has_recordings):
        raise StorageTrouble(
            f"The ring of keys is missing from {state}, so no recording can be opened. Nothing was changed; "
            "put the folder 'ring' back."
        )
    if has_recordings and not has_catalogue:
        raise StorageTrouble(
            f"The catalogue is missing from {state}, but recordings are there. Nothing was changed; "
            "put the file 'catalogue.sqlite' back."
        )
