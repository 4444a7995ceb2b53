"""The ring as bytes: what goes in comes out, and nothing else does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.terms import KeyTrouble
from appliance.vault.ring import Bucket, RingContents, RingDamaged, fresh_bucket_id, parse_bucket_id
from appliance.vault.ring_file import OpenedRing, make_header, open_ring, parse_ring, seal_ring
from appliance.vault.tpm import SealedSecret
from appliance.vault.tpm_policy import RING_INDEX_NAME

SOME = RingContents(
    buckets={fresh_bucket_id(): Bucket.fresh("2026-01-30") for _ in range(2)},
    secrets={"journal key": b"a secret of the vault"},
)
RING_KEY = bytes(range(32))
HEADER = make_header(
    SealedSecret(public=b"public", private=b"private", states=(b"1" * 32, b"2" * 32), pcrs=(7,), pcr_digest=b"3" * 32),
    storage_key_name=b"4" * 34,
    index_name=RING_INDEX_NAME,
)
OPENED = OpenedRing(contents=SOME, r=b"5" * 32)
SEALED = seal_ring(RING_KEY, HEADER, OPENED)


@given(
    buckets=st.dictionaries(
        st.binary(min_size=8, max_size=8).map(lambda name: parse_bucket_id(name.hex())),
        st.builds(
            lambda day, key: Bucket(day=day.isoformat(), key=key), st.dates(), st.binary(min_size=32, max_size=32)
        ),
    ),
    secrets=st.dictionaries(st.text(max_size=20), st.binary(max_size=200)),
    r=st.binary(min_size=32, max_size=32),
)
def test_what_is_sealed_opens_to_the_same(buckets: dict[str, Bucket], secrets: dict[str, bytes], r: bytes) -> None:
    opened = OpenedRing(contents=RingContents(buckets=buckets, secrets=secrets), r=r)  # type: ignore[arg-type]
    ring = parse_ring(seal_ring(RING_KEY, HEADER, opened))
    assert ring.header == HEADER
    assert open_ring(RING_KEY, ring) == opened


def test_every_flipped_byte_is_found_as_damage() -> None:
    for position in range(len(SEALED)):
        flipped = bytearray(SEALED)
        flipped[position] ^= 0x01
        with pytest.raises(RingDamaged):
            open_ring(RING_KEY, parse_ring(bytes(flipped)))


@given(st.binary(max_size=300))
def test_bytes_that_are_no_ring_are_found_as_damage(noise: bytes) -> None:
    with pytest.raises(RingDamaged):
        parse_ring(noise)


def test_a_header_from_another_ring_does_not_open_with_these_contents() -> None:
    other = seal_ring(
        RING_KEY,
        make_header(
            SealedSecret(public=b"p", private=b"q", states=(b"1" * 32, b"2" * 32), pcrs=(), pcr_digest=b"3" * 32),
            storage_key_name=b"4" * 34,
            index_name=RING_INDEX_NAME,
        ),
        OPENED,
    )
    mine, theirs = parse_ring(SEALED), parse_ring(other)
    mixed = type(mine)(
        header=theirs.header, header_bytes=theirs.header_bytes, nonce=mine.nonce, ciphertext=mine.ciphertext
    )
    with pytest.raises(RingDamaged):
        open_ring(RING_KEY, mixed)


def test_contents_do_not_change_when_the_callers_dictionary_does() -> None:
    buckets = {fresh_bucket_id(): Bucket.fresh("2026-01-30")}
    contents = RingContents(buckets=buckets, secrets={})
    buckets.clear()
    assert len(contents.buckets) == 1


@pytest.mark.parametrize("text", ["", "0123456789abcde", "0123456789ABCDEF", "0123456789abcdef0", "0123456789abcde\n"])
def test_what_is_no_bucket_id_is_refused(text: str) -> None:
    with pytest.raises(KeyTrouble):
        parse_bucket_id(text)


@pytest.mark.parametrize(("day", "key"), [("2026-1-3", bytes(32)), ("20260130", bytes(32)), ("2026-01-30", bytes(31))])
def test_what_is_no_bucket_is_refused(day: str, key: bytes) -> None:
    with pytest.raises(KeyTrouble):
        Bucket(day=day, key=key)
