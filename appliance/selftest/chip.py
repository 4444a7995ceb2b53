"""The TPM: who made it, does it answer, is its chance good, and is it the one that this box's keys are sealed by?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from appliance.selftest.finding import Finding, bad, good, look
from appliance.terms import KeyTrouble, StorageTrouble
from appliance.vault.ring_file import parse_ring
from appliance.vault.ring_folder import RingCopy
from appliance.vault.tpm import Tpm

_DRAWN_BYTES = 512
_LEAST_DIFFERENT = 190
"""Of 256 values in 512 bytes; 221 are expected, and fewer than 190 come by chance once in 10^12 draws."""


def look_at_tpm(tcti: str, ring: Path, device: str = "the TPM") -> Iterator[Finding]:
    """
    Args:
        tcti: the road to it.
        ring: the folder of a vault's ring; need not be there.
        device: as the settings call it.
    """
    try:
        with closing(Tpm(tcti)) as tpm:
            yield _make(tpm)
            yield _chance(tpm)
            yield _whose(tpm, ring)
    except KeyTrouble as trouble:
        yield bad(
            "TPM",
            f"{device}: {trouble}",
            "Is the module on its pins, and its overlay loaded, with its chip select? Without a TPM there are no keys.",
        )


def _make(tpm: Tpm) -> Finding:
    make = tpm.make()
    reading = f"{make.manufacturer} {make.model}, firmware {make.firmware}".replace("  ", " ")
    if make.manufacturer == "IBM":
        return look("TPM", reading, "This TPM is software. Its keys lie on a disk and protect nothing from a thief.")
    return good("TPM", reading)


def _chance(tpm: Tpm) -> Finding:
    first, second = tpm.random_in_clear(_DRAWN_BYTES), tpm.random_in_clear(_DRAWN_BYTES)
    different = len(set(first))
    if first == second or different < _LEAST_DIFFERENT:
        return bad(
            "TPM random", f"{different} of 256 values in {_DRAWN_BYTES} bytes", "The chip is broken. Take another one."
        )
    return good("TPM random", f"{different} of 256 values in {_DRAWN_BYTES} bytes")


def _whose(tpm: Tpm, ring: Path) -> Finding:
    names = set(_names_in(ring))
    if not names:
        if tpm.has_owner():
            return bad(
                "TPM owner",
                "somebody's, and this box has no keys yet",
                "It was used elsewhere. Clear it before the first start: in the firmware's set-up, or, where there is "
                "none, right after the power was off: tpm2_clear -c p.",
            )
        return good("TPM owner", "nobody's; the first start takes it")
    if tpm.storage_key_name() not in names:
        return bad(
            "TPM owner",
            "this box's keys are sealed by another TPM",
            "Put the TPM back that was in this box. If it is lost: linekeep recover, with the words on paper.",
        )
    return good("TPM owner", "the one that sealed this box's keys")


def _names_in(ring: Path) -> Iterator[bytes]:
    for copy in RingCopy:
        try:
            yield parse_ring((ring / copy.value).read_bytes()).header.storage_key_name
        except (OSError, KeyTrouble, StorageTrouble):
            continue
