"""The vault as the web process reaches it: one connection for each of its threads.

Adds two things to the boundary's client and decides nothing: each thread has a connection of its own, and a
connection that the vault closed while it lay idle is opened again once, unseen. Every verb may be repeated,
so asking twice is safe; a vault that does not answer in time is not asked a second time.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TypeVar

from appliance.boundary import verbs
from appliance.boundary.vault import VaultAway, VaultClient

ANSWER_WITHIN_S = 20
"""Forgetting on a slow TPM takes seconds; the front waits a little longer than this."""

_A = TypeVar("_A", bound=verbs.Answer)


class ThreadVault(threading.local, VaultClient):
    """A `VaultClient` that may be used by many threads: `threading.local` runs `__init__` once for each."""

    def __init__(self, socket_path: Path) -> None:
        VaultClient.__init__(self, socket_path, timeout_s=ANSWER_WITHIN_S)

    def ask(self, request: verbs.Request, answer: type[_A]) -> _A:
        """Send a request and wait for its answer. Raises VaultRefused, VaultAway."""
        try:
            return VaultClient.ask(self, request, answer)
        except VaultAway as away:
            if isinstance(away.__cause__, TimeoutError):
                raise
            return VaultClient.ask(self, request, answer)
