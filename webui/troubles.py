"""Every trouble in words: what happened, what is safe, what to do.

The vault sends the kind of a trouble and its facts; the words, in the person's language, are here. A kind that
is not in the table is shown as the vault's own sentence.
"""

from __future__ import annotations

from dataclasses import dataclass

from appliance.boundary.vault import VaultRefused
from webui.language import gettext, mark, wait_text

LOGIN_ENDED = "LoginEnded"
PIN_NEEDED = "PinNeeded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """One kind of trouble: the HTTP status, and three things to say. May name `%(wait)s`, `%(min_length)s`."""

    status: int
    happened: str
    safe: str
    to_do: str


_CALL_TECHNICIAN = mark("If it stays like this, call your technician and read this page to them.")

TROUBLES = {
    "NotAllowed": Trouble(
        status=403,
        happened=mark("You may not do this"),
        safe=mark("Nothing was opened or changed."),
        to_do=mark("If you need it for your work, ask the person who looks after this box."),
    ),
    "KeyForgotten": Trouble(
        status=410,
        happened=mark("This call has been deleted"),
        safe=mark("Its key is forgotten. Nobody can listen to it any more, here or in any backup."),
        to_do=mark("There is nothing to do. All other calls are as they were."),
    ),
    "KeyTrouble": Trouble(
        status=503,
        happened=mark("The box cannot get at its keys"),
        safe=mark("The recordings are there, but locked. Nobody can open them at the moment, you included."),
        to_do=mark("Switch the box off and on again. If that does not help, call your technician."),
    ),
    "DamagedRecording": Trouble(
        status=500,
        happened=mark("This recording is damaged"),
        safe=mark("Something in it is not what was recorded, so it is not played. Other calls are not affected."),
        to_do=mark("Call your technician. Do not delete this call if you still need it."),
    ),
    "StorageTrouble": Trouble(
        status=503,
        happened=mark("The box cannot use its storage"),
        safe=mark("What has been recorded stays locked where it is."),
        to_do=mark("Switch the box off and on again. If that does not help, call your technician."),
    ),
    "DiskFull": Trouble(
        status=507,
        happened=mark("The box is full"),
        safe=mark("Everything that was recorded is safe. New calls are not recorded until there is room."),
        to_do=mark("Delete calls that you no longer need, or keep calls for a shorter time."),
    ),
    "SettingsTrouble": Trouble(
        status=400,
        happened=mark("The box does not understand this request"),
        safe=mark("Nothing was opened or changed."),
        to_do=mark("Go back to the list of calls and try again from there."),
    ),
    "VaultAway": Trouble(
        status=503,
        happened=mark("The box is not ready yet"),
        safe=mark("Nothing is lost. The part that keeps the recordings is starting or does not answer."),
        to_do=mark("Wait a moment and try again. If it stays like this, switch the box off and on again."),
    ),
    "WrongCode": Trouble(
        status=403,
        happened=mark("That is not the code of this box"),
        safe=mark("The box still has no owner, and nothing was changed."),
        to_do=mark("Read the code on the label once more; capital or small letters do not matter."),
    ),
    "WrongLogin": Trouble(
        status=403,
        happened=mark("Name or password is not right"),
        safe=mark("You are not logged in, and nothing was opened."),
        to_do=mark("Check both and try again; in the password, capital and small letters differ."),
    ),
    PIN_NEEDED: Trouble(
        status=503,
        happened=mark("This box is locked"),
        safe=mark("What is recorded is safe. Nothing opens and nothing is recorded until the box has its PIN."),
        to_do=mark("Load this page again and type the PIN of the box."),
    ),
    "PinWrong": Trouble(
        status=403,
        happened=mark("That is not the PIN of this box"),
        safe=mark("Nothing was opened or changed."),
        to_do=mark("Try again. After ten wrong PINs the box makes everybody wait for an hour."),
    ),
    "PinLocked": Trouble(
        status=429,
        happened=mark("There were too many wrong PINs"),
        safe=mark("Nothing is lost, but for now the box refuses every PIN, the right one too."),
        to_do=mark("Leave the box on, and try again in an hour."),
    ),
    LOGIN_ENDED: Trouble(
        status=401,
        happened=mark("You are no longer logged in"),
        safe=mark("Nothing was opened or changed."),
        to_do=mark("Log in again."),
    ),
    "TooManyTries": Trouble(
        status=429,
        happened=mark("Too many wrong tries"),
        safe=mark("To keep strangers from guessing, the box takes no further try for now."),
        to_do=mark("Try again %(wait)s."),
    ),
    "AlreadyClaimed": Trouble(
        status=409,
        happened=mark("This box already has an owner"),
        safe=mark("Nothing was changed."),
        to_do=mark("Log in, or ask the person who set the box up."),
    ),
    "NoSuchCall": Trouble(
        status=404,
        happened=mark("This call is not here"),
        safe=mark("It may have been deleted, on time or by someone. All other calls are as they were."),
        to_do=mark("Go back to the list of calls."),
    ),
    "StillRunning": Trouble(
        status=409,
        happened=mark("This call is still being recorded"),
        safe=mark("The recording goes on, and nothing was changed."),
        to_do=mark("Wait until the call has ended, then try again."),
    ),
    "CallHeld": Trouble(
        status=409,
        happened=mark("This call is held"),
        safe=mark("It was not deleted, and nothing was changed."),
        to_do=mark("It can be deleted when its hold is over, or lifted on its page."),
    ),
    "HoldOutOfBounds": Trouble(
        status=422,
        happened=mark("A hold ends on a day to come, within a year"),
        safe=mark("Nothing was changed."),
        to_do=mark("Choose another last day."),
    ),
    "HoldNeedsClock": Trouble(
        status=409,
        happened=mark("The clock of the box is not certain"),
        safe=mark("Nothing was changed. Until the clock is right, nothing is deleted by date either."),
        to_do=mark("Have the clock set right, then hold the call."),
    ),
    "NothingRecorded": Trouble(
        status=409,
        happened=mark("Nothing was recorded of this call"),
        safe=mark("The box knows that it was on the line, and no more. Nothing was handed out."),
        to_do=mark("There is nothing to hear and nothing to export. What is known stands on its page."),
    ),
    "NothingToOrder": Trouble(
        status=409,
        happened=mark("This cannot be done with the call any more"),
        safe=mark("The call is over, or something else became of it meanwhile. Nothing was changed by this."),
        to_do=mark("Go back to the calls and look at the line again."),
    ),
    "NotSigned": Trouble(
        status=409,
        happened=mark("Nothing is signed about this call yet"),
        safe=mark("The recording is safe, and nothing was handed out."),
        to_do=mark("A call is signed within a minute after its end. Wait a moment, then try again."),
    ),
    "DayNotOver": Trouble(
        status=409,
        happened=mark("The day of this call is not signed yet"),
        safe=mark("Nothing was handed out."),
        to_do=mark("Export the call by itself, or come back when the day is over."),
    ),
    "NoReceipt": Trouble(
        status=404,
        happened=mark("There is no such receipt, or not yet"),
        safe=mark("A deletion does not wait for its receipt: the keys are gone as soon as the list says so."),
        to_do=mark("Go back to the deletions. A receipt that is missing there follows by itself."),
    ),
    "NotGoneYet": Trouble(
        status=503,
        happened=mark("The call is being deleted"),
        safe=mark(
            "Nobody can open it any more, and no list shows it. But the chip of the box has not confirmed it yet."
        ),
        to_do=mark("Leave the box switched on: it goes on by itself. The receipt will then stand among the deletions."),
    ),
    "PasswordTooShort": Trouble(
        status=422,
        happened=mark("The password is too short"),
        safe=mark("Nothing was changed."),
        to_do=mark("Take at least %(min_length)s characters. Three or four words are easy to remember."),
    ),
    "NameTaken": Trouble(
        status=409,
        happened=mark("This name is taken"),
        safe=mark("Nothing was changed."),
        to_do=mark("Choose another name."),
    ),
    "TooManyOpenings": Trouble(
        status=429,
        happened=mark("Many calls were opened in a short time"),
        safe=mark("To protect the people in the recordings, the box opens no further call for now."),
        to_do=mark("Try again %(wait)s."),
    ),
    "TooManyExports": Trouble(
        status=429,
        happened=mark("The journal was taken away many times within a day"),
        safe=mark("The security chip signs each time, and bears that only so often. What was taken before is as good."),
        to_do=mark("Try again %(wait)s."),
    ),
    "JournalDamaged": Trouble(
        status=500,
        happened=mark("The journal is damaged"),
        safe=mark(
            "An entry is not as the box wrote it: its storage fails, or somebody changed it. The recordings are not"
            " affected, and new entries are still added."
        ),
        to_do=mark(
            "Call your technician before you trust the box again. The journal can still be taken away, at"
            " /journal/journal.zip: the program in it names the entry."
        ),
    ),
    "Fault": Trouble(
        status=500,
        happened=mark("Something went wrong inside the box"),
        safe=mark("Nothing was changed, and the recordings are not affected."),
        to_do=_CALL_TECHNICIAN,
    ),
    "PageMissing": Trouble(
        status=404,
        happened=mark("There is no such page"),
        safe=mark("Nothing was opened or changed."),
        to_do=mark("Go back to the list of calls."),
    ),
    "ForeignSite": Trouble(
        status=403,
        happened=mark("Another web site asked the box to do this"),
        safe=mark("The box refused, and nothing was changed."),
        to_do=mark("If it was you, go back to the list of calls and try again from there."),
    ),
    "ForeignName": Trouble(
        status=421,
        happened=mark("The box does not answer to this address"),
        safe=mark("Nothing was opened or changed."),
        to_do=mark("Use the address that stands on its label."),
    ),
    "Refused": Trouble(
        status=400,
        happened=mark("The box does not understand this request"),
        safe=mark("Nothing was opened or changed."),
        to_do=mark("Go back to the list of calls and try again from there."),
    ),
    "WrongPassword": Trouble(
        status=403,
        happened=mark("That is not your password"),
        safe=mark("Nothing was changed."),
        to_do=mark("Type the password that you log in with."),
    ),
    "WordsDiffer": Trouble(
        status=422,
        happened=mark("Not all of these words are right"),
        safe=mark("Nothing was changed. The words on your sheets still wait to be confirmed."),
        to_do=mark("Compare each word with its sheet. If one was written down wrongly, begin again with other words."),
    ),
    "DiskRefused": Trouble(
        status=503,
        happened=mark("The disk of this box did not take these words"),
        safe=mark("They are not its recovery key. What was decided before still holds, and all recordings are safe."),
        to_do=mark("Try again in a minute. If this stays, restart the box and begin again with new words."),
    ),
    "NothingPending": Trouble(
        status=409,
        happened=mark("These words no longer wait to be confirmed"),
        safe=mark("Nothing was changed. Too much time went by, the box was restarted, or other words were made."),
        to_do=mark("Throw those sheets away and begin again."),
    ),
    "TooBusy": Trouble(
        status=429,
        happened=mark("Too many requests at once"),
        safe=mark("Nothing is lost. To stay reachable for everybody, the box asks you to wait."),
        to_do=mark("Wait a minute, then try again."),
    ),
    "Starting": Trouble(
        status=503,
        happened=mark("The box is starting"),
        safe=mark("Nothing is lost. Recording goes on or begins by itself."),
        to_do=mark("This page opens by itself as soon as the box is ready."),
    ),
}


_OTHER_NAMES = {
    "TpmMissing": "KeyTrouble",
    "TpmForeign": "KeyTrouble",
    "TpmFault": "KeyTrouble",
    "PolicyNotMet": "KeyTrouble",
    "BootChanged": "KeyTrouble",
    "SealDamaged": "KeyTrouble",
    "RingMissing": "KeyTrouble",
    "RingExists": "KeyTrouble",
    "RingForeign": "KeyTrouble",
    "RingOld": "KeyTrouble",
    "RingDamaged": "KeyTrouble",
    "CopyDamaged": "KeyTrouble",
    "WordsWrong": "KeyTrouble",
    "BackupTrouble": "StorageTrouble",
    "SourceUnreadable": "StorageTrouble",
}
# To a technician these differ, and the vault's log tells them apart; to the person before the page they do not.

TROUBLES |= {name: TROUBLES[same] for name, same in _OTHER_NAMES.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class SaidTrouble:
    """A trouble in the person's language."""

    kind: str
    status: int
    happened: str
    safe: str
    to_do: str
    wait_s: int | None = None


def say(kind: str, facts: dict[str, str | int], sentence: str = "") -> SaidTrouble:
    """Put a trouble into words. `sentence`: what to say of a kind that the table does not know."""
    if kind not in TROUBLES and sentence:
        general = say("Fault", {})
        return SaidTrouble(kind=kind, status=500, happened=sentence, safe="", to_do=general.to_do)
    trouble = TROUBLES.get(kind, TROUBLES["Fault"])
    wait_s = int(facts["wait_s"]) if "wait_s" in facts else None
    words = {"wait": wait_text(wait_s or 60), "min_length": facts.get("min_length", 10)}
    return SaidTrouble(
        kind=kind,
        status=trouble.status,
        happened=gettext(trouble.happened),
        safe=gettext(trouble.safe),
        to_do=gettext(trouble.to_do, **words),
        wait_s=wait_s,
    )


def say_refused(refused: VaultRefused) -> SaidTrouble:
    return say(refused.kind, refused.facts, str(refused))
