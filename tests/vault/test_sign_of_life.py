"""Whether the vault answers: what its watchdog asks, and what counts as an answer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from appliance.boundary import verbs
from appliance.boundary.peer import Handler, Listener
from appliance.boundary.verbs import Caller
from appliance.settings import Settings
from appliance.vault import __main__ as vault_daemon
from appliance.vault.tpm import PinNeeded


@pytest.fixture
def settings() -> Iterator[Settings]:
    with TemporaryDirectory(prefix="lk-") as folder:
        yield Settings(state_dir=f"{folder}/state", run_dir=folder)


@contextmanager
def listening(settings: Settings, answer: Handler) -> Iterator[None]:
    faults: list[BaseException] = []
    handlers = dict.fromkeys(verbs.CALLERS, answer)
    path = settings.vault_socket(Caller.CONSOLE)
    listener = Listener(path, Caller.CONSOLE, Path(settings.run_dir).stat().st_uid, handlers, faults.append)
    listener.start()
    try:
        yield
    finally:
        listener.stop()
    assert faults == []


def test_a_vault_that_answers_lives_and_so_does_one_that_is_locked(settings: Settings) -> None:
    def locked(_request: verbs.Request) -> verbs.Answer:
        raise PinNeeded

    with listening(settings, lambda _request: verbs.BackupState(running=False)):
        assert vault_daemon._answers(settings)
    with listening(settings, locked):
        assert vault_daemon._answers(settings)


def test_a_vault_that_listens_and_does_not_answer_does_not_live(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vault_daemon, "_ANSWERS_WITHIN_S", 0.2)
    end = threading.Event()

    def hang(_request: verbs.Request) -> verbs.Answer:
        end.wait()
        return verbs.BackupState(running=False)

    with listening(settings, hang):
        assert not vault_daemon._answers(settings)
        end.set()


def test_a_vault_that_is_not_there_does_not_live(settings: Settings) -> None:
    assert not vault_daemon._answers(settings)
