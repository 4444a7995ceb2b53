"""One page of text as a PDF, without a library: a page that is printed once a box is worth none.

A PDF of this kind is five objects, their places and text with coordinates (ISO 32000-1: 7.5 file structure, 9.4 text).
The fonts are three of the fourteen that every reader has (9.6.2.2), so none is embedded; their letters are those of
Windows code page 1252, which has all of English and German. Whatever else is told becomes a question mark.

Points as unit, 72 an inch; from the lower left corner.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

WIDTH, HEIGHT = 595, 842
"""A4."""


class Font(StrEnum):
    PLAIN = "Helvetica"
    BOLD = "Helvetica-Bold"
    FIXED = "Courier"


_NAMES = {font: f"F{number}" for number, font in enumerate(Font, start=1)}

# Adobe's metrics of Helvetica (AFM), thousandths of the size, from space to tilde.
_WIDTHS = (
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556, 556, 556, 556, 556,
    556, 556, 556, 278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833,
    722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556, 333, 556, 556, 500, 556,
    556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556, 556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334,
    260, 334, 584,
)  # fmt: skip
_WIDE = 778
"""No letter of German that is not among those is wider."""


def width_of(text: str, size: float) -> float:
    """Of plain text, or a little more."""
    units = (_WIDTHS[ord(sign) - 32] if " " <= sign <= "~" else _WIDE for sign in text)
    return sum(units) * size / 1000


def wrapped(text: str, size: float, width: float) -> list[str]:
    """Plain text in lines of this width. A word that is longer than a line goes beyond it."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".lstrip()
        if lines[-1] and width_of(longer, size) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


@dataclass(slots=True)
class Page:
    """
    language: "en" or "de", for who reads it aloud.
    """

    title: str
    language: str
    _drawn: list[bytes] = field(default_factory=list)

    def text(self, x: float, y: float, text: str, *, size: float, font: Font = Font.PLAIN, grey: float = 0) -> None:
        """One line from here on."""
        self._drawn.append(b"BT /%s %.1f Tf %.2f g %.1f %.1f Td (%s) Tj ET" % (
            _NAMES[font].encode(), size, grey, x, y, _escaped(text),
        ))  # fmt: skip

    def line(self, x: float, y: float, to_x: float, to_y: float, *, width: float = 0.5, dashed: bool = False) -> None:
        dash = b"[3 3] 0 d" if dashed else b"[] 0 d"
        self._drawn.append(b"%s %.1f w %.1f %.1f m %.1f %.1f l S" % (dash, width, x, y, to_x, to_y))

    def squares(self, x: float, y: float, rows: Sequence[Sequence[int]], size: float) -> None:
        """A pattern of black squares (where there is no 0) from its upper left corner; each of this size."""
        places = [(row, column) for row, line in enumerate(rows) for column, black in enumerate(line) if black]
        squares = [
            b"%.2f %.2f %.2f %.2f re" % (x + column * size, y - (row + 1) * size, size, size) for row, column in places
        ]
        self._drawn.append(b"0 g\n%s\nf" % b"\n".join(squares))

    def encoded(self) -> bytes:
        """The whole file."""
        content = b"\n".join(self._drawn)
        fonts = b" ".join(
            b"/%s << /Type /Font /Subtype /Type1 /BaseFont /%s /Encoding /WinAnsiEncoding >>"
            % (name.encode(), font.encode())
            for font, name in _NAMES.items()
        )
        objects = (
            b"<< /Type /Catalog /Pages 2 0 R /Lang (%s) /ViewerPreferences << /DisplayDocTitle true >> >>"
            % _escaped(self.language),
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %d %d] /Contents 4 0 R /Resources << /Font << %s >> >> >>"
            % (WIDTH, HEIGHT, fonts),
            b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
            b"<< /Title (%s) >>" % _escaped(self.title),
        )
        file, places = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"), []
        for number, each in enumerate(objects, start=1):
            places.append(len(file))
            file += b"%d 0 obj\n%s\nendobj\n" % (number, each)
        table = b"".join(b"%010d 00000 n \n" % place for place in places)
        end = b"trailer\n<< /Size %d /Root 1 0 R /Info 5 0 R >>\nstartxref\n%d\n" % (len(objects) + 1, len(file))
        return bytes(file) + b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(objects) + 1, table) + end + b"%%EOF\n"


def _escaped(text: str) -> bytes:
    plain = "".join(sign if sign.isprintable() else " " for sign in text).encode("cp1252", "replace")
    return plain.replace(b"\\", rb"\\").replace(b"(", rb"\(").replace(b")", rb"\)")
