"""The addresses of our static files: each carries the hash of its content, so that it may be cached for ever.

A script may not import another: the imported address would carry no hash, and an old copy would live on.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from webui.places import STATIC

_HASH_DIGITS = 12


class StaticFiles:
    """Reads every file once, at start."""

    def __init__(self, folder: Path = STATIC) -> None:
        self._addresses = {path.name: f"/static/{path.name}?v={_hash_of(path)}" for path in sorted(folder.iterdir())}

    def address(self, name: str) -> str:
        return self._addresses[name]


def _hash_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:_HASH_DIGITS]
