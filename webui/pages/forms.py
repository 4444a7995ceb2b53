"""What a person typed, cut to what the vault's verbs accept before it goes anywhere.

A message that does not fit its type would end the connection to the vault, so the bounds are checked here.
"""

from __future__ import annotations

from typing import TypeAlias

from flask import abort, request
from werkzeug.wrappers import Response as AnyResponse

MAX_CODE = 64
MAX_NAME = 64
MAX_PASSWORD = 1024
"""As in appliance.boundary.verbs; a test compares."""

Page: TypeAlias = str | tuple[str, int] | AnyResponse
"""What a page gives back to Flask."""


def field(name: str, max_length: int) -> str:
    """A field of the form; a longer text than any of our forms sends is refused."""
    untrusted = request.form.get(name, "")
    if len(untrusted) > max_length:
        abort(400)
    return untrusted
