"""A card opens with its own call and key only, and its length says little of what it holds."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.recordings.sealing import seal_card
from appliance.terms import CallId, DamagedRecording
from appliance.vault import card as cards

CALL, OTHER, KEY = CallId("ab" * 16), CallId("cd" * 16), b"k" * 32
CARD = cards.Card(number="+49301234", ended="silence", frames=1, audio_bytes=2, peaks="", gaps=((0, 1, "overrun"),))


def test_a_card_comes_back_as_it_was() -> None:
    assert cards.unseal(cards.seal(CARD, CALL, KEY), CALL, KEY) == CARD


def test_a_card_from_before_cards_had_a_ground_and_a_consent_opens() -> None:
    former = {"number": "1", "ended": "silence", "frames": 1, "audio_bytes": 2, "peaks": "", "gaps": []}
    card = cards.unseal(seal_card(KEY, CALL, msgspec.msgpack.encode(former)), CALL, KEY)
    assert (card.number, card.ground, card.consent_by, card.consent_at_ms) == ("1", "", "", 0)


def test_a_card_of_another_call_or_key_or_with_any_bit_changed_is_refused() -> None:
    sealed = cards.seal(CARD, CALL, KEY)
    attempts = [(sealed, OTHER, KEY), (sealed, CALL, b"x" * 32), (b"", CALL, KEY), (sealed[:-1], CALL, KEY)]
    for place in range(len(sealed)):
        attempts.append((sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :], CALL, KEY))
    for content, call, key in attempts:
        with pytest.raises(DamagedRecording):
            cards.unseal(content, call, key)


def test_a_sealed_text_that_is_no_card_is_refused() -> None:
    with pytest.raises(DamagedRecording):
        cards.unseal(seal_card(KEY, CALL, b"\xc1"), CALL, KEY)


def test_a_card_shows_nothing_in_a_log() -> None:
    assert "1234" not in repr(CARD)


@given(st.text("0123456789", min_size=1, max_size=20), st.text(" -/()", max_size=5))
def test_however_a_number_is_written_it_has_the_same_tokens(digits: str, between: str) -> None:
    written = between + between.join(digits) + between
    assert cards.tokens_of(written, KEY) == cards.tokens_of(digits, KEY)
    assert cards.token_sought(written, KEY) in cards.tokens_of(digits, KEY)


@given(st.text("0123456789", min_size=5, max_size=15), st.text("0123456789", min_size=5, max_size=15))
def test_different_numbers_have_different_tokens(one: str, other: str) -> None:
    assert (cards.token_sought(one, KEY) in cards.tokens_of(other, KEY)) == (one == other)
