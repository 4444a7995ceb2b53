"""The recovery copy: what the ring holds, sealed to the recovery key, as the third file beside the ring.

Promise: touches no disk and no TPM. It is made from a public key that lies in the ring, so the box can write it with
each commit and cannot read it, nor any older one: only the words on paper can. What does not authenticate to the
last byte is refused with CopyDamaged.

    outer      header: bytes, sealed: bytes, checksum: SHA-256 over the two
    header     format, the ring's states, the choice: public key, sheets needed and made, when (all of it public)
    sealed     HPKE (RFC 9180), base mode, DHKEM(X25519), HKDF-SHA256, AES-256-GCM, with the header as `info`;
               inside: what ring_file.py puts into a ring, padded in the same way

HPKE takes a fresh key pair for each copy, so no nonce repeats. It does not say who sealed: whoever can write here can
put a copy of their own making. A drill shows that; what it would open is not what was recorded.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Annotated, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from msgspec import Meta, Struct

from appliance.terms import KeyTrouble
from appliance.vault.recovery.words import RecoveryKey, WordsWrong
from appliance.vault.ring_file import OpenedRing, RingContents, RingDamaged, pack, unpack

CHOICE_SECRET: Final = "recovery"  # noqa: S105 - the name of a secret
"""The ring's secret that holds the choice; a secret of every TPM, since it comes with the recordings."""

_FORMAT = 1
_SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)

_Bytes32 = Annotated[bytes, Meta(min_length=32, max_length=32)]


class CopyDamaged(KeyTrouble):
    """The recovery copy's bytes are not what was sealed."""


class Choice(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the owner decided, and when (UTC ms): a recovery key, or none. `public_key` is empty for none."""

    public_key: Annotated[bytes, Meta(max_length=32)] = b""
    needed: int = 0
    sheets: int = 0
    at_ms: int = 0

    def __bool__(self) -> bool:
        return bool(self.public_key)


class _Header(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format: int
    states: tuple[_Bytes32, _Bytes32]
    choice: Choice


class _Outer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    header: bytes
    sealed: bytes
    checksum: _Bytes32


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryCopy:
    """A copy, unharmed, not opened."""

    choice: Choice
    states: tuple[bytes, bytes]
    header_bytes: bytes = field(repr=False)
    sealed: bytes = field(repr=False)


def choice_of(contents: RingContents) -> Choice | None:
    """What was decided; None if nothing was yet."""
    encoded = contents.secrets.get(CHOICE_SECRET)
    return None if encoded is None else msgspec.msgpack.decode(encoded, type=Choice)


def with_choice(contents: RingContents, choice: Choice) -> RingContents:
    secrets = {**contents.secrets, CHOICE_SECRET: msgspec.msgpack.encode(choice)}
    return RingContents(buckets=contents.buckets, secrets=secrets)


def seal_copy(opened: OpenedRing, states: tuple[bytes, bytes]) -> bytes | None:
    """The copy's bytes for a ring that is sealed for these states; None if there is no recovery key."""
    choice = choice_of(opened.contents)
    if not choice:
        return None
    header = msgspec.msgpack.encode(_Header(format=_FORMAT, states=states, choice=choice))
    sealed = _SUITE.encrypt(pack(opened), X25519PublicKey.from_public_bytes(choice.public_key), info=header)
    return msgspec.msgpack.encode(_Outer(header=header, sealed=sealed, checksum=_checksum(header, sealed)))


def parse_copy(untrusted_bytes: bytes) -> RecoveryCopy:
    """Read a copy as far as that goes without the words. Raises CopyDamaged."""
    try:
        outer = msgspec.msgpack.decode(untrusted_bytes, type=_Outer)
        header = msgspec.msgpack.decode(outer.header, type=_Header)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CopyDamaged(_DAMAGED) from error
    if outer.checksum != _checksum(outer.header, outer.sealed) or header.format != _FORMAT:
        raise CopyDamaged(_DAMAGED)
    return RecoveryCopy(choice=header.choice, states=header.states, header_bytes=outer.header, sealed=outer.sealed)


def open_copy(copy: RecoveryCopy, key: RecoveryKey) -> RingContents:
    """What was in the ring. Raises WordsWrong: the words of another key; CopyDamaged."""
    if key.public != copy.choice.public_key:
        raise WordsWrong(
            "These words are in order, but they are those of another box, or of a recovery key that this box had "
            "before. Nothing was changed; look for the sheets that were written last for this box."
        )
    try:
        return unpack(_SUITE.decrypt(copy.sealed, key.private, info=copy.header_bytes)).contents
    except (InvalidTag, RingDamaged) as error:
        raise CopyDamaged(_DAMAGED) from error


def is_in_step(untrusted_bytes: bytes | None, contents: RingContents, states: tuple[bytes, bytes]) -> bool:
    """Whether these bytes are the copy of this very ring; no bytes, if there is no recovery key."""
    choice = choice_of(contents)
    if untrusted_bytes is None or not choice:
        return untrusted_bytes is None and not choice
    try:
        copy = parse_copy(untrusted_bytes)
    except CopyDamaged:
        return False
    return copy.choice == choice and copy.states == states


_DAMAGED = (
    "The recovery copy is damaged, so words cannot open it. Nothing was changed; use the one in a backup: `linekeep "
    "restore`, or the file ring.recovery there."
)


def _checksum(header: bytes, sealed: bytes) -> bytes:
    return hashlib.sha256(header + sealed).digest()
