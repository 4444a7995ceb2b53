"""Opens a box with the words of its recovery key: on a new board, or where PIN, boot state or ring files are lost.

    1  the words open the recovery copy: bucket keys and the vault's other secrets
    2  a ring of them is made for the TPM that is there, one commit as any other: before it nothing has changed
    3  the box starts, and before anything else wraps every call anew under fresh bucket keys

The third step is why nothing that was forgotten comes back, even with a copy out of an old backup: what only old
copies know is in no ring any more. It is one commit too, so a cut leaves the second state, from which the next start
goes on; the secret `recovered` in the ring says so until it is done.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from appliance.audit.events import Act
from appliance.audit.journal import Journal
from appliance.terms import KeyTrouble
from appliance.vault.call_keys import CallKeys
from appliance.vault.provisioning import own_again, provision
from appliance.vault.recovery.copy import RecoveryCopy, parse_copy
from appliance.vault.ring import Ring
from appliance.vault.ring_file import RingContents
from appliance.vault.ring_folder import REAL_DISK, RECOVERY_COPY, Disk
from appliance.vault.tpm import Tpm

RECOVERED_SECRET: Final = "recovered"  # noqa: S105 - the name of a secret


def copy_in(folder: Path) -> RecoveryCopy:
    """The recovery copy in a ring's folder. Raises CopyDamaged; KeyTrouble: there is none."""
    try:
        return parse_copy((folder / RECOVERY_COPY).read_bytes())
    except OSError as error:
        raise KeyTrouble(
            f"There is no recovery copy in {folder}. Either no recovery key was ever set up, and then nothing opens "
            "these recordings but the TPM that they were made with; or the file ring.recovery is elsewhere: bring the "
            "backup back first, with `linekeep restore`. Nothing was changed."
        ) from error


def recover_ring(folder: Path, tpm: Tpm, contents: RingContents, *, now_ms: int, disk: Disk = REAL_DISK) -> None:
    """Make these the contents of a ring for this TPM. After a cut, again.

    Raises KeyTrouble: the ring that is there opens, or the TPM is another Linekeep's; nothing was changed then.
    """
    tpm.disable_platform()
    ours = own_again(tpm, contents)
    provision(tpm)
    secrets = {**ours.secrets, RECOVERED_SECRET: str(now_ms).encode()}
    Ring.recover(folder, tpm, RingContents(buckets=ours.buckets, secrets=secrets), disk=disk)


def finish_recovery(ring: Ring, journal: Journal, call_keys: CallKeys) -> None:
    """At the start of a box: the last step, if there was a recovery."""
    recovered = ring.contents.secrets.get(RECOVERED_SECRET)
    if recovered is None:
        return
    at_ms = int(recovered)
    last = journal.last(Act.BOX_RECOVERED)
    if last is None or last.notes["at_ms"] != at_ms:
        journal.append(Act.BOX_RECOVERED, by="console", notes={"at_ms": at_ms})
    call_keys.renew(without_secret=RECOVERED_SECRET)
