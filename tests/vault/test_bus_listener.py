"""Somebody listens on the bus through a box's whole life: no secret crosses it in clear, in any flow."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest

from appliance.settings import Settings
from appliance.vault.box import Box, reach_tpm
from appliance.vault.provisioning import LOCKOUT_SECRET, OWNER_SECRET
from appliance.vault.recovery.copy import open_copy
from appliance.vault.recovery.recovering import copy_in, recover_ring
from appliance.vault.recovery.words import key_of
from appliance.vault.tpm import Tpm
from tests.simulators.crash_world import lead_to_the_bus
from tests.simulators.software_tpm import FaultyTpm, SoftwareTpm
from tests.vault.backup.backup_house import plays
from tests.vault.box_house import BoxHouse, kept_call
from tests.vault.recovery.paper import written_down

PIN = "9 green bottles"


class Listener:
    """Knows every secret that there was, and everything that was said on the bus."""

    def __init__(self, bus: FaultyTpm) -> None:
        self.secrets: dict[str, set[bytes]] = {}
        self._bus = bus

    def learn(self, kind: str, *secret: bytes) -> None:
        self.secrets.setdefault(kind, set()).update(secret)

    def heard(self) -> list[str]:
        """The kinds of secrets that it could have written down, whole or in half."""
        said = b"".join(self._bus.commands) + b"".join(self._bus.answers)
        return [
            kind
            for kind, known in self.secrets.items()
            if any(half in said for secret in known for half in (secret[:16], secret[-16:]))
        ]


@pytest.fixture
def quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[BoxHouse, Listener]]:
    """A house whose TPM is reached over a bus with a listener, who is told each secret as it is made."""
    with (
        TemporaryDirectory(prefix="lk-") as run,
        SoftwareTpm(tmp_path / "tpm", Path(run) / "chip") as chip,
        FaultyTpm(chip, Path(run) / "bus") as bus,
    ):
        lead_to_the_bus(Path(run) / "bus")
        listener = Listener(bus)
        seal, extend, use_pin = Tpm.seal, Tpm.extend, Tpm.use_pin

        def noted_seal(tpm: Tpm, secret: bytes, states: tuple[bytes, bytes]) -> Any:
            listener.learn("ring keys", secret)
            return seal(tpm, secret, states)

        def noted_extend(tpm: Tpm, r: bytes) -> None:
            listener.learn("the next state's r", r)
            extend(tpm, r)

        def noted_pin(tpm: Tpm, pin: str | None) -> None:
            use_pin(tpm, pin)
            if pin is not None:
                listener.learn("the PIN", tpm._pin_auth or b"")

        monkeypatch.setattr(Tpm, "seal", noted_seal)
        monkeypatch.setattr(Tpm, "extend", noted_extend)
        monkeypatch.setattr(Tpm, "use_pin", noted_pin)
        yield BoxHouse(tmp_path, Path(run) / "bus"), listener


def learn_all(listener: Listener, box: Box) -> None:
    contents = box.ring.contents
    listener.learn("bucket keys", *(bucket.key for bucket in contents.buckets.values()))
    listener.learn("the owner's authorisation", contents.secrets[OWNER_SECRET])
    listener.learn("the lock-out's authorisation", contents.secrets[LOCKOUT_SECRET])


def live(house: BoxHouse, listener: Listener) -> tuple[str, ...]:
    """Provision, record, hear, sign, forget, set up the words, take a PIN, be locked and unlocked."""
    with house.opened() as box:
        learn_all(listener, box)
        call, gone = kept_call(box), kept_call(box)
        listener.learn("call keys", box.call_keys.key_of(call), box.call_keys.key_of(gone))
        learn_all(listener, box)
        assert plays(box, call)
        box.sign_journal_head()
        assert box.erasure.erase([gone], by="test", why="asked")
        sheets = written_down(box)
        listener.learn("the recovery key", key_of(sheets).secret)
        box.set_pin(PIN, by="console")
        learn_all(listener, box)
    box = Box(house.settings(), house.log.logger, house.hands.clock, pin=PIN)
    with closing(box):
        assert plays(box, call)
        learn_all(listener, box)
    return sheets


def test_no_secret_crosses_the_bus_in_clear_in_a_boxs_life(quiet: tuple[BoxHouse, Listener]) -> None:
    house, listener = quiet
    live(house, listener)
    assert len(listener.secrets) == 8
    assert listener.heard() == []


def test_nor_in_a_recovery_on_a_new_board(quiet: tuple[BoxHouse, Listener], tmp_path: Path) -> None:
    house, first = quiet
    sheets = live(house, first)
    folder = house.settings().state / "ring"
    with (
        TemporaryDirectory(prefix="lk-") as run,
        SoftwareTpm(tmp_path / "new", Path(run) / "chip") as chip,
        FaultyTpm(chip, Path(run) / "bus") as bus,
    ):
        lead_to_the_bus(Path(run) / "bus")
        listener = Listener(bus)
        listener.secrets = first.secrets
        settings: Settings = msgspec.structs.replace(house.settings(), run_dir=str(Path(run) / "bus"))
        with closing(reach_tpm(settings)) as tpm:
            recover_ring(folder, tpm, open_copy(copy_in(folder), key_of(sheets)), now_ms=house.hands.wall_ms)
        with house.opened(settings) as box:
            learn_all(listener, box)
            kept_call(box)
        assert listener.heard() == []


def test_a_listener_hears_what_is_said_in_clear(quiet: tuple[BoxHouse, Listener]) -> None:
    house, listener = quiet
    with house.opened() as box:
        digest = secrets.token_bytes(32)
        box.tpm.certify_ring(digest)  # signed in the open, and meant to be
    listener.learn("a digest", digest)
    listener.learn("a guess", os.urandom(32))
    assert listener.heard() == ["a digest"]
