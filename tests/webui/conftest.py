"""The web page before a stub vault, and two visitors: a stranger, and the owner with a login."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from flask import Flask
from flask.testing import FlaskClient

from appliance.clock import Clock
from appliance.settings import Settings, WebuiSettings
from tests.simulators.vault_stub import NOW_MS, VaultStub
from webui.app import create_app
from webui.gate import LOGIN_COOKIE
from webui.vault_client import ThreadVault

TRANSLATIONS = Path(__file__).parents[2] / "webui" / "translations"


@pytest.fixture(scope="session", autouse=True)
def compiled_translations() -> None:
    for source in TRANSLATIONS.glob("*/LC_MESSAGES/messages.po"):
        target = source.with_suffix(".mo")
        if target.exists() and target.stat().st_mtime >= source.stat().st_mtime:
            continue
        with source.open("rb") as po, target.open("wb") as mo:
            write_mo(mo, read_po(po))


@pytest.fixture(scope="session")
def run_dir() -> Iterator[Path]:
    # Not tmp_path: a Unix socket's path must be shorter than 108 bytes.
    with tempfile.TemporaryDirectory(prefix="lk-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def settings(run_dir: Path) -> Settings:
    webui = WebuiSettings(address="127.0.0.1", port=8443, names=("linekeep.local", "192.0.2.7"))
    return Settings(state_dir=str(run_dir / "state"), run_dir=str(run_dir), webui=webui)


@pytest.fixture(scope="session")
def running_stub(settings: Settings) -> Iterator[VaultStub]:
    stub = VaultStub(settings.vault_socket("webui"))
    stub.start()
    yield stub
    stub.stop()


@pytest.fixture
def stub(running_stub: VaultStub) -> Iterator[VaultStub]:
    running_stub.reset()
    yield running_stub
    assert not running_stub.faults


@pytest.fixture(scope="session")
def app(settings: Settings, compiled_translations: None) -> Iterator[Flask]:
    log: structlog.stdlib.BoundLogger = structlog.get_logger()
    vault = ThreadVault(settings.vault_socket("webui"))
    yield create_app(settings.webui, vault, log, Clock(lambda: NOW_MS, lambda: 0))
    vault.close()


@pytest.fixture
def stranger(app: Flask, stub: VaultStub) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def owner(app: Flask, stub: VaultStub) -> FlaskClient:
    client = app.test_client()
    client.set_cookie(LOGIN_COOKIE, stub.new_login())
    return client
