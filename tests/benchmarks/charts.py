"""Line charts as SVG: panels side by side, each with a logarithmic x axis and a y axis from 0."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT = 380, 260  # of a panel, in pixels
LEFT, RIGHT, TOP, BOTTOM = 56, 20, 44, 44  # margins around the axes
TICKS = 4
COLOURS = ("#1f6feb", "#8c959f")
STYLES = ("", ' stroke-dasharray="5 4"')


class Point(NamedTuple):
    """A point of a line."""

    x: float
    y: float


@dataclass(frozen=True)
class Line:
    """A line with its name in the legend."""

    name: str
    points: Sequence[Point]


@dataclass(frozen=True)
class Panel:
    """One pair of axes. All x are at least 1."""

    title: str
    x_label: str
    lines: Sequence[Line]


def draw(panels: Sequence[Panel]) -> str:
    """Return an SVG document."""
    width = WIDTH * len(panels)
    size = f'width="{width}" height="{HEIGHT}"'
    font = 'font-family="sans-serif" font-size="11" fill="#24292f"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {width} {HEIGHT}" {font}>',
        f'<rect {size} fill="#ffffff"/>',
    ]
    for number, panel in enumerate(panels):
        parts.append(f'<g transform="translate({number * WIDTH} 0)">')
        parts.extend(_Axes(panel).draw())
        parts.append("</g>")
    return "\n".join([*parts, "</svg>", ""])


class _Axes:
    """The scales of a panel."""

    def __init__(self, panel: Panel) -> None:
        self._panel = panel
        points = [point for line in panel.lines for point in line.points]
        self._least = math.log10(min(point.x for point in points))
        self._decades = math.log10(max(point.x for point in points)) - self._least or 1
        self._top = _round_up(max(point.y for point in points) * 1.15)

    def draw(self) -> Iterator[str]:
        yield f'<text x="{LEFT}" y="16" font-weight="bold">{escape(self._panel.title)}</text>'
        yield from self._draw_grid()
        for number, line in enumerate(self._panel.lines):
            colour, style = COLOURS[number % 2], STYLES[number % 2]
            x = LEFT + number * 150
            yield f'<path d="M{x} 30h22" stroke="{colour}" stroke-width="2"{style}/>'
            yield f'<text x="{x + 27}" y="34">{escape(line.name)}</text>'
            places = " ".join(f"{self._x(p.x):.1f},{self._y(p.y):.1f}" for p in line.points)
            yield (
                f'<polyline points="{places}" fill="none" stroke="{colour}" '
                f'stroke-width="2"{style}/>'
            )
            for point in line.points:
                place = f'cx="{self._x(point.x):.1f}" cy="{self._y(point.y):.1f}"'
                yield f'<circle {place} r="3" fill="{colour}"/>'

    def _draw_grid(self) -> Iterator[str]:
        bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
        for tick in range(TICKS + 1):
            value = self._top * tick / TICKS
            y = self._y(value)
            yield f'<path d="M{LEFT} {y:.1f}H{right}" stroke="#d0d7de"/>'
            yield f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>'
        for x in sorted({point.x for line in self._panel.lines for point in line.points}):
            place = f'x="{self._x(x):.1f}" y="{bottom + 16}"'
            yield f'<text {place} text-anchor="middle">{x:,.0f}</text>'
        middle = (LEFT + right) / 2
        label = escape(self._panel.x_label)
        yield f'<text x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">{label}</text>'

    def _x(self, value: float) -> float:
        share = (math.log10(value) - self._least) / self._decades
        return LEFT + 10 + share * (WIDTH - LEFT - RIGHT - 30)

    def _y(self, value: float) -> float:
        return HEIGHT - BOTTOM - value / self._top * (HEIGHT - TOP - BOTTOM)


def _round_up(value: float) -> float:
    """Return the next number of the form 1, 2, 4, 6 or 8 times a power of ten."""
    power = 10 ** math.floor(math.log10(value)) if value > 0 else 1
    return next((step * power for step in (1, 2, 4, 6, 8) if step * power >= value), 10 * power)
