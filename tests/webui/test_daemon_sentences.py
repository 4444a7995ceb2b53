"""What a daemon says about a line or the clock reaches a German reader in German, with its figures."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

import appliance
from webui import daemon_sentences
from webui.daemon_sentences import SENTENCES, said

APPLIANCE = Path(appliance.__file__).parent
SHOWN_ON_A_LINE = (
    "clock.py",
    "recorder/line_worker.py",
    "recorder/line_health.py",
    "recorder/device_worker.py",
    "recorder/vault_link.py",
    "recorder/device",
    "recorder/daily_tone.py",
)
"""Where sentences are made that a line's tile can show."""


def sentences_of(path: Path) -> Iterator[str]:
    """The sentences of a Python file, docstrings aside, what is put into them replaced by a placeholder."""
    tree = ast.parse(path.read_text("utf-8"))
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if id(node) in docstrings or id(node) in parts:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "%(thing)s" for part in node.values)


def sentences_below(*places: str) -> set[str]:
    files = [file for file in APPLIANCE.rglob("*.py") if any(file.is_relative_to(APPLIANCE / p) for p in places)]
    return {text for file in files for text in sentences_of(file) if text.count(" ") > 5 and text[-1] in ".?"}


def plain(sentence: str) -> str:
    return re.sub(r"%\(\w+\)s", "%(thing)s", sentence).replace("%%", "%")


def test_every_sentence_listed_is_said_by_a_daemon() -> None:
    """A daemon's sentence that changes must change here too, or a German reader gets English."""
    assert {plain(sentence) for sentence in SENTENCES} - sentences_below("recorder", "recordings", "clock.py") == set()


def test_every_sentence_that_a_line_can_show_is_listed() -> None:
    assert sentences_below(*SHOWN_ON_A_LINE) - {plain(sentence) for sentence in SENTENCES} == set()


@pytest.mark.parametrize(
    ("english", "german"),
    [
        (
            "Speech on this line is too loud (-9 dBFS) and nearly cut off. What was recorded is safe. "
            "The level should be 15 dB lower: turn down the card's input (alsamixer, F4).",
            ("-9 dBFS", "15 dB", "zu laut"),
        ),
        (
            "The sound card adds an offset of -7 % of full scale, and loud speech has so "
            "much less room. Calls are recorded. Check that the coupler blocks direct current, or take another card.",
            ("-7 %", "Gleichspannung"),
        ),
        (
            "GPIO line 17 of /dev/gpiochip0 cannot be used (Permission denied), so the hook is not used. Calls are "
            "recorded without it; correct the settings, and check the rights of this user (group 'gpio').",
            ("line 17 of /dev/gpiochip0", "Permission denied", "Gabelkontakt"),
        ),
        ("The disk is full while a recording is written. What was written before is safe; make room.", ("voll",)),
        ("Another program uses the sound device 'plughw:1'. End that program.", ("plughw:1", "Beenden")),
        (
            "Other side: Neither ring nor speech was heard on this line for 3 days. If nobody telephoned, all is "
            "well; otherwise call it, and if this stays, look at the plugs of line and coupler. What was recorded is "
            "safe.",
            ("Gegenseite: ", "3 Tage"),
        ),
    ],
)
def test_german_reader_gets_the_sentence_in_german_with_its_figures(
    english: str, german: tuple[str, ...], app: Flask
) -> None:
    with app.test_request_context(headers={"Accept-Language": "de"}):
        told = said(english)
    assert told != english
    assert all(piece in told for piece in german), told
    assert "recording" not in told


def test_sentence_of_a_later_daemon_is_shown_as_it_came(app: Flask) -> None:
    with app.test_request_context(headers={"Accept-Language": "de"}):
        assert said("A sentence of tomorrow.") == "A sentence of tomorrow."
        assert said("") == ""


def test_words_that_are_put_into_sentences_are_the_daemons_own() -> None:
    source = "".join(file.read_text("utf-8") for file in sorted(APPLIANCE.rglob("*.py")))
    assert {part for part in daemon_sentences._PARTS if f'"{part}"' not in source} == set()
