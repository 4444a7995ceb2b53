"""`linekeep pin` and `linekeep unlock`, as a person types them before a vault that runs: its TPM and ring are real."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from appliance.boundary import verbs
from appliance.boundary.peer import Handler, Listener
from appliance.settings import SETTINGS_NAME
from appliance.vault.service import Service
from appliance.vault.tpm import PinNeeded, PinWrong
from tests.simulators.software_tpm import SoftwareTpm
from tests.vault.box_house import BoxHouse, acts_of, contents_of, door_of, kept_call

PIN = "2580 and a word"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[BoxHouse]:
    with TemporaryDirectory(prefix="lk-") as run_dir, SoftwareTpm(tmp_path / "tpm", Path(run_dir)):
        state = tmp_path / "state"
        state.mkdir()
        (state / SETTINGS_NAME).write_text(f'state_dir = "{state}"\nrun_dir = "{run_dir}"\n[vault]\ntpm = "software"\n')
        yield BoxHouse(tmp_path, Path(run_dir))


@contextmanager
def answering(house: BoxHouse, handlers: Mapping[type[verbs.Request], Handler]) -> Iterator[None]:
    """The console's socket of a vault that runs."""
    faults: list[BaseException] = []
    socket = house.settings().vault_socket(verbs.Caller.CONSOLE)
    listener = Listener(socket, verbs.Caller.CONSOLE, os.geteuid(), handlers, faults.append)
    listener.start()
    try:
        yield
    finally:
        listener.stop()
    assert faults == []


def typed(house: BoxHouse, *arguments: str, lines: tuple[str, ...] = ()) -> tuple[int, str, str]:
    """What the command ends with and says to somebody who types these lines."""
    done = subprocess.run(
        [sys.executable, "-m", "appliance.cli", *arguments, "--state", house.settings().state],
        input="".join(f"{line}\n" for line in lines),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_a_pin_typed_twice_is_in_the_journal_and_the_ring_opens_with_it_only(house: BoxHouse) -> None:
    with house.opened() as box, answering(house, Service(box).handlers()):
        call = kept_call(box)
        assert typed(house, "pin", "set", lines=(PIN, PIN)) == (0, "The box asks for this PIN at its next start.\n", "")
        assert acts_of(box)[-2:] == ["pin:set", "ring:moved"]
    with door_of(house, "state") as (door, opened):
        for pin, trouble in ((None, PinNeeded), (f"{PIN}\n", PinWrong)):
            with pytest.raises(trouble):
                door.open(pin)
        door.open(PIN)
        assert opened[0].call_keys.can_open(call)


def test_a_pin_that_is_not_typed_twice_the_same_or_is_too_short_is_not_set(house: BoxHouse) -> None:
    with house.opened() as box, answering(house, Service(box).handlers()):
        acts, ring = acts_of(box), contents_of(house.settings().state / "ring")
        for lines, said in (((PIN, f"{PIN}s"), "not the same"), ((PIN,), "not the same"), (("258",) * 2, "at least 4")):
            code, out, err = typed(house, "pin", "set", lines=lines)
            assert (code, out) == (2, "")
            assert said in err
            assert "Nothing was changed." in err
        assert acts_of(box) == acts
        assert contents_of(house.settings().state / "ring") == ring
    with house.opened():
        pass  # without a PIN


def test_a_pin_that_is_removed_is_not_asked_for(house: BoxHouse) -> None:
    with house.opened() as box, answering(house, Service(box).handlers()):
        call = kept_call(box)
        box.set_pin(PIN, by="console")
        assert typed(house, "pin", "remove") == (0, "The box starts without a PIN.\n", "")
        assert acts_of(box)[-2:] == ["pin:removed", "ring:moved"]
    with house.opened() as box:
        assert box.call_keys.can_open(call)


def test_a_locked_box_opens_to_the_pin_and_stays_locked_to_another(house: BoxHouse) -> None:
    with house.opened() as box:
        call = kept_call(box)
        box.set_pin(PIN, by="console")
    with door_of(house, "state") as (door, opened), answering(house, door.handlers()):
        code, out, err = typed(house, "unlock", lines=("another",))
        assert (code, out) == (2, "")
        assert str(PinWrong()) in err
        assert door.is_locked
        assert typed(house, "unlock", lines=(PIN,)) == (0, "The box is unlocked.\n", "")
        assert not door.is_locked
        assert opened[0].call_keys.can_open(call)


def test_a_vault_that_does_not_run_is_one_sentence(house: BoxHouse) -> None:
    code, out, err = typed(house, "pin", "set", lines=(PIN, PIN))
    assert (code, out, err.count("\n")) == (2, "", 1)
