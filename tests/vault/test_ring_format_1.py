"""A ring as the first version wrote it: it opens, stays shut where it must, and the box seals it anew."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from appliance.vault.ring import Ring, RingOld
from appliance.vault.ring_file import OpenedRing, RingHeader, make_header, open_ring, pack, parse_ring
from appliance.vault.ring_file import _checksum as checksum
from appliance.vault.ring_file import _Outer as Outer
from appliance.vault.tpm import SealedSecret, Tpm
from appliance.vault.tpm_policy import policy_or_digest, policy_pcr_digest, state_branches
from tests.simulators.software_tpm import FaultyTpm
from tests.vault.box_house import BoxHouse, acts_of, kept_call


class FirstTpm(Tpm):
    """Seals as the first version did: the states first, then the registers."""

    def _policy(self, sealed: SealedSecret) -> bytes:
        state = policy_or_digest(state_branches(sealed.states))
        return policy_pcr_digest(state, sealed.pcrs, sealed.pcr_digest)


def write_as_format_1(folder: Path, tpm: Tpm, first: FirstTpm) -> None:
    """Put the ring that lies here into both files as the first version would have written it."""
    header, opened = opened_ring(folder, tpm)
    key = os.urandom(32)
    sealed = first.seal(key, header.states)
    fresh = make_header(sealed, storage_key_name=header.storage_key_name, index_name=header.index_name)
    fields = msgspec.to_builtins(fresh, builtin_types=(bytes,))
    del fields["update_key_name"], fields["has_pin"]
    header_bytes = msgspec.msgpack.encode(fields | {"format": 1})
    nonce = os.urandom(12)
    ciphertext = AESGCM(key).encrypt(nonce, pack(opened), header_bytes)
    outer = Outer(
        header=header_bytes, nonce=nonce, ciphertext=ciphertext, checksum=checksum(header_bytes, nonce, ciphertext)
    )
    for name in ("ring.a", "ring.b"):
        (folder / name).write_bytes(msgspec.msgpack.encode(outer))


def opened_ring(folder: Path, tpm: Tpm) -> tuple[RingHeader, OpenedRing]:
    file = parse_ring((folder / "ring.a").read_bytes())
    return file.header, open_ring(tpm.unseal(file.header.sealed_key), file)


def format_of(folder: Path) -> set[int]:
    return {parse_ring((folder / name).read_bytes()).header.format for name in ("ring.a", "ring.b")}


@pytest.fixture
def first(bus: FaultyTpm) -> Iterator[FirstTpm]:
    with closing(FirstTpm(bus.tcti)) as first:
        yield first


def test_it_opens_and_its_next_commit_is_of_the_present_format(tmp_path: Path, tpm: Tpm, first: FirstTpm) -> None:
    folder = tmp_path / "ring"
    Ring.create(folder, tpm)
    write_as_format_1(folder, tpm, first)
    ring = Ring.open(folder, tpm)
    assert format_of(folder) == {1}
    assert not ring.is_sealed_as_now
    ring.commit(ring.contents)
    assert format_of(folder) == {2}
    assert ring.is_sealed_as_now


def test_it_opens_no_more_once_the_state_has_moved_on(tmp_path: Path, tpm: Tpm, first: FirstTpm) -> None:
    folder = tmp_path / "ring"
    ring = Ring.create(folder, tpm)
    write_as_format_1(folder, tpm, first)
    old = {name: (folder / name).read_bytes() for name in ("ring.a", "ring.b")}
    ring = Ring.open(folder, tpm)
    ring.commit(ring.contents)
    ring.commit(ring.contents)
    for name, content in old.items():
        (folder / name).write_bytes(content)
    with pytest.raises(RingOld):
        Ring.open(folder, tpm).contents  # noqa: B018


def test_a_box_that_is_updated_keeps_its_calls_and_seals_the_ring_anew(house: BoxHouse) -> None:
    settings = house.settings("updated")
    folder = Path(settings.state_dir) / "ring"
    with house.opened(settings) as box:
        call = kept_call(box)
        key = box.call_keys.key_of(call)
        tcti = box.tpm._tcti
        with closing(FirstTpm(tcti)) as first:
            write_as_format_1(folder, box.tpm, first)
    with house.opened(settings) as box:
        assert box.call_keys.key_of(call) == key
        assert format_of(folder) == {2}
        assert acts_of(box).count("ring:sealed_anew") == 1
