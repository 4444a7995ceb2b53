"""The link to the vault, over a real socket to a vault that comes and goes."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.boundary import verbs
from appliance.boundary.vault import VaultAway
from appliance.clock import Clock
from appliance.recorder.line.party import Party
from appliance.recorder.vault_link import SPARE_KEEPS_MS, STOP_WITHIN_S, UnrecordedCall, VaultLink
from appliance.terms import CallId, Direction, LineName, NotKept, Order
from tests.recorder.fake_vault import FakeVault
from tests.recorder.heard_log import HeardLog

LINE, OTHER = LineName("line1"), LineName("line2")
CALL = CallId("c" * 32)


class Steady:
    """A steady clock that is moved by hand."""

    def __init__(self) -> None:
        self.ms = 0

    def __call__(self) -> int:
        return self.ms


@pytest.fixture
def steady() -> Steady:
    return Steady()


@pytest.fixture
def link(tmp_path: Path, steady: Steady, vault: FakeVault, heard_log: HeardLog) -> Iterator[VaultLink]:
    def board() -> tuple[verbs.LineNow, ...]:
        return (verbs.LineNow(line=LINE, level_dbfs=-40.0),)

    link = VaultLink(
        tmp_path / "vault" / "recorder" / "vault.sock", [LINE, OTHER], board, Clock(steady=steady), heard_log.logger
    )
    yield link
    link.stop()


def test_each_line_has_its_key_before_it_needs_one(link: VaultLink, vault: FakeVault) -> None:
    vault.come()
    link.start()
    vault.wait_until(lambda: vault.beats)
    first, second = link.take_key(LINE), link.take_key(OTHER)
    assert first is not None
    assert second is not None
    assert vault.keys == {first.call: first.key, second.call: second.key}


def test_a_key_is_given_once_and_the_next_one_fetched_at_once(link: VaultLink, vault: FakeVault) -> None:
    vault.come()
    link.start()
    vault.wait_until(lambda: vault.beats)
    first = link.take_key(LINE)
    vault.wait_for_beats()
    second = link.take_key(LINE)
    assert first is not None
    assert second is not None
    assert first.call != second.call


def test_a_spare_key_of_yesterday_is_replaced(link: VaultLink, vault: FakeVault, steady: Steady) -> None:
    vault.come()
    link.start()
    vault.wait_until(lambda: vault.beats)
    old = set(vault.keys)
    steady.ms = SPARE_KEEPS_MS + 1
    vault.wait_until(lambda: len(vault.keys) == 4)
    vault.wait_for_beats()
    issued = link.take_key(LINE)
    assert issued is not None
    assert issued.call not in old


def test_an_old_spare_key_is_better_than_none_while_the_vault_is_away(
    link: VaultLink, vault: FakeVault, steady: Steady
) -> None:
    vault.come()
    link.start()
    vault.wait_until(lambda: vault.beats)
    vault.go()
    steady.ms = SPARE_KEEPS_MS + 1
    assert link.take_key(LINE) is not None


def test_without_a_key_the_reason_is_a_sentence(link: VaultLink, vault: FakeVault) -> None:
    vault.refuses_keys = True
    vault.come()
    link.start()
    vault.wait_until(lambda: vault.beats)
    assert link.take_key(LINE) is None
    assert link.why_no_key(LINE) == "The keys are locked."


def test_a_vault_that_was_away_from_the_start_is_found_when_it_comes(
    link: VaultLink, vault: FakeVault, heard_log: HeardLog
) -> None:
    link.start()
    heard_log.wait_for("vault_away")
    assert link.take_key(LINE) is None
    assert "does not answer" in link.why_no_key(LINE)
    vault.come()
    vault.wait_until(lambda: vault.beats)
    assert link.take_key(LINE) is not None
    assert link.why_no_key(LINE) == ""


def test_messages_wait_for_the_vault_and_arrive_in_order(link: VaultLink, vault: FakeVault) -> None:
    link.start()
    link.begin_call(CALL, LINE, 1_800_000_000_000)
    link.report_gap(CALL, 8000, 800, "overrun")
    link.finish_call(CALL)
    link.drop_call(CALL, NotKept.FORGOTTEN)
    vault.come()
    vault.wait_until(lambda: any(isinstance(request, verbs.DropCall) for request in vault.told))
    assert [request for request in vault.told if not isinstance(request, verbs.IssueCall)] == [
        verbs.BeginCall(call=CALL, line=LINE, started_at_ms=1_800_000_000_000),
        verbs.ReportGap(call=CALL, at_frame=8000, frames=800, why="overrun"),
        verbs.FinishCall(call=CALL),
        verbs.DropCall(call=CALL, why=NotKept.FORGOTTEN),
    ]


MISSED = UnrecordedCall(
    started_at_ms=1_800_000_000_000,
    length_ms=12_000,
    party=Party(direction=Direction.IN, number="03055504471"),
    why=NotKept.MISSED,
)


def facts_told(vault: FakeVault) -> list[verbs.NoteUnrecorded]:
    return [request for request in vault.told if isinstance(request, verbs.NoteUnrecorded)]


def test_an_unrecorded_call_is_told_under_a_fresh_id_and_the_spare_key_stays(link: VaultLink, vault: FakeVault) -> None:
    vault.come()
    link.start()
    vault.wait_until(lambda: vault.beats)
    link.note_unrecorded(LINE, MISSED)
    vault.wait_until(lambda: facts_told(vault))
    spare = link.take_key(LINE)
    (told,) = facts_told(vault)
    assert spare is not None
    assert told.call in vault.keys
    assert told.call != spare.call
    assert told == verbs.NoteUnrecorded(
        call=told.call,
        line=LINE,
        started_at_ms=1_800_000_000_000,
        length_ms=12_000,
        direction="in",
        number="03055504471",
        why=NotKept.MISSED,
    )


def test_an_unrecorded_call_of_a_line_without_keys_waits_and_holds_up_nobody(link: VaultLink, vault: FakeVault) -> None:
    vault.refuses_keys_of.add(LINE)
    vault.come()
    for _ in range(20):  # more than are sent in one go
        link.note_unrecorded(LINE, MISSED)
    link.note_unrecorded(OTHER, MISSED)
    link.finish_call(CALL)
    link.start()
    vault.wait_until(lambda: vault.calls(verbs.FinishCall) and facts_told(vault))
    assert [told.line for told in facts_told(vault)] == [OTHER]
    assert link.take_key(OTHER) is not None
    vault.refuses_keys_of.clear()
    vault.wait_until(lambda: len(facts_told(vault)) == 21)
    assert len({told.call for told in facts_told(vault)}) == 21


def test_an_unrecorded_call_that_the_vault_refuses_is_dropped(
    link: VaultLink, vault: FakeVault, heard_log: HeardLog
) -> None:
    vault.refuses = verbs.NoteUnrecorded
    vault.come()
    link.start()
    link.note_unrecorded(LINE, MISSED)
    heard_log.wait_for("vault_refused")
    vault.refuses = None
    link.note_unrecorded(OTHER, MISSED)
    vault.wait_until(lambda: facts_told(vault))
    assert [told.line for told in facts_told(vault)] == [OTHER]


def test_an_unrecorded_call_whose_answer_was_missed_is_told_again_under_the_same_id(
    link: VaultLink, vault: FakeVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.come()
    ask, asked = link._client.ask, list[verbs.Request]()

    def ask_and_miss_the_first_answer(request: verbs.Request, answer: type[verbs.Answer]) -> verbs.Answer:
        got = ask(request, answer)
        if isinstance(request, verbs.NoteUnrecorded):
            asked.append(request)
            if len(asked) == 1:
                raise VaultAway
        return got

    monkeypatch.setattr(link._client, "ask", ask_and_miss_the_first_answer)
    link.note_unrecorded(LINE, MISSED)
    link.start()
    vault.wait_until(lambda: len(facts_told(vault)) == 2)
    first, second = facts_told(vault)
    assert first == second


def test_of_too_many_unrecorded_calls_the_oldest_are_lost_and_the_log_says_so(
    link: VaultLink, vault: FakeVault, heard_log: HeardLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.recorder.vault_link._MOST_UNRECORDED", 3)
    for nth in range(5):
        link.note_unrecorded(LINE, replace(MISSED, length_ms=nth))
    vault.come()
    link.start()
    vault.wait_until(lambda: len(facts_told(vault)) == 3)
    assert [told.length_ms for told in facts_told(vault)] == [2, 3, 4]
    assert len(heard_log.named("unrecorded_call_lost")) == 2


def test_stopping_does_not_wait_for_an_unrecorded_call_whose_key_is_refused(
    link: VaultLink, vault: FakeVault, heard_log: HeardLog
) -> None:
    vault.refuses_keys_of.add(LINE)
    vault.come()
    link.start()
    link.note_unrecorded(LINE, MISSED)
    link.note_unrecorded(OTHER, MISSED)
    link.stop()
    assert [told.line for told in facts_told(vault)] == [OTHER]
    assert [told["count"] for told in heard_log.named("unrecorded_calls_lost")] == [1]


def test_a_message_that_the_vault_did_not_answer_is_sent_again(
    tmp_path: Path, link: VaultLink, vault: FakeVault
) -> None:
    deaf = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    vault.socket_path.parent.mkdir(parents=True)
    deaf.bind(str(vault.socket_path))
    deaf.listen()
    link.finish_call(CALL)
    link.start()
    connection, _ = deaf.accept()
    assert connection.recv(1)
    connection.close()
    deaf.close()
    vault.come()
    vault.wait_until(lambda: vault.calls(verbs.FinishCall) == [CALL])


def test_a_message_that_the_vault_refuses_is_dropped_and_the_next_one_sent(
    tmp_path: Path, link: VaultLink, vault: FakeVault
) -> None:
    vault.refuses = verbs.ReportGap
    vault.come()
    link.report_gap(CALL, 0, 800, "overrun")
    link.finish_call(CALL)
    link.start()
    vault.wait_until(lambda: vault.calls(verbs.FinishCall))
    assert not [request for request in vault.told if isinstance(request, verbs.ReportGap)]


def test_the_heart_beats_at_once_when_a_call_begins(
    link: VaultLink, vault: FakeVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.recorder.vault_link.HEARTBEAT_S", 600)
    vault.come()
    link.start()
    vault.wait_until(lambda: vault.beats)
    beats = vault.beats
    link.begin_call(CALL, LINE, 0)
    vault.wait_until(lambda: vault.beats > beats)
    assert vault.calls(verbs.BeginCall) == [CALL]


def test_an_order_reaches_the_line_once_and_the_vault_learns_that_it_was_heard(
    link: VaultLink, vault: FakeVault
) -> None:
    vault.come()
    link.start()
    vault.order(LINE, Order.PAUSE, 7)
    vault.order(LINE, Order.FORGET, 7)
    vault.wait_until(lambda: vault.beats and not vault.orders)
    vault.wait_for_beats()
    assert link.take_orders(OTHER, 7) == []
    assert link.take_orders(LINE, 7) == [Order.PAUSE, Order.FORGET]
    assert link.take_orders(LINE, 7) == []


def test_an_order_for_a_call_that_is_over_is_dropped(link: VaultLink, vault: FakeVault) -> None:
    vault.come()
    link.start()
    vault.order(LINE, Order.FORGET, 7)
    vault.wait_until(lambda: vault.beats and not vault.orders)
    assert link.take_orders(LINE, 8) == []
    assert link.take_orders(LINE, 7) == []


def test_an_order_whose_answer_was_missed_comes_again(
    link: VaultLink, vault: FakeVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.come()
    heartbeat, beats = link._client.heartbeat, list[object]()

    def miss_the_first_answer(lines: tuple[verbs.LineNow, ...], heard: tuple[str, ...]) -> verbs.Orders:
        got = heartbeat(lines, heard)
        beats.append(got)
        if len(beats) == 1:
            raise VaultAway
        return got

    monkeypatch.setattr(link._client, "heartbeat", miss_the_first_answer)
    vault.order(LINE, Order.PAUSE, 7)
    link.start()
    vault.wait_until(lambda: vault.beats and not vault.orders)
    assert link.take_orders(LINE, 7) == [Order.PAUSE]


def test_the_heart_beats_twice_a_second(link: VaultLink, vault: FakeVault) -> None:
    vault.come()
    link.start()
    vault.wait_until(lambda: vault.beats)
    started, beats = time.monotonic(), vault.beats
    vault.wait_until(lambda: vault.beats >= beats + 4)
    assert time.monotonic() - started > 1.4
    assert vault.lines[LINE].level_dbfs == -40.0


def test_a_heart_that_beats_in_vain_fills_no_log(link: VaultLink, vault: FakeVault, heard_log: HeardLog) -> None:
    def beat(times: int) -> None:
        beats = vault.beats
        vault.wait_until(lambda: vault.beats >= beats + times)

    vault.refuses = verbs.Heartbeat
    vault.come()
    link.start()
    beat(3)
    assert len(heard_log.named("vault_refused")) == 1
    vault.refuses = None
    beat(2)
    vault.refuses = verbs.Heartbeat
    beat(3)
    assert len(heard_log.named("vault_refused")) == 2


def test_stopping_tells_first_what_waits(link: VaultLink, vault: FakeVault) -> None:
    vault.come()
    link.start()
    vault.wait_until(lambda: vault.beats)
    link.finish_call(CALL)
    link.stop()
    assert vault.calls(verbs.FinishCall) == [CALL]


def test_stopping_gives_up_on_a_vault_that_is_away(link: VaultLink) -> None:
    link.start()
    link.finish_call(CALL)
    started = time.monotonic()
    link.stop()
    assert time.monotonic() - started < STOP_WITHIN_S + 1


def test_an_order_of_the_button_is_for_the_call_that_it_names(link: VaultLink) -> None:
    link.start()
    link.give_order(LINE, 7, Order.PAUSE)
    assert link.take_orders(LINE, 7) == [Order.PAUSE]
    link.give_order(LINE, 7, Order.FORGET)
    assert link.take_orders(LINE, 8) == []


def test_whether_the_box_has_an_owner_comes_with_the_heartbeat(link: VaultLink, vault: FakeVault) -> None:
    assert link.is_claimed
    vault.claimed = False
    vault.come()
    link.start()
    vault.wait_for_beats()
    assert not link.is_claimed
