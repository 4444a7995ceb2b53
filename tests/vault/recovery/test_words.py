"""Sheets of words: any that are enough make the key; what is typed wrongly is told with its place."""

from __future__ import annotations

import hmac
import itertools

import pytest
from shamir_mnemonic import generate_mnemonics

from appliance.terms import KeyTrouble
from appliance.vault.recovery.words import WORDS_A_SHEET, RecoveryKey, SheetsMissing, WordsWrong, key_of, sheets_of

KEY = RecoveryKey(bytes(range(32)))


@pytest.mark.parametrize(("needed", "sheets"), [(1, 1), (2, 2), (2, 3), (3, 5)])
def test_every_choice_of_enough_sheets_makes_the_key_in_any_order(needed: int, sheets: int) -> None:
    made = sheets_of(KEY, needed=needed, sheets=sheets)
    assert all(len(sheet.split()) == WORDS_A_SHEET for sheet in made)
    for chosen in itertools.permutations(made, needed):
        assert key_of(chosen) == KEY


def test_sheets_that_are_not_needed_doubles_blanks_and_capitals_do_no_harm() -> None:
    made = sheets_of(KEY, needed=2, sheets=3)
    assert key_of([*made, made[0], "", "  " + made[1].upper().replace(" ", "   ")]) == KEY


def test_fewer_sheets_than_needed_are_counted() -> None:
    made = sheets_of(KEY, needed=3, sheets=5)
    with pytest.raises(SheetsMissing, match=r"^3 different sheets of the set are needed; 1 more must be typed"):
        key_of(made[:2])
    with pytest.raises(SheetsMissing, match="; 2 more must be typed"):
        key_of([made[0], made[0], made[0]])
    with pytest.raises(SheetsMissing, match="No words were typed"):
        key_of([" "])


def test_misspelt_word_is_told_with_sheet_place_and_a_likely_word() -> None:
    first, second = sheets_of(KEY, needed=2, sheets=2)
    words = second.split()
    likely = words[6]
    words[6] = likely[:4] + "x"
    with pytest.raises(WordsWrong, match=f"^Word 7 of sheet 2, '{words[6]}', is not on the list.*'{likely}'"):
        key_of([first, " ".join(words)])


def test_word_of_the_list_in_a_wrong_place_is_told_with_its_sheet() -> None:
    first, second = sheets_of(KEY, needed=2, sheets=2)
    words = second.split()
    place = next(n for n in range(10, 32) if words[n] != words[n + 1])
    words[place], words[place + 1] = words[place + 1], words[place]
    with pytest.raises(WordsWrong, match=r"^The words of sheet 2 do not fit together"):
        key_of([first, " ".join(words)])


def test_word_too_few_is_told_with_its_sheet() -> None:
    with pytest.raises(WordsWrong, match=r"^Sheet 1 has 32 words and should have 33"):
        key_of([sheets_of(KEY, needed=1, sheets=1)[0].rsplit(" ", 1)[0]])


def test_sheets_of_two_sets_are_not_mixed() -> None:
    one, other = sheets_of(KEY, needed=2, sheets=2), sheets_of(RecoveryKey.fresh(), needed=2, sheets=2)
    with pytest.raises(WordsWrong, match="different recovery keys"):
        key_of([one[0], other[1]])


def test_words_of_another_product_with_a_longer_secret_are_refused() -> None:
    foreign = generate_mnemonics(1, [(1, 1)], bytes(16))[0][0]
    with pytest.raises(WordsWrong, match=r"^Sheet 1 has 20 words"):
        key_of([foreign])


@pytest.mark.parametrize(("needed", "sheets"), [(1, 2), (0, 1), (3, 2), (2, 17)])
def test_divisions_that_make_no_sense_are_refused(needed: int, sheets: int) -> None:
    with pytest.raises(KeyTrouble, match="one sheet, or up to 16"):
        sheets_of(KEY, needed=needed, sheets=sheets)


def test_keys_are_fresh_and_do_not_show_in_a_log() -> None:
    assert RecoveryKey.fresh() != RecoveryKey.fresh()
    assert repr(KEY) == "RecoveryKey()"


def test_what_opens_the_disk_is_the_same_for_ever_and_opens_no_copy() -> None:
    """By HKDF as RFC 5869 writes it: a box that was set up by this version must open with any later one."""
    extracted = hmac.digest(bytes(32), KEY.secret, "sha256")
    expanded = hmac.digest(extracted, b"linekeep recovery 1 disk" + b"\x01", "sha256")
    assert KEY.disk_passphrase == expanded.hex()
    assert KEY.disk_passphrase not in {KEY.secret.hex(), KEY.public.hex(), KEY.private.private_bytes_raw().hex()}
    assert KEY.disk_passphrase not in repr(KEY)
