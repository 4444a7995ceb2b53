"""How long a journal of 100,000 entries with 400 heads takes to check, whole and with one entry gone; and to show.

python -m tests.bench.journal
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast
from unittest import mock

import structlog

from appliance.audit.events import Act
from appliance.audit.journal import Entry, Journal
from appliance.clock import Clock
from appliance.vault.evidence.identity import ensure_identity
from appliance.vault.evidence.journal_heads import JournalHeads
from appliance.vault.evidence.journal_verifier import examine, lines_of
from appliance.vault.evidence.notary import Notary
from tests.simulators.signing_tpm import SigningTpm

_ENTRIES = 100_000


def main() -> None:
    no_sync = mock.patch.multiple(os, fsync=lambda _file: None, fdatasync=lambda _file: None)
    with no_sync, TemporaryDirectory() as folder:  # the disk is not what is measured
        _measure(Path(folder))


def _measure(folder: Path) -> None:
    clock, tpm = Clock(), cast("Any", SigningTpm())
    notary = Notary(tpm, ensure_identity(folder / "identity", tpm.signing_point(), clock.now_ms()))
    path = folder / "journal" / "acts.jsonl"
    with closing(Journal(path, clock)) as journal:
        heads = JournalHeads(
            path.with_name("heads.jsonl"),
            journal=journal,
            tpm=tpm,
            notary=notary,
            clock=clock,
            log=structlog.get_logger(),
        )
        while journal.head.number < _ENTRIES:
            journal.append(Act.CALL_KEPT, by="vault", ids=(os.urandom(16).hex(),))
            if journal.head.number % 250 == 0:
                heads.sign()
        _tell_page("the newest 50 entries", journal.entries_before())
        _tell_page("50 entries of people, of whom there are none", journal.entries_before(without=["vault"]))
    lines, head_lines = lines_of(path.read_bytes()), lines_of(heads.path.read_bytes())
    _tell("whole", lines, head_lines, notary)
    _tell("one gone", lines[:4710] + lines[4711:], head_lines, notary)
    _tell("turned round", lines[::-1], head_lines, notary)


def _tell_page(what: str, entries: Iterator[tuple[int, Entry]]) -> None:
    began = time.monotonic()
    found = [*islice(entries, 50)]
    print(f"{what}: {(time.monotonic() - began) * 1000:.1f} ms, {len(found)} found")


def _tell(what: str, lines: list[bytes], heads: list[bytes], notary: Notary) -> None:
    began = time.monotonic()
    report = examine(lines, heads, notary.chain)
    print(f"{what}: {time.monotonic() - began:.2f} s, {len(report.findings)} findings")


if __name__ == "__main__":
    main()
