"""`linekeep forget-all`: before a box is taken off its machine for good, or given away.

Removing files removes nothing from a flash disk: beside the same TPM, whoever finds their bytes would have every call.
So the ring goes first, as it does for a single call: a new one without a key, and the TPM moves on. Recovery words and
an older copy of the disk still open what that copy held; only burning the paper helps there.
"""

from __future__ import annotations

import argparse
from contextlib import closing

from appliance.commands.arguments import Commands, add_state


def add(commands: Commands) -> None:
    forget = commands.add_parser("forget-all", help="forget the keys of all calls, for good; the box must be stopped")
    add_state(forget)
    forget.add_argument("--for-good", action="store_true", required=True, help="nothing brings them back")
    forget.set_defaults(command=_forget_all)


def _forget_all(parsed: argparse.Namespace) -> int:
    from appliance.commands.state import left_to_owner, reachable_tpm, settings_of  # noqa: PLC0415 - who needs a box
    from appliance.vault.box import reach_tpm  # noqa: PLC0415 - as above
    from appliance.vault.ring import Ring  # noqa: PLC0415 - as above
    from appliance.vault.ring_file import RingContents  # noqa: PLC0415 - as above
    from appliance.vault.state_lock import lock_state  # noqa: PLC0415 - as above

    settings = settings_of(parsed.state)
    unlock = lock_state(settings.state)
    try:
        with left_to_owner(settings.state), reachable_tpm(settings) as reached, closing(reach_tpm(reached)) as tpm:
            Ring.open(settings.state / "ring", tpm).change(lambda _now: RingContents(buckets={}, secrets={}))
    finally:
        unlock()
    print("The keys of all calls are forgotten, whatever the disk still holds of them.")  # noqa: T201
    return 0
