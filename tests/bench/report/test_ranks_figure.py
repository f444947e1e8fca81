"""The critical-difference diagram."""

from __future__ import annotations

import pytest

from tests.bench.statistics.demsar import NAMES, RANKS
from tuning.bench.report.ranks_figure import diagram, ranks_figure, write_ranks_png
from tuning.bench.statistics.ranks import rank
from tuning.reports.style import COLOURS


@pytest.fixture(scope="module")
def ranks():
    return rank(RANKS, NAMES, alpha=0.10)


def test_a_bar_joins_each_group_and_one_shows_the_critical_difference(ranks):
    bars = [line for line in diagram(ranks).lines if line.colour == COLOURS[1]]
    assert [line.xs[0] for line in bars[:2]] == pytest.approx(
        [1.964 - 0.03, 2.893 - 0.03], abs=1e-3
    )
    assert bars[-1].xs[1] - bars[-1].xs[0] == pytest.approx(ranks.critical_difference)


def test_the_better_half_stands_on_the_left_and_all_is_within_the_picture(ranks):
    drawn = diagram(ranks)
    assert [label.text for label in drawn.labels if label.anchor == "right"] == [
        "C4.5+m+cf  1.96",
        "C4.5+m  2.00",
    ]
    for line in drawn.lines:
        assert all(drawn.x_range[0] <= x <= drawn.x_range[1] for x in line.xs)
        assert all(drawn.y_range[0] <= y <= drawn.y_range[1] for y in line.ys)


def test_it_is_drawn_by_plotly_and_as_a_png(ranks, tmp_path):
    texts = [note.text for note in ranks_figure(ranks).layout.annotations]
    assert "critical difference 1.12 (Nemenyi, 0.1)" in texts
    assert write_ranks_png(ranks, tmp_path / "ranks.png").read_bytes().startswith(b"\x89PNG")
