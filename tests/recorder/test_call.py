"""What is left of a running call that is not to be kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from appliance.boundary.verbs import IssuedCall
from appliance.recorder.call import Call, CallStart
from appliance.recordings.container import Consent
from appliance.recordings.sealing import SEGMENT_BYTES
from appliance.terms import BLOCK_FRAMES, RATE_HZ, CallId, ConsentBy, LineName

PAGE_BYTES = 2000
"""Of a second: 25 packets of 80 bytes, besides what wraps them."""


def begun(folder: Path) -> tuple[Call, Path]:
    issued = IssuedCall(call=CallId("c" * 32), key=bytes(32))
    start = CallStart(
        issued=issued,
        line=LineName("line1"),
        ground="Agreed.",
        consent=Consent(at_ms=0, by=ConsentBy.DUTY),
        software="test",
        started_at_ms=0,
    )
    return Call(folder / issued.call, start), folder / issued.call


@pytest.mark.parametrize("at_once", range(1, 40, 3))
def test_each_second_is_on_the_disk_a_block_after_it_is_full_however_much_came_at_once(
    at_once: int, tmp_path: Path
) -> None:
    call, path = begun(tmp_path)
    noise = np.random.default_rng(1).integers(-3000, 3000, 80 * BLOCK_FRAMES).astype(np.int16)
    for at in range(at_once, 80):
        call.add(noise[(at - 1) * BLOCK_FRAMES if at > at_once else 0 : at * BLOCK_FRAMES])
        pages = max(call.frames - BLOCK_FRAMES, 0) // RATE_HZ
        # Of the last page up to one segment is not full yet; the opening record is one segment.
        assert path.stat().st_size >= pages * PAGE_BYTES
    call.discard()


def test_a_discarded_call_leaves_its_beginning_and_no_audio(tmp_path: Path) -> None:
    call, path = begun(tmp_path)
    noise = np.random.default_rng(1).integers(-3000, 3000, 5 * RATE_HZ).astype(np.int16)
    for second in np.split(noise, 5):
        call.add(second)
    assert path.stat().st_size > 5 * SEGMENT_BYTES
    call.discard()
    call.discard()
    assert path.stat().st_size == SEGMENT_BYTES
