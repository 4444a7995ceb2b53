"""The words of the house: identifiers, facts and troubles that every part means in the same way.

Decides nothing, touches nothing. A word that two parts need is defined here and nowhere else.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NewType

CallId = NewType("CallId", str)
"""A call's name: 32 lower-case hexadecimal digits, random, so that it says nothing about the call."""

LineName = NewType("LineName", str)
"""A line's name as the settings give it: a-z, 0-9 and '-', at most 32 characters, a letter first."""

AccountId = NewType("AccountId", str)
"""An account's name in journal and receipts: 16 hexadecimal digits, random, never a person's name."""

RATE_HZ = 8000
"""Frames a second of all line-side audio. Telephone speech ends at 3.4 kHz (ITU-T G.712)."""

MOST_LINES = 64
"""Of one box; so many the recorder tells the vault of with each beat."""

BLOCK_FRAMES = 800
"""Frames in one captured block, 100 ms: half the processor time of 20 ms blocks, and soon enough to see."""

_CALL_ID = re.compile(r"[0-9a-f]{32}")
_LINE_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")


class ConsentBy(StrEnum):
    """What proves that a call may be kept."""

    KEY = "key"
    """Somebody on the line pressed the key that means yes."""
    AGENT = "agent"
    """The own side confirmed a spoken yes: by a star code, a button or the web page."""
    ANNOUNCEMENT = "announcement"
    """The announcement was heard to its end, and the call went on."""
    DUTY = "duty"
    """A written ground that asks nobody: a legal duty, or a number with a standing consent."""


class Direction(StrEnum):
    """Who called whom, as seen from the recorded line."""

    IN = "in"
    OUT = "out"
    UNKNOWN = "unknown"


class NotKept(StrEnum):
    """Why nothing is kept of what was on the line."""

    MISSED = "missed"
    """It rang, and nobody answered."""
    NOT_ANSWERED = "not_answered"
    """Somebody dialled, and met a busy tone or nobody."""
    REFUSED = "refused"
    """The key that means no was pressed, or the call ended before there was a yes."""
    TIMED_OUT = "timed_out"
    """Nobody said yes in time."""
    HALF_HEARD = "half_heard"
    """The announcement was not heard to its end."""
    NUMBER_LISTED = "number_listed"
    """The settings never record this number."""
    PRIVATE = "private"
    """At this time of the day the line is private."""
    FAX = "fax"
    DOUBT = "doubt"
    """Audio was lost while the ground was waited for, so nobody can say what was heard."""
    FORGOTTEN = "forgotten"
    """The own side asked to forget the call while it ran."""


class LineNowState(StrEnum):
    """What is on a line at this moment, and what becomes of it."""

    IDLE = "idle"
    """No call."""
    RINGING = "ringing"
    WAITING = "waiting"
    """A call, in memory only: what it needs before it is kept is not there yet."""
    RECORDING = "recording"
    PAUSED = "paused"
    """A recorded call; what is said now is not recorded."""
    NOT_RECORDED = "not_recorded"
    """A call of which nothing is kept."""


class Order(StrEnum):
    """What the own side may ask for while a call is on the line."""

    CONFIRM = "confirm"
    """The spoken yes was heard."""
    PAUSE = "pause"
    RESUME = "resume"
    FORGET = "forget"
    """Nothing of this call is kept."""
    KEEP = "keep"
    """The owner is asked to keep the recording of this call longer."""


class LinekeepError(Exception):
    """Something the product knows how to say.

    The message is one or two sentences for a person: what happened, what is safe, what to do. It never
    holds a secret, a caller's number or a path inside a recording's plaintext.
    """


class LineTrouble(LinekeepError):
    """The sound device: missing, busy, unplugged, too slow."""


class KeyTrouble(LinekeepError):
    """The TPM, the ring or a key: missing, foreign, old, forgotten."""


class KeyForgotten(KeyTrouble):
    """The key of this call was forgotten, or its time has come; nobody can open it again."""


class StorageTrouble(LinekeepError):
    """Disk, folder or catalogue: full, unreadable, in use by another, from another box."""


class DiskFull(StorageTrouble):
    """There is no room; what is committed stays safe."""


class DamagedRecording(LinekeepError):
    """A recording's bytes are not what was sealed: flipped, cut, swapped, or another call's."""


class NotAllowed(LinekeepError):
    """The person, the login or the daemon has no right to this."""


class SettingsTrouble(LinekeepError):
    """A setting, an argument or a given file is not what it must be."""


def parse_call_id(untrusted_text: str) -> CallId:
    """Check that a text is a call's id. Raises SettingsTrouble."""
    if not _CALL_ID.fullmatch(untrusted_text):
        raise SettingsTrouble("That is not the name of a call.")
    return CallId(untrusted_text)


def parse_line_name(untrusted_text: str) -> LineName:
    """Check that a text is a line's name. Raises SettingsTrouble."""
    if not _LINE_NAME.fullmatch(untrusted_text):
        raise SettingsTrouble(
            f"'{untrusted_text[:40]}' cannot name a line: use a-z, 0-9 and '-', a letter first, at most 32."
        )
    return LineName(untrusted_text)
