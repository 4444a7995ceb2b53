"""`linekeep journal`: from a box that nobody runs to an export that is checked elsewhere."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from appliance import cli
from appliance.settings import SETTINGS_NAME


@pytest.fixture(scope="module")
def state() -> Iterator[Path]:
    with TemporaryDirectory(prefix="lk-") as folder:
        state = Path(folder) / "state"
        state.mkdir()
        (state / SETTINGS_NAME).write_text(
            f'state_dir = "{state}"\nrun_dir = "{folder}/run"\n[vault]\ntpm = "software"\n'
        )
        yield state


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    code = cli.main([str(argument) for argument in arguments])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_an_export_is_written_once_and_verifies_and_a_changed_one_does_not(
    capsys: pytest.CaptureFixture[str], state: Path, tmp_path: Path
) -> None:
    first, second = tmp_path / "first.zip", tmp_path / "second.zip"
    for file in (first, second):
        code, out, err = run(capsys, "journal", "export", "--state", state, file)
        assert (code, err) == (0, "")
        assert str(file) in out
    code, out, _ = run(capsys, "journal", "verify", second, "--earlier", first)
    assert (code, out.endswith(": whole.\n")) == (0, True)
    code, out, _ = run(capsys, "journal", "verify", first, "--earlier", second)
    assert code == 1
    assert "this is an older one, or it was cut" in out
    code, _, err = run(capsys, "journal", "verify", second, "--root", "00")
    assert code == 2
    assert "another box's" in err

    changed = tmp_path / "changed.zip"
    with zipfile.ZipFile(second) as source, zipfile.ZipFile(changed, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            target.writestr(
                name, content.replace(b"box:provisioned", b"box:claimed") if "journal.j" in name else content
            )
    code, out, _ = run(capsys, "journal", "verify", changed)
    assert code == 1
    assert out.startswith("Entry 1 of ")


def test_the_export_holds_all_that_is_needed_and_is_the_owners_alone(
    capsys: pytest.CaptureFixture[str], state: Path, tmp_path: Path
) -> None:
    file = tmp_path / "export.zip"
    run(capsys, "journal", "export", "--state", state, file)
    assert file.stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(file) as archive:
        assert set(archive.namelist()) == {
            "journal.jsonl", "heads.jsonl", "chain.pem", "journal_verifier.py", "verifier.py", "README.txt",
        }  # fmt: skip
        assert b"journal:exported" in archive.read("journal.jsonl").splitlines()[-1]


def test_nothing_is_written_over_and_nothing_is_signed_for_it(
    capsys: pytest.CaptureFixture[str], state: Path, tmp_path: Path
) -> None:
    file = tmp_path / "mine.zip"
    file.write_bytes(b"mine")
    journal = state / "journal" / "acts.jsonl"
    before = journal.read_bytes() if journal.exists() else b""
    code, _, err = run(capsys, "journal", "export", "--state", state, file)
    assert (code, file.read_bytes()) == (2, b"mine")
    assert "there already" in err
    assert (journal.read_bytes() if journal.exists() else b"") == before


def test_what_is_no_export_is_one_sentence(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x")
    for name in ("x", "missing"):
        code, out, err = run(capsys, "journal", "verify", tmp_path / name)
        assert (code, out, err.count("\n")) == (2, "", 1)
