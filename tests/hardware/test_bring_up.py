"""The guide from parts to the first call: what it tells a builder to expect is what the simulation says."""

from __future__ import annotations

import re
import tomllib

import msgspec
import pytest

from appliance import cli
from appliance.commands.stick import ANNOUNCEMENT_NAME, LABEL_NAME
from appliance.commands.stick_words import SETUP_NAME
from appliance.settings import SETTINGS_NAME, RecorderSettings
from hardware.bring_up import with_table
from hardware.wiring import LANGUAGES, MANUAL, PINS, named_lines


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


@pytest.mark.parametrize(("language", "pin"), [("en", "pin"), ("de", "Stift")])
def test_pins_in_the_text_are_those_of_the_drawing(language: str, pin: str) -> None:
    guide, lines = (MANUAL / f"bring-up.{language}.md").read_text("utf-8"), named_lines()
    wiring = guide[guide.index("## 5.") : guide.index("## 6.")]
    assert re.findall(rf"\b{pin} (\d+), 1 kΩ", wiring) == [str(PINS[lines["lamp"]])]
    assert re.findall(rf"tamper = .*# {pin} (\d+);", guide) == [str(PINS[lines["tamper"]])]
    assert re.findall(r"gpioinfo hook ring .* (\d+) \w+ (\d+) ", wiring) == [(str(lines["hook"]), str(lines["ring"]))]


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_goes_to_the_stick_and_comes_from_it_is_called_as_the_box_calls_it(language: str) -> None:
    guide = (MANUAL / f"bring-up.{language}.md").read_text("utf-8")
    handing_over = guide[guide.index("## 9.") : guide.index("## 10.")]
    named = set(re.findall(r"[`/]([\w-]+\.(?:TXT|PDF|wav|toml))`", handing_over))
    assert named == {SETUP_NAME, LABEL_NAME, ANNOUNCEMENT_NAME, SETTINGS_NAME}


def test_both_languages_have_the_same_sections_and_rows() -> None:
    english, german = ((MANUAL / f"bring-up.{language}.md").read_text("utf-8") for language in LANGUAGES)
    assert re.findall(r"^## (\d+)", english, re.MULTILINE) == re.findall(r"^## (\d+)", german, re.MULTILINE)
    assert english.count("\n|") == german.count("\n|")
    assert english.count("\n- ") == german.count("\n- ")


_PROGRAMS = ("apt", "date", "gpioget", "gpioinfo", "gpiomon", "hwclock", "linekeep", "make", "systemctl", "tpm2_clear")


def typed(language: str) -> list[str]:
    """The commands of the guide in their order, without what a language calls its own folders."""
    guide = (MANUAL / f"bring-up.{language}.md").read_text("utf-8")
    quoted = (one or two for one, two in re.findall(r"`([^`]+)`|^ {7}(\S[^#\n]*)", guide, re.MULTILINE))
    commands = (" ".join(command.split()).partition(" --report")[0] for command in quoted)
    return [command for command in commands if command.split()[0] in _PROGRAMS]


def test_in_both_languages_the_same_is_typed_in_the_same_order() -> None:
    assert typed("en") == typed("de")
    assert len(typed("en")) >= 20


@pytest.mark.parametrize("command", sorted({each for each in typed("en") if each.startswith("linekeep ")}))
def test_each_command_of_the_guide_is_a_command_with_these_options(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = command.split()[1:]
    verbs = words[: next((at for at, word in enumerate(words) if word.startswith("-")), len(words))]
    with pytest.raises(SystemExit) as end:
        cli.main([*verbs, "--help"])
    assert end.value.code == 0
    told = capsys.readouterr().out
    for word in words:
        assert not word.startswith("-") or word in told, word
