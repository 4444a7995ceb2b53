from __future__ import annotations

import pytest

from tests.vault.backup.backup_house import BackedUp
from tests.vault.box_house import BoxHouse


@pytest.fixture
def backed_up(house: BoxHouse, request: pytest.FixtureRequest) -> BackedUp:
    """A fresh state directory with a backup directory."""
    return BackedUp(house, f"s{abs(hash(request.node.nodeid)):x}")
