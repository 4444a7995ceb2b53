"""Everything that seals: segments of a recording, call keys, cards and number tokens.

Promise: this file alone holds AEAD and HKDF primitives, and no pair of key and nonce seals twice through it.
Nothing home-made: a recording is Tink's streaming AEAD "AES256_GCM_HKDF" with ciphertext segments of 1 KiB
(developers.google.com/tink/streaming-aead/aes_gcm_hkdf_streaming), AES-GCM is NIST SP 800-38D, HKDF is
RFC 5869 with SHA-256. Byte for byte in docs/format.md.

Left to others: where keys come from and when they are forgotten (the vault), and what the plaintext means.

Why a nonce never repeats:
- A recording has a fresh salt of 32 random bytes, hence its own AES key; within it the segment number is part
  of the nonce, and a `SegmentSealer` gives each number away once, in order, and nothing after the last one.
- Wrapped keys, cards and statements carry 96 random bits each. A bucket key wraps the calls of one day, a card key
  seals one card's revisions, a statement's key one statement: far below the 2^32 of SP 800-38D, 8.3.
"""

from __future__ import annotations

import hmac
import os
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from appliance.terms import CallId, DamagedRecording, KeyTrouble

SEGMENT_BYTES = 1024
"""Size on disk of a sealed segment: half a second of audio, so that page + segment stay under 2 s at risk."""

KEY_BYTES = 32
TAG_BYTES = 16
SALT_BYTES = 32
PREFIX_BYTES = 7
HEADER_BYTES = 1 + SALT_BYTES + PREFIX_BYTES
"""A recording starts with this length as one byte, the salt, and the nonce prefix."""

CARD_STEP_BYTES = 256
"""A card's plaintext is padded to a multiple of this, so that its size betrays little of the notes' length."""

_NONCE_BYTES = 12
_CARD_LENGTH = struct.Struct(">I")
_CARD_INFO = b"linekeep card 1"
_EVIDENCE_INFO = b"linekeep evidence 1"
_TOKEN_INFO = b"linekeep number tokens 1"
_WRAP_LABEL = b"linekeep call key 1"


class SegmentSealer:
    """Seals the segments of one new recording, in order, each once.

    Args:
        key: the call key, 32 bytes; never used for AES itself, only to derive this file's key.
        associated: what the file is bound to: the call's id in ASCII.
    """

    def __init__(self, key: bytes, associated: bytes) -> None:
        salt, prefix = _fresh_bytes(SALT_BYTES), _fresh_bytes(PREFIX_BYTES)
        self.header = bytes([HEADER_BYTES]) + salt + prefix
        self._cipher = _SegmentCipher(key, associated, self.header)
        self._next_number = 0
        self._ended = False

    def seal(self, number: int, plaintext: bytes, last: bool) -> bytes:
        """Seal one segment: as many bytes as the plaintext, and the tag.

        Raises:
            KeyTrouble: the number is not the next one, or the last segment has been sealed. Sealing a number
                twice would give the key stream away, so this is refused however good the reason.
        """
        if self._ended or number != self._next_number:
            raise KeyTrouble("A segment's number was about to be used twice; nothing was sealed.")
        self._next_number += 1
        self._ended = last
        return self._cipher.seal(number, plaintext, last)


class SegmentOpener:
    """Opens the segments of one recording, in any order. Raises DamagedRecording for a foreign header."""

    def __init__(self, key: bytes, associated: bytes, header: bytes) -> None:
        if len(header) != HEADER_BYTES or header[0] != HEADER_BYTES:
            raise DamagedRecording("This file does not begin like a recording.")
        self._cipher = _SegmentCipher(key, associated, header)

    def open(self, number: int, ciphertext: bytes, last: bool) -> bytes:
        """Authenticate and decrypt one segment.

        Raises:
            DamagedRecording: not what was sealed under this key, for this call, at this place, as last or not.
        """
        try:
            return self._cipher.open(number, ciphertext, last)
        except InvalidTag as error:
            raise DamagedRecording(f"Segment {number} of the recording is not what was sealed.") from error


class _SegmentCipher:
    """AES-256-GCM under HKDF(key, salt, associated); the nonce is prefix, number, last flag."""

    def __init__(self, key: bytes, associated: bytes, header: bytes) -> None:
        salt, self._prefix = header[1 : 1 + SALT_BYTES], header[1 + SALT_BYTES :]
        self._aead = AESGCM(_derive(key, salt=salt, info=associated))

    def seal(self, number: int, plaintext: bytes, last: bool) -> bytes:
        return self._aead.encrypt(self._nonce(number, last), plaintext, None)

    def open(self, number: int, ciphertext: bytes, last: bool) -> bytes:
        return self._aead.decrypt(self._nonce(number, last), ciphertext, None)

    def _nonce(self, number: int, last: bool) -> bytes:
        # struct.pack refuses a number beyond 32 bits, 4 TiB or 66 years of audio away, so it cannot wrap round.
        return self._prefix + struct.pack(">IB", number, last)


def wrap_key(bucket_key: bytes, call: CallId, bucket_id: str, call_key: bytes) -> bytes:
    """Seal a call key under its bucket key: 12 bytes nonce, 32 bytes key, 16 bytes tag.

    Call and bucket are authenticated, so a wrapped key put into another call's row opens nothing.
    """
    _check_key(bucket_key)
    _check_key(call_key)
    nonce = _fresh_bytes(_NONCE_BYTES)
    return nonce + AESGCM(bucket_key).encrypt(nonce, call_key, _wrap_associated(call, bucket_id))


def unwrap_key(bucket_key: bytes, call: CallId, bucket_id: str, wrapped: bytes) -> bytes:
    """The call key that `wrap_key` sealed. Raises KeyTrouble: another bucket, another call, or damaged."""
    _check_key(bucket_key)
    if len(wrapped) != _NONCE_BYTES + KEY_BYTES + TAG_BYTES:
        raise KeyTrouble("The wrapped key of this call has the wrong size; the call cannot be opened.")
    nonce, sealed = wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:]
    try:
        return AESGCM(bucket_key).decrypt(nonce, sealed, _wrap_associated(call, bucket_id))
    except InvalidTag as error:
        raise KeyTrouble("The key of this call does not open with its bucket's key.") from error


def seal_card(call_key: bytes, call: CallId, plaintext: bytes) -> bytes:
    """Seal a call's card under the call key: 12 bytes nonce, the padded card, 16 bytes tag."""
    return _seal_padded(_CARD_INFO, call_key, call, plaintext)


def open_card(call_key: bytes, call: CallId, sealed: bytes) -> bytes:
    """The card as it was sealed. Raises DamagedRecording: another call's, another key's, or damaged."""
    return _open_padded(_CARD_INFO, call_key, call, sealed, "The card")


def seal_evidence(call_key: bytes, call: CallId, plaintext: bytes) -> bytes:
    """Seal the signed statement about a call as a card is sealed, under a key of its own."""
    return _seal_padded(_EVIDENCE_INFO, call_key, call, plaintext)


def open_evidence(call_key: bytes, call: CallId, sealed: bytes) -> bytes:
    """The statement as it was sealed. Raises DamagedRecording."""
    return _open_padded(_EVIDENCE_INFO, call_key, call, sealed, "The signed statement")


def number_token(bucket_key: bytes, digits: str) -> bytes:
    """What the catalogue stores in place of a number: 32 bytes, equal for equal digits within one bucket.

    Without the bucket key it cannot be computed, so a list of all numbers does not help against a dump, and
    once the bucket is forgotten the token means nothing. What the digits stand for is the caller's choice.
    """
    return hmac.digest(_derive(bucket_key, salt=None, info=_TOKEN_INFO), digits.encode(), "sha256")


def check_known_answers() -> None:
    """Seal and open fixed bytes, and compare; run at each start, before the first call.

    Raises:
        KeyTrouble: the cryptography library on this machine does not compute what it did when this was written.
    """
    if _known_container() != _KNOWN_CONTAINER or _known_card() != _KNOWN_CARD:
        raise KeyTrouble("Sealing does not give the known answers on this machine; nothing will be recorded.")
    if number_token(_KNOWN_KEY, "0301234567") != _KNOWN_TOKEN:
        raise KeyTrouble("Number tokens do not give the known answer on this machine.")
    opener = SegmentOpener(_KNOWN_KEY, _KNOWN_CALL.encode(), _KNOWN_HEADER)
    try:
        opened = opener.open(0, _KNOWN_CONTAINER[:21], False) + opener.open(1, _KNOWN_CONTAINER[21:], True)
        card = open_card(_KNOWN_KEY, _KNOWN_CALL, _KNOWN_HEADER[:_NONCE_BYTES] + _KNOWN_CARD)
    except DamagedRecording as error:
        raise KeyTrouble("What was sealed elsewhere does not open on this machine.") from error
    if opened != b"firstlast" or card != b"card":
        raise KeyTrouble("What was sealed elsewhere opens to something else on this machine.")


def _fresh_bytes(count: int) -> bytes:
    return os.urandom(count)


def _check_key(key: bytes) -> None:
    if len(key) != KEY_BYTES:
        raise KeyTrouble("A key has the wrong length.")


def _derive(key: bytes, *, salt: bytes | None, info: bytes) -> bytes:
    _check_key(key)
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=salt, info=info).derive(key)


def _wrap_associated(call: CallId, bucket_id: str) -> bytes:
    # The label has no zero byte and a call's id has always 32 characters: two pairs never read the same.
    return b"\0".join((_WRAP_LABEL, call.encode("ascii"), bucket_id.encode()))


def _seal_padded(info: bytes, call_key: bytes, call: CallId, plaintext: bytes) -> bytes:
    nonce = _fresh_bytes(_NONCE_BYTES)
    return nonce + _cipher_for(info, call_key).encrypt(nonce, _padded(plaintext), call.encode("ascii"))


def _open_padded(info: bytes, call_key: bytes, call: CallId, sealed: bytes, what: str) -> bytes:
    nonce, ciphertext = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
    # The shortest one is one step; below that AESGCM would complain about its arguments, not the tag.
    if len(ciphertext) < CARD_STEP_BYTES + TAG_BYTES:
        raise DamagedRecording(f"{what} of this call is too short to be one.")
    try:
        padded = _cipher_for(info, call_key).decrypt(nonce, ciphertext, call.encode("ascii"))
    except InvalidTag as error:
        raise DamagedRecording(f"{what} of this call is not what was sealed.") from error
    return _unpadded(padded, what)


def _cipher_for(info: bytes, call_key: bytes) -> AESGCM:
    return AESGCM(_derive(call_key, salt=None, info=info))


def _padded(plaintext: bytes) -> bytes:
    framed = _CARD_LENGTH.pack(len(plaintext)) + plaintext
    return framed + bytes(-len(framed) % CARD_STEP_BYTES)


def _unpadded(padded: bytes, what: str) -> bytes:
    (length,) = _CARD_LENGTH.unpack_from(padded)
    plaintext = padded[_CARD_LENGTH.size : _CARD_LENGTH.size + length]
    if _padded(plaintext) != padded:
        raise DamagedRecording(f"{what} of this call is padded as nothing of ours is.")
    return plaintext


def _known_container() -> bytes:
    cipher = _SegmentCipher(_KNOWN_KEY, _KNOWN_CALL.encode(), _KNOWN_HEADER)
    return cipher.seal(0, b"first", False) + cipher.seal(1, b"last", True)


def _known_card() -> bytes:
    nonce = _KNOWN_HEADER[:_NONCE_BYTES]
    return _cipher_for(_CARD_INFO, _KNOWN_KEY).encrypt(nonce, _padded(b"card"), _KNOWN_CALL.encode())


# Made once with this file; container and card confirmed by the tink package, the token by HKDF written out
# (tests/recordings/test_tink.py, test_sealing.py).
_KNOWN_KEY = bytes(range(KEY_BYTES))
_KNOWN_CALL = CallId("000102030405060708090a0b0c0d0e0f")
_KNOWN_HEADER = bytes([HEADER_BYTES]) + bytes(range(64, 64 + SALT_BYTES + PREFIX_BYTES))
_KNOWN_CONTAINER = bytes.fromhex("bc4687ed71cb545b523e5f154a22a502f72353f4dcec7c1f253d5e84dc350a0818bf474d113ae1cded")
_KNOWN_CARD = bytes.fromhex(
    "70651a9e35f59ce174e06cf4c4ce16be45797291bb6360023686dff7bd79ddc73dd3f4d6843290dc4526275109811a6f"
    "0b8dd787bba24ec35c85e2b6950c488fbc5d5f18a26b046e5748b3a36c188f8c73af4a7f5e2c4b59a67abd50d20dea62"
    "8d675ba21a034b60f10d5b86c8a372278ce083bff3f80ce12035e23e85340df6558c6beb835df6e353f3fb0172c9ffab"
    "995e7082e07be19dffd4524b122632fd8d7a28057655273183e270d35e3c91032ee7badbb628b73da7ec7010460499ba"
    "b5a4ca136d790ff51f1e88ba77d950e86291e26ecaa9b7ed95192a6dfc9a1513b70fec63baf69ffde812b8fdda15e83e"
    "4252f84910ee508bd0bb32fe713879e1ab5c022fb81a9542512ae38552c4c830"
)
_KNOWN_TOKEN = bytes.fromhex("544906ee69fb3d807c088abfd6b49f1e20875bd0616cdc7abc8fd5953b6360c6")
