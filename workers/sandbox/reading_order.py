"""The order in which the boxes of text on a page are read. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import atan2, cos, radians, sin
from statistics import median
from typing import TypeAlias

Quad: TypeAlias = Sequence[tuple[float, float]]
"""The four corners of a box."""

MAX_SKEW = radians(20)

WIDE_COLUMN = 0.2
"""The share of a page's width that the lines of a column of prose have at least.

The columns of a table are narrower, and a table is read row by row.
"""

GUTTER = 0.6  # the smallest gap between columns, in heights of a line
OVERLAP = 0.3  # of the boxes of two lines, one above the other, in heights of a line
FEWEST_LINES = 3  # of a column


@dataclass(frozen=True, slots=True)
class Box:
    """A piece of text and its place, in pixels from the top left corner."""

    left: float
    top: float
    right: float
    bottom: float
    text: str

    @classmethod
    def around(cls, corners: Quad, text: str) -> "Box":
        """Return the box around a text with these corners."""
        across, down = zip(*corners, strict=True)
        return cls(min(across), min(down), max(across), max(down), text)

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.bottom - self.top

    @property
    def middle(self) -> float:
        return (self.top + self.bottom) / 2


def straighten(quads: Sequence[Quad]) -> Sequence[Quad]:
    """Turn all corners by the angle of the lines, as a page that lies askew on a scanner needs it.

    The corners of a quad begin at the beginning of its text, clockwise.
    """
    angle = median(atan2(quad[1][1] - quad[0][1], quad[1][0] - quad[0][0]) for quad in quads)
    if abs(angle) > MAX_SKEW:  # text from top to bottom, not a skewed page
        return quads
    turned_x, turned_y = cos(-angle), sin(-angle)
    return [
        [(x * turned_x - y * turned_y, x * turned_y + y * turned_x) for x, y in quad]
        for quad in quads
    ]


def join(boxes: Sequence[Box]) -> str:
    """Return the text of a page: columns one after the other, and each line from left to right."""
    if not boxes:
        return ""
    page_width = max(box.right for box in boxes) - min(box.left for box in boxes)
    blocks = _split(list(boxes), page_width)
    return "\n".join(line for block in blocks for line in _join_lines(block))


def _split(boxes: list[Box], page_width: float) -> list[list[Box]]:
    """Return blocks in reading order: side by side where there are columns, else one above another.

    A block that spans the columns (a heading) ends the columns above it.
    """
    parts = _find_columns(boxes, page_width) or _cut_across(boxes, page_width)
    if not parts:
        return [boxes]
    return [block for part in parts for block in _split(part, page_width)]


def _find_columns(boxes: list[Box], page_width: float) -> list[list[Box]]:
    """Return the boxes left and right of the first gutter; empty if there is none."""
    gap = GUTTER * median(box.height for box in boxes)
    ordered = sorted(boxes, key=lambda box: box.left)
    end = ordered[0].right
    for position, box in enumerate(ordered[1:], 1):
        if box.left - end > gap:
            sides = [ordered[:position], ordered[position:]]
            if all(_is_prose(side, page_width) for side in sides):
                return sides
        end = max(end, box.right)
    return []


def _is_prose(boxes: list[Box], page_width: float) -> bool:
    if len(boxes) < FEWEST_LINES:
        return False
    return median(box.width for box in boxes) > WIDE_COLUMN * page_width


def _cut_across(boxes: list[Box], page_width: float) -> list[list[Box]]:
    """Return the boxes above and below the first cut that leaves columns; empty without one."""
    ordered = sorted(boxes, key=lambda box: box.top)
    end = ordered[0].bottom
    for position, box in enumerate(ordered[1:], 1):
        if box.top >= end - OVERLAP * box.height:
            parts = [ordered[:position], ordered[position:]]
            if any(_find_columns(part, page_width) for part in parts):
                return parts
        end = max(end, box.bottom)
    return []


def _join_lines(boxes: list[Box]) -> list[str]:
    """Return the lines of a block, from top to bottom."""
    lines: list[list[Box]] = []
    for box in sorted(boxes, key=lambda each: each.middle):
        line = lines[-1] if lines else []
        if line and box.middle < median(each.bottom for each in line):
            line.append(box)
        else:
            lines.append([box])
    return [
        " ".join(box.text for box in sorted(line, key=lambda each: each.left)) for line in lines
    ]
