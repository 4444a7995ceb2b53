"""What a TPM's answer codes mean for us: our troubles, and what is worth another try.

Decides, touches nothing. Codes are TPM_RC of TCG TPM 2.0 Library part 2, chapter 6.6, below the layer bits
of the software stack (TSS 2.0 Overview, 3.3). Each sentence says what happened and what is safe.
"""

from __future__ import annotations

from enum import Enum, auto

from appliance.terms import KeyTrouble

NO_SUCH_HANDLE = 0x18B
HIERARCHY_OFF = 0x185
PCR_CHANGED = 0x128

_LAYER_BITS = 0xFF0000
_TPM_LAYER = 0x000000
_RESOURCE_MANAGER_LAYER = 0x0B0000
_TRANSPORT_LAYER = 0x0A0000

_WRONG_PCR_DIGEST = 0x1C4
_FORMAT_ONE_PARAMETER = 0xC0
_SESSION_BITS = 0xF00
_AUTH_FAIL = 0x08E
_BAD_AUTH = 0x0A2
_LOCKED_OUT = 0x921
_POLICY_NOT_TRUE = (0x126, 0x99D)
_TRY_LATER = (0x920, 0x922, 0x923)
_FLUSHED_BY_ANOTHER = range(0x910, 0x91F)
_NO_ROOM = (0x901, 0x902, 0x903, 0x905)


class TpmMissing(KeyTrouble):
    """The TPM cannot be reached."""


class TpmForeign(KeyTrouble):
    """This is another TPM, or it was cleared: its storage key or its ring index is not ours."""


class PolicyNotMet(KeyTrouble):
    """The TPM is not in a state in which this secret opens."""


class BootChanged(PolicyNotMet):
    """The ring state may fit, but this box was started in another way than when the secret was sealed."""


class SealDamaged(KeyTrouble):
    """A sealed secret's bytes are not what this TPM gave out."""


class PinNeeded(KeyTrouble):
    """The ring's key opens with a PIN, and nobody has typed it since the start."""

    def __init__(self) -> None:
        super().__init__("This box is locked. What is recorded is safe; type its PIN to unlock it.")


class PinWrong(KeyTrouble):
    """Not the PIN."""

    def __init__(self) -> None:
        super().__init__(
            "That is not the PIN of this box. Nothing was changed; after ten wrong ones the TPM makes you wait."
        )


class PinLocked(KeyTrouble):
    """Too many wrong PINs: the TPM itself refuses for a while."""

    def __init__(self) -> None:
        super().__init__(
            "There were too many wrong PINs, so the TPM refuses all of them for now. Nothing is lost; leave the box "
            "on and try again in an hour."
        )


class TpmFault(KeyTrouble):
    """The TPM, or the road to it, gave an answer that has no other name here; the code is in the sentence."""


class NextStep(Enum):
    """What to do after an answer that is not a success."""

    RECONNECT = auto()
    """The road is broken, or somebody sits on it: nothing more can be said over this connection."""

    WAIT = auto()
    """Not executed, possible soon. NV_RATE, RETRY, NV_UNAVAILABLE; ESYS repeats only RETRY, a few times.

    REFERENCE_H0 to REFERENCE_S6: another program flushed our session or object in the middle, as we do on opening.
    """

    MAKE_ROOM = auto()
    """No room for another object or session: there is some after flushing."""

    GIVE_UP = auto()
    """The TPM has decided."""


def plain_code(code: int) -> int:
    """The TPM's own code; one that was not said by the TPM stays as it is."""
    return code & ~_LAYER_BITS if said_by_tpm(code) else code


def said_by_tpm(code: int) -> bool:
    """Did the TPM itself answer, directly or through the resource manager? Then the connection is sound."""
    return code & _LAYER_BITS in (_TPM_LAYER, _RESOURCE_MANAGER_LAYER)


def finds_fault_with_parameter(code: int) -> bool:
    """Did the TPM refuse what it was given, as opposed to the asking (format one, bit P)?"""
    return said_by_tpm(code) and plain_code(code) & _FORMAT_ONE_PARAMETER == _FORMAT_ONE_PARAMETER


def says_wrong_pin(code: int) -> bool:
    """Did the TPM compare the object's secret, and it was another? (Session bits aside; part 2, 6.6.2.)"""
    return said_by_tpm(code) and plain_code(code) & ~_SESSION_BITS == _AUTH_FAIL


def says_wrong_owner(code: int) -> bool:
    """Did the TPM refuse the owner's authorisation?"""
    return said_by_tpm(code) and plain_code(code) & ~_SESSION_BITS in (_AUTH_FAIL, _BAD_AUTH)


def next_step(code: int) -> NextStep:
    if not said_by_tpm(code):
        return NextStep.RECONNECT
    if plain_code(code) in (*_TRY_LATER, *_FLUSHED_BY_ANOTHER):
        return NextStep.WAIT
    if plain_code(code) in _NO_ROOM:
        return NextStep.MAKE_ROOM
    return NextStep.GIVE_UP


def trouble(code: int) -> KeyTrouble:
    """The trouble that a code stands for, ready to be raised."""
    if plain_code(code) == _LOCKED_OUT:
        return PinLocked()
    if code & _LAYER_BITS == _TRANSPORT_LAYER:
        return TpmMissing("The TPM does not answer. Recordings are safe, but none opens until it does.")
    if plain_code(code) == _WRONG_PCR_DIGEST:
        return BootChanged(
            "This box was started in another way than when its keys were sealed (platform registers differ)."
            " Nothing was changed. Start it as before."
        )
    if plain_code(code) in _POLICY_NOT_TRUE:
        return PolicyNotMet("The TPM is not in the state in which this key opens. Nothing was changed.")
    return TpmFault(
        f"The TPM did not do what it was asked to (code 0x{plain_code(code):x}). Nothing was changed; "
        "switch the box off and on."
    )
