"""Start the web page: become gunicorn, with one worker on a Unix socket that only the front can reach."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

from appliance.settings import Settings, read_settings
from webui.places import NOTIFY_VARIABLE, SETTINGS_VARIABLE, socket_of

THREADS = 32
"""People who may listen at the same moment; each stream takes a thread."""

SMALL_HEAPS = {"MALLOC_ARENA_MAX": "2", "MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}
"""glibc: two heaps for all threads instead of one for each; pieces of audio go back to the system at once."""


# The application is not loaded before gunicorn forks: with one worker that would keep it in memory twice.
def command(settings: Settings) -> tuple[str, ...]:
    """The program and its arguments."""
    return (
        sys.executable,
        *("-m", "gunicorn", "webui.wsgi:app"),
        *("--bind", f"unix:{socket_of(settings)}"),
        *("--umask", "007"),
        *("--worker-class", "gthread", "--workers", "1", "--threads", str(THREADS)),
        *("--worker-tmp-dir", "/dev/shm"),  # noqa: S108 - a heartbeat in memory, not on the flash
        *("--log-level", "warning", "--graceful-timeout", "5"),
        *("--limit-request-line", "2048", "--limit-request-fields", "40"),
        "--no-control-socket",
    )


def main(settings_file: Path) -> NoReturn:
    """Become the web server. Raises SettingsTrouble before anything is started."""
    settings = read_settings(settings_file)
    socket_of(settings).parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    program, *arguments = command(settings)
    surroundings = os.environ | SMALL_HEAPS | {SETTINGS_VARIABLE: str(settings_file.resolve())}
    # gunicorn would tell systemd that it is ready before its worker has loaded anything: the worker tells it.
    surroundings[NOTIFY_VARIABLE] = surroundings.pop("NOTIFY_SOCKET", "")
    os.execve(program, [program, *arguments], surroundings)  # noqa: S606 - becoming gunicorn is the purpose


if __name__ == "__main__":
    main(Path(sys.argv[1]))
