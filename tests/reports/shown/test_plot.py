"""Lines of Braille on a terminal."""

from __future__ import annotations

import math

from tuning.reports.shown.plot import plot


def picture(lines, **settings):
    settings = {"width": 30, "height": 4, **settings}
    return [row.plain for row in plot(lines, **settings)]


def test_a_line_goes_from_its_first_point_to_its_last():
    rows = picture({"loss": [(0.0, 1.0), (10.0, 0.0)]}, x_label="epoch")
    assert rows[0] == "── loss"
    assert rows[1].startswith("1.000 ┤⠉")
    assert rows[4].startswith("    0 ┤")
    assert rows[4].rstrip()[-1] != " "
    assert rows[5].strip().startswith("└──")
    assert rows[6].split() == ["0", "epoch", "10"]


def test_no_row_is_wider_than_the_terminal():
    points = [(float(i), math.sin(i)) for i in range(200)]
    for width in (20, 60, 100):
        rows = picture({"a": points}, width=width, x_label="trial")
        assert max(map(len, rows[1:])) <= width


def test_each_line_has_its_colour_in_the_legend_and_the_picture():
    rows = plot({"a": [(0, 0), (1, 0)], "b": [(0, 1), (1, 1)]}, width=30, height=4)
    styles = {str(span.style) for row in rows[1:5] for span in row.spans}
    assert {"cyan", "magenta"} <= styles
    assert {str(span.style) for span in rows[0].spans} == {"cyan", "magenta"}


def test_points_that_are_not_finite_are_left_out():
    with_gaps = [(0.0, math.inf), (1.0, 2.0), (2.0, math.nan), (3.0, 1.0)]
    assert picture({"a": with_gaps}) == picture({"a": [(1.0, 2.0), (3.0, 1.0)]})


def test_a_level_line_runs_through_the_middle():
    rows = picture({"a": [(0.0, 5.0), (9.0, 5.0)]}, height=5)
    drawn = [any(ord(c) > 0x2800 for c in row) for row in rows[1:6]]
    assert drawn == [False, False, True, False, False]


def test_without_a_point_there_is_no_picture():
    assert plot({}, width=30) == []
    assert plot({"a": [(0.0, math.nan)]}, width=30) == []
