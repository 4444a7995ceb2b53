"""The words open the disk too: with the real helper, a process for each question, and a real LUKS2 partition."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from appliance.audit.events import Act
from appliance.boundary import verbs
from appliance.boundary.root_helper import KeepKeySlot, PutKeySlot, ask_helper
from appliance.terms import StorageTrouble
from appliance.vault.recovery.copy import choice_of
from appliance.vault.recovery.set_up import DiskRefused
from appliance.vault.recovery.words import key_of
from appliance.vault.ring import Ring
from tests.simulators.luks_file import LuksFile
from tests.simulators.root_helpers import DiskKeyHelper, accepting
from tests.vault.box_house import PASSWORD, BoxHouse, acts_of
from tests.vault.recovery.paper import asked_for, begun, owner_of, written_down

OPEN, KEY = verbs.RecoveryChoice.OPEN, verbs.RecoveryChoice.KEY
SHUT, NONE = verbs.RecoveryChoice.SHUT, verbs.RecoveryChoice.NONE


class Disk:
    """A box's data partition and who writes its key slots; `path`: the socket."""

    def __init__(self, house: BoxHouse) -> None:
        self.luks = LuksFile(house.folder)
        self.helper = DiskKeyHelper(self.luks)
        self.path = house.run_dir / "disk-key.sock"

    @contextmanager
    def answering(self) -> Iterator[None]:
        with accepting(self.path, self.helper.serve):
            yield

    @contextmanager
    def broken(self) -> Iterator[None]:
        """The header cannot be read."""
        moved = self.luks.path.rename(self.luks.path.with_suffix(".away"))
        self.luks.path.write_bytes(bytes(1 << 20))
        yield
        moved.rename(self.luks.path)

    def opens_with(self, sheets: tuple[str, ...]) -> bool:
        return self.luks.opens_with(key_of(sheets).disk_passphrase)


@pytest.fixture
def disk(house: BoxHouse) -> Disk:
    return Disk(house)


def test_the_words_open_the_disk_before_they_are_the_box_s_key(
    house: BoxHouse, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened_at_change: list[bool] = []
    change = Ring.change

    with disk.answering(), house.opened(disk_key=disk.path) as box:
        owner = owner_of(box)
        sheets = begun(box, owner)
        assert disk.luks.slots() == {0}  # not while they are only shown

        def noted(ring: Ring, edit: object) -> None:
            opened_at_change.append(disk.opens_with(sheets))
            change(ring, edit)  # type: ignore[arg-type]

        monkeypatch.setattr(Ring, "change", noted)
        box.recovery.confirm(owner, asked_for(box, owner, sheets))
        assert opened_at_change == [True]
        assert disk.luks.keys() == {key_of(sheets).public.hex(): {1}}
        assert disk.luks.opens_with_tpm()
        assert box.recovery.choice() is KEY


def test_a_cut_between_disk_and_ring_leaves_what_was_decided_and_the_slot_goes(
    house: BoxHouse, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(_ring: Ring, _edit: object) -> None:
        raise StorageTrouble("Cut.")

    with disk.answering(), house.opened(disk_key=disk.path) as box:
        old, owner = written_down(box), owner_of(box)
        new = begun(box, owner)
        typed = asked_for(box, owner, new)
        with monkeypatch.context() as patched:
            patched.setattr(Ring, "change", cut)
            with pytest.raises(StorageTrouble, match="Cut"):
                box.recovery.confirm(owner, typed)
        assert (disk.opens_with(old), disk.opens_with(new)) == (True, True)
        box.recovery.tidy_disk()
        assert (disk.opens_with(old), disk.opens_with(new)) == (True, False)
        assert box.recovery.choice() is KEY


@pytest.mark.parametrize("how", ["away", "refuses"])
def test_a_disk_that_does_not_take_the_words_leaves_all_as_it_was_and_they_still_wait(
    house: BoxHouse, disk: Disk, how: str
) -> None:
    with house.opened(disk_key=disk.path) as box:
        owner = owner_of(box)
        sheets, ring = begun(box, owner), box.ring.contents
        typed = asked_for(box, owner, sheets)
        if how == "away":
            with pytest.raises(DiskRefused):
                box.recovery.confirm(owner, typed)
        else:
            with disk.answering(), disk.broken(), pytest.raises(DiskRefused):
                box.recovery.confirm(owner, typed)
        assert box.ring.contents == ring
        assert box.recovery.choice() is OPEN
        assert Act.RECOVERY_SET_UP not in acts_of(box)
        assert len(house.log.named("disk_key_refused")) == 1
        assert box.recovery.state(owner).asked
        with disk.answering():
            box.recovery.confirm(owner, typed)
        assert box.recovery.choice() is KEY
        assert disk.opens_with(sheets)
        assert acts_of(box).count(Act.RECOVERY_SET_UP) == 1


def test_a_key_that_the_disk_did_not_take_replaces_none(house: BoxHouse, disk: Disk) -> None:
    with house.opened(disk_key=disk.path) as box:
        with disk.answering():
            old = written_down(box)
        with pytest.raises(DiskRefused):
            written_down(box)
        assert box.recovery.choice() is KEY
        choice = choice_of(box.ring.contents)
        assert choice is not None
        assert choice.public_key == key_of(old).public
        assert disk.opens_with(old)


def test_after_the_key_was_replaced_only_the_new_words_open_the_disk(house: BoxHouse, disk: Disk) -> None:
    with disk.answering(), house.opened(disk_key=disk.path) as box:
        woken: list[bool] = []
        box.recovery.when_decided = lambda: woken.append(True)
        old, new = written_down(box), written_down(box)
        assert (disk.opens_with(old), disk.opens_with(new)) == (True, True)
        assert woken == [True, True]
        box.recovery.tidy_disk()
        assert (disk.opens_with(old), disk.opens_with(new)) == (False, True)
        assert disk.luks.opens_with_tpm()
        assert len(disk.luks.slots()) == 2
        assert box.recovery.choice() is KEY


def test_after_it_was_declined_no_words_open_the_disk(house: BoxHouse, disk: Disk) -> None:
    with disk.answering(), house.opened(disk_key=disk.path) as box:
        sheets = written_down(box)
        woken: list[bool] = []
        box.recovery.when_decided = lambda: woken.append(True)
        box.recovery.decline(owner_of(box), PASSWORD)
        assert woken == [True]
        box.recovery.tidy_disk()
        assert not disk.opens_with(sheets)
        assert disk.luks.slots() == {0}
        assert disk.luks.opens_with_tpm()
        assert box.recovery.choice() is NONE


def test_a_key_whose_slot_is_lost_is_said_to_be_shut_until_there_is_another(house: BoxHouse, disk: Disk) -> None:
    with disk.answering():
        with house.opened(disk_key=disk.path) as box:
            written_down(box)
        disk.luks.kill_slot(1)
        with house.opened(disk_key=disk.path) as box:
            box.recovery.tidy_disk()
            assert box.recovery.choice() is SHUT
            assert box.recovery.state(owner_of(box)).choice is SHUT
            new = written_down(box)
            assert box.recovery.choice() is KEY
            box.recovery.tidy_disk()
            assert box.recovery.choice() is KEY
            assert disk.opens_with(new)


def test_a_key_from_before_the_disk_could_have_one_is_said_to_be_shut(house: BoxHouse, disk: Disk) -> None:
    with house.opened() as box:
        written_down(box)
    with disk.answering(), house.opened(disk_key=disk.path) as box:
        box.recovery.tidy_disk()
        assert box.recovery.choice() is SHUT
        box.recovery.decline(owner_of(box), PASSWORD)
        assert box.recovery.choice() is NONE


def test_a_disk_that_cannot_be_asked_changes_nothing_that_is_said(house: BoxHouse, disk: Disk) -> None:
    with house.opened(disk_key=disk.path) as box:
        with disk.answering():
            written_down(box)
        box.recovery.tidy_disk()
        assert box.recovery.choice() is KEY
        disk.luks.kill_slot(1)
        with disk.answering():
            box.recovery.tidy_disk()
        box.recovery.tidy_disk()
        assert box.recovery.choice() is SHUT
        assert len(house.log.named("disk_key_unknown")) == 2


def test_a_box_that_has_not_decided_lets_nobody_but_the_tpm_open_its_disk(house: BoxHouse, disk: Disk) -> None:
    disk.luks.add_slot("whose is this?")
    with disk.answering(), house.opened(disk_key=disk.path) as box:
        box.recovery.tidy_disk()
        assert box.recovery.choice() is OPEN
        assert disk.luks.slots() == {0}


def test_a_box_whose_disk_is_another_s_business_asks_nobody(house: BoxHouse, disk: Disk) -> None:
    with disk.answering(), house.opened() as box:
        written_down(box)
        box.recovery.tidy_disk()
        assert box.recovery.choice() is KEY
    assert disk.helper.said == []
    assert disk.luks.slots() == {0}


def test_neither_words_nor_passphrase_are_told_to_any_log(house: BoxHouse, disk: Disk) -> None:
    with house.opened(disk_key=disk.path) as box:
        owner = owner_of(box)
        sheets = begun(box, owner)
        typed = asked_for(box, owner, sheets)
        with pytest.raises(DiskRefused):
            box.recovery.confirm(owner, typed)
        with disk.answering():
            with disk.broken(), pytest.raises(DiskRefused):
                box.recovery.confirm(owner, typed)
            box.recovery.confirm(owner, typed)
            box.recovery.tidy_disk()
        key = key_of(sheets)
        told = f"{house.log.events} {disk.helper.said} {box.journal_path.read_bytes()!r}"
    assert disk.helper.said == ["exit code 0"] * 3
    assert "cryptsetup says" in told
    for secret in (
        key.disk_passphrase,
        key.secret.hex(),
        repr(key.secret),
        sheets[0],
        " ".join(sheets[0].split()[4:6]),
    ):
        assert secret not in told


def test_a_disk_that_is_not_the_mounted_one_gets_no_slot_and_loses_none(house: BoxHouse, disk: Disk) -> None:
    """As a USB disk whose partition has the name of the box's own."""
    disk.luks.add_slot("whose is this?")
    before = disk.luks.header_bytes()
    disk.helper = DiskKeyHelper(disk.luks, "--below", str(house.folder))
    with disk.answering():
        for request in (PutKeySlot(public_key="0a" * 32, passphrase="a1" * 32), KeepKeySlot(public_key=None)):
            with pytest.raises(StorageTrouble, match=rf"^{disk.luks.path} is not the disk of this box\.$"):
                ask_helper(disk.path, request, timeout_s=60)
    assert disk.luks.header_bytes() == before


def test_the_helper_ends_quietly_when_it_is_asked_nothing(disk: Disk, house: BoxHouse) -> None:
    with disk.answering(), socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(disk.path))
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        with suppress(ConnectionResetError):  # it was ended with our bytes unread
            assert connection.recv(1) == b""
    assert disk.helper.said == ["exit code 0"]
