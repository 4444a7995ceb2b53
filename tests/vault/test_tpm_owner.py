"""Who rules the TPM: nobody but us, from the first start on, and after a cut at any command."""

from __future__ import annotations

import itertools
import subprocess
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
import tpm2_pytss as tss

from appliance.terms import KeyTrouble
from appliance.vault.provisioning import LOCKOUT_SECRET, OWNER_SECRET
from appliance.vault.tpm import Ownership, Tpm
from appliance.vault.tpm_policy import JOURNAL_INDEX_HANDLE, RING_INDEX_HANDLE, SIGNING_KEY_HANDLE
from appliance.vault.tpm_trouble import HIERARCHY_OFF, plain_code
from tests.simulators.software_tpm import FINE, Fault, FaultyTpm, SoftwareTpm, Verdict
from tests.vault.box_house import BoxHouse, acts_of, kept_call

OWNER, LOCKOUT = b"o" * 32, b"l" * 32
OWNER_AUTH_SET, LOCKOUT_AUTH_SET = tss.TPMA_PERMANENT.OWNERAUTHSET, tss.TPMA_PERMANENT.LOCKOUTAUTHSET


def property_of(esys: tss.ESAPI, which: tss.TPM2_PT) -> int:
    _, capability = esys.get_capability(tss.TPM2_CAP.TPM_PROPERTIES, which, 1)
    return int(capability.data.tpmProperties[0].value)


def flags_of(esys: tss.ESAPI) -> int:
    return property_of(esys, tss.TPM2_PT.PERMANENT)


def test_the_platform_is_shut_and_stays_shut_until_the_next_reset(tpm: Tpm, stranger: tss.ESAPI) -> None:
    for _ in range(2):
        tpm.disable_platform()
    with pytest.raises(tss.TSS2_Exception):
        stranger.clear(tss.ESYS_TR.PLATFORM)


def test_the_owner_is_taken_once_and_known_again(tpm: Tpm, stranger: tss.ESAPI) -> None:
    assert not tpm.has_owner()
    assert tpm.take_ownership(OWNER, LOCKOUT) is Ownership.TAKEN
    assert tpm.take_ownership(OWNER, LOCKOUT) is Ownership.OURS
    assert tpm.has_owner()
    assert flags_of(stranger) & (OWNER_AUTH_SET | LOCKOUT_AUTH_SET) == OWNER_AUTH_SET | LOCKOUT_AUTH_SET


def test_ten_wrong_pins_lock_out_and_one_is_forgiven_an_hour(tpm: Tpm, stranger: tss.ESAPI) -> None:
    tpm.take_ownership(OWNER, LOCKOUT)
    tries, forgives_one_after_s, lockout_forgives_after_s = (
        property_of(stranger, which)
        for which in (tss.TPM2_PT.MAX_AUTH_FAIL, tss.TPM2_PT.LOCKOUT_INTERVAL, tss.TPM2_PT.LOCKOUT_RECOVERY)
    )
    assert (tries, forgives_one_after_s, lockout_forgives_after_s) == (10, 3600, 86_400)


def test_an_owner_that_somebody_else_set_is_told(tpm: Tpm, stranger: tss.ESAPI) -> None:
    stranger.hierarchy_change_auth(tss.ESYS_TR.OWNER, b"theirs")
    assert tpm.take_ownership(OWNER, LOCKOUT) is Ownership.ANOTHERS


def test_root_with_empty_hands_neither_clears_nor_undefines(tpm: Tpm, stranger: tss.ESAPI) -> None:
    tpm.disable_platform()
    tpm.take_ownership(OWNER, LOCKOUT)
    state = tpm.ring_state()
    for ruler in (tss.ESYS_TR.LOCKOUT, tss.ESYS_TR.PLATFORM):
        with pytest.raises(tss.TSS2_Exception):
            stranger.clear(ruler)
    for ruler in (tss.ESYS_TR.OWNER, tss.ESYS_TR.PLATFORM):
        with pytest.raises(tss.TSS2_Exception):
            stranger.nv_undefine_space(stranger.tr_from_tpmpublic(RING_INDEX_HANDLE), auth_handle=ruler)
    assert tpm.ring_state() == state


@pytest.mark.parametrize("fault", [Fault.LOSE_COMMAND, Fault.LOSE_ANSWER])
def test_taking_ownership_goes_on_after_a_cut_at_every_command(tmp_path: Path, run_dir: Path, fault: Fault) -> None:
    for cut_at in itertools.count(1):
        with ExitStack() as stack:
            chip = stack.enter_context(SoftwareTpm(tmp_path / str(cut_at), run_dir))
            bus = stack.enter_context(FaultyTpm(chip, run_dir))
            tpm = stack.enter_context(closing(Tpm(bus.tcti)))
            tpm.provision()
            commands = itertools.count(1)
            bus.rule = lambda _code, cut_at=cut_at, commands=commands: (  # type: ignore[misc]
                Verdict(fault=fault) if next(commands) == cut_at else FINE
            )
            try:
                tpm.take_ownership(OWNER, LOCKOUT)
            except KeyTrouble:
                bus.rule = lambda _code: FINE
                assert tpm.take_ownership(OWNER, LOCKOUT) is not Ownership.ANOTHERS
            else:
                break
            assert tpm.take_ownership(OWNER, LOCKOUT) is Ownership.OURS
    assert cut_at > 8


def test_what_is_missing_later_is_made_with_the_owners_secret_which_never_crosses_the_bus(
    tpm: Tpm, bus: FaultyTpm, chip: SoftwareTpm
) -> None:
    tpm.take_ownership(OWNER, LOCKOUT)
    point = tpm.signing_point()
    environment = {"TPM2TOOLS_TCTI": chip.tcti, "PATH": "/usr/bin:/bin"}
    for command in (
        ["tpm2_evictcontrol", "-C", "o", "-P", OWNER.decode(), "-c", f"0x{SIGNING_KEY_HANDLE:x}"],
        ["tpm2_nvundefine", "-C", "o", "-P", OWNER.decode(), f"0x{JOURNAL_INDEX_HANDLE:x}"],
    ):
        subprocess.run(command, env=environment, check=True, capture_output=True)
    tpm.provision()
    assert tpm.signing_point() == point
    assert len(tpm.journal_state()) == 32
    assert not any(secret in crossed for crossed in bus.commands + bus.answers for secret in (OWNER, LOCKOUT))


def test_a_box_owns_its_tpm_from_the_first_start_and_keeps_the_secrets_in_the_ring(house: BoxHouse) -> None:
    with house.opened(house.settings("first")) as box:
        secrets = box.ring.contents.secrets
        assert {len(secrets[name]) for name in (OWNER_SECRET, LOCKOUT_SECRET)} == {32}
        assert acts_of(box).count("tpm:owned") == 1
        kept_call(box)
    with house.opened(house.settings("first")) as box:
        assert acts_of(box).count("tpm:owned") == 1
        assert "tpm:owned_by_another" not in acts_of(box)


def test_a_box_on_a_fresh_tpm_has_shut_the_platform_before_anybody_clears_it(
    chip: SoftwareTpm, tmp_path: Path, run_dir: Path
) -> None:
    with tss.ESAPI(chip.tcti) as esys:
        esys.clear(tss.ESYS_TR.PLATFORM)  # whoever starts first may
    with BoxHouse(tmp_path, run_dir).opened():
        pass
    with tss.ESAPI(chip.tcti) as esys, pytest.raises(tss.TSS2_Exception) as refused:
        esys.clear(tss.ESYS_TR.PLATFORM)
    assert plain_code(refused.value.rc) == HIERARCHY_OFF


def test_a_box_whose_tpm_has_another_owner_says_so_and_works(house: BoxHouse) -> None:
    with house.opened(house.settings("second")) as box:
        assert "tpm:owned_by_another" in acts_of(box)
        assert box.call_keys.can_open(kept_call(box))
