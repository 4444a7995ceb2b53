"""The report of a factory test: JSON for programs, and beside it one page for the file of the box, with a sticker.

Promise: the sticker names the JSON by its SHA-256, so that paper and file belong together. It is one page, however many
lines a box has: what is good gives way to what is not, and how many gave way is said.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from appliance.pdf import WIDTH, Font, Page, width_of, wrapped
from appliance.selftest.finding import Finding, Verdict
from appliance.selftest.german import in_german
from appliance.selftest.kernel_tree import SYSFS, read_text

Language = Literal["en", "de"]

_NO_SERIALS = ("", "none", "not specified", "to be filled by o.e.m.", "system serial number", "default string")
_SERIALS = ("firmware/devicetree/base/serial-number", "class/dmi/id/product_serial")
_MODELS = ("firmware/devicetree/base/model", "class/dmi/id/product_name")

_LEFT, _RIGHT, _TOP = 48, WIDTH - 48, 790
_ROWS_FROM, _ROWS_TO = 700, 140
_READING_AT, _VERDICT_AT = 215, _RIGHT - 62
_SIZES = (9.5, 8.5, 7.5, 6.5, 5.5)
_BOLD_IS_WIDER = 1.1
_WEIGHT = {verdict: weight for weight, verdict in enumerate(Verdict)}

_WORDS = {
    "Factory test": "Werksprüfung",
    "box": "Gerät",
    "tested": "geprüft",
    "software": "Software",
    "PASSED": "BESTANDEN",
    "NOT PASSED": "NICHT BESTANDEN",
    "All {} are as they should be, or could not be tried.": "Alle {} sind in Ordnung oder waren nicht prüfbar.",
    "{} of {} need a look.": "{} von {} brauchen einen Blick.",
    "and {} more, in the file": "und {} weitere, in der Datei",
    "no serial number": "ohne Seriennummer",
    "no TPM": "kein TPM",
    "SHA-256 of the report": "SHA-256 des Berichts",
    "cut out and stick into the case": "ausschneiden und ins Gehäuse kleben",
    "good": "gut",
    "untried": "nicht geprüft",
    "look": "ansehen",
    "bad": "schlecht",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """name: the box's on the network. serial, model: empty if the board tells none. at: UTC, as ISO 8601 has it."""

    name: str
    serial: str
    model: str
    software: str
    at: str
    findings: tuple[Finding, ...]

    @property
    def wrong(self) -> int:
        return sum(finding.verdict in (Verdict.LOOK, Verdict.BAD) for finding in self.findings)

    @property
    def tpm(self) -> str:
        """Its make and firmware; empty if there is none."""
        return next((each.reading for each in self.findings if each.part == "TPM" and "firmware" in each.reading), "")

    def as_json(self) -> str:
        facts = {
            "software": self.software,
            "box": {"name": self.name, "serial": self.serial, "model": self.model},
            "at": self.at,
            "good": not self.wrong,
            "findings": [
                {"part": each.part, "verdict": each.verdict.value, "reading": each.reading, "advice": each.advice}
                for each in self.findings
            ],
        }
        return json.dumps(facts, ensure_ascii=False, indent=1)

    def write(self, folder: Path, language: Language) -> tuple[Path, Path]:
        """Both files, named after the moment. Raises OSError."""
        told = f"{self.as_json()}\n".encode()
        stem = "selftest-" + "".join(sign for sign in self.at if sign.isalnum())
        files = folder / f"{stem}.json", folder / f"{stem}.pdf"
        files[0].write_bytes(told)
        files[1].write_bytes(page_of(self, hashlib.sha256(told).hexdigest(), language))
        return files


def board_serial(sysfs: Path = SYSFS) -> str:
    """Empty if the board tells none, or one that all of its kind tell."""
    return _first(sysfs, _SERIALS)


def board_model(sysfs: Path = SYSFS) -> str:
    return _first(sysfs, _MODELS)


def _first(sysfs: Path, names: Sequence[str]) -> str:
    told = ((read_text(sysfs / name) or "").strip("\0 ") for name in names)
    return next((text for text in told if text.casefold() not in _NO_SERIALS), "")


def page_of(report: Report, digest: str, language: Language) -> bytes:
    """The page as a PDF. digest: of the JSON file, hexadecimal."""
    return _Sheet(report, digest, language).drawn()


class _Sheet:
    def __init__(self, report: Report, digest: str, language: Language) -> None:
        self._report = report
        self._digest = digest
        self._is_german = language == "de"
        self._page = Page(f"{self._say('Factory test')} {report.name} {report.at}", language)

    def drawn(self) -> bytes:
        self._head()
        self._rows()
        self._sticker()
        return self._page.encoded()

    def _say(self, text: str, *facts: object) -> str:
        return (_WORDS[text] if self._is_german else text).format(*facts)

    def _told(self, text: str) -> str:
        return in_german(text) if self._is_german else text

    @property
    def _result(self) -> str:
        return self._say("NOT PASSED" if self._report.wrong else "PASSED")

    def _head(self) -> None:
        report, page = self._report, self._page
        page.text(_LEFT, _TOP, f"Linekeep: {self._say('Factory test')}", size=18, font=Font.BOLD)
        page.text(_RIGHT - width_of(self._result, 14 * _BOLD_IS_WIDER), _TOP, self._result, size=14, font=Font.BOLD)
        serial = report.serial or self._say("no serial number")
        facts = {
            "box": ", ".join(filter(None, (report.name, serial, report.model))),
            "tested": report.at,
            "software": report.software,
        }
        for row, (name, fact) in enumerate(facts.items()):
            page.text(_LEFT, _TOP - 24 - 13 * row, self._say(name), size=9.5, grey=0.35)
            page.text(_LEFT + 62, _TOP - 24 - 13 * row, fact, size=9.5)
        count = len(report.findings)
        summary = (
            self._say("{} of {} need a look.", report.wrong, count)
            if report.wrong
            else self._say("All {} are as they should be, or could not be tried.", count)
        )
        page.text(_LEFT, _TOP - 68, summary, size=9.5, font=Font.BOLD)

    def _rows(self) -> None:
        findings, room = list(self._report.findings), _ROWS_FROM - _ROWS_TO
        size = next((size for size in _SIZES if self._height(findings, size) <= room), _SIZES[-1])
        while self._height(findings, size) > room:
            least = min(findings, key=lambda finding: _WEIGHT[finding.verdict])
            findings.remove(least)
        left_out = len(self._report.findings) - len(findings)
        y: float = _ROWS_FROM
        for finding in findings:
            y = self._row(finding, size, y)
        if left_out:
            self._page.text(_LEFT, y - 1.25 * size, self._say("and {} more, in the file", left_out), size=size)

    def _height(self, findings: Sequence[Finding], size: float) -> float:
        return sum(max(map(len, self._columns(finding, size))) * 1.25 * size + 0.6 * size for finding in findings)

    def _columns(self, finding: Finding, size: float) -> tuple[list[str], list[str]]:
        """The part; and the reading, with the advice below."""
        part = wrapped(self._told(finding.part), size * _BOLD_IS_WIDER, _READING_AT - _LEFT - 6)
        reading = wrapped(self._told(finding.reading), size, _VERDICT_AT - _READING_AT - 6)
        advice = wrapped(self._told(finding.advice), size, _RIGHT - _READING_AT) if finding.advice else []
        return part, reading + advice

    def _row(self, finding: Finding, size: float, y: float) -> float:
        """Returns where the next one begins."""
        page, leading = self._page, 1.25 * size
        font = Font.BOLD if finding.verdict in (Verdict.LOOK, Verdict.BAD) else Font.PLAIN
        page.line(_LEFT, y, _RIGHT, y, width=0.3)
        part, told = self._columns(finding, size)
        for row, line in enumerate(part):
            page.text(_LEFT, y - (row + 1) * leading, line, size=size, font=font)
        for row, line in enumerate(told):
            page.text(_READING_AT, y - (row + 1) * leading, line, size=size)
        page.text(_VERDICT_AT, y - leading, self._say(finding.verdict.value), size=size, font=font)
        return y - max(len(part), len(told)) * leading - 0.6 * size

    def _sticker(self) -> None:
        report, page, low, high = self._report, self._page, 62, 118
        page.text(_LEFT, high + 6, self._say("cut out and stick into the case"), size=7, grey=0.35)
        for start, end in (((_LEFT, low), (_RIGHT, low)), ((_LEFT, high), (_RIGHT, high))):
            page.line(*start, *end, dashed=True)
        for x in (_LEFT, _RIGHT):
            page.line(x, low, x, high, dashed=True)
        named = f"Linekeep   {report.serial or report.name}   {report.at[:10]}   {self._result}"
        page.text(_LEFT + 8, high - 16, named, size=11, font=Font.BOLD)
        page.text(_LEFT + 8, high - 30, f"TPM: {self._told(report.tpm) or self._say('no TPM')}", size=8)
        page.text(_LEFT + 8, low + 10, f"{self._say('SHA-256 of the report')}:", size=7)
        page.text(_LEFT + 100, low + 10, self._digest, size=9, font=Font.FIXED)
