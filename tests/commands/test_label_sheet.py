"""The label sheet, read as a person's printer would: by poppler, not by what wrote it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
import segno

from appliance.boundary.verbs import Label
from appliance.commands.label_sheet import label_sheet

ADDRESS = "https://linekeep-3f2a.local/"
PAGE, BOX = ":".join(["5a"] * 32), "c3" * 32
CODE = "K7QF-9M2X-4TRW"


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    return _sheet(tmp_path / "label.pdf", CODE)


def _sheet(path: Path, code: str) -> Path:
    label = Label(claim_code=code, page_fingerprint=PAGE, page_issuer="", box_fingerprint=BOX)
    path.write_bytes(label_sheet([ADDRESS, "https://192.0.2.7/"], label))
    return path


def _text(sheet: Path) -> str:
    command: list[str | Path] = ["pdftotext", "-layout", sheet, "-"]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    assert run.stderr == ""
    return run.stdout


def test_sheet_says_addresses_fingerprints_and_code(sheet: Path) -> None:
    words = _text(sheet).split()
    assert {ADDRESS, "https://192.0.2.7/", CODE} <= set(words)
    assert PAGE.upper() in "".join(words)
    assert words.count("C3C3") == 16


def test_sheet_of_a_box_with_an_owner_has_no_code_and_no_slip_for_it(tmp_path: Path) -> None:
    text = _text(_sheet(tmp_path / "label.pdf", ""))
    assert ADDRESS in text
    assert "owner" not in text


def test_pattern_on_the_sheet_is_that_of_the_first_address(sheet: Path, tmp_path: Path) -> None:
    command: list[str | Path] = ["pdftoppm", "-gray", "-r", "288", "-singlefile", sheet, tmp_path / "drawn"]
    subprocess.run(command, check=True)
    # The upper right of the sheet, without the line to cut along; all that is black there is the pattern.
    corner = _dots(tmp_path / "drawn.pgm")[75 * 4 : 180 * 4, 400 * 4 : 530 * 4] < 128
    pattern = corner[corner.any(1)][:, corner.any(0)]
    wanted = np.array([list(row) for row in segno.make_qr(ADDRESS, error="m").matrix])
    height, width = pattern.shape
    middles = (np.arange(len(wanted)) + 0.5) / len(wanted)
    seen = pattern[np.ix_((middles * height).astype(int), (middles * width).astype(int))]
    assert np.array_equal(seen, wanted)


def _dots(path: Path) -> np.ndarray:
    magic, size, _most, dots = path.read_bytes().split(b"\n", 3)
    assert magic == b"P5"
    width, height = map(int, size.split())
    return np.frombuffer(dots, np.uint8).reshape(height, width)
