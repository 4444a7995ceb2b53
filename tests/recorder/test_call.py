"""What is left of a running call that is not to be kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from appliance.boundary.verbs import IssuedCall
from appliance.recorder.call import Call, CallStart
from appliance.recordings.container import Consent
from appliance.recordings.sealing import SEGMENT_BYTES
from appliance.terms import RATE_HZ, CallId, ConsentBy, LineName


def test_a_discarded_call_leaves_its_beginning_and_no_audio(tmp_path: Path) -> None:
    issued = IssuedCall(call=CallId("c" * 32), key=bytes(32))
    start = CallStart(
        issued=issued,
        line=LineName("line1"),
        ground="Agreed.",
        consent=Consent(at_ms=0, by=ConsentBy.DUTY),
        software="test",
        started_at_ms=0,
    )
    call = Call(tmp_path / issued.call, start)
    noise = np.random.default_rng(1).integers(-3000, 3000, 5 * RATE_HZ).astype(np.int16)
    for second in np.split(noise, 5):
        call.add(second)
    assert (tmp_path / issued.call).stat().st_size > 5 * SEGMENT_BYTES
    call.discard()
    call.discard()
    assert (tmp_path / issued.call).stat().st_size == SEGMENT_BYTES
