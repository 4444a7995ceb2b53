"""The application as gunicorn's worker loads it, and the worker's sign of life.

systemd is told that the page is ready, and lives, once and as long as it answers: a thread asks our own socket, as the
front would. A worker that hangs, or has had no thread left for a minute, is started again.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from pathlib import Path

from appliance.clock import Clock
from appliance.daemon import forbid_core_dumps, start_log, stay_until
from appliance.settings import read_settings
from webui.app import create_app
from webui.places import NOTIFY_VARIABLE, SETTINGS_VARIABLE, socket_of
from webui.vault_client import ThreadVault

_ANSWERS_WITHIN_S = 15.0
_ASK_AGAIN_S = 0.2
_QUESTION = b"GET / HTTP/1.1\r\nHost: watchdog.invalid\r\nConnection: close\r\n\r\n"
"""The gate refuses the name before anybody asks the vault: that may be away, and the page still answers."""


def answers(page: Path) -> bool:
    """Does whoever listens on this socket speak HTTP?"""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(_ANSWERS_WITHIN_S)
        try:
            asking.connect(str(page))
            asking.sendall(_QUESTION)
            return asking.recv(16).startswith(b"HTTP/1.1 ")
        except OSError:
            return False


def tell_systemd(page: Path) -> None:
    while not answers(page):
        time.sleep(_ASK_AGAIN_S)
    stay_until(threading.Event(), lambda: answers(page))


forbid_core_dumps()
settings = read_settings(Path(os.environ[SETTINGS_VARIABLE]))
vault = ThreadVault(settings.vault_socket("webui"))
app = create_app(settings.webui, vault, start_log("webui"), Clock())
if os.environ.get(NOTIFY_VARIABLE):
    os.environ["NOTIFY_SOCKET"] = os.environ[NOTIFY_VARIABLE]
    threading.Thread(target=tell_systemd, args=(socket_of(settings),), name="watchdog", daemon=True).start()
