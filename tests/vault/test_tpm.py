"""The TPM's one owner, on a real (software) TPM, and on a bus where somebody loses, refuses and forges."""

from __future__ import annotations

import itertools
import os
import subprocess
import threading
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import pytest
import tpm2_pytss as tss

from appliance.vault.tpm import (
    BootChanged,
    PolicyNotMet,
    SealDamaged,
    SealedSecret,
    Tpm,
    TpmForeign,
    TpmMissing,
)
from appliance.vault.tpm_policy import (
    RING_INDEX_HANDLE,
    RING_INDEX_NAME,
    STORAGE_KEY_HANDLE,
    boot_digest,
    next_state,
    policy_nv_digest,
    ring_key_policy,
)
from tests.simulators.software_tpm import (
    FINE,
    Fault,
    FaultyTpm,
    SoftwareTpm,
    Verdict,
)

SECRET = bytes(range(32))
R = b"r" * 32


def states_of(tpm: Tpm) -> tuple[bytes, bytes]:
    state = tpm.ring_state()
    return state, next_state(state, R)


def test_provisioning_twice_changes_nothing(tpm: Tpm) -> None:
    name, state = tpm.storage_key_name(), tpm.ring_state()
    tpm.provision()
    assert (tpm.storage_key_name(), tpm.ring_state()) == (name, state)


@pytest.mark.parametrize("fault", [Fault.LOSE_COMMAND, Fault.LOSE_ANSWER])
def test_provisioning_goes_on_after_a_cut_at_every_command(tmp_path: Path, run_dir: Path, fault: Fault) -> None:
    for cut_at in itertools.count(1):
        with ExitStack() as stack:
            chip = stack.enter_context(SoftwareTpm(tmp_path / str(cut_at), run_dir))
            bus = stack.enter_context(FaultyTpm(chip, run_dir))
            tpm = stack.enter_context(closing(Tpm(bus.tcti)))
            commands = itertools.count(1)
            bus.rule = lambda _code, cut_at=cut_at, commands=commands: (  # type: ignore[misc]
                Verdict(fault=fault) if next(commands) == cut_at else FINE
            )
            try:
                tpm.provision()
            except TpmMissing:
                tpm.provision()
            else:
                break
            assert tpm.unseal(tpm.seal(SECRET, states_of(tpm))) == SECRET
    assert cut_at > 10


def test_two_new_tpms_begin_in_different_states(tmp_path: Path, run_dir: Path) -> None:
    states = set()
    for name in ("one", "other"):
        with SoftwareTpm(tmp_path / name, run_dir) as chip, closing(Tpm(chip.tcti)) as tpm:
            tpm.provision()
            states.add(tpm.ring_state())
    assert len(states) == 2


def test_provisioning_leaves_a_foreign_key_at_our_place_alone(chip: SoftwareTpm, stranger: tss.ESAPI) -> None:
    theirs = stranger.create_primary(None, "ecc256:aes256cfb")[0]
    stranger.evict_control(tss.ESYS_TR.OWNER, theirs, STORAGE_KEY_HANDLE)
    with closing(Tpm(chip.tcti)) as tpm, pytest.raises(TpmForeign):
        tpm.provision()


def test_provisioning_leaves_a_foreign_index_at_our_place_alone(chip: SoftwareTpm, stranger: tss.ESAPI) -> None:
    attributes = tss.TPMA_NV.AUTHREAD | tss.TPMA_NV.AUTHWRITE
    theirs = tss.TPMS_NV_PUBLIC(
        nvIndex=RING_INDEX_HANDLE, nameAlg=tss.TPM2_ALG.SHA256, attributes=attributes, dataSize=32
    )
    stranger.nv_define_space(b"", tss.TPM2B_NV_PUBLIC(nvPublic=theirs))
    with closing(Tpm(chip.tcti)) as tpm, pytest.raises(TpmForeign):
        tpm.provision()


def test_a_tpm_that_is_not_provisioned_is_told_apart(bus: FaultyTpm) -> None:
    with closing(Tpm(bus.tcti)) as tpm, pytest.raises(TpmForeign):
        tpm.ring_state()


def test_a_secret_opens_in_both_its_states_and_in_no_third(tpm: Tpm) -> None:
    sealed = tpm.seal(SECRET, states_of(tpm))
    assert tpm.unseal(sealed) == SECRET
    tpm.extend(R)
    assert tpm.ring_state() == sealed.states[1]
    assert tpm.unseal(sealed) == SECRET
    tpm.extend(R)
    with pytest.raises(PolicyNotMet):
        tpm.unseal(sealed)


def test_a_secret_sealed_for_other_states_does_not_open(tpm: Tpm) -> None:
    sealed = tpm.seal(SECRET, (bytes(32), b"\xff" * 32))
    with pytest.raises(PolicyNotMet):
        tpm.unseal(sealed)


def test_the_tpm_itself_refuses_states_that_were_not_sealed_in(tpm: Tpm) -> None:
    now = tpm.ring_state()
    sealed = tpm.seal(SECRET, (bytes(32), b"\xff" * 32))
    lie = SealedSecret(
        public=sealed.public,
        private=sealed.private,
        states=(now, b"\xff" * 32),
        pcrs=sealed.pcrs,
        pcr_digest=sealed.pcr_digest,
    )
    with pytest.raises(PolicyNotMet):
        tpm.unseal(lie)


def test_undefining_the_index_and_defining_it_anew_revives_nothing(tpm: Tpm, stranger: tss.ESAPI) -> None:
    sealed = tpm.seal(SECRET, states_of(tpm))
    stranger.nv_undefine_space(stranger.tr_from_tpmpublic(RING_INDEX_HANDLE))
    tpm.provision()
    with pytest.raises(PolicyNotMet):
        tpm.unseal(sealed)


def test_another_tpm_opens_nothing_and_is_recognised(tpm: Tpm, tmp_path: Path, run_dir: Path) -> None:
    sealed, name = tpm.seal(SECRET, states_of(tpm)), tpm.storage_key_name()
    with SoftwareTpm(tmp_path / "other", run_dir / "o") as chip, closing(Tpm(chip.tcti)) as other:
        other.provision()
        with pytest.raises(TpmForeign):
            other.check_storage_key(name)
        forged = SealedSecret(
            public=sealed.public,
            private=sealed.private,
            states=states_of(other),
            pcrs=sealed.pcrs,
            pcr_digest=sealed.pcr_digest,
        )
        with pytest.raises(SealDamaged):
            other.unseal(forged)


@pytest.mark.parametrize("position", [0, 1, 2, 40, -1])
def test_a_damaged_seal_is_refused_as_damaged(tpm: Tpm, position: int) -> None:
    sealed = tpm.seal(SECRET, states_of(tpm))
    private = bytearray(sealed.private)
    private[position] ^= 0x40
    damaged = SealedSecret(
        public=sealed.public,
        private=bytes(private),
        states=sealed.states,
        pcrs=sealed.pcrs,
        pcr_digest=sealed.pcr_digest,
    )
    with pytest.raises(SealDamaged):
        tpm.unseal(damaged)
    assert tpm.unseal(sealed) == SECRET


def test_a_box_that_was_started_differently_is_told_so(tpm: Tpm, stranger: tss.ESAPI) -> None:
    sealed = tpm.seal(SECRET, states_of(tpm))
    extend_register(stranger, tss.ESYS_TR.PCR7)
    with pytest.raises(BootChanged):
        tpm.unseal(sealed)


def test_more_registers_than_a_tpm_reads_at_once_are_all_bound(bus: FaultyTpm, stranger: tss.ESAPI) -> None:
    with closing(Tpm(bus.tcti, pcrs=tuple(range(12)))) as tpm:
        tpm.provision()
        sealed = tpm.seal(SECRET, states_of(tpm))
        assert tpm.unseal(sealed) == SECRET
        extend_register(stranger, tss.ESYS_TR.PCR11)
        with pytest.raises(BootChanged):
            tpm.unseal(sealed)


def extend_register(esys: tss.ESAPI, register: tss.ESYS_TR) -> None:
    digest = tss.TPMT_HA(hashAlg=tss.TPM2_ALG.SHA256, digest=tss.TPMU_HA(sha256=b"x" * 32))
    esys.pcr_extend(register, tss.TPML_DIGEST_VALUES([digest]))


def tool(chip: SoftwareTpm, folder: Path, *command: str, given: bytes = b"") -> bytes:
    """Run one of Debian's tpm2-tools, an implementation that shares no line with ours."""
    environment = {**os.environ, "TPM2TOOLS_TCTI": chip.tcti}
    done = subprocess.run(command, cwd=folder, env=environment, input=given, capture_output=True, check=True)
    return done.stdout


def test_digests_computed_here_are_those_of_a_trial_session(tpm: Tpm, chip: SoftwareTpm, tmp_path: Path) -> None:
    states = states_of(tpm)
    sealed = tpm.seal(SECRET, states)
    for number, state in enumerate(states):
        tool(chip, tmp_path, "tpm2_startauthsession", "-S", "nv")
        tool(chip, tmp_path, "tpm2_policypcr", "-S", "nv", "-l", "sha256:7", "-L", "pcr")
        command = ("tpm2_policynv", "-S", "nv", "-i", "-", f"0x{RING_INDEX_HANDLE:x}", "eq", "-L", f"nv{number}")
        tool(chip, tmp_path, *command, given=state)
        tool(chip, tmp_path, "tpm2_flushcontext", "nv")
        assert (tmp_path / f"nv{number}").read_bytes() == policy_nv_digest(state, boot_digest(sealed))
    assert (tmp_path / "pcr").read_bytes() == boot_digest(sealed)
    tool(chip, tmp_path, "tpm2_startauthsession", "-S", "whole")
    tool(chip, tmp_path, "tpm2_policyor", "-S", "whole", "-L", "or", "sha256:nv0,nv1")
    tool(chip, tmp_path, "tpm2_policyauthvalue", "-S", "whole", "-L", "pin")
    tool(chip, tmp_path, "tpm2_flushcontext", "whole")
    assert (tmp_path / "or").read_bytes() == ring_key_policy(sealed)
    assert (tmp_path / "pin").read_bytes() == ring_key_policy(replace(sealed, has_pin=True))


def test_the_index_has_the_name_and_the_type_that_we_compute_with(tpm: Tpm, chip: SoftwareTpm, tmp_path: Path) -> None:
    told = tool(chip, tmp_path, "tpm2_nvreadpublic", f"0x{RING_INDEX_HANDLE:x}").decode()
    assert RING_INDEX_NAME.hex() in told.lower()
    # WRITTEN, NO_DA, AUTHREAD, type EXTEND (4 in bits 4 to 7), AUTHWRITE; not ORDERLY (bit 26).
    assert "value: 0x22040044" in told


def test_sessions_that_another_program_left_are_flushed_when_there_is_no_room(tpm: Tpm, stranger: tss.ESAPI) -> None:
    for _ in range(3):
        start_session(stranger)
    with pytest.raises(tss.TSS2_Exception, match="memory for session contexts"):
        start_session(stranger)
    assert len(tpm.random(8)) == 8


def start_session(esys: tss.ESAPI) -> tss.ESYS_TR:
    nothing, sha256 = tss.ESYS_TR.NONE, tss.TPM2_ALG.SHA256
    return esys.start_auth_session(nothing, nothing, tss.TPM2_SE.POLICY, None, sha256)


def left_in(esys: tss.ESAPI) -> list[int]:
    """Loaded and saved sessions and transient objects."""
    handles: list[int] = []
    for first in (0x02000000, 0x03000000, 0x80000000):
        _, capability = esys.get_capability(tss.TPM2_CAP.HANDLES, first, 254)
        handles += [int(handle) for handle in capability.data.handles]
    return handles


def test_opening_flushes_what_a_killed_client_left(chip: SoftwareTpm, stranger: tss.ESAPI) -> None:
    stranger.create_primary(None, "ecc256")
    stranger.context_save(start_session(stranger))
    start_session(stranger)
    assert len(left_in(stranger)) == 3
    with closing(Tpm(chip.tcti)):
        assert left_in(stranger) == []


def test_no_transaction_leaves_a_session_or_an_object(tpm: Tpm, stranger: tss.ESAPI) -> None:
    sealed = tpm.seal(SECRET, states_of(tpm))
    tpm.unseal(sealed)
    tpm.extend(R)
    tpm.extend(R)
    with pytest.raises(PolicyNotMet):
        tpm.unseal(sealed)
    tpm.clock()
    tpm.provision()
    assert left_in(stranger) == []


def test_the_state_outlives_a_power_cut(tpm: Tpm, chip: SoftwareTpm) -> None:
    tpm.extend(R)
    state = tpm.ring_state()
    sealed = tpm.seal(SECRET, states_of(tpm))
    chip.power_cut()
    assert tpm.ring_state() == state
    assert tpm.unseal(sealed) == SECRET


def test_the_clock_runs_and_counts_boots(tpm: Tpm, chip: SoftwareTpm) -> None:
    first, second = tpm.clock(), tpm.clock()
    assert second.time_ms >= first.time_ms > 0
    chip.power_cut()
    assert tpm.clock().reset_count == first.reset_count + 1


def test_random_bytes_come_in_any_number_and_never_twice(tpm: Tpm) -> None:
    assert [len(tpm.random(count)) for count in (0, 1, 32, 33, 100)] == [0, 1, 32, 33, 100]
    assert tpm.random(32) != tpm.random(32)


def test_a_tpm_that_is_not_there_is_missing(run_dir: Path) -> None:
    for tcti in (f"swtpm:path={run_dir}/nobody", "device:/dev/nothing", "no-such-road"):
        with pytest.raises(TpmMissing):
            Tpm(tcti)


def test_many_threads_share_one_tpm(tpm: Tpm) -> None:
    opened: list[bytes] = []

    def work() -> None:
        for _ in range(3):
            opened.append(tpm.unseal(tpm.seal(SECRET, states_of(tpm))))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert opened == [SECRET] * 12
