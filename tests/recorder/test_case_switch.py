"""What the switch of the case does becomes reports to the vault: each opening once, none in silence."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gpiod
import pytest
import structlog

from appliance.boundary import verbs
from appliance.clock import Clock
from appliance.recorder.device.gpio import case_input
from appliance.recorder.line_board import LineBoard
from appliance.recorder.panel.case_switch import CaseChange, CaseDebouncer, CaseWatch
from appliance.recorder.panel.panel import PanelThread
from appliance.recorder.vault_link import VaultLink
from appliance.settings import GpioSettings
from appliance.terms import LineTrouble
from tests.recorder.fake_vault import FakeVault
from tests.recorder.heard_log import HeardLog

MS = 1_000_000
LOG: structlog.stdlib.BoundLogger = structlog.get_logger()
Edges = list[tuple[float, bool]]
"""Milliseconds, and whether it is open from then on."""


def changes(edges: Edges, until_ms: float, *, is_open: bool = False) -> list[tuple[float, bool]]:
    sense = CaseDebouncer(is_open=is_open)
    told = [change for at_ms, active in edges for change in sense.edge(round(at_ms * MS), active)]
    return [(change.at_ns / MS, change.is_open) for change in told + sense.until(round(until_ms * MS))]


def test_a_cover_that_bounces_on_its_switch_was_opened_once_and_closed_once() -> None:
    off: Edges = [(1000, True), (1003, False), (1004, True)]
    on: Edges = [(9000, False), (9200, True), (9260, False), (9700, True), (9701, False)]
    assert changes(off + on, 20_000) == [(1004, True), (9701, False)]


@pytest.mark.parametrize(("open_ms", "is_told"), [(49, False), (51, True)])
def test_open_is_believed_after_50_ms(open_ms: float, *, is_told: bool) -> None:
    assert bool(changes([(100, True), (100 + open_ms, False)], 5000)) is is_told


def test_a_switch_that_chatters_for_an_hour_tells_no_more_than_one_opening_a_second() -> None:
    chance, at_ms, edges = random.Random(6), 0.0, Edges()
    while at_ms < 3_600_000:
        at_ms += chance.uniform(1, 300)
        edges.append((at_ms, len(edges) % 2 == 0))
    told = changes(edges, at_ms + 2000)
    assert len(edges) > 20_000
    assert 0 < sum(is_open for _at, is_open in told) <= 3600


class PlayedSwitch:
    """A switch moved by hand, through the product's own debouncer; `gone` takes its chip away."""

    def __init__(self, *, is_open: bool = False) -> None:
        self.is_open = self.active_at_opening = is_open
        self.gone = False
        self.opened = 0
        self._news: list[CaseChange] = []

    def move(self, *, is_open: bool) -> None:
        self.is_open = is_open
        self._news.append(CaseChange(at_ns=0, is_open=is_open))

    def open(self) -> None:
        self.opened += 1
        self._must_be_there()
        self.active_at_opening, self._news = self.is_open, []

    def read(self, timeout_s: float) -> list[CaseChange]:
        assert timeout_s == 0
        self._must_be_there()
        news, self._news = self._news, []
        return news

    def close(self) -> None:
        pass

    def _must_be_there(self) -> None:
        if self.gone:
            raise LineTrouble("The chip is gone.")


class Ear:
    """What is told of the case."""

    def __init__(self) -> None:
        self.told: list[tuple[bool | None, bool, str]] = []

    def __call__(self, *, is_open: bool | None, is_found: bool = False, trouble: str = "") -> None:
        self.told.append((is_open, is_found, trouble))


@pytest.mark.parametrize("is_open", [True, False])
def test_how_the_case_stands_at_the_start_is_told_as_found(*, is_open: bool) -> None:
    ear = Ear()
    watch = CaseWatch(PlayedSwitch(is_open=is_open), ear, LOG)
    watch.look(0)
    watch.look(50)
    assert (ear.told, watch.is_open) == ([(is_open, True, "")], is_open)


def test_a_switch_that_cannot_be_read_is_told_once_is_not_taken_for_closed_and_comes_back() -> None:
    ear, switch = Ear(), PlayedSwitch(is_open=True)
    watch = CaseWatch(switch, ear, LOG)
    watch.look(0)
    switch.gone = True
    for now_ms in range(50, 95_000, 50):
        watch.look(now_ms)
    assert (ear.told[1:], watch.is_open, switch.opened) == ([(None, False, "The chip is gone.")], False, 4)
    switch.gone, switch.is_open = False, False
    for now_ms in range(95_000, 125_000, 50):
        watch.look(now_ms)
    assert ear.told[2:] == [(False, True, "")]


def test_the_panels_thread_reads_the_case_also_where_no_line_has_a_panel() -> None:
    ear, switch = Ear(), PlayedSwitch()
    board = LineBoard(())
    thread = PanelThread((), board.look, lambda: True, log=LOG, case=CaseWatch(switch, ear, LOG), now_ms=int)
    thread.look_once()
    switch.move(is_open=True)
    thread.look_once()
    assert ear.told == [(False, True, ""), (True, False, "")]


class _Request:
    def __init__(self, value: gpiod.line.Value) -> None:
        self._value = value

    def get_value(self, _line: str) -> gpiod.line.Value:
        return self._value

    def release(self) -> None:
        pass


def test_switch_is_asked_for_by_its_name_and_a_wire_that_is_pulled_up_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def give(chip: str, **options: Any) -> _Request:
        asked.update(options, chip=chip)
        return _Request(gpiod.line.Value.ACTIVE)

    monkeypatch.setattr(gpiod, "request_lines", give)
    switch = case_input(GpioSettings(line="tamper"))
    switch.open()
    wanted = asked["config"]["tamper"]
    assert (wanted.direction, wanted.active_low) == (gpiod.line.Direction.INPUT, False)
    assert switch.active_at_opening


# to the vault


@pytest.fixture
def link(tmp_path: Path, vault: FakeVault, heard_log: HeardLog) -> Iterator[VaultLink]:
    socket, clock = tmp_path / "vault" / "recorder" / "vault.sock", Clock(lambda: 1_800_000_000_000)
    link = VaultLink(socket, [], tuple, clock, heard_log.logger)
    yield link
    link.stop()


def reports(vault: FakeVault) -> list[verbs.ReportCase]:
    return [request for request in vault.told if isinstance(request, verbs.ReportCase)]


def report(*, is_open: bool | None, found_open: bool = False, openings: int = 0, trouble: str = "") -> verbs.ReportCase:
    return verbs.ReportCase(
        is_open=is_open, found_open=found_open, openings=openings, since_ms=1_800_000_000_000, trouble=trouble
    )


def test_each_change_is_reported_at_once(link: VaultLink, vault: FakeVault) -> None:
    vault.come()
    link.start()
    link.note_case(is_open=False, is_found=True)
    vault.wait_until(lambda: len(reports(vault)) == 1)
    link.note_case(is_open=True)
    vault.wait_until(lambda: len(reports(vault)) == 2)
    link.note_case(is_open=None, trouble="The chip is gone.")
    vault.wait_until(lambda: len(reports(vault)) == 3)
    assert reports(vault) == [
        report(is_open=False),
        report(is_open=True, openings=1),
        report(is_open=None, trouble="The chip is gone."),
    ]


def test_what_happened_while_the_vault_was_away_is_one_report_that_counts_it(link: VaultLink, vault: FakeVault) -> None:
    link.note_case(is_open=True, is_found=True)
    for _ in range(3):
        link.note_case(is_open=False)
        link.note_case(is_open=True)
    link.note_case(is_open=False)
    vault.come()
    link.start()
    vault.wait_until(lambda: reports(vault))
    vault.wait_for_beats()
    assert reports(vault) == [report(is_open=False, found_open=True, openings=3)]


def test_a_vault_that_refuses_is_told_again(link: VaultLink, vault: FakeVault, heard_log: HeardLog) -> None:
    vault.refuses = verbs.ReportCase
    vault.come()
    link.start()
    link.note_case(is_open=True)
    heard_log.wait_for("vault_refused")
    link.note_case(is_open=False)
    vault.refuses = None
    vault.wait_until(lambda: reports(vault))
    assert reports(vault) == [report(is_open=False, openings=1)]
