"""Helpers of root as systemd keeps them: a socket of which each connection is given to one that is started for it."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from unittest.mock import patch

from appliance import cli
from appliance.commands import disk_key
from appliance.commands.luks import LuksPartition
from tests.simulators.luks_file import LuksFile

_ENDS_WITHIN_S = 60
PATIENCE_S = 10.0


@contextmanager
def accepting(path: Path, serve: Callable[[socket.socket], None]) -> Iterator[None]:
    """Each connection is served, one after the other."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        server = threading.Thread(target=_serve_all, args=(listener, serve))
        server.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)  # wakes the thread
            server.join()
            path.unlink()


def _serve_all(listener: socket.socket, serve: Callable[[socket.socket], None]) -> None:
    while True:
        try:
            connection, _address = listener.accept()
        except OSError:
            return
        with connection:
            connection.settimeout(PATIENCE_S)
            serve(connection)


class DiskKeyHelper:
    """`linekeep disk-key`, a process for each connection. `said`: what they would leave in the journal.

    Args:
        options: of `linekeep disk-key`, before the device.
    """

    def __init__(self, luks: LuksFile, *options: str) -> None:
        self._command = [sys.executable, "-m", __name__, str(luks.tpm_key), *options, str(luks.path)]
        self.said: list[str] = []

    def serve(self, connection: socket.socket) -> None:
        done = subprocess.run(
            self._command,
            stdin=connection.fileno(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=_ENDS_WITHIN_S,
        )
        self.said.append(f"{done.stdout}exit code {done.returncode}")


if __name__ == "__main__":
    tpm_key, *arguments = sys.argv[1:]
    with patch.object(disk_key, "LuksPartition", partial(LuksPartition, opened_by=("--key-file", tpm_key))):
        sys.exit(cli.main(["disk-key", *arguments]))
