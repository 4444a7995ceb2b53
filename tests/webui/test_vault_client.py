"""One connection for each thread, opened anew when the vault has closed it."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from appliance.boundary import verbs
from appliance.boundary.vault import VaultAway
from appliance.settings import Settings
from tests.simulators.vault_stub import VaultStub
from webui import vault_client
from webui.vault_client import ThreadVault

THREADS = 8


@pytest.fixture
def vault(settings: Settings, stub: VaultStub) -> ThreadVault:
    return ThreadVault(settings.vault_socket("webui"))


def test_connection_that_the_vault_closed_is_opened_again_unseen(vault: ThreadVault, stub: VaultStub) -> None:
    assert vault.is_claimed()
    stub.restart()
    assert vault.is_claimed()
    vault.close()


def test_threads_do_not_take_each_others_answers(vault: ThreadVault, stub: VaultStub) -> None:
    login = stub.new_login()
    together = threading.Barrier(THREADS)

    def ask(nth: int) -> bool:
        together.wait()
        kinds = [type(vault.who(login) if nth % 2 else vault.now(login)) for _ in range(20)]
        vault.close()
        return set(kinds) == {verbs.Person if nth % 2 else verbs.Now}

    with ThreadPoolExecutor(THREADS) as pool:
        assert all(pool.map(ask, range(THREADS)))


def test_vault_that_is_not_there_is_away(tmp_path: Path) -> None:
    with pytest.raises(VaultAway):
        ThreadVault(tmp_path / "none.sock").is_claimed()


def test_vault_that_does_not_answer_in_time_is_asked_once(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vault_client, "ANSWER_WITHIN_S", 0.05)
    path = run_dir / "mute.sock"
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(path))
        mute.listen(8)
        with pytest.raises(VaultAway):
            ThreadVault(path).is_claimed()
        mute.setblocking(False)
        mute.accept()[0].close()
        with pytest.raises(BlockingIOError):
            mute.accept()
