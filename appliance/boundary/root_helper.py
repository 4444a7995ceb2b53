"""What root does for others on a box from the image: who may not touch the disk asks a helper on a socket.

systemd starts a helper for each connection and gives it the connection as its input (Accept=yes), so none is there
while nothing is asked. Who may ask is the socket's file rights. One request, one answer, and it is gone.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from appliance.boundary import message
from appliance.terms import LinekeepError, StorageTrouble

RECOVER_SOCKET: Final = Path("/run/linekeep/recover.sock")
"""For root's own, in the image."""

_Digits = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
_Sheets = Annotated[tuple[Annotated[str, Meta(max_length=1024)], ...], Meta(max_length=16)]


class _Request(Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    def __repr__(self) -> str:
        return f"{type(self).__name__}(<may be secret>)"


class PutKeySlot(_Request, frozen=True):
    """Let this passphrase open the disk, besides what opens it already. The slot is known by the public key."""

    public_key: _Digits
    passphrase: _Digits


class KeepKeySlot(_Request, frozen=True):
    """Let nothing open the disk but the TPM and this key's slot; no key: but the TPM. Answered: whether it has one."""

    public_key: _Digits | None


class RecoverBox(_Request, frozen=True):
    """Open the box with the words of these sheets, for the TPM that is there."""

    sheets: _Sheets


class TryRecovery(_Request, frozen=True):
    """Would that work? Nothing is changed."""

    sheets: _Sheets


class RestartBox(_Request, frozen=True):
    """It was opened, and must start once more."""


class HelperAnswer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """yes: to what was asked, or it is done.  said: sentences for people.  restart: the box must be.

    trouble: why it could not be done.
    """

    yes: bool = False
    said: tuple[str, ...] = ()
    restart: bool = False
    trouble: str = ""


def ask_helper(path: Path, request: _Request, *, timeout_s: float) -> HelperAnswer:
    """Raises StorageTrouble: it does not answer, or could not do it; the sentence says why."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout_s)
            connection.connect(str(path))
            message.send(connection, request)
            answer = message.receive(connection, HelperAnswer, max_bytes=message.MAX_REQUEST_BYTES)
    except (OSError, message.Hangup, message.Misplaced) as error:
        raise StorageTrouble("The part of this box that opens its disk does not answer. Nothing is lost.") from error
    if answer.trouble:
        raise StorageTrouble(answer.trouble)
    return answer


def answer_one(connection: socket.socket, kinds: Any, handle: Callable[[Any], HelperAnswer]) -> None:
    """The helper's side. What is no request is not answered.

    Args:
        kinds: a type or union of requests.
        handle: answers one; what it raises as LinekeepError is told.
    """
    try:
        request = message.receive(connection, kinds, max_bytes=message.MAX_REQUEST_BYTES)
    except (message.Hangup, message.Misplaced):
        return
    try:
        answer = handle(request)
    except LinekeepError as trouble:
        answer = HelperAnswer(trouble=str(trouble))
    message.send(connection, answer)
