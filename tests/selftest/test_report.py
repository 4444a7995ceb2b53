"""The report of the factory test: one page that people can read, a sticker that names the file, all of it in German."""

from __future__ import annotations

import ast
import hashlib
import json
import re
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

import appliance.selftest
from appliance import cli
from appliance.pdf import Font, Page, width_of, wrapped
from appliance.selftest.finding import Finding, bad, good, look, untried
from appliance.selftest.german import in_german
from appliance.selftest.report import Report, board_model, board_serial
from appliance.selftest.storage import _SPARE
from tests.simulators.line import SimulatedLine, build_plugin
from tests.simulators.software_tpm import SoftwareTpm

SERIAL = "10000000a1b2c3d4"
FINDINGS = (
    good("temperature", "48 °C"),
    bad("supply", "below 4.63 V since the start", "Use the board's own power supply and a short cable; "
        "undervoltage damages cards."),
    untried("storage wear", "card SD32G 08/2025 does not tell it; take one made for recording"),
    good("TPM", "IFX SLB9670, firmware 7.85"),
    look("ring of front-desk", "did not see the line ring (100 % sure)", "Look at the ring capacitor, the opto-coupler "
         "and the wire."),
)  # fmt: skip


def report(findings: tuple[Finding, ...] = FINDINGS) -> Report:
    return Report(
        name="linekeep.local",
        serial=SERIAL,
        model="Raspberry Pi 4 Model B",
        software="linekeep 0.1.0",
        at="2026-11-28T23:17:05Z",
        findings=findings,
    )


def read(pdf: Path) -> str:
    """What stands on it, by an independent reader, which must not complain."""
    done = subprocess.run(["pdftotext", "-layout", pdf, "-"], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout


def pages(pdf: Path) -> int:
    told = subprocess.run(["pdfinfo", pdf], capture_output=True, text=True, check=True)
    assert told.stderr == ""
    return int(re.findall(r"^Pages: +(\d+)$", told.stdout, re.MULTILINE)[0])


def test_sticker_says_which_box_when_with_which_result_and_names_the_file_by_its_digest(tmp_path: Path) -> None:
    told, page = report().write(tmp_path, "en")
    assert (told.name, page.name) == ("selftest-20261128T231705Z.json", "selftest-20261128T231705Z.pdf")
    text = read(page)
    sticker = text[text.index("cut out and stick") :]
    digest = hashlib.sha256(told.read_bytes()).hexdigest()
    for said in (SERIAL, "2026-11-28", "NOT PASSED", "IFX SLB9670, firmware 7.85", digest):
        assert said in sticker
    assert pages(page) == 1
    facts = json.loads(told.read_text("utf-8"))
    assert facts["box"] == {"name": "linekeep.local", "serial": SERIAL, "model": "Raspberry Pi 4 Model B"}
    assert (facts["good"], len(facts["findings"])) == (False, len(FINDINGS))


def test_page_says_all_that_is_wrong_with_its_advice(tmp_path: Path) -> None:
    text = read(report().write(tmp_path, "en")[1])
    for said in ("2 of 5 need a look.", "below 4.63 V", "undervoltage", "(100 % sure)", "ring capacitor"):
        assert said in text
    passed = read(report((good("temperature", "48 °C"),)).write(tmp_path, "en")[1])
    assert passed.count("PASSED") == 2
    assert "NOT PASSED" not in passed
    assert "no TPM" in passed


def test_german_page_is_german_with_its_umlauts(tmp_path: Path) -> None:
    text = read(report().write(tmp_path, "de")[1])
    for said in ("Werksprüfung", "NICHT BESTANDEN", "Gerät", "seit dem Start unter 4,63 V", "Unterspannung", "48 °C"):
        assert said in text
    assert "supply" not in text


def test_box_with_many_lines_has_one_page_on_which_the_wrong_goes_before_the_good(tmp_path: Path) -> None:
    lines = [good(f"hook of line-{nth}", "on the hook") for nth in range(200)]
    lines += [bad(f"ring of line-{nth}", "rings at rest", "It sees hum.") for nth in range(20)]
    page = report(tuple(lines)).write(tmp_path, "en")[1]
    text = read(page)
    assert pages(page) == 1
    assert all(f"ring of line-{nth}" in text for nth in range(20))
    shown = len(re.findall(r"^hook of line-", text, re.MULTILINE))
    assert 10 < shown < 200
    assert f"and {200 - shown} more, in the file" in text


def test_what_no_reader_could_show_harms_nothing(tmp_path: Path) -> None:
    odd = Page(title="(\\)", language="en")
    odd.text(50, 700, "a (b) \\ 中 \x00\n end", size=9, font=Font.FIXED)
    (tmp_path / "odd.pdf").write_bytes(odd.encoded())
    assert read(tmp_path / "odd.pdf").split() == ["a", "(b)", "\\", "?", "end"]


def test_lines_are_as_wide_as_they_may_be_and_no_wider() -> None:
    text = "Nehmen Sie das Netzteil der Platine und ein kurzes Kabel; Unterspannung schadet Karten. " * 3
    lines = wrapped(text, 9, 200)
    assert " ".join(lines) == text.strip()
    assert all(width_of(line, 9) <= 200 for line in lines)
    assert all(width_of(f"{a} {b.split()[0]}", 9) > 200 for a, b in pairwise(lines))


@pytest.mark.parametrize(
    ("name", "told", "serial"),
    [
        ("firmware/devicetree/base/serial-number", f"{SERIAL}\0", SERIAL),
        ("class/dmi/id/product_serial", "To be filled by O.E.M.", ""),
        ("class/dmi/id/product_serial", "PF1234", "PF1234"),
        ("class/dmi/id/product_uuid", "x", ""),
    ],
)
def test_serial_is_the_boards_own_or_none(name: str, told: str, serial: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_text(told)
    assert (board_serial(tmp_path), board_model(tmp_path)) == (serial, "")


# German

SAME = {
    *("{} °C", "{} MiB", "{} MB/s", "{} dB", "{} dBFS", "{}: {}", "{}: {} % in {} s", "{} {}", "TPM"),
    *("{}", "storage", "sound {}"),
}  # fmt: skip
"""What is the same in both languages, or is put together of parts that are told by themselves."""
FILLED = {
    "{}; in memory, or on another machine": ["half of the syncs within 7 ms; in memory, or on another machine"],
    "{}{}": [f"at most 7 tenths of its life{spare}" for spare in ("", *_SPARE.values())],
    "Turn the output (alsamixer, F3) or the input (F4) {} by {} dB.": [
        f"Turn the output (alsamixer, F3) or the input (F4) {way} by 7 dB." for way in ("up", "down")
    ],
    "{}, and cut off": ["7 dB from output to input, and cut off"],
    "{} output": ["sound 7 output"],
    "did not see it: {}": [f"did not see it: {what} the case" for what in ("open", "close")],
    "stuck: did not see it: {}": [
        f"stuck: did not see it: {what}" for what in ("lift the handset", "put the handset down")
    ],
}
"""What is put together, as it is told."""
TOLD = {"good", "untried", "look", "bad"}


def templates(tree: ast.Module) -> Iterator[str]:
    """What findings are made of: arguments of the four words, and what is put into `reading` and `advice`."""
    for node in ast.walk(tree):
        values: list[ast.expr] = []
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in TOLD:
            values = node.args
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in ("reading", "advice"):
            values = [node.value]
        for value in values:
            if isinstance(value, ast.Constant):
                yield str(value.value)
            if isinstance(value, ast.JoinedStr):
                yield "".join(str(each.value) if isinstance(each, ast.Constant) else "{}" for each in value.values)


@pytest.mark.parametrize("name", ["board", "rtc", "storage", "chip", "sound", "loopback", "wires"])
def test_whatever_the_test_can_say_has_its_german(name: str) -> None:
    source = Path(appliance.selftest.__file__).with_name(f"{name}.py").read_text("utf-8")
    made_of = set(templates(ast.parse(source)))
    assert len(made_of) > 8
    said = {text for made in made_of - SAME for text in FILLED.get(made, [made.replace("{}", "7")])}
    assert {text for text in said if in_german(text) == text} == set()


def test_more_is_not_taken_for_less() -> None:
    assert in_german("at most 9 tenths of its life, and 80 % of its spare blocks").endswith("80 % der Ersatzblöcke")
    assert in_german("sound usb 1-1.2, channel 0 level") == "Ton usb 1-1.2, Kanal 0, Pegel"
    assert in_german("What nobody ever said.") == "What nobody ever said."


# the command


def test_command_tries_this_machine_and_leaves_a_report_that_says_what_it_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    noise = np.random.default_rng(6).normal(0, 10, (4 * 8000, 1)).astype(np.int16)
    line = SimulatedLine(tmp_path, noise, repeat=True, plugin=build_plugin(tmp_path))
    for name, value in line.environment().items():
        monkeypatch.setenv(name, value)
    settings, state, reports = tmp_path / "linekeep.toml", tmp_path / "state", tmp_path / "reports"
    state.mkdir()
    reports.mkdir()
    with TemporaryDirectory(prefix="lk-") as run, SoftwareTpm(tmp_path / "tpm", Path(run)):
        settings.write_text(
            f"""
state_dir = "{state}"
run_dir = "{run}"
[vault]
tpm = "software"
[recorder]
devices = [{{ alsa = "{line.device}" }}]
tamper = {{ chip = "/dev/gpiochip99", line = "tamper" }}
"""
        )
        arguments = ["selftest", "--config", str(settings), "--alone", "--report", str(reports), "--language", "de"]
        assert cli.main(arguments) == 1
    said = capsys.readouterr().out
    (told,) = reports.glob("*.json")
    (page,) = reports.glob("*.pdf")
    findings = {each["part"]: each for each in json.loads(told.read_text("utf-8"))["findings"]}
    assert findings[f"sound {line.device}, channel 0"]["verdict"] == "good"
    assert findings["TPM"]["reading"].startswith("IBM SWTPM")
    assert "/dev/gpiochip99" in findings["switch of the case"]["advice"]
    assert all(each["reading"] in said for each in findings.values())
    text = read(page)
    assert hashlib.sha256(told.read_bytes()).hexdigest() in text
    assert "Gehäuseschalter" in text


def test_report_into_a_folder_that_is_not_there_is_refused_before_anything_is_tried(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tmp_path / "linekeep.toml"
    settings.write_text(f'state_dir = "{tmp_path}"\nrun_dir = "{tmp_path}"\n')
    missing = tmp_path / "nowhere"
    assert cli.main(["selftest", "--config", str(settings), "--alone", "--report", str(missing)]) == 2
    told = capsys.readouterr()
    assert (told.out, "There is no folder" in told.err) == ("", True)


def test_every_test_that_the_table_of_faults_names_is_there() -> None:
    table = (Path(__file__).parents[2] / "docs/measurements/selftest.md").read_text("utf-8")
    sources = "".join(path.read_text("utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    rows = [line for line in table.splitlines() if line.startswith("|") and "`test_" in line]
    assert len(rows) >= 15
    named = {name for row in rows for name in re.findall(r"`(test_\w+)`", row)}
    assert {name for name in named if f"def {name}(" not in sources} == set()
