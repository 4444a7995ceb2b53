"""What a person typed, cut to what the vault's verbs accept before it goes anywhere.

A message that does not fit its type would end the connection to the vault, so the bounds are checked here.
"""

from __future__ import annotations

from typing import TypeAlias

from flask import abort, request
from werkzeug.wrappers import Response as AnyResponse

from webui.language import gettext
from webui.troubles import SaidTrouble

MAX_CODE = 64
MAX_NAME = 64
MAX_PASSWORD = 1024
"""As in appliance.boundary.verbs; a test compares."""

MIN_PASSWORD = 10
"""Said in the forms; the vault decides."""

Page: TypeAlias = str | tuple[str, int] | AnyResponse
"""What a page gives back to Flask."""


_LARGEST = 2**53
_MAX_DIGITS = 16


def count_field(name: str) -> int:
    """A number that a page put into its own form, as the vault's verbs accept it."""
    return count_of(field(name, _MAX_DIGITS))


def count_of(untrusted_text: str) -> int:
    digits = untrusted_text[:_MAX_DIGITS]
    if not (digits.isascii() and digits.isdigit() and int(digits) <= _LARGEST):
        abort(400)
    return int(digits)


def field(name: str, max_length: int) -> str:
    """A field of the form; a longer text than any of our forms sends is refused."""
    untrusted = request.form.get(name, "")
    if len(untrusted) > max_length:
        abort(400)
    return untrusted


def missing() -> SaidTrouble:
    return SaidTrouble(
        kind="Missing",
        status=422,
        happened=gettext("Something is missing"),
        safe=gettext("Nothing was changed."),
        to_do=gettext("Fill in every field."),
    )


def unlike() -> SaidTrouble:
    return SaidTrouble(
        kind="PasswordsDiffer",
        status=422,
        happened=gettext("The two passwords are not the same"),
        safe=gettext("Nothing was changed."),
        to_do=gettext("Type the same password twice."),
    )
