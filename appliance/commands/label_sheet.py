"""LABEL.PDF: what is stuck to the box, and what is handed to its owner, to print, cut out and use.

The sticker says for good what the box is called and by which fingerprints it is known. The claim code is not on it but
on a slip of its own, for as long as there is one: it makes whoever reads it the owner of a box that has none.

Leaves to others: the page (pdf) and the pattern (segno).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import segno

from appliance.boundary.verbs import Label
from appliance.pdf import HEIGHT, WIDTH, Font, Page

_LEFT, _RIGHT, _TOP = 57, WIDTH - 57, HEIGHT - 57
_STICKER, _SLIP = 170, 120
"""Heights, in points."""
_PATTERN = 85
_MARGIN = 14


def label_sheet(addresses: Sequence[str], label: Label) -> bytes:
    """The sheet as a PDF, A4.

    Args:
        addresses: of the page; the first one is the pattern's.
        label: a claim code that is empty gives no slip.
    """
    from appliance.vault.evidence.verifier import shown_fingerprint  # noqa: PLC0415 - loaded only by who needs a box

    page = Page(title="Linekeep", language="en")
    page.text(_LEFT, _TOP, "Cut out and stick to the box / Ausschneiden und ans Gerät kleben", size=8, grey=0.4)
    top = _TOP - 10
    _frame(page, top, _STICKER)
    page.text(_LEFT + _MARGIN, top - 28, "Linekeep", size=18, font=Font.BOLD)
    for number, address in enumerate(addresses[:3]):
        page.text(_LEFT + _MARGIN, top - 48 - 14 * number, address, size=11, font=Font.BOLD)
    pattern = tuple(segno.make_qr(addresses[0], error="m").matrix)
    page.squares(_RIGHT - _MARGIN - _PATTERN, top - _MARGIN, pattern, _PATTERN / len(pattern))
    _print(page, top - 108, "Page, SHA-256 / Seite, SHA-256", label.page_fingerprint.upper())
    _print(page, top - 142, "Evidence, SHA-256 / Nachweise, SHA-256", shown_fingerprint(label.box_fingerprint))
    if label.claim_code:
        _slip(page, top - _STICKER - 50, label.claim_code)
    return page.encoded()


def _slip(page: Page, top: float, code: str) -> None:
    page.text(_LEFT, top + 10, "For the owner only / Nur für den Besitzer", size=8, grey=0.4)
    _frame(page, top, _SLIP)
    page.text(
        _LEFT + _MARGIN,
        top - 26,
        "The code that the page asks for / Der Code, nach dem die Seite fragt",
        size=11,
        font=Font.BOLD,
    )
    page.text(_LEFT + _MARGIN, top - 54, code, size=20, font=Font.FIXED)
    page.text(
        _LEFT + _MARGIN,
        top - 78,
        "Who types it first is the owner of this box; after that it is worth nothing.",
        size=9,
    )
    page.text(
        _LEFT + _MARGIN, top - 92, "Wer ihn zuerst eingibt, ist Besitzer des Geräts; danach ist er wertlos.", size=9
    )


def _frame(page: Page, top: float, height: float) -> None:
    corners = [(_LEFT, top), (_RIGHT, top), (_RIGHT, top - height), (_LEFT, top - height), (_LEFT, top)]
    for (x, y), (to_x, to_y) in itertools.pairwise(corners):
        page.line(x, y, to_x, to_y, dashed=True)


def _print(page: Page, y: float, what: str, fingerprint: str) -> None:
    """In two lines; a short one is whole in the first."""
    half = len(fingerprint) // 2 + 1
    page.text(_LEFT + _MARGIN, y, what, size=7, grey=0.3)
    page.text(_LEFT + _MARGIN, y - 10, fingerprint[:half], size=8, font=Font.FIXED)
    page.text(_LEFT + _MARGIN, y - 19, fingerprint[half:], size=8, font=Font.FIXED)
