"""A software TPM, the bus to it, and a provisioned `Tpm` at the bus's other end; all fresh for each test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import tpm2_pytss as tss

from appliance.vault.box import Box
from appliance.vault.tpm import Tpm
from tests.simulators.software_tpm import FaultyTpm, SoftwareTpm
from tests.vault.box_house import BoxHouse


@pytest.fixture
def run_dir() -> Iterator[Path]:
    # Not tmp_path: a socket's path has 107 bytes at most.
    with TemporaryDirectory(prefix="lk-") as folder:
        yield Path(folder)


@pytest.fixture
def chip(tmp_path: Path, run_dir: Path) -> Iterator[SoftwareTpm]:
    with SoftwareTpm(tmp_path / "tpm", run_dir) as chip:
        yield chip


@pytest.fixture
def bus(chip: SoftwareTpm, run_dir: Path) -> Iterator[FaultyTpm]:
    with FaultyTpm(chip, run_dir) as bus:
        yield bus


@pytest.fixture
def tpm(bus: FaultyTpm) -> Iterator[Tpm]:
    with closing(Tpm(bus.tcti)) as tpm:
        tpm.provision()
        yield tpm


@pytest.fixture
def stranger(chip: SoftwareTpm) -> Iterator[tss.ESAPI]:
    """Another program with a connection of its own."""
    with tss.ESAPI(chip.tcti) as esys:
        yield esys


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BoxHouse]:
    """One software TPM for all tests of a file; a box made later makes the earlier ones' rings old."""
    folder = tmp_path_factory.mktemp("house")
    with TemporaryDirectory(prefix="lk-") as run_dir, SoftwareTpm(folder / "tpm", Path(run_dir)):
        yield BoxHouse(folder, Path(run_dir))


@pytest.fixture(scope="module")
def box(house: BoxHouse) -> Iterator[Box]:
    """One box for all tests of a file."""
    with house.opened() as box:
        yield box


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Every file and folder that was synced, in order."""
    paths: list[Path] = []
    fsync = os.fsync

    def note(descriptor: int) -> None:
        paths.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    return paths
