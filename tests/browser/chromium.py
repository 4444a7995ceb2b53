"""A Chromium that trusts one certificate authority truly, and does nothing for itself."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

_PROGRAM = "/usr/bin/chromium"
_QUIET = (
    "--no-sandbox",  # in a container, tests run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextlib.contextmanager
def chromium_that_trusts(authority: Path, home: Path) -> Iterator[Browser]:
    """Install the authority as a person would, into the certificate database of a home of its own."""
    surroundings = {key: value for key, value in os.environ.items() if key != "HOME"}
    _install(authority, home / ".pki" / "nssdb")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=_PROGRAM, args=list(_QUIET), env={**surroundings, "HOME": str(home)}
        )
        yield browser
        browser.close()


def _install(authority: Path, database: Path) -> None:
    database.mkdir(parents=True)
    install = ("-A", "-n", "Linekeep", "-t", "C,,", "-i", str(authority))
    for arguments in (("-N", "--empty-password"), install):
        subprocess.run(["certutil", "-d", f"sql:{database}", *arguments], check=True, capture_output=True)
