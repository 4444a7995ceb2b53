"""The image as it is, started by firmware: no shell in it, only what a visitor and a stick see."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from tests.image.box import Box
from tests.image.conftest import FirstBoot
from tests.image.machine import SLOWER, Hardware
from tests.system.house import until


def answers(box: Box) -> bool:
    try:
        return box.visitor.log_in().status == 303
    except OSError:
        return False


def test_firmware_starts_the_box_and_lets_nobody_in(first_boot: FirstBoot, tmp_path: Path) -> None:
    hardware = dataclasses.replace(Hardware(), direct=None)
    with Box(first_boot.body.fork(tmp_path / "box"), hardware) as box:
        box.trust(first_boot.authority, first_boot.label.name)
        until(lambda: answers(box), 120 * SLOWER)
        assert box.visitor.download(first_boot.call) == first_boot.wav
        # The bench's unit was offered, and is not there.
        assert not box.said_ready()
