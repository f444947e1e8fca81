"""Anytime curves as Plotly figures and PNGs."""

from __future__ import annotations

import pytest

from tests.bench.statistics.curves import ended, run
from tuning.bench.report.figures import Panel, anytime_figure, write_anytime_png
from tuning.bench.statistics.anytime import bands
from tuning.reports.style import COLOURS


def panel(runs) -> Panel:
    of_engines = bands(runs)
    return Panel(
        title="toy, validation",
        metric="val_rmse",
        unit="epochs",
        bands=of_engines,
        names=tuple(band.engine for band in of_engines),
    )


def test_each_engine_has_a_line_and_a_band_of_one_colour():
    figure = anytime_figure(panel(ended([1, 2, 3], "a") + ended([2, 3, 4], "b")))
    lines = [trace for trace in figure.data if trace.line.width]
    assert [(trace.name, trace.line.color) for trace in lines] == [
        ("a", COLOURS[0]),
        ("b", COLOURS[1]),
    ]
    assert [trace.legendgroup for trace in figure.data if trace.fill] == ["a", "b"]


def test_more_engines_than_colours_are_told_apart_by_dashes():
    figure = anytime_figure(panel([r for name in "abcdefg" for r in ended([1, 2], name)]))
    lines = [trace for trace in figure.data if trace.line.width]
    assert len({(trace.line.color, trace.line.dash) for trace in lines}) == 7


def test_a_band_has_a_gap_where_a_quartile_is_not_known():
    figure = anytime_figure(panel([*ended([1, 2], "a"), run([None, None], "a", 2)]))
    ends = {tuple(trace.y[-3:]) for trace in figure.data if not trace.line.width}
    assert ends == {(None, None, None)}


def test_the_axis_leaves_out_what_the_first_tenth_of_the_budget_looked_like():
    figure = anytime_figure(panel([run([1000.0] + [1.0] * 19)]))
    assert figure.layout.yaxis.range[1] < 2


def test_names_are_escaped_for_plotly():
    figure = anytime_figure(panel(ended([1], "<b>x")))
    assert figure.data[-1].name == "&lt;b&gt;x"


@pytest.mark.parametrize("runs", [ended([1, 2, 3], "a"), [run([None, None])], [run([])]])
def test_a_png_is_written_whatever_there_is_to_draw(runs, tmp_path):
    path = write_anytime_png([panel(runs), panel(runs)], tmp_path / "curves.png")
    assert path.read_bytes().startswith(b"\x89PNG")
