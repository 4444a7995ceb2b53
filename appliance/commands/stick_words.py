"""The words of the recovery key on a USB stick: to open a box with them, or to try them.

Promise: they go to who may open the disk (boundary/root_helper.py) and nowhere else. They are taken off the stick when
that is done, and stay on it where it could not be.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from appliance.boundary.root_helper import RECOVER_SOCKET, RecoverBox, TryRecovery, ask_helper
from appliance.commands.fat_stick import Stick, UnfitStick, for_windows
from appliance.terms import LinekeepError, StorageTrouble

SETUP_NAME: Final = "SETUP.TXT"
RECOVER_NAME: Final = "recover.txt"
DRILL_NAME: Final = "drill.txt"

_RECOVERS_WITHIN_S = 2 * 3600.0
"""All calls are wrapped anew."""


def use_words(stick: Stick, helper: Path = RECOVER_SOCKET) -> tuple[list[str], list[str], bool]:
    """Open the box with the words on the stick, or try them. They stay on the stick where that was not possible.

    Returns: what there is to tell, what troubles there are, and whether the box must be restarted to go on.
    """
    from appliance.vault.recovery.words import key_of  # noqa: PLC0415 - loaded only by who needs it

    told, troubles = list[str](), list[str]()
    for name, verb in ((RECOVER_NAME, RecoverBox), (DRILL_NAME, TryRecovery)):
        try:
            untrusted = stick.read(name)
            if untrusted is None:
                continue
            sheets = sheets_in(untrusted.decode("utf-8-sig", "replace"))
            key_of(sheets)  # says which word is wrong
            answer = ask_helper(helper, verb(sheets=tuple(sheets)), timeout_s=_RECOVERS_WITHIN_S)
            if answer.restart:
                _must_not_be_the_second_time(stick)
                return told, troubles, True
            told += answer.said
            stick.remove(name)
            told.append(
                f"{name} was taken off this stick. Its words can be found there all the same: destroy the stick."
            )
        except UnfitStick:
            raise
        except LinekeepError as trouble:
            troubles.append(f"{name}: {trouble}")
    return told, troubles, False


def _must_not_be_the_second_time(stick: Stick) -> None:
    """Else a box that is opened and comes up shut would start again and again."""
    if stick.read(SETUP_NAME) == RESTART_TEXT.encode():
        raise StorageTrouble(
            "The words open the disk, and so did the TPM of this board; but the box has started again, and the disk is "
            "shut. Nothing is lost. Look whether the firmware starts the box in another way each time, and try again."
        )


def sheets_in(untrusted_text: str) -> list[str]:
    """A sheet a line; or, where lines are shorter, a sheet in so many words as one has."""
    from appliance.vault.recovery.words import WORDS_A_SHEET  # noqa: PLC0415 - as above

    lines = [" ".join(line.split()) for line in untrusted_text.splitlines() if line.strip()]
    if all(len(line.split()) > WORDS_A_SHEET // 2 for line in lines):
        return lines
    words = untrusted_text.split()
    return [" ".join(words[at : at + WORDS_A_SHEET]) for at in range(0, len(words), WORDS_A_SHEET)]


RESTART_TEXT: Final = for_windows(
    [
        "This is Linekeep.",
        "",
        "The words open the disk. The box starts again now, to open the recordings too. Leave the stick in: after some",
        "minutes this file says more.",
    ]
)
"""SETUP.TXT until then."""
