"""The reserve on the disk."""

from __future__ import annotations

from collections.abc import Iterator

from appliance.recorder.disk_room import DiskRoom
from appliance.terms import StorageTrouble

MIB = 1024 * 1024


def test_room_is_low_under_the_reserve_and_back_only_a_little_above_it() -> None:
    free = iter([64 * MIB, 64 * MIB - 1, 64 * MIB, 65 * MIB - 1, 65 * MIB, 64 * MIB])
    room = DiskRoom(lambda: next(free), 64, look_every_s=0)
    assert [room.is_low() for _ in range(6)] == [False, True, True, True, False, False]


def test_the_disk_is_not_asked_for_every_block() -> None:
    asked: Iterator[int] = iter([0])
    room = DiskRoom(lambda: next(asked), 64)
    assert [room.is_low() for _ in range(100)] == [True] * 100


def test_a_disk_that_cannot_be_asked_is_not_called_full() -> None:
    def gone() -> int:
        raise StorageTrouble("The folder is not there.")

    assert not DiskRoom(gone, 64).is_low()
