"""Each act is written by the product somewhere, and none of them can carry a name or a number."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import appliance
from appliance.audit.events import Act

PRODUCT = Path(appliance.__file__).parent
PARTS = {"vault", "recorder", "webui", "console", "retention"}
"""What may have done something, beside an account."""

ACCOUNTS = re.compile(r"(visitor\.account|account|by|entry\.by|erasure\.asked_by|asked\.by|_BY|facts\['asked_by'\])")
NOTES = {
    # Counts, and what is on or off.
    "bytes", "count", "findings", "before_s", "after_s", "keep_s", "by_line", "by_number", "unauthenticated_bytes",
    "backup_made_at_ms", "at_ms", "started_at_ms", "until_ms", "needed", "sheets",
    "openings", "counted", "since_ms",
    # Digests and states.
    "before", "after", "settings", "box", "index", "ring_before", "ring_after", "erasure",
    # Words that stand in the source: see `test_reasons_are_words_from_the_source`; 'call' or 'day'.
    "why", "scope", "order",
}  # fmt: skip
REASONS = {"asked", "period", "nothing_recorded", "dropped"}


def trees() -> Iterator[tuple[Path, ast.Module]]:
    for path in PRODUCT.rglob("*.py"):
        yield path, ast.parse(path.read_text())


def calls() -> Iterator[tuple[Path, ast.Call]]:
    for path, tree in trees():
        yield from ((path, node) for node in ast.walk(tree) if isinstance(node, ast.Call))


@pytest.mark.parametrize("act", Act)
def test_an_act_is_subject_and_action_and_is_written_somewhere(act: Act) -> None:
    assert re.fullmatch(r"[a-z]+:[a-z_]+", act)
    used = [path for path, _ in trees() if path.name != "events.py" and f"Act.{act.name}" in path.read_text()]
    assert used


def test_who_did_it_is_an_account_or_a_part_of_the_product() -> None:
    seen = 0
    for path, call in calls():
        if path.parent.name == "recorder":
            continue  # it writes no journal; what a consent was given by is another thing
        for keyword in call.keywords:
            if keyword.arg == "by":
                seen += 1
                value = keyword.value
                fine = (
                    value.value in PARTS if isinstance(value, ast.Constant) else ACCOUNTS.fullmatch(ast.unparse(value))
                )
                assert fine, f"{path.name}: by={ast.unparse(value)}"
    assert seen > 20


def test_notes_have_names_from_a_list_of_counts_digests_and_words() -> None:
    for path, tree in trees():
        for name in _names_of_notes(tree):
            assert name in NOTES, f"{path.name}: {name}"


def _names_of_notes(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        value: ast.expr | None = None
        if (isinstance(node, ast.keyword) and node.arg == "notes") or (
            isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == "notes"
        ):
            value = node.value
        if isinstance(value, ast.Dict):
            yield from (str(ast.literal_eval(key)) for key in value.keys if key is not None)


def test_reasons_are_words_from_the_source() -> None:
    for path, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("erasure.erase"):
                reasons = [keyword.value for keyword in node.keywords if keyword.arg == "why"]
                assert all(isinstance(one, ast.Constant) and one.value in REASONS for one in reasons), path.name
