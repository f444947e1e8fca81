"""Lines on a terminal, drawn with the dots of Braille: two columns and four rows a character.

A page of Rich has no plot, and one that Rich draws goes where tables go: into pipes, narrow windows
and tests, without colours where there are none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from rich.text import Text

from tuning.reports.texts import one_line, score

Points: TypeAlias = Sequence[tuple[float, float]]

COLOURS = ("cyan", "magenta", "yellow", "green", "blue", "red")
_EMPTY = 0x2800
# Of the dot in column 0 or 1 and row 0 to 3 of a character: Unicode's numbering of Braille.
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
_COLUMNS = 2
_ROWS = 4
_LEAST_WIDTH = 10


@dataclass(frozen=True, kw_only=True)
class _Frame:
    """What the plot shows of the plane, and in how many characters.

    Attributes:
        left, right, bottom, top: Its edges, in the units of the points.
        width, height: In characters.
    """

    left: float
    right: float
    bottom: float
    top: float
    width: int
    height: int

    def dot(self, x: float, y: float) -> tuple[int, int]:
        """Return the column and row of the dot for a point, from the upper left corner."""
        across = (x - self.left) / (self.right - self.left) if self.right > self.left else 0.5
        up = (y - self.bottom) / (self.top - self.bottom) if self.top > self.bottom else 0.5
        column = round(across * (self.width * _COLUMNS - 1))
        row = round((1.0 - up) * (self.height * _ROWS - 1))
        return column, row


class _Canvas:
    """Dots, and of which line each character is."""

    def __init__(self, frame: _Frame) -> None:
        self._frame = frame
        self._dots = [[0] * frame.width for _ in range(frame.height)]
        self._line = [[-1] * frame.width for _ in range(frame.height)]

    def draw(self, points: Points, line: int) -> None:
        """Draw the points, joined in their order."""
        dots = [self._frame.dot(x, y) for x, y in points]
        for start, end in zip(dots, dots[1:] or dots, strict=False):
            for column, row in _between(start, end):
                self._set(column, row, line)

    def _set(self, column: int, row: int, line: int) -> None:
        place = row // _ROWS
        character = column // _COLUMNS
        self._dots[place][character] |= _DOTS[column % _COLUMNS][row % _ROWS]
        self._line[place][character] = line

    def row(self, place: int) -> Text:
        """Return one row of characters."""
        text = Text()
        for dots, line in zip(self._dots[place], self._line[place], strict=True):
            colour = COLOURS[line % len(COLOURS)] if line >= 0 else None
            text.append(chr(_EMPTY + dots) if dots else " ", colour)
        return text


def plot(
    lines: Mapping[str, Points], *, width: int, height: int = 10, x_label: str = ""
) -> list[Text]:
    """Return a picture of some lines, with its axes and their names.

    Points that are not finite are left out; where no line has a point there is no picture.

    Args:
        lines: By name, each from left to right.
        width: Characters in all.
        height: Rows of the picture itself.
        x_label: What is counted from left to right.
    """
    shown = {name: _finite(points) for name, points in lines.items()}
    shown = {name: points for name, points in shown.items() if points}
    every = [point for points in shown.values() for point in points]
    if not every:
        return []

    frame = _frame(every, width, height)
    canvas = _Canvas(frame)
    # The first line is drawn last, over the others.
    for line, points in reversed(list(enumerate(shown.values()))):
        canvas.draw(points, line)
    return [_legend(list(shown)), *_rows(canvas, frame), *_foot(frame, x_label)]


def _finite(points: Points) -> Points:
    return [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]


def _frame(points: Points, width: int, height: int) -> _Frame:
    left = min(x for x, _ in points)
    right = max(x for x, _ in points)
    bottom = min(y for _, y in points)
    top = max(y for _, y in points)
    if bottom == top:  # a level line runs through the middle
        room = abs(top) * 0.1 or 1.0
        bottom -= room
        top += room

    margin = max(len(score(bottom)), len(score(top))) + 2
    return _Frame(
        left=left,
        right=right,
        bottom=bottom,
        top=top,
        width=max(_LEAST_WIDTH, width - margin),
        height=height,
    )


def _between(start: tuple[int, int], end: tuple[int, int]) -> list[tuple[int, int]]:
    """Return the dots of a straight line, both ends included."""
    n_steps = max(abs(end[0] - start[0]), abs(end[1] - start[1]), 1)
    dots = []
    for step in range(n_steps + 1):
        part = step / n_steps
        column = round(start[0] + part * (end[0] - start[0]))
        row = round(start[1] + part * (end[1] - start[1]))
        dots.append((column, row))
    return dots


def _legend(names: Sequence[str]) -> Text:
    text = Text()
    for line, name in enumerate(names):
        text.append("  " if line else "")
        text.append(f"── {one_line(name)}", COLOURS[line % len(COLOURS)])
    return text


def _rows(canvas: _Canvas, frame: _Frame) -> list[Text]:
    margin = max(len(score(frame.bottom)), len(score(frame.top)))
    labels = {0: score(frame.top), frame.height - 1: score(frame.bottom)}
    rows = []
    for place in range(frame.height):
        label = labels.get(place, "").rjust(margin)
        rows.append(Text.assemble((f"{label} ┤" if place in labels else f"{label} │", "dim")))
        rows[-1].append_text(canvas.row(place))
    return rows


def _foot(frame: _Frame, x_label: str) -> list[Text]:
    """Return the lower axis: its ends, and between them what it counts."""
    margin = max(len(score(frame.bottom)), len(score(frame.top))) + 2
    left = f"{frame.left:g}"
    right = f"{frame.right:g}"
    room = frame.width - len(left) - len(right)
    middle = x_label.center(room) if room > len(x_label) else " " * max(1, room)
    axis = Text(" " * (margin - 1) + "└" + "─" * frame.width, "dim")
    return [axis, Text(" " * margin + left + middle + right, "dim")]
