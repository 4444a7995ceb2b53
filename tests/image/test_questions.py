"""The machine itself, asked: users, rights, ports, sandbox, disk, firewall, TPM."""

from __future__ import annotations

from typing import Any

import pytest

from tests.image.questions import Question, questions

_ALL = list(questions())


@pytest.mark.parametrize("question", _ALL, ids=[question.asked for question in _ALL])
def test_the_machine_answers(question: Question, census: dict[str, Any]) -> None:
    assert question.look(census) == question.right


def test_enough_is_asked(record_testsuite_property: Any) -> None:
    print(f"{len(_ALL)} questions")
    record_testsuite_property("questions", len(_ALL))
    assert len(_ALL) >= 150
