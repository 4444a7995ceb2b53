"""What the commands take for granted on an installed box."""

from __future__ import annotations

import pytest

from appliance.cli import main
from appliance.commands.arguments import CANNOT
from appliance.settings import BOX_SETTINGS


@pytest.mark.skipif(BOX_SETTINGS.exists(), reason="this machine is a box")
@pytest.mark.parametrize("command", ["selftest", "line check", "line setup"])
def test_settings_that_nobody_names_are_the_boxs(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command.split()) == CANNOT
    assert f"The settings file {BOX_SETTINGS} cannot be read" in capsys.readouterr().err
