"""The vault in service on a real (software) TPM: what it does by the clock, at an opening of the case, at its end."""

from __future__ import annotations

from collections.abc import Callable
from queue import Queue
from typing import Any

import pytest

from appliance.boundary import verbs
from appliance.vault import __main__ as daemon
from appliance.vault.box import Box
from appliance.vault.case_watch import CaseWatch
from appliance.vault.evidence.journal_verifier import lines_of, read_heads
from tests.vault.box_house import BoxHouse

PATIENCE_S = 60.0
HOUR_S, DAY_S = 3600, 86_400


def told(act: Callable[..., None], done: Queue[str], name: str) -> Callable[..., None]:
    """The act itself, and afterwards a word that it is done."""

    def act_and_tell(*arguments: Any, **named: Any) -> None:
        act(*arguments, **named)
        done.put(name)

    return act_and_tell


def wait_for(name: str, done: Queue[str]) -> None:
    while done.get(timeout=PATIENCE_S) != name:
        pass


def test_heads_are_signed_at_the_start_when_the_case_is_opened_and_over_the_last_entry(
    house: BoxHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, done = house.settings("in-service"), Queue[str]()
    monkeypatch.setattr(Box, "sign_journal_head", told(Box.sign_journal_head, done, "head"))
    monkeypatch.setattr(CaseWatch, "write_down", told(CaseWatch.write_down, done, "case"))
    journal, heads = (settings.state / "journal" / name for name in ("acts.jsonl", "heads.jsonl"))

    def signed_acts() -> list[bytes]:
        """The entries that the last head covers."""
        return lines_of(journal.read_bytes())[: read_heads(lines_of(heads.read_bytes()), [])[-1].facts().number]

    vault = daemon._Vault(settings, house.log.logger)
    try:
        handlers = vault.put_in_service(None)
        wait_for("head", done)
        assert not any(b'"case:opened"' in line for line in signed_acts())
        wait_for("case", done)  # the job behind it on its thread: that of the head is over
        handlers[verbs.ReportCase](verbs.ReportCase(is_open=True, found_open=False, openings=1, since_ms=1))
        wait_for("head", done)
        assert any(b'"case:opened"' in line for line in signed_acts())
    finally:
        vault.stop()
    assert signed_acts() == lines_of(journal.read_bytes())
    assert b'"vault:stopped"' in signed_acts()[-1]
    assert house.log.named("job_failed") == house.log.named("stop_not_signed") == []


def test_what_the_vault_does_by_the_clock(house: BoxHouse) -> None:
    with house.opened(house.settings("by-the-clock")) as box:
        schedule = daemon._schedule(box, box.settings, house.log.logger)
        every_s = {job.id: job.trigger.interval_length for job in schedule._scheduler.get_jobs()}
    assert every_s == {
        "retention": HOUR_S,
        "take_over": 20,
        "evidence": 10,
        "certificate": DAY_S,
        "unconfirmed_words": 60,
        "disk": HOUR_S,
        "empty_buckets": DAY_S,
        "journal_head": 6 * HOUR_S,
        "case": 60,
        "backup": 600,
        "backup_in_step": 10,
    }
