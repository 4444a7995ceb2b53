"""A PIN on the ring: what opens with it, what does not without, and who is made to wait."""

from __future__ import annotations

import resource
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import tpm2_pytss as tss

from appliance.audit.events import Act
from appliance.boundary import verbs
from appliance.terms import KeyTrouble, StorageTrouble
from appliance.vault.accounts import WrongPassword
from appliance.vault.door import Door
from appliance.vault.ring import Ring, RingContents
from appliance.vault.service import Service
from appliance.vault.tpm import PinLocked, PinNeeded, PinWrong, SealedSecret, Tpm
from tests.simulators.ring_thief import RingThief
from tests.simulators.ring_world import with_fresh_bucket
from tests.simulators.software_tpm import FaultyTpm, SoftwareTpm
from tests.vault.box_house import PASSWORD, BoxHouse, acts_of, door_of, kept_call

PIN = "2580 and a word"
NO_CONTENTS = RingContents(buckets={}, secrets={})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "ring"


def test_a_ring_with_a_pin_opens_with_it_and_only_with_it(tpm: Tpm, folder: Path) -> None:
    tpm.use_pin(PIN)
    ring = Ring.create(folder, tpm)
    ring.commit(with_fresh_bucket(ring.contents, "2026-01-30"))
    for pin, trouble in ((None, PinNeeded), ("wrong", PinWrong)):
        tpm.use_pin(pin)
        with pytest.raises(trouble):
            Ring.open(folder, tpm)
    tpm.use_pin(PIN)
    assert Ring.open(folder, tpm).contents == ring.contents


def test_the_pin_never_crosses_the_bus(tpm: Tpm, bus: FaultyTpm, folder: Path) -> None:
    tpm.use_pin(PIN)
    secret = tpm._pin_auth
    assert secret is not None
    Ring.create(folder, tpm).commit(NO_CONTENTS)
    Ring.open(folder, tpm)
    assert not any(part in crossed for crossed in bus.commands + bus.answers for part in (PIN.encode(), secret))


def test_after_ten_wrong_pins_the_right_one_waits_too_and_it_is_said_at_once(tpm: Tpm, folder: Path) -> None:
    tpm.take_ownership(b"o" * 32, b"l" * 32)
    tpm.use_pin(PIN)
    Ring.create(folder, tpm)
    tpm.use_pin("wrong")
    for _ in range(10):
        with pytest.raises(PinWrong):
            Ring.open(folder, tpm)
    tpm.use_pin(PIN)
    with pytest.raises(PinLocked):
        Ring.open(folder, tpm)


def test_a_locked_out_pin_does_not_lock_what_has_none(tpm: Tpm, folder: Path, stranger: tss.ESAPI) -> None:
    ring = Ring.create(folder, tpm)
    tpm.use_pin(PIN)
    commit = ring.last_commit
    guarded = tpm.seal(b"s" * 32, (commit.before, commit.after))
    tpm.use_pin("wrong")
    for _ in range(40):
        with pytest.raises((PinWrong, PinLocked)):
            tpm.unseal(guarded)
    tpm.use_pin(None)
    assert Ring.open(folder, tpm).contents == ring.contents


def test_a_thief_with_the_disk_and_the_tpm_gets_nothing_without_the_pin(
    tpm: Tpm, chip: SoftwareTpm, folder: Path
) -> None:
    tpm.use_pin(PIN)
    Ring.create(folder, tpm)
    with closing(RingThief(chip.tcti)) as thief:
        assert thief.open((folder / "ring.a").read_bytes()) is None


def test_setting_a_pin_kills_the_ring_without_one(tpm: Tpm, chip: SoftwareTpm, folder: Path) -> None:
    ring = Ring.create(folder, tpm)
    before = (folder / "ring.a").read_bytes()
    assert ring.is_sealed_as_now
    tpm.use_pin(PIN)
    assert not ring.is_sealed_as_now
    ring.commit(ring.contents)
    assert ring.is_sealed_as_now
    with closing(RingThief(chip.tcti)) as thief:
        assert thief.open(before) is None


@contextmanager
def no_file_longer_than(length: int) -> Iterator[None]:
    """A disk that is full for what is appended to a file of this length, as the kernel refuses it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (length, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def ask(door: Door, request: verbs.Request) -> verbs.Answer:
    return door.handlers()[type(request)](request)


def test_a_locked_box_answers_nothing_but_unlock_and_then_everything(house: BoxHouse) -> None:
    with house.opened(house.settings("locked")) as box:
        call = kept_call(box)
        box.set_pin(PIN, by="console")
        assert acts_of(box)[-2:] == ["pin:set", "ring:moved"]
    with door_of(house, "locked") as (door, opened):
        with pytest.raises(PinNeeded):
            door.open(None)
        assert door.is_locked
        for request in (verbs.AskClaimed(), verbs.Check(), verbs.IssueCall(line="front-desk")):  # type: ignore[arg-type]
            with pytest.raises(PinNeeded):
                ask(door, request)
        with pytest.raises(PinWrong):
            ask(door, verbs.Unlock(pin="wrong"))
        assert ask(door, verbs.Unlock(pin=PIN)) == verbs.Done()
        assert ask(door, verbs.Unlock(pin=PIN)) == verbs.Done()
        assert ask(door, verbs.AskClaimed()) == verbs.Claimed(claimed=False)
        assert opened[0].call_keys.can_open(call)
        assert ask(door, verbs.SetPin(pin=None)) == verbs.Done()
        assert acts_of(opened[0])[-2:] == ["pin:removed", "ring:moved"]
    with house.opened(house.settings("locked")) as box:
        assert box.call_keys.can_open(call)


def test_many_who_unlock_at_once_open_one_box(house: BoxHouse) -> None:
    with house.opened(house.settings("crowd")) as box:
        box.set_pin(PIN, by="console")
    with door_of(house, "crowd") as (door, opened):
        threads = [threading.Thread(target=door.open, args=(PIN,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(opened) == 1


def test_a_pin_whose_commit_fails_is_not_asked_for(house: BoxHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    with house.opened(house.settings("refused")) as box:
        call = kept_call(box)

        def refuse(_ring: Ring, _contents: object) -> None:
            raise KeyTrouble("The TPM does not answer.")

        with monkeypatch.context() as patched:
            patched.setattr(Ring, "commit", refuse)
            with pytest.raises(KeyTrouble):
                box.set_pin(PIN, by="console")
        box.erasure.erase([kept_call(box)], by="test", why="test")
    with house.opened(house.settings("refused")) as box:
        assert box.call_keys.can_open(call)


def test_a_full_disk_leaves_the_box_without_a_pin_that_nobody_noted(house: BoxHouse) -> None:
    with house.opened(house.settings("full")) as box:
        while box.journal.end < 64 * 1024:  # so that there is room for the ring still
            box.journal.append(Act.CALLS_LISTED, by="console")
        before, sealed = acts_of(box), (box.settings.state / "ring" / "ring.a").read_bytes()
        with no_file_longer_than(box.journal.end), pytest.raises(StorageTrouble):
            box.set_pin(PIN, by="console")
        assert (acts_of(box), box.tpm.pin) == (before, None)
        assert (box.settings.state / "ring" / "ring.a").read_bytes() == sealed


def test_a_pin_is_in_the_journal_before_the_ring_is_sealed_with_it(
    house: BoxHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    with house.opened(house.settings("cut")) as box:
        ring = box.settings.state / "ring" / "ring.a"
        before, seen = ring.read_bytes(), list[tuple[str, bool]]()
        seal = box.tpm.seal

        def look(secret: bytes, states: tuple[bytes, bytes]) -> SealedSecret:
            seen.append((acts_of(box)[-1], ring.read_bytes() == before))
            return seal(secret, states)

        monkeypatch.setattr(box.tpm, "seal", look)
        box.set_pin(PIN, by="console")
        assert seen == [("pin:set", True)]
        assert acts_of(box)[-1] == "ring:moved"


@pytest.mark.parametrize("before", [None, "1357"])
def test_a_chip_that_fails_when_the_new_ring_is_in_its_place_leaves_a_box_that_goes_on(
    before: str | None, house: BoxHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = f"doubt-{before}"
    with house.opened(house.settings(state)) as box:
        box.set_pin(before, by="console")
        call = kept_call(box)

        def refuse(_r: bytes) -> None:
            raise KeyTrouble("The TPM does not answer.")

        with monkeypatch.context() as patched:
            patched.setattr(box.tpm, "extend", refuse)
            with pytest.raises(KeyTrouble):
                box.set_pin(PIN, by="console")
        assert box.call_keys.can_open(call)
        assert box.call_keys.can_open(kept_call(box))
        assert box.tpm.pin == PIN
    with door_of(house, state) as (door, opened):
        ask(door, verbs.Unlock(pin=PIN))
        assert opened[0].call_keys.can_open(call)


def test_of_pins_set_and_removed_at_the_same_moment_the_last_one_noted_is_the_one_asked_for(house: BoxHouse) -> None:
    with house.opened(house.settings("at-once")) as box:
        pins = [PIN, None] * 3
        with ThreadPoolExecutor(len(pins)) as pool:
            list(pool.map(lambda pin: box.set_pin(pin, by="console"), pins))
        last = [act for act in acts_of(box) if act.startswith("pin:")][-1]
        assert box.ring.is_sealed_as_now
        assert (box.tpm.pin is not None) == (last == "pin:set")
        assert acts_of(box)[-11::2] == ["ring:moved"] * len(pins)


def test_an_owner_without_a_shell_sets_a_pin_by_password_and_the_box_asks_for_it(house: BoxHouse) -> None:
    with house.opened(house.settings("by-page")) as box:
        call = kept_call(box)
        token, _ends = box.accounts.claim(box.accounts.claim_code() or "", "Ada", PASSWORD)
        service = Service(box)
        with pytest.raises(WrongPassword):
            service.answer_choose_pin(verbs.ChoosePin(login=token, password=PASSWORD + "?", pin=PIN))
        assert not service.answer_ask_pin(verbs.AskPin(login=token)).is_set
        service.answer_choose_pin(verbs.ChoosePin(login=token, password=PASSWORD, pin=PIN))
        assert service.answer_ask_pin(verbs.AskPin(login=token)).is_set
        entry = box.journal.last(Act.PIN_SET)
        assert entry is not None
        assert entry.by == box.accounts.visitor(token).account
    with door_of(house, "by-page") as (door, opened):
        with pytest.raises(PinNeeded):
            door.open(None)
        ask(door, verbs.Unlock(pin=PIN))
        assert opened[0].call_keys.can_open(call)
        # The login has outlived the start, as it does without a PIN.
        ask(door, verbs.ChoosePin(login=token, password=PASSWORD, pin=None))
    with house.opened(house.settings("by-page")) as box:
        assert box.call_keys.can_open(call)
