"""The reader printed in docs/format.md, run as it stands there: a second implementation, and the proof of the page."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag

from tests.recordings.make_vectors import VECTORS

DOCUMENT = (Path(__file__).parents[2] / "docs" / "format.md").read_text()
RECORDINGS: list[dict[str, Any]] = json.loads(VECTORS.read_text())["recordings"]


@pytest.fixture(scope="module")
def printed() -> dict[str, Any]:
    """What the document's code defines."""
    (code,) = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    defined: dict[str, Any] = {}
    exec(compile(code, "docs/format.md", "exec"), defined)  # noqa: S102 -- our own page, read from the source tree
    return defined


@pytest.mark.parametrize("vector", RECORDINGS, ids=lambda vector: vector["what"])
def test_printed_reader_gives_the_outcome_of_each_vector(printed: dict[str, Any], vector: dict[str, Any]) -> None:
    sealed = bytes.fromhex("".join(vector["sealed"]))
    try:
        audio, closing = printed["read"](sealed, bytes.fromhex(vector["key"]), vector["call"])
    except printed["CutOff"]:
        assert vector["outcome"] == "cut_off"
    except (ValueError, KeyError, InvalidTag):
        assert vector["outcome"] == "damaged"
    else:
        assert vector["outcome"] == "valid"
        assert hashlib.sha256(audio).hexdigest() == vector["audio_sha256"]
        assert closing == json.loads(vector["closing"])


def test_worked_example_is_the_vector_of_that_name() -> None:
    (vector,) = [vector for vector in RECORDINGS if vector["what"] == "two pages"]
    sealed = "".join(vector["sealed"])
    assert len(sealed) // 2 == 2354
    for printed_bytes in (sealed[80:112], sealed[2 * 1008 : 2 * 1024]):
        assert printed_bytes in DOCUMENT
