"""Which wire goes where: line, telephone, line interface, sound card, header. Drawn in English and German.

Promise: the numbers in the drawing are those of overlays/linekeep-gpio.dts. Pins of the 40-pin header: the same on all
Raspberry Pi boards that have it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from pathlib import Path

_OVERLAY = Path(__file__).parent / "overlays" / "linekeep-gpio.dts"
MANUAL = Path(__file__).parents[1] / "docs" / "manual"

LANGUAGES = ("en", "de")

PINS = {5: 29, 6: 31, 12: 32, 13: 33, 16: 36, 17: 11, 22: 15, 23: 16, 26: 37, 27: 13}
"""Header pin of each GPIO line."""

_WORDS = {
    "line": ("telephone line", "Telefonleitung"),
    "telephone": ("telephone", "Telefon"),
    "interface": ("line interface", "Leitungsanschaltung"),
    "line side": ("line's side:", "Leitungsseite:"),
    "never": ("never touch", "nie berühren"),
    "barrier": ("8 mm", "8 mm"),
    "box side": ("box's side", "Geräteseite"),
    "sound card": ("USB sound card", "USB-Soundkarte"),
    "microphone": ("microphone", "Mikrofon"),
    "usb": ("USB", "USB"),
    "header": ("header of the board", "Stiftleiste der Platine"),
    "pin": ("pin", "Stift"),
    "button": ("button", "Taster"),
    "lamp": ("lamp, 1 kΩ", "Leuchtdiode, 1 kΩ"),
    "tamper": ("case switch", "Gehäuseschalter"),
    "3.3 V": ("3.3 V", "3,3 V"),
    "ground": ("ground", "Masse"),
    "grounds": ("to ground: pins 30, 34, 14", "zur Masse: Stifte 30, 34, 14"),
    "audio ground": ("ground", "Masse"),
    "tpm": ("TPM board: pins 17 to 26", "TPM-Platine: Stifte 17 bis 26"),
    "rtc": ("clock: pins 1 (shared), 3, 5, 9", "Uhr: Stifte 1 (geteilt), 3, 5, 9"),
}


def named_lines() -> dict[str, int]:
    """GPIO lines by the names that the overlay gives them."""
    listed = _OVERLAY.read_text("utf-8").split("gpio-line-names =")[1].split(";")[0]
    names = re.findall(r'"([^"]*)"', listed)
    return {name: number for number, name in enumerate(names) if name.islower()}


@dataclass(frozen=True, slots=True)
class _Pen:
    language: str

    def word(self, key: str) -> str:
        return _WORDS[key][LANGUAGES.index(self.language)]

    def text(self, x: float, y: float, text: str, anchor: str = "middle", weight: str = "normal") -> str:
        return f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-weight="{weight}">{escape(text)}</text>'

    def box(self, x: float, y: float, width: float, height: float, title: str, fill: str = "#fff") -> str:
        frame = f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="6" fill="{fill}" stroke="#333"/>'
        return frame + self.text(x + width / 2, y + 18, title, weight="bold")

    def wire(self, *points: tuple[float, float], colour: str = "#333") -> str:
        path = " ".join(f"{x},{y}" for x, y in points)
        return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'


def wiring(language: str) -> str:
    """The drawing as SVG."""
    pen = _Pen(language)
    lines = named_lines()
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 880 470" font-family="sans-serif" font-size="13">',
        '<rect width="100%" height="100%" fill="white"/>',
        *_line_side(pen),
        *_interface(pen),
        *_sound(pen),
        *_header(pen, lines),
        "</svg>\n",
    ]
    return "\n".join(parts)


def _line_side(pen: _Pen) -> list[str]:
    return [
        pen.text(20, 60, pen.word("line"), "start", "bold"),
        pen.text(12, 94, "a", "start"),
        pen.text(12, 134, "b", "start"),
        pen.wire((28, 90), (240, 90)),
        pen.wire((28, 130), (240, 130)),
        pen.box(50, 230, 110, 60, pen.word("telephone")),
        pen.wire((80, 230), (80, 90)),
        pen.wire((130, 230), (130, 130)),
        '<circle cx="80" cy="90" r="4"/><circle cx="130" cy="130" r="4"/>',
    ]


def _interface(pen: _Pen) -> list[str]:
    return [
        pen.box(240, 40, 260, 250, ""),
        '<rect x="240.5" y="40.5" width="118" height="249" rx="6" fill="#fbe9e7"/>',
        pen.text(370, 32, pen.word("interface"), weight="bold"),
        '<path d="M370 40V290" stroke="#b22222" stroke-width="2" stroke-dasharray="7 5"/>',
        pen.text(370, 308, pen.word("barrier")),
        pen.text(300, 100, "a"),
        pen.text(300, 140, "b"),
        pen.text(300, 200, pen.word("line side")),
        pen.text(300, 218, pen.word("never")),
        pen.text(434, 64, pen.word("box side")),
        *(pen.text(488, y + 4, pen.word(name) if name in _WORDS else name, "end") for name, y in _BOX_SIDE.items()),
    ]


_BOX_SIDE = {"out": 90, "audio ground": 115, "3.3 V": 170, "ground": 195, "hook": 220, "ring": 250}


def _sound(pen: _Pen) -> list[str]:
    return [
        pen.box(570, 40, 150, 70, pen.word("sound card")),
        pen.text(645, 86, f"{pen.word('microphone')} → {pen.word('usb')}"),
        pen.wire((500, 90), (570, 90)),
        pen.wire((500, 115), (540, 115), (540, 104), (570, 104)),
        pen.wire((720, 75), (800, 75), (800, 130)),
    ]


def _header(pen: _Pen, lines: dict[str, int]) -> list[str]:
    rows = [
        (pen.word("3.3 V"), 1, 170),
        (pen.word("ground"), 39, 195),
        (_gpio("hook", lines), PINS[lines["hook"]], 220),
        (_gpio("ring", lines), PINS[lines["ring"]], 250),
        (f"{pen.word('button')}: {_gpio('button', lines)}", PINS[lines["button"]], 300),
        (f"{pen.word('lamp')}: {_gpio('lamp', lines)}", PINS[lines["lamp"]], 325),
        (f"{pen.word('tamper')}: {_gpio('tamper', lines)}", PINS[lines["tamper"]], 350),
    ]
    parts = [pen.box(600, 130, 260, 320, pen.word("header"), "#eef4ee")]
    for name, pin, y in rows:
        parts.append(pen.text(612, y + 4, f"{pen.word('pin')} {pin}", "start", "bold"))
        parts.append(pen.text(850, y + 4, name, "end"))
        if y < 290:
            parts.append(pen.wire((500, y), (600, y), colour="#1f5f8b"))
    parts.append(pen.text(850, 373, pen.word("grounds"), "end"))
    parts.append(pen.text(612, 405, pen.word("tpm"), "start"))
    parts.append(pen.text(612, 430, pen.word("rtc"), "start"))
    return parts


def _gpio(name: str, lines: dict[str, int]) -> str:
    return f"{name} (GPIO {lines[name]})" if name in {"hook", "ring"} else f"GPIO {lines[name]}"
