"""The application as gunicorn's worker loads it."""

from __future__ import annotations

import os
from pathlib import Path

from appliance.clock import Clock
from appliance.daemon import forbid_core_dumps, start_log
from appliance.settings import read_settings
from webui.app import create_app
from webui.places import SETTINGS_VARIABLE
from webui.vault_client import ThreadVault

forbid_core_dumps()
settings = read_settings(Path(os.environ[SETTINGS_VARIABLE]))
vault = ThreadVault(settings.vault_socket("webui"))
app = create_app(settings.webui, vault, start_log("webui"), Clock())
