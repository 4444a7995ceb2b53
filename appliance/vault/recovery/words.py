"""A recovery key as sheets of words, whole or split so that some of the sheets are enough.

SLIP-39: 33 words a sheet from a list of 1024, of which no two begin with the same four letters; a checksum that
finds up to three wrong words; the set and the sheet's number in it. Whoever has fewer sheets than are needed has
learnt nothing about the key. What is typed wrongly is told in one sentence that says which sheet and which word.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from shamir_mnemonic import MnemonicError, combine_mnemonics, generate_mnemonics
from shamir_mnemonic.share import Share
from shamir_mnemonic.wordlist import WORDLIST

from appliance.terms import KeyTrouble

KEY_BYTES: Final = 32
WORDS_A_SHEET: Final = 33
MAX_SHEETS: Final = 16
"""SLIP-39's own limit."""

_KEY_INFO = b"linekeep recovery 1 x25519"
_DISK_INFO = b"linekeep recovery 1 disk"
_WORDS = frozenset(WORDLIST)


class WordsWrong(KeyTrouble):
    """These are not the words of a recovery key. `facts`: for a page that says it in its reader's language."""


class SheetsMissing(WordsWrong):
    """Too few sheets."""


@dataclass(frozen=True)
class RecoveryKey:
    """256 random bits; whoever has them can open every recovery copy that was ever sealed to them."""

    secret: bytes = field(repr=False)

    @classmethod
    def fresh(cls) -> RecoveryKey:
        return cls(os.urandom(KEY_BYTES))

    @cached_property
    def private(self) -> X25519PrivateKey:
        """What opens a copy (RFC 7748), made from the secret by HKDF-SHA256 (RFC 5869)."""
        return X25519PrivateKey.from_private_bytes(self._derived(_KEY_INFO))

    @cached_property
    def disk_passphrase(self) -> str:
        """What opens the data partition of a box from the image: 64 hexadecimal digits. It opens no copy."""
        return self._derived(_DISK_INFO).hex()

    @property
    def public(self) -> bytes:
        """What seals a copy: 32 bytes."""
        return self.private.public_key().public_bytes_raw()

    def _derived(self, info: bytes) -> bytes:
        return HKDF(algorithm=hashes.SHA256(), length=KEY_BYTES, salt=None, info=info).derive(self.secret)


def sheets_of(key: RecoveryKey, *, needed: int, sheets: int) -> tuple[str, ...]:
    """The key's sheets, each a line of lower-case words.

    Args:
        needed, sheets: so many of so many open it; 1 of 1, or 2 to `sheets` of 2 to 16.
    Raises:
        KeyTrouble: no such division.
    """
    if not (needed == sheets == 1 or 2 <= needed <= sheets <= MAX_SHEETS):
        raise KeyTrouble(
            f"A recovery key is one sheet, or up to {MAX_SHEETS} of which at least two are needed. Nothing was changed."
        )
    (group,) = generate_mnemonics(1, [(needed, sheets)], key.secret)
    return tuple(group)


def key_of(untrusted_sheets: Sequence[str]) -> RecoveryKey:
    """Put a key together again from sheets in any order; more than are needed do no harm.

    Raises:
        WordsWrong, SheetsMissing: a sentence that says which sheet, which word, or how many are missing.
    """
    lines = [" ".join(sheet.lower().split()) for sheet in untrusted_sheets if sheet.strip()]
    shares = [_share_of(number, line) for number, line in enumerate(lines, start=1)]
    if not shares:
        raise SheetsMissing("No words were typed. Nothing was changed; type the words of one sheet a line.")
    if len({share.common_parameters() for share in shares}) > 1:
        raise WordsWrong(
            "These sheets belong to different recovery keys. Nothing was changed; take sheets of one set only."
        )
    by_number = {share.index: line for share, line in zip(shares, lines, strict=True)}
    if (missing := shares[0].member_threshold - len(by_number)) > 0:
        raise SheetsMissing(
            f"{shares[0].member_threshold} different sheets of the set are needed; {missing} more must be typed. "
            "Nothing was changed."
        )
    return _combined(list(by_number.values())[: shares[0].member_threshold])


def sheets_needed(untrusted_sheet: str) -> int:
    """How many sheets this one says are needed. Raises WordsWrong."""
    return int(_share_of(1, " ".join(untrusted_sheet.lower().split())).member_threshold)


def _share_of(number: int, line: str) -> Share:
    words = line.split()
    for place, word in enumerate(words, start=1):
        if word not in _WORDS:
            raise WordsWrong(_unknown_word(number, place, word))
    if len(words) != WORDS_A_SHEET:
        raise WordsWrong(
            f"Sheet {number} has {len(words)} words and should have {WORDS_A_SHEET}. Nothing was changed; look whether "
            "one was left out or typed twice."
        )
    try:
        return Share.from_mnemonic(line)
    except MnemonicError as error:
        raise WordsWrong(
            f"The words of sheet {number} do not fit together: at least one is another than on the paper, or two "
            "changed places. Nothing was changed; compare them one by one."
        ) from error


def _unknown_word(number: int, place: int, word: str) -> str:
    alike = [known for known in WORDLIST if known[:4] == word[:4]] or difflib.get_close_matches(word, WORDLIST, n=1)
    hint = f" Could it be '{alike[0]}'?" if alike else ""
    return f"Word {place} of sheet {number}, {word!a}, is not on the list of words.{hint} Nothing was changed."


def _combined(lines: Sequence[str]) -> RecoveryKey:
    try:
        secret = combine_mnemonics(lines)
    except MnemonicError as error:
        raise WordsWrong("These sheets do not belong together. Nothing was changed; take sheets of one set.") from error
    if len(secret) != KEY_BYTES:
        raise WordsWrong("These are words, but not those of a Linekeep's recovery key. Nothing was changed.")
    return RecoveryKey(secret)
