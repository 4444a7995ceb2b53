"""The TPM's owner, and a bus on which somebody loses, refuses, forges and listens."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
import tpm2_pytss as tss
from cryptography.hazmat.primitives.asymmetric import ec

from appliance.vault import tpm as tpm_module
from appliance.vault.tpm import Tpm, TpmFault, TpmForeign, TpmMissing
from appliance.vault.tpm_policy import next_state
from tests.simulators.software_tpm import (
    CREATE,
    FINE,
    NV_EXTEND,
    NV_READ,
    READ_PUBLIC,
    UNSEAL,
    Fault,
    FaultyTpm,
    SoftwareTpm,
    Verdict,
    nth,
)

SECRET = bytes(range(32))
R = b"r" * 32


@pytest.mark.parametrize("code", [0x920, 0x922, 0x923, 0x902, 0x903, 0x905])
def test_a_tpm_that_is_busy_is_asked_again_and_extends_once(tpm: Tpm, bus: FaultyTpm, code: int) -> None:
    state = tpm.ring_state()
    refusals = iter(range(3))
    bus.rule = lambda this: Verdict(refuse=code) if this == NV_EXTEND and next(refusals, None) is not None else FINE
    tpm.extend(R)
    assert tpm.ring_state() == next_state(state, R)


def test_a_session_that_another_program_flushed_in_the_middle_is_begun_again(
    tpm: Tpm, bus: FaultyTpm, chip: SoftwareTpm
) -> None:
    state, before = tpm.ring_state(), bus.codes().count(NV_EXTEND)
    intrusions = iter(range(1))

    def intrude_once(code: int) -> Verdict:
        if code == NV_EXTEND and next(intrusions, None) is not None:
            Tpm(chip.tcti).close()
        return FINE

    bus.rule = intrude_once
    tpm.extend(R)
    assert bus.codes().count(NV_EXTEND) == before + 2
    assert tpm.ring_state() == next_state(state, R)


def test_a_tpm_that_stays_busy_is_given_up(tpm: Tpm, bus: FaultyTpm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tpm_module, "_WAITS_S", (0.0,) * 9)
    bus.rule = lambda code: Verdict(refuse=0x923) if code == NV_EXTEND else FINE
    before = bus.codes().count(NV_EXTEND)
    with pytest.raises(TpmFault, match="0x923"):
        tpm.extend(R)
    assert bus.codes().count(NV_EXTEND) == before + 10


def test_a_lost_answer_is_told_and_the_next_transaction_works(tpm: Tpm, bus: FaultyTpm) -> None:
    state = tpm.ring_state()
    bus.rule = nth(NV_EXTEND, 1, Verdict(fault=Fault.LOSE_ANSWER))
    with pytest.raises(TpmMissing):
        tpm.extend(R)
    assert tpm.ring_state() == next_state(state, R)


@pytest.mark.parametrize("answer", [b"", b"\x80\x01", b"\x80\x02\x00\x00\x00\x0a\x00\x00\x00\x00", b"\xff" * 40])
def test_a_malformed_answer_is_told_and_the_next_transaction_works(tpm: Tpm, bus: FaultyTpm, answer: bytes) -> None:
    bus.rule = nth(CREATE, 1, Verdict(forge=lambda _answer: answer))
    with pytest.raises((TpmFault, TpmMissing)):
        tpm.seal(SECRET, states_of(tpm))
    assert tpm.unseal(tpm.seal(SECRET, states_of(tpm))) == SECRET


def test_a_faked_success_of_the_extend_is_not_believed(tpm: Tpm, bus: FaultyTpm) -> None:
    state = tpm.ring_state()
    bus.rule = nth(NV_EXTEND, 1, Verdict(fault=Fault.FAKE_SUCCESS))
    with pytest.raises(TpmFault):
        tpm.extend(R)
    assert tpm.ring_state() == state


def test_a_faked_state_is_not_believed(tpm: Tpm, bus: FaultyTpm) -> None:
    true_state = tpm.ring_state()
    # The 32 bytes follow head, size of the parameters, and their own length.
    bus.rule = nth(NV_READ, 1, Verdict(forge=lambda answer: answer[:16] + bytes(32) + answer[48:]))
    with pytest.raises(TpmFault):
        tpm.ring_state()
    assert tpm.ring_state() == true_state


def test_a_storage_key_slipped_in_on_the_bus_is_recognised_whatever_name_it_claims(tpm: Tpm, bus: FaultyTpm) -> None:
    tpm.check_storage_key(tpm.storage_key_name())
    tpm.close()
    theirs = ec.generate_private_key(ec.SECP256R1()).public_key().public_numbers()
    point = struct.pack(">H32sH32s", 32, theirs.x.to_bytes(32, "big"), 32, theirs.y.to_bytes(32, "big"))
    # ECC point at the end of the public area, which comes first in the answer; the true name stays behind it.
    bus.rule = lambda code: (
        Verdict(forge=lambda answer: answer[:34] + point + answer[34 + len(point) :]) if code == READ_PUBLIC else FINE
    )
    with pytest.raises(TpmForeign):
        tpm.ring_state()
    bus.rule = lambda _code: FINE
    assert len(tpm.ring_state()) == 32


def test_nothing_secret_crosses_the_bus_in_clear(tpm: Tpm, bus: FaultyTpm) -> None:
    sealed = tpm.seal(SECRET, states_of(tpm))
    assert tpm.unseal(sealed) == SECRET
    tpm.extend(R)
    drawn = tpm.random(32)
    heard = b"".join(bus.commands) + b"".join(bus.answers)
    assert sealed.public in heard
    for secret in (SECRET, R, drawn):
        assert secret not in heard
        assert secret[:16] not in heard


def test_a_register_that_moves_once_while_opening_does_no_harm(tpm: Tpm, bus: FaultyTpm, chip: SoftwareTpm) -> None:
    sealed = tpm.seal(SECRET, states_of(tpm))
    bus.rule = at_each_unseal(chip, times=1)
    assert tpm.unseal(sealed) == SECRET
    bus.rule = at_each_unseal(chip, times=2)
    with pytest.raises(TpmFault, match="0x128"):
        tpm.unseal(sealed)


def at_each_unseal(chip: SoftwareTpm, times: int) -> Callable[[int], Verdict]:
    left = iter(range(times))

    def rule(code: int) -> Verdict:
        if code == UNSEAL and next(left, None) is not None:
            with tss.ESAPI(chip.tcti) as esys:
                extend_register(esys, tss.ESYS_TR.PCR12)
        return FINE

    return rule


def extend_register(esys: tss.ESAPI, register: tss.ESYS_TR) -> None:
    digest = tss.TPMT_HA(hashAlg=tss.TPM2_ALG.SHA256, digest=tss.TPMU_HA(sha256=b"x" * 32))
    esys.pcr_extend(register, tss.TPML_DIGEST_VALUES([digest]))


def states_of(tpm: Tpm) -> tuple[bytes, bytes]:
    state = tpm.ring_state()
    return state, next_state(state, R)
