"""The guide from parts to the first call: what it tells a builder to expect is what the simulation says."""

from __future__ import annotations

import re
import tomllib

import msgspec
import pytest

from appliance.settings import RecorderSettings
from hardware.bring_up import with_table
from hardware.wiring import LANGUAGES, MANUAL, named_lines


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_guide_expects_on_the_bench_what_the_simulation_says(language: str) -> None:
    guide = MANUAL / f"bring-up.{language}.md"
    assert with_table(guide, language) == guide.read_text("utf-8"), "run `make hardware`"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_link_of_the_guide_leads_somewhere(language: str) -> None:
    targets = re.findall(r"\]\(([^)]+)\)", (MANUAL / f"bring-up.{language}.md").read_text("utf-8"))
    assert len(targets) >= 8
    for target in targets:
        assert target.startswith("https://") or (MANUAL / target).exists(), target


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_settings_in_the_guide_are_settings_and_name_the_lines_of_the_overlay(language: str) -> None:
    guide = (MANUAL / f"bring-up.{language}.md").read_text("utf-8")
    section = guide[guide.index("## 6.") : guide.index("## 7.")]
    written = "\n".join(line for line in section.splitlines() if line.startswith("    "))
    settings = msgspec.convert(tomllib.loads(written)["recorder"], RecorderSettings)
    (line,) = settings.lines
    assert settings.tamper is not None
    assert (settings.tamper.line, settings.tamper.active_low) == ("tamper", False)
    assert "tamper" in named_lines()
    wires = {"hook": line.hook, "ring": line.ring, "button": line.button, "lamp": line.lamp}
    for name, wire in wires.items():
        assert wire is not None
        assert wire.line == name
        assert name in named_lines()
        assert wire.active_low is (name != "lamp")
    assert not line.ground


def test_both_languages_have_the_same_sections_and_rows() -> None:
    english, german = ((MANUAL / f"bring-up.{language}.md").read_text("utf-8") for language in LANGUAGES)
    assert re.findall(r"^## (\d+)", english, re.MULTILINE) == re.findall(r"^## (\d+)", german, re.MULTILINE)
    assert english.count("\n|") == german.count("\n|")
    assert english.count("\n- ") == german.count("\n- ")
