"""A backup taken while the line is busy, and a restore after the catalogue is lost: the calls play again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system.house import House, run_linekeep
from tests.system.sounds import conversation, write_wav

pytestmark = pytest.mark.system

CALL_ENDS_WITHIN_S = 40.0


def test_a_running_box_is_backed_up_and_comes_back_without_its_catalogue(tmp_path: Path) -> None:
    said = write_wav(tmp_path / "call.wav", conversation(8, lead_s=0.2))
    state, stick = tmp_path / "state", tmp_path / "stick"
    stick.mkdir()
    with House(state, [said], repeat=True) as house:
        call = house.wait_for("call_ended", CALL_ENDS_WITHIN_S, kept=True)["call"]
        house.wait_for("call_begun", CALL_ENDS_WITHIN_S)
        made = run_linekeep("backup", "--state", str(state), "--to", str(stick))
        assert made.returncode == 0, made.stderr
        # The call that was running meanwhile is whole.
        later = house.wait_for("call_ended", CALL_ENDS_WITHIN_S, kept=True)["call"]
        refused = run_linekeep("restore", "--from", str(stick), "--state", str(state))
        assert refused.returncode == 2
        assert "stop it first" in refused.stderr
        house.stop()
    for path in state.glob("catalogue.sqlite*"):
        path.unlink()
    restored = run_linekeep("restore", "--from", str(stick), "--state", str(state))
    assert restored.returncode == 0, restored.stderr
    assert "opens with this TPM" in restored.stdout
    checked = run_linekeep("check", "--state", str(state))
    assert checked.returncode == 0, checked.stdout
    assert checked.stdout.startswith("Restored on ")
    assert {call, later} <= {path.name for path in (state / "recordings" / "finished").iterdir()}
