"""The sealed card of a call: everything about it that says more than a deletion needs."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from appliance.recordings.sealing import number_token, open_card, seal_card
from appliance.terms import CallId, DamagedRecording

LAST_DIGITS = 4
"""People remember the end of a number; so many digits may be searched for by themselves."""


class Card(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the vault shows of a kept call. Gaps: first frame, frames, why. Peaks: base64, see the closing record.

    ground, consent_by, consent_at_ms, channels: as the opening record has them; empty, 0 and 1 if the recording does
    not say it, or the card is from before cards did.
    hold_reason, held_since_ms: of the hold, if there is one; until when is in the catalogue, to delete by.
    """

    number: str
    ended: str
    frames: int
    audio_bytes: int
    peaks: str
    gaps: tuple[tuple[int, int, str], ...]
    ground: str = ""
    consent_by: str = ""
    consent_at_ms: int = 0
    hold_reason: str = ""
    held_since_ms: int = 0
    channels: int = 1

    def __repr__(self) -> str:
        return "Card(<sealed>)"


def of_running(number: str) -> Card:
    """The card of a call without audio, not yet or never: all that is known is who is at the other end."""
    return Card(number=number, ended="", frames=0, audio_bytes=0, peaks="", gaps=())


def seal(card: Card, call: CallId, call_key: bytes) -> bytes:
    return seal_card(call_key, call, msgspec.msgpack.encode(card))


def unseal(sealed: bytes, call: CallId, call_key: bytes) -> Card:
    """Raises DamagedRecording if it is not the card that was sealed for this call."""
    try:
        return msgspec.msgpack.decode(open_card(call_key, call, sealed), type=Card)
    except msgspec.MsgspecError as error:
        raise DamagedRecording("The card of this call is not readable; the recording itself may be.") from error


def tokens_of(number: str, bucket_key: bytes) -> list[bytes]:
    """What can be searched for: the whole number, and its last digits. No number, no token."""
    digits = plain_digits(number)
    if not digits:
        return []
    return [number_token(bucket_key, digits), number_token(bucket_key, "*" + digits[-LAST_DIGITS:])]


def token_sought(untrusted_number: str, bucket_key: bytes) -> bytes:
    """The token under which a number, or its last digits if no more are given, would have been stored."""
    digits = plain_digits(untrusted_number)
    return number_token(bucket_key, "*" + digits if len(digits) <= LAST_DIGITS else digits)


def plain_digits(number: str) -> str:
    """A number as it is dialled: digits only, a leading + as 00."""
    text = number.strip()
    prefix = "00" if text.startswith("+") else ""
    digits = "".join(sign for sign in text if sign in "0123456789")
    return prefix + digits if digits else ""
