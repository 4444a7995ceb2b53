from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.simulators.software_tpm import SoftwareTpm
from tests.vault.box_house import BoxHouse


@pytest.fixture
def house(tmp_path: Path) -> Iterator[BoxHouse]:
    """A board and its TPM for each test: boards die here."""
    folder = tmp_path / "house"
    folder.mkdir()
    with TemporaryDirectory(prefix="lk-") as run_dir, SoftwareTpm(folder / "tpm", Path(run_dir)):
        yield BoxHouse(folder, Path(run_dir))
