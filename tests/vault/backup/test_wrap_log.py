"""The second copy of the wrapped keys: what is read is what was written, whatever happened to the rest."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from appliance.clock import Clock
from appliance.terms import CallId
from appliance.vault.backup.wrap_log import RECORD_BYTES, WrapLog, WrapRecord, is_of_same_generation, records_in
from appliance.vault.catalogue import Wrap
from tests.recorder.heard_log import HeardLog


def wrap(number: int) -> Wrap:
    return Wrap(call_id=CallId(f"{number:032x}"), bucket_id=f"{number:016x}", wrapped=bytes([number]) * 60)


@pytest.fixture
def heard() -> HeardLog:
    return HeardLog()


@pytest.fixture
def log(tmp_path: Path, heard: HeardLog) -> WrapLog:
    made = WrapLog(tmp_path / "wraps", Clock(lambda: 7000), heard.logger)
    made.rewrite([WrapRecord(wrap=wrap(1), line="front-desk", at_ms=5)])
    return made


def numbers(content: bytes) -> list[int]:
    return [int(record.wrap.call_id, 16) for record in records_in(content)]


def test_what_is_noted_is_read_back(log: WrapLog) -> None:
    log.note([wrap(2), wrap(3)], "office")
    first, second, third = records_in(log.path.read_bytes())
    assert (first.wrap, first.line, first.at_ms) == (wrap(1), "front-desk", 5)
    assert (second.wrap, second.line, second.at_ms) == (wrap(2), "office", 7000)
    assert third.wrap == wrap(3)


def test_without_a_backup_nothing_is_noted(tmp_path: Path, heard: HeardLog) -> None:
    WrapLog(tmp_path / "wraps", Clock(), heard.logger).note([wrap(1)])
    assert not (tmp_path / "wraps").exists()


def test_a_damaged_record_costs_no_other(log: WrapLog) -> None:
    log.note([wrap(2), wrap(3)])
    content = bytearray(log.path.read_bytes())
    content[2 * RECORD_BYTES + 30] ^= 1
    assert numbers(bytes(content)) == [1, 3]


@pytest.mark.parametrize("torn_bytes", [1, RECORD_BYTES - 1])
def test_a_torn_record_is_written_over(log: WrapLog, torn_bytes: int) -> None:
    log.note([wrap(2)])
    os.truncate(log.path, log.end() - torn_bytes)
    log.note([wrap(3)])
    assert numbers(log.path.read_bytes()) == [1, 3]
    assert log.end() == log.path.stat().st_size


def test_a_new_generation_keeps_what_was_noted_since(log: WrapLog) -> None:
    before = log.path.read_bytes()
    log.note([wrap(2)])
    since = log.end()
    log.note([wrap(3)])
    assert is_of_same_generation(before, log.path.read_bytes())
    log.rewrite([WrapRecord(wrap=wrap(4), line="", at_ms=1)], keep_from=since)
    assert numbers(log.path.read_bytes()) == [4, 3]
    assert not is_of_same_generation(before, log.path.read_bytes())


def test_what_cannot_be_written_is_said_and_the_next_backup_knows(log: WrapLog, heard: HeardLog) -> None:
    log.path.unlink()
    log.path.mkdir()
    log.note([wrap(2)])
    assert not log.is_whole
    assert heard.named("wrap_log_not_written")
