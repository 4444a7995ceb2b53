"""What a person gets wrong before the start: one sentence, exit code 2, and nothing lost."""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from appliance.settings import SETTINGS_NAME, SOFTWARE_TPM
from tests.simulators.software_tpm import SoftwareTpm
from tests.system.house import House, free_port, refused, run_linekeep
from tests.system.sounds import conversation, read_wav, write_wav

pytestmark = pytest.mark.system

_LASTING = ("ring", "recordings", "catalogue.sqlite")


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state of a box that was stopped; one call lies in it."""
    folder = tmp_path_factory.mktemp("used")
    said = write_wav(folder / "call.wav", conversation(3))
    with House(folder / "state", [said]) as house:
        house.claim()
        assert house.wait_for("call_ended", 40)["kept"] is True
        house.stop()
    return folder / "state"


@pytest.fixture
def state(used: Path, tmp_path: Path) -> Path:
    """A copy of it for one test."""
    text = (used / SETTINGS_NAME).read_text()
    copied = shutil.copytree(used, tmp_path / "state")
    (copied / SETTINGS_NAME).write_text(text.replace(str(used), str(copied)))
    return copied


def contents(state: Path) -> dict[str, str]:
    """What must not be lost, file by file."""
    files = [path for path in state.rglob("*") if path.is_file()]
    return {
        str(path.relative_to(state)): sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.relative_to(state).parts[0] in _LASTING
    }


def demo_refused(state: Path, *arguments: str, port: int = 0) -> str:
    return refused("demo", "--state", str(state), "--port", str(port or free_port()), *arguments)


def assert_well(state: Path) -> None:
    checked = run_linekeep("check", "--state", str(state))
    assert (checked.returncode, checked.stdout) == (0, ""), checked.stdout + checked.stderr


def test_a_port_that_is_taken(state: Path) -> None:
    before = contents(state)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert str(port) in demo_refused(state, port=port)
    assert contents(state) == before


def test_a_wav_that_is_none(tmp_path: Path) -> None:
    wrong = tmp_path / "call.wav"
    wrong.write_text("This is no sound.")
    assert "call.wav" in demo_refused(tmp_path / "state", "--audio", str(wrong))


def test_a_wav_that_is_not_there(tmp_path: Path) -> None:
    assert "nowhere.wav" in demo_refused(tmp_path / "state", "--audio", str(tmp_path / "nowhere.wav"))


@pytest.mark.parametrize("nonsense", ["", "0d", "a month"])
def test_a_period_that_is_none(tmp_path: Path, nonsense: str) -> None:
    demo_refused(tmp_path / "state", f"--keep={nonsense}")
    assert not (tmp_path / "state").exists()


BREAKS: dict[str, Callable[[str], str]] = {
    "no TOML": lambda text: text + "[[[",
    "an unknown setting": lambda text: text + '\n[vault_keeper]\nkeep = "1d"\n',
    "a period that is none": lambda text: text.replace("30d", "for ever"),
    "a port that is none": lambda text: text.replace("port = ", "port = 9"),
    "not text": lambda _text: "\0\0\0",
}


@pytest.mark.parametrize("how", BREAKS)
def test_settings_that_are_broken(state: Path, how: str) -> None:
    before = contents(state)
    file = state / SETTINGS_NAME
    file.write_text(BREAKS[how](file.read_text()))
    for daemon in ("vault", "front"):
        assert SETTINGS_NAME in refused("run", "--config", str(file), daemon)
    assert SETTINGS_NAME in refused("check", "--state", str(state))
    assert contents(state) == before


def test_settings_that_are_not_there(tmp_path: Path) -> None:
    assert "missing.toml" in refused("run", "--config", str(tmp_path / "missing.toml"), "vault")


def test_a_state_directory_that_is_none(tmp_path: Path) -> None:
    refused("check", "--state", str(tmp_path))
    (tmp_path / "file").write_text("")
    demo_refused(tmp_path / "file")


def test_a_tpm_that_is_not_there(state: Path) -> None:
    before = contents(state)
    file = state / SETTINGS_NAME
    right = file.read_text()
    assert f'tpm = "{SOFTWARE_TPM}"' in right
    file.write_text(right.replace(f'tpm = "{SOFTWARE_TPM}"', 'tpm = "/dev/nonexistent"'))
    assert "TPM" in refused("run", "--config", str(file), "vault")
    assert contents(state) == before
    file.write_text(right)
    assert_well(state)


def test_a_foreign_tpm(state: Path, tmp_path: Path) -> None:
    before = contents(state)
    own = (state / "tpm").rename(tmp_path / "own-tpm")
    with tempfile.TemporaryDirectory(prefix="lk-") as run, SoftwareTpm(state / "tpm", Path(run)):
        pass  # made, and put to rest
    assert "TPM" in demo_refused(state)
    assert contents(state) == before
    shutil.rmtree(state / "tpm")
    own.rename(state / "tpm")
    assert_well(state)


def test_a_ring_that_is_missing(state: Path, tmp_path: Path) -> None:
    before = contents(state)
    ring = (state / "ring").rename(tmp_path / "ring")
    assert "ring" in demo_refused(state)
    (state / "ring").mkdir(exist_ok=True)
    assert "ring" in demo_refused(state), "an empty folder is no ring either"
    shutil.rmtree(state / "ring")
    ring.rename(state / "ring")
    assert contents(state) == before
    assert_well(state)


def test_a_catalogue_that_is_missing(state: Path, tmp_path: Path) -> None:
    before = contents(state)
    catalogue = (state / "catalogue.sqlite").rename(tmp_path / "catalogue.sqlite")
    assert "catalogue" in demo_refused(state)
    catalogue.rename(state / "catalogue.sqlite")
    assert contents(state) == before
    assert_well(state)


def test_a_state_directory_in_use(used: Path, state: Path) -> None:
    with House(state, [used.parent / "call.wav"]) as house:
        house.log_in()
        (call,) = house.calls()
        assert str(state) in demo_refused(state)
        assert str(state) in refused("run", "--config", str(state / SETTINGS_NAME), "vault")
        assert len(read_wav(house.download(call))) > 0
        house.stop()
