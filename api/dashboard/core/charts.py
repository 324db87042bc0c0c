"""Charts as shapes of an SVG, which `templates/charts.html` draws. Pure.

Coordinates are those of the view box: `WIDTH` by `HEIGHT`, with the origin at the top left.
"""

import math
from collections.abc import Callable, Mapping, Sequence

from broker.values import immutable

WIDTH, HEIGHT = 480.0, 160.0
LEFT, RIGHT, TOP, BOTTOM = 52.0, 8.0, 8.0, 24.0
SERIES = 8
"""Series with a colour of their own. The last is that of all others together."""
OTHERS = "others"
GRIDLINES = 4
LABELS = 6
"""The most labels below the horizontal axis."""
Format = Callable[[float], str]


@immutable
class Series:
    """A named row of values, one for each moment; None where there is no value."""

    name: str
    values: Sequence[float | None]


@immutable
class Bar:
    """A part of a column."""

    x: float
    y: float
    width: float
    height: float
    series: int  # from 1: the class of its colour
    title: str  # shown at the pointer, and read by screen readers


@immutable
class Line:
    """A line through the values of a series."""

    path: str  # of an SVG `path`
    series: int


@immutable
class Label:
    """A text at an axis."""

    x: float
    y: float
    text: str


@immutable
class Hit:
    """An invisible column that shows all values of a moment at the pointer."""

    x: float
    width: float
    title: str


@immutable
class Chart:
    """A chart to draw."""

    names: Sequence[str]  # of the series, in the order of their colours
    bars: Sequence[Bar] = ()
    lines: Sequence[Line] = ()
    hits: Sequence[Hit] = ()
    gridlines: Sequence[float] = ()  # their y
    y_labels: Sequence[Label] = ()
    x_labels: Sequence[Label] = ()
    is_empty: bool = False  # all values are 0 or missing


def stack_bars(moments: Sequence[str], series: Sequence[Series], write: Format) -> Chart:
    """Return stacked columns, one for each moment. `write` formats a value."""
    totals = [sum(each.values[index] or 0 for each in series) for index, _ in enumerate(moments)]
    top = round_up(max(totals, default=0))
    slot = (WIDTH - LEFT - RIGHT) / max(len(moments), 1)
    bars = []
    for index, moment in enumerate(moments):
        base = HEIGHT - BOTTOM
        for number, each in enumerate(series, 1):
            value = each.values[index] or 0
            height = value / top * (HEIGHT - TOP - BOTTOM)
            if height > 0:
                base -= height
                x = LEFT + index * slot + slot * 0.1
                title = f"{moment}: {each.name} {write(value)}"
                bars.append(Bar(x, base, max(slot * 0.8, 0.5), height, number, title))
    return Chart(
        [each.name for each in series], bars=bars, gridlines=_gridlines(),
        y_labels=_y_labels(top, write), x_labels=_x_labels(moments), is_empty=not any(totals),
    )  # fmt: skip


def draw_lines(moments: Sequence[str], series: Sequence[Series], write: Format) -> Chart:
    """Return a line for each series. A missing value interrupts its line."""
    values = [value for each in series for value in each.values if value is not None]
    top = round_up(max(values, default=0))
    slot = (WIDTH - LEFT - RIGHT) / max(len(moments), 1)
    lines = [Line(_path(each.values, slot, top), number) for number, each in enumerate(series, 1)]
    hits = [
        Hit(LEFT + index * slot, slot, "\n".join([moment, *_values_at(series, index, write)]))
        for index, moment in enumerate(moments)
    ]
    return Chart(
        [each.name for each in series], lines=lines, hits=hits, gridlines=_gridlines(),
        y_labels=_y_labels(top, write), x_labels=_x_labels(moments), is_empty=not values,
    )  # fmt: skip


def merge_small(rows: Mapping[str, Sequence[float | None]]) -> list[Series]:
    """Return the largest rows as series, and the sum of all others as the last one."""
    ordered = sorted(rows.items(), key=lambda row: (-sum(v or 0 for v in row[1]), row[0]))
    if len(ordered) <= SERIES:
        return [Series(name, values) for name, values in ordered]
    kept, rest = ordered[: SERIES - 1], ordered[SERIES - 1 :]
    sums = [sum(v or 0 for v in column) for column in zip(*(row for _, row in rest), strict=True)]
    return [*(Series(name, values) for name, values in kept), Series(OTHERS, sums)]


def round_up(value: float) -> float:
    """Return the next number that begins with 1, 2 or 5, and is not smaller. 1 for 0."""
    if value <= 0:
        return 1.0
    size = 10.0 ** math.floor(math.log10(value))
    return next(step * size for step in (1, 2, 5, 10) if step * size >= value * (1 - 1e-9))


def _path(values: Sequence[float | None], slot: float, top: float) -> str:
    parts, is_drawing = [], False
    for index, value in enumerate(values):
        if value is None:
            is_drawing = False
            continue
        x = LEFT + (index + 0.5) * slot
        parts.append(f"{'L' if is_drawing else 'M'}{x:.1f} {_y(value, top):.1f}")
        if not is_drawing and values[index + 1 : index + 2] in ([], [None]):
            parts.append("h0.1")  # a single value is a dot
        is_drawing = True
    return "".join(parts)


def _values_at(series: Sequence[Series], index: int, write: Format) -> list[str]:
    found = ((each.name, each.values[index]) for each in series)
    return [f"{name}: {write(value)}" for name, value in found if value is not None]


def _y(value: float, top: float) -> float:
    return HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM)


def _gridlines() -> list[float]:
    return [_y(step, GRIDLINES) for step in range(GRIDLINES + 1)]


def _y_labels(top: float, write: Format) -> list[Label]:
    steps = (0, GRIDLINES // 2, GRIDLINES)
    return [
        Label(LEFT - 6, _y(step, GRIDLINES) + 4, write(top * step / GRIDLINES)) for step in steps
    ]


def _x_labels(moments: Sequence[str]) -> list[Label]:
    slot = (WIDTH - LEFT - RIGHT) / max(len(moments), 1)
    every = max(math.ceil(len(moments) / LABELS), 1)
    return [
        Label(LEFT + (index + 0.5) * slot, HEIGHT - 6, moment)
        for index, moment in enumerate(moments)
        if index % every == 0
    ]
