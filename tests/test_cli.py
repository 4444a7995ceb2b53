"""The command line: each trouble one sentence on standard error, and an exit code that says what kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance import cli
from appliance.commands import run as run_command


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    try:
        code = cli.main(arguments)
    except SystemExit as stopped:
        code = stopped.code if isinstance(stopped.code, int) else -1
    told = capsys.readouterr()
    return code, told.out, told.err


def test_version_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "version")
    assert (code, err) == (0, "")
    assert out.startswith("linekeep 0.")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["demo"],
        ["demo", "--state", "/dev/null/x", "--port", "0"],
        ["demo", "--state", "/dev/null/x", "--port", "65536"],
        ["demo", "--state", "/dev/null/x", "--keep", "soon"],
        ["replay"],
        ["replay", "/does/not/exist.wav"],
        ["line"],
        ["line", "check"],
        ["line", "check", "--alsa", "line0", "--seconds", "0"],
        ["line", "check", "--alsa", "line0", "--channels", "17"],
        ["line", "check", "--alsa", "line0", "--usb", "1-1.2"],
        ["line", "check", "--usb", "1-99.99", "--seconds", "1"],
        ["line", "check", "--config", "/does/not/exist.toml"],
        ["check"],
        ["check", "--state", "/does/not/exist"],
        ["backup"],
        ["backup", "--state", "/does/not/exist"],
        ["restore", "--state", "/does/not/exist"],
        ["restore", "--state", "/does/not/exist", "--from", "/does/not/exist"],
        ["run", "--config", "/does/not/exist.toml", "vault"],
        ["run", "--config", "x", "mail"],
    ],
    ids=" ".join,
)
def test_what_cannot_be_done_is_one_sentence_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("linekeep: ")
    assert err.count("\n") == 1


def test_an_unexpected_fault_is_a_sentence_and_a_traceback_only_on_request(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_path: Path) -> None:
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr(run_command, "read_settings", fail)
    code, _out, err = run(capsys, "run", "--config", "x", "vault")
    assert code == 2
    assert "ZeroDivisionError" in err
    assert "Traceback" not in err
    monkeypatch.setenv("LINEKEEP_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        cli.main(["run", "--config", "x", "vault"])


def test_an_interruption_is_no_traceback(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run_command, "read_settings", interrupt)
    assert run(capsys, "run", "--config", "x", "vault") == (2, "", "linekeep: Stopped.\n")
