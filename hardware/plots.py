"""Curves as SVG, as small as they can be: a frame, a grid, lines, a legend. Numbers have one decimal of a pixel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import ArrayLike

_WIDTH, _HEIGHT = 640, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 34, 46
_COLOURS = ("#1f5f8b", "#b3402a", "#3d7a3a", "#7a5195")


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """ticks: where lines are drawn, from one end to the other. log: whether by ratios."""

    title: str
    ticks: Sequence[float]
    log: bool = False

    def place(self, values: ArrayLike) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        """As a share of the axis."""
        scale: Callable[[ArrayLike], np.ndarray[tuple[int, ...], np.dtype[np.float64]]]
        scale = np.log10 if self.log else np.asarray
        first, last = scale(self.ticks[0]), scale(self.ticks[-1])
        return np.asarray((scale(values) - first) / (last - first), np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """name: in the legend; a curve without one is thin and grey."""

    x: ArrayLike
    y: ArrayLike
    name: str = ""


def plot(title: str, x_axis: Axis, y_axis: Axis, curves: Sequence[Curve], forbidden: Sequence[Curve] = ()) -> str:
    """forbidden: lines that the curves must not cross."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" '
        'font-size="12"><rect width="100%" height="100%" fill="white"/>',
        f'<text x="{_LEFT}" y="20" font-size="14">{escape(title)}</text>',
        *_grid(x_axis, y_axis),
        *(_line(curve, x_axis, y_axis, "#c00", dashed=True) for curve in forbidden),
        *(_line(curve, x_axis, y_axis, "#bbb", width=0.6) for curve in curves if not curve.name),
    ]
    for at, curve in enumerate(curve for curve in curves if curve.name):
        parts.append(_line(curve, x_axis, y_axis, _COLOURS[at]))
        parts.append(
            f'<text x="{_WIDTH - _RIGHT - 8}" y="{_TOP + 18 + 16 * at}" text-anchor="end" fill="{_COLOURS[at]}">'
            f"{escape(curve.name)}</text>"
        )
    return "\n".join([*parts, "</svg>\n"])


def _grid(x_axis: Axis, y_axis: Axis) -> list[str]:
    parts = []
    for tick, share in zip(x_axis.ticks, x_axis.place(x_axis.ticks), strict=True):
        x = _x(share)
        parts.append(f'<path d="M{x:.1f} {_TOP}V{_HEIGHT - _BOTTOM}" stroke="#ddd"/>')
        parts.append(f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">{tick:g}</text>')
    for tick, share in zip(y_axis.ticks, y_axis.place(y_axis.ticks), strict=True):
        y = _y(share)
        parts.append(f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
    parts.append(f'<text x="{_x(0.5):.1f}" y="{_HEIGHT - 10}" text-anchor="middle">{escape(x_axis.title)}</text>')
    middle = _y(0.5)
    parts.append(
        f'<text x="16" y="{middle:.1f}" text-anchor="middle" transform="rotate(-90 16 {middle:.1f})">'
        f"{escape(y_axis.title)}</text>"
    )
    return parts


def _line(curve: Curve, x_axis: Axis, y_axis: Axis, colour: str, *, width: float = 1.8, dashed: bool = False) -> str:
    xs, ys = x_axis.place(curve.x), np.clip(y_axis.place(curve.y), 0, 1)
    points = " ".join(f"{_x(x):.1f},{_y(y):.1f}" for x, y in zip(xs, ys, strict=True))
    dash = ' stroke-dasharray="5 4"' if dashed else ""
    return f'<polyline fill="none" stroke="{colour}" stroke-width="{width}"{dash} points="{points}"/>'


def _x(share: float) -> float:
    return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)


def _y(share: float) -> float:
    return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)
