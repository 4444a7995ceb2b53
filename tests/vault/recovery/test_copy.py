"""The recovery copy as bytes: opens with its key to the last bit, and with nothing else."""

from __future__ import annotations

import dataclasses

import pytest

from appliance.vault.recovery.copy import (
    Choice,
    CopyDamaged,
    choice_of,
    is_in_step,
    open_copy,
    parse_copy,
    seal_copy,
    with_choice,
)
from appliance.vault.recovery.words import RecoveryKey, WordsWrong
from appliance.vault.ring_file import Bucket, OpenedRing, RingContents, fresh_bucket_id

KEY = RecoveryKey(bytes(range(32)))
STATES = (b"1" * 32, b"2" * 32)
CHOICE = Choice(public_key=KEY.public, needed=2, sheets=3, at_ms=7)
CONTENTS = with_choice(
    RingContents(buckets={fresh_bucket_id(): Bucket.fresh("2026-01-30")}, secrets={"mail": b"secret"}), CHOICE
)
OPENED = OpenedRing(contents=CONTENTS, r=bytes(32))


def sealed() -> bytes:
    content = seal_copy(OPENED, STATES)
    assert content is not None
    return content


def test_words_open_what_the_ring_holds_and_the_header_says_whose_it_is() -> None:
    copy = parse_copy(sealed())
    assert (copy.choice, copy.states) == (CHOICE, STATES)
    assert open_copy(copy, KEY) == CONTENTS


def test_no_key_of_the_ring_stands_in_it_in_clear_and_no_two_copies_are_alike() -> None:
    one, other = sealed(), sealed()
    assert all(bucket.key not in one for bucket in CONTENTS.buckets.values())
    assert b"secret" not in one
    assert parse_copy(one).sealed != parse_copy(other).sealed


def test_every_flipped_bit_and_every_cut_is_refused() -> None:
    whole = sealed()
    for place in range(0, len(whole), 5):
        flipped = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
        with pytest.raises(CopyDamaged):
            open_copy(parse_copy(flipped), KEY)
        with pytest.raises(CopyDamaged):
            parse_copy(whole[:place])


def test_header_of_another_copy_does_not_fit() -> None:
    one = parse_copy(sealed())
    later = seal_copy(OPENED, (b"2" * 32, b"3" * 32))
    assert later is not None
    mixed = dataclasses.replace(one, sealed=parse_copy(later).sealed)
    with pytest.raises(CopyDamaged):
        open_copy(mixed, KEY)


def test_words_of_another_box_are_told_from_damage() -> None:
    with pytest.raises(WordsWrong, match="those of another box"):
        open_copy(parse_copy(sealed()), RecoveryKey.fresh())


def test_without_a_recovery_key_there_is_no_copy() -> None:
    declined = with_choice(CONTENTS, Choice(at_ms=9))
    undecided = RingContents(buckets={}, secrets={})
    for contents in (declined, undecided):
        assert seal_copy(OpenedRing(contents=contents, r=bytes(32)), STATES) is None
        assert is_in_step(None, contents, STATES)
        assert not is_in_step(sealed(), contents, STATES)
    assert choice_of(undecided) is None
    assert choice_of(declined) == Choice(at_ms=9)


def test_a_copy_is_in_step_with_its_own_ring_only() -> None:
    content = sealed()
    other_key = with_choice(CONTENTS, Choice(public_key=RecoveryKey.fresh().public, needed=1, sheets=1, at_ms=7))
    assert is_in_step(content, CONTENTS, STATES)
    assert not is_in_step(content, CONTENTS, (STATES[1], STATES[0]))
    assert not is_in_step(content, other_key, STATES)
    assert not is_in_step(content[:-1], CONTENTS, STATES)
    assert not is_in_step(None, CONTENTS, STATES)
