"""`linekeep evidence verify`: what whoever was handed an export learns from its exit code and its sentences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from appliance import cli
from appliance.vault.evidence.verifier import shown_fingerprint
from tests.simulators.software_tpm import SoftwareTpm
from tests.vault.box_house import BoxHouse
from tests.vault.evidence.house import Desk, Export, call_with_gaps, written

ANOTHER_ROOT = "ab" * 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """An export, and the fingerprint on the label of the box that made it."""

    files: Export
    root: str


@pytest.fixture(scope="module")
def handed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Handed]:
    folder = tmp_path_factory.mktemp("house")
    with TemporaryDirectory(prefix="lk-") as run_dir, SoftwareTpm(folder / "tpm", Path(run_dir)):
        house = BoxHouse(folder, Path(run_dir))
        with house.opened() as box, Desk(box, house.settings()).opened() as desk:
            call = call_with_gaps(box)
            box.evidence.run()
            files = desk.export(call, whole_day=False)
            yield Handed(files=files, root=box.notary.chain.root_fingerprint)


def verify(capsys: pytest.CaptureFixture[str], file: Path, *roots: str) -> tuple[int, str, str]:
    asked = [argument for root in roots for argument in ("--root", root)]
    code = cli.main(["evidence", "verify", str(file), *asked])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_a_good_export_is_proven_by_the_root_on_the_label_however_it_is_typed(
    capsys: pytest.CaptureFixture[str], handed: Handed, tmp_path: Path
) -> None:
    file = written(handed.files, tmp_path / "export.zip")
    for roots in ((handed.root,), (shown_fingerprint(handed.root),), (ANOTHER_ROOT, handed.root)):
        code, out, err = verify(capsys, file, *roots)
        assert (code, err) == (0, ""), out
        assert "All that is in this file is proven." in out
        assert f"{shown_fingerprint(handed.root)} (as you gave it)" in out


def test_without_a_root_it_is_said_that_it_has_to_be_compared(
    capsys: pytest.CaptureFixture[str], handed: Handed, tmp_path: Path
) -> None:
    code, out, _ = verify(capsys, written(handed.files, tmp_path / "export.zip"))
    assert code == 0
    assert f"{shown_fingerprint(handed.root)} (compare it with the label on the box)" in out


def test_a_good_export_of_another_box_is_not_proven(
    capsys: pytest.CaptureFixture[str], handed: Handed, tmp_path: Path
) -> None:
    code, out, err = verify(capsys, written(handed.files, tmp_path / "export.zip"), ANOTHER_ROOT)
    assert (code, err) == (1, "")
    assert "NOT PROVEN: Certificates in the export: These certificates are another box's" in out
    assert "All that is in this file is proven." not in out


@pytest.mark.parametrize("suffix", ["audio.ogg", "recording.json", "recording.attest", "recording.sig"])
def test_an_export_of_which_one_byte_was_changed_is_not_proven(
    capsys: pytest.CaptureFixture[str], handed: Handed, tmp_path: Path, suffix: str
) -> None:
    (name,) = [name for name in handed.files if name.endswith(suffix)]
    content = bytearray(handed.files[name])
    content[len(content) // 2] ^= 1
    changed = written({**handed.files, name: bytes(content)}, tmp_path / "changed.zip")
    code, out, err = verify(capsys, changed, handed.root)
    assert (code, err) == (1, "")
    assert "NOT PROVEN: " in out
    assert "All that is in this file is proven." not in out


def test_what_is_no_export_is_one_sentence(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x")
    for name in ("x", "missing"):
        code, out, err = verify(capsys, tmp_path / name)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert f"{name} cannot be read as an export of evidence" in err
