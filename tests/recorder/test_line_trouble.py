"""What one line does when something is in the way: no vault, no key, no room, a disk that refuses, a fault."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from appliance.boundary import verbs
from appliance.recorder.ear.signals import Pcm
from appliance.recorder.line_worker import NO_KEY_YET, NO_ROOM
from appliance.recordings.container import EndReason
from appliance.recordings.reader import RecordingCutOff
from appliance.terms import RATE_HZ
from tests.recorder.desk import LINE, OPENED_MS, SETTINGS, Desk, Disk, MakeDesk
from tests.recorder.fake_vault import FakeVault
from tests.recorder.heard_log import HeardLog

Noise = Callable[[float, float], Pcm]


def test_a_call_begins_and_ends_while_the_vault_is_away(desk: Desk, spoken: Pcm, noise: Noise) -> None:
    desk.vault.go()
    desk.hear(spoken)
    desk.hear(noise(4, -65))
    assert desk.vault.calls(verbs.BeginCall) == []
    desk.vault.come()
    desk.vault.wait_until(lambda: desk.vault.calls(verbs.FinishCall))
    (call,) = desk.vault.calls(verbs.BeginCall)
    with desk.open(call) as reader:
        reader.verify()
        assert reader.closing.frames > spoken.size


def test_without_a_key_the_trouble_shows_and_the_call_begins_in_the_pre_roll_when_it_comes(
    make_desk: MakeDesk, vault: FakeVault, heard_log: HeardLog, spoken: Pcm, noise: Noise
) -> None:
    desk = make_desk()
    heard_log.wait_for("vault_away")
    desk.hear(noise(1, -65))
    desk.hear(spoken[: 5 * RATE_HZ])
    assert desk.folder.growing_calls() == []
    assert "The vault does not answer" in desk.now.trouble
    vault.come()
    desk.wait_for_key()
    desk.hear(spoken[5 * RATE_HZ : 8 * RATE_HZ])
    now = desk.now
    assert now.call is not None
    assert now.trouble == ""
    # Memory reaches as far back as a call waits for its consent: nothing is missing.
    assert now.started_at_ms == OPENED_MS
    assert heard_log.named("call_recording_begun")[0]["missed_seconds"] == 0


def test_a_key_that_comes_too_late_finds_what_memory_still_holds(
    make_desk: MakeDesk, vault: FakeVault, heard_log: HeardLog, spoken: Pcm
) -> None:
    desk = make_desk(consent_within_s=5)
    heard_log.wait_for("vault_away")
    for _ in range(4):
        desk.hear(spoken)
    vault.come()
    desk.wait_for_key()
    desk.hear(spoken)
    # 2.2 s of pre-roll, 5 s for the consent, 10 s for an announcement that ends late.
    missed_s = 4 * spoken.size / RATE_HZ - 17.1
    assert heard_log.named("call_recording_begun")[0]["missed_seconds"] == pytest.approx(missed_s, abs=0.5)


def test_a_call_that_never_got_a_key_is_told_of_in_the_log(
    make_desk: MakeDesk, vault: FakeVault, heard_log: HeardLog, spoken: Pcm, noise: Noise
) -> None:
    vault.refuses_keys = True
    vault.come()
    desk = make_desk()
    desk.wait_for_key()
    desk.hear(spoken)
    desk.hear(noise(4, -65))
    assert heard_log.named("call_not_recorded") == [
        {"event": "call_not_recorded", "line": LINE, "why": "The keys are locked.", "level": "warning"}
    ]


def test_a_second_call_before_the_next_key_waits_for_it(
    desk: Desk, spoken: Pcm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk.link, "take_key", lambda _line: None)
    desk.hear(spoken[:RATE_HZ])
    assert desk.now.trouble == NO_KEY_YET
    monkeypatch.undo()
    desk.hear(spoken[RATE_HZ : 2 * RATE_HZ])
    assert desk.now.started_at_ms == OPENED_MS


def test_under_the_reserve_a_running_call_ends_and_none_begins_until_there_is_room(
    desk: Desk, disk: Disk, spoken: Pcm
) -> None:
    desk.hear(spoken[: 3 * RATE_HZ])
    reserve = SETTINGS.reserve_mib * 2**20
    disk.free = reserve - 1
    desk.hear(spoken[3 * RATE_HZ : 6 * RATE_HZ])
    assert desk.now.trouble == NO_ROOM
    (call,) = desk.finished()
    with desk.open(call) as reader:
        reader.verify()
        assert reader.closing.ended is EndReason.DISK_FULL
        assert reader.closing.frames == 3 * RATE_HZ
    disk.free = reserve + 1000
    desk.hear(spoken[6 * RATE_HZ : 7 * RATE_HZ])
    assert desk.now.call is None
    disk.free = reserve + 2**20
    desk.hear(spoken[7 * RATE_HZ : 8 * RATE_HZ])
    assert desk.now.call not in {None, call}
    assert desk.now.trouble == ""


def test_a_full_disk_is_seen_on_an_idle_line(desk: Desk, disk: Disk, noise: Noise) -> None:
    disk.free = 0
    desk.hear(noise(1, -65))
    assert desk.now.trouble == NO_ROOM


def test_a_disk_that_refuses_leaves_what_is_committed_to_the_vault(
    desk: Desk, spoken: Pcm, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.hear(spoken[: 5 * RATE_HZ])
    with monkeypatch.context() as broken:
        broken.setattr("appliance.recordings.disk.os.write", refuse)
        desk.hear(spoken[5 * RATE_HZ : 7 * RATE_HZ])
        assert "The disk is full" in desk.now.trouble
    (call,) = desk.finished()
    assert not desk.folder.is_being_written(call)
    with pytest.raises(RecordingCutOff):
        desk.open(call)
    desk.wait_for_key()
    desk.hear(np.tile(spoken, 2)[: 6 * RATE_HZ])
    assert desk.now.call not in {None, call}
    assert desk.now.trouble == ""


def refuse(_descriptor: int, _content: bytes) -> int:
    raise OSError(28, "No space left on device")


def test_a_folder_that_is_not_there_yet_uses_up_no_more_than_a_key_every_five_seconds(
    make_desk: MakeDesk, vault: FakeVault, spoken: Pcm
) -> None:
    vault.come()
    desk = make_desk(folder_exists=False)
    desk.wait_for_key()
    for second in range(9):
        desk.hear(spoken[second * RATE_HZ : (second + 1) * RATE_HZ])
        desk.vault.wait_for_beats(1)
    assert desk.now.call is None
    assert desk.now.trouble != ""
    assert len(vault.keys) <= 3
    desk.folder.create()
    desk.hear(np.tile(spoken, 2)[9 * RATE_HZ : 15 * RATE_HZ])
    assert desk.now.call is not None


def test_a_fault_lets_go_of_the_file_and_tells_the_vault(desk: Desk, spoken: Pcm) -> None:
    desk.hear(spoken[: 5 * RATE_HZ])
    call = desk.now.call
    assert call is not None
    desk.worker.abandon("Something went wrong.")
    assert desk.finished() == [call]
    assert not desk.folder.is_being_written(call)
    assert desk.now.trouble == "Something went wrong."


def test_a_line_that_loses_all_the_time_is_cut_into_calls(
    desk: Desk, spoken: Pcm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.recorder.line_worker.MOST_GAPS", 3)
    for second in range(5):
        desk.hear(spoken[second * RATE_HZ : (second + 1) * RATE_HZ])
        desk.lose(100)
    (call,) = desk.finished()
    with desk.open(call) as reader:
        assert len(reader.closing.gaps) == 3
        assert reader.closing.ended is EndReason.LONGEST
