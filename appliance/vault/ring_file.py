"""The ring as bytes: what is in it, and the file it is sealed into.

Promise: touches no disk and no TPM; what `parse_ring` and `open_ring` return was checked to the last byte,
and what they refuse they refuse with RingDamaged. Left to ring.py: which key, which state, which file, when.

Format 2, three frozen structs in MessagePack (format 1 has neither update key nor PIN in its header):

    outer      header: bytes, nonce: 12 bytes, ciphertext: bytes, checksum: SHA-256 over the three
    header     format, the TPM it belongs to, the sealed ring key with its policy's facts (all of it public)
    contents   r, buckets, secrets; length in 4 bytes, then MessagePack, zeros up to a multiple of 4 KiB

The contents are sealed with AES-256-GCM (NIST SP 800-38D) under the ring key, with the header's bytes, as they
stand in the file, as associated data. A ring key seals one file and is never used again, so no nonce repeats.
The checksum protects from nobody: it tells a worn flash cell from a wrong key before the TPM is asked. The
padding keeps the number of buckets, hence of days with calls, out of the file's size.
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from types import MappingProxyType
from typing import Annotated, Final, NewType

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Meta, Struct

from appliance.terms import KeyTrouble
from appliance.vault.tpm_policy import SealedSecret

BucketId = NewType("BucketId", str)
"""A bucket's name: 16 lower-case hexadecimal digits, random; beside each wrapped key in the catalogue."""

KEY_BYTES = 32
PADDING_STEP_BYTES = 4096

_FORMAT = 2
_STATE_FIRST_FORMAT = 1
_NONCE_BYTES = 12
_LENGTH = struct.Struct(">I")
_BUCKET_ID = re.compile(r"[0-9a-f]{16}")

_TAMPERED = "A copy of the ring does not open with its own key; it was tampered with."

_Bytes32 = Annotated[bytes, Meta(min_length=32, max_length=32)]
_Name = Annotated[bytes, Meta(min_length=34, max_length=34)]
_Pcrs = tuple[Annotated[int, Meta(ge=0, le=23)], ...]


class RingDamaged(KeyTrouble):
    """A ring's bytes are not what was sealed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """One key that wraps call keys of one day. A day may have several buckets, once calls were forgotten.

    day: 'YYYY-MM-DD'.  key: 32 bytes.
    """

    day: str
    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.key) != KEY_BYTES or _not_a_day(self.day):
            raise KeyTrouble("A bucket of the ring needs a day and a key of 32 bytes.")

    @classmethod
    def fresh(cls, day: str) -> Bucket:
        """A bucket with a new random key."""
        return cls(day=day, key=os.urandom(KEY_BYTES))


@dataclass(frozen=True, slots=True, kw_only=True)
class RingContents:
    """All that the ring keeps: buckets by their ids, and the vault's other secrets by their names."""

    buckets: Mapping[BucketId, Bucket]
    secrets: Mapping[str, bytes] = field(repr=False)

    def __post_init__(self) -> None:
        for bucket_id in self.buckets:
            parse_bucket_id(bucket_id)
        # A copy nobody else holds: what was committed must not change afterwards.
        object.__setattr__(self, "buckets", MappingProxyType(dict(self.buckets)))
        object.__setattr__(self, "secrets", MappingProxyType(dict(self.secrets)))


class RingHeader(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one must know before the ring opens. `states`, `pcrs`, `pcr_digest`: see SealedSecret.

    storage_key_name, index_name: the TPM's names of the two things that the ring depends on.
    """

    format: int
    storage_key_name: _Name
    index_name: _Name
    states: tuple[_Bytes32, _Bytes32]
    pcrs: _Pcrs
    pcr_digest: _Bytes32
    sealed_public: bytes
    sealed_private: bytes
    update_key_name: Annotated[bytes, Meta(max_length=34)] = b""
    has_pin: bool = False

    @property
    def sealed_key(self) -> SealedSecret:
        return SealedSecret(
            public=self.sealed_public,
            private=self.sealed_private,
            states=self.states,
            pcrs=self.pcrs,
            pcr_digest=self.pcr_digest,
            update_key_name=self.update_key_name,
            has_pin=self.has_pin,
            state_first=self.format == _STATE_FIRST_FORMAT,
        )


class _Outer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    header: bytes
    nonce: Annotated[bytes, Meta(min_length=_NONCE_BYTES, max_length=_NONCE_BYTES)]
    ciphertext: bytes
    checksum: _Bytes32


class _InnerBucket(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    bucket_id: str
    day: str
    key: _Bytes32


class _Inner(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    r: _Bytes32
    buckets: tuple[_InnerBucket, ...]
    secrets: dict[str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class RingFile:
    """A ring file, unharmed, not opened."""

    header: RingHeader
    header_bytes: bytes = field(repr=False)
    nonce: bytes = field(repr=False)
    ciphertext: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedRing:
    """What was in a ring file. `r` moves the TPM from the state it was made at to the next."""

    contents: RingContents
    r: bytes = field(repr=False)


_DECODE_HEADER: Final = msgspec.msgpack.Decoder(RingHeader)
_DECODE_OUTER: Final = msgspec.msgpack.Decoder(_Outer)
_DECODE_INNER: Final = msgspec.msgpack.Decoder(_Inner)


def parse_bucket_id(untrusted_text: str) -> BucketId:
    """Check that a text is a bucket's id. Raises KeyTrouble."""
    if not _BUCKET_ID.fullmatch(untrusted_text):
        raise KeyTrouble("That is not the name of a bucket.")
    return BucketId(untrusted_text)


def fresh_bucket_id() -> BucketId:
    return BucketId(os.urandom(8).hex())


def make_header(sealed: SealedSecret, *, storage_key_name: bytes, index_name: bytes) -> RingHeader:
    """The header of a new ring."""
    return RingHeader(
        format=_FORMAT,
        storage_key_name=storage_key_name,
        index_name=index_name,
        states=sealed.states,
        pcrs=sealed.pcrs,
        pcr_digest=sealed.pcr_digest,
        sealed_public=sealed.public,
        sealed_private=sealed.private,
        update_key_name=sealed.update_key_name,
        has_pin=sealed.has_pin,
    )


def seal_ring(ring_key: bytes, header: RingHeader, opened: OpenedRing) -> bytes:
    """The bytes of a ring file, under a ring key that nothing else was sealed with."""
    header_bytes = msgspec.msgpack.encode(header)
    nonce = os.urandom(_NONCE_BYTES)
    ciphertext = AESGCM(ring_key).encrypt(nonce, pack(opened), header_bytes)
    checksum = _checksum(header_bytes, nonce, ciphertext)
    return msgspec.msgpack.encode(_Outer(header=header_bytes, nonce=nonce, ciphertext=ciphertext, checksum=checksum))


def parse_ring(untrusted_bytes: bytes) -> RingFile:
    """Read a ring file as far as that goes without its key.

    Raises:
        RingDamaged: bytes flipped or missing, or of a later format.
    """
    try:
        outer = _DECODE_OUTER.decode(untrusted_bytes)
        if outer.checksum != _checksum(outer.header, outer.nonce, outer.ciphertext):
            raise RingDamaged("A copy of the ring is damaged on the disk.")
        header = _DECODE_HEADER.decode(outer.header)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RingDamaged("A copy of the ring is damaged on the disk.") from error
    if header.format not in (_STATE_FIRST_FORMAT, _FORMAT):
        raise RingDamaged("This ring was written by a newer version; nothing was changed. Install that version.")
    return RingFile(header=header, header_bytes=outer.header, nonce=outer.nonce, ciphertext=outer.ciphertext)


def open_ring(ring_key: bytes, ring: RingFile) -> OpenedRing:
    """Decrypt a ring file. Raises RingDamaged: not sealed under this key, with this header."""
    try:
        return unpack(AESGCM(ring_key).decrypt(ring.nonce, ring.ciphertext, ring.header_bytes))
    except InvalidTag as error:
        raise RingDamaged(_TAMPERED) from error


def pack(opened: OpenedRing) -> bytes:
    """What a ring holds, as bytes to be sealed: their number says little, as they are padded."""
    encoded = _encoded(opened)
    framed = _LENGTH.pack(len(encoded)) + encoded
    return framed + bytes(-len(framed) % PADDING_STEP_BYTES)


def unpack(padded: bytes) -> OpenedRing:
    """The reverse of `pack`. Raises RingDamaged."""
    try:
        (length,) = _LENGTH.unpack_from(padded)
        return _decoded(padded[_LENGTH.size : _LENGTH.size + length])
    except (msgspec.MsgspecError, UnicodeDecodeError, struct.error) as error:
        raise RingDamaged(_TAMPERED) from error


def _encoded(opened: OpenedRing) -> bytes:
    contents = opened.contents
    buckets = tuple(_InnerBucket(name, bucket.day, bucket.key) for name, bucket in contents.buckets.items())
    return msgspec.msgpack.encode(_Inner(r=opened.r, buckets=buckets, secrets=dict(contents.secrets)))


def _decoded(encoded: bytes) -> OpenedRing:
    inner = _DECODE_INNER.decode(encoded)
    buckets = {BucketId(each.bucket_id): Bucket(day=each.day, key=each.key) for each in inner.buckets}
    return OpenedRing(r=inner.r, contents=RingContents(buckets=buckets, secrets=inner.secrets))


def _checksum(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def _not_a_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() != text
    except ValueError:
        return True
