"""Pictures of a range test."""

from __future__ import annotations

import struct
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from tuning.errors import StudyError
from tuning.ledger.records import SearchHeader
from tuning.lr_range.plot import PlottableLRRange, cards, figure, write, write_html, write_png
from tuning.reports.html import write_report
from tuning.space.space import Space
from tuning.study.objective import Minimize

LRS = np.geomspace(1e-5, 1.0, 50)
LOSSES = np.linspace(5.0, 1.0, 50)


@pytest.fixture
def lr_test() -> PlottableLRRange:
    picks = {"steepest": 1e-3, "valley": 1e-4, "min_over_10": 0.1, "largest_stable": 0.5}
    return PlottableLRRange(
        lrs=LRS,
        losses=LOSSES,
        low=LOSSES - 0.1,
        high=LOSSES + 0.1,
        suggestions=picks,
        reasons={"largest_stable": "nothing diverged"},
        lr_min=1e-5,
        lr_max=1.0,
        bounds=(1e-5, 1.0),
        interval=(1e-4, 0.5),
        stable=(0.5, 0.4),
        batch_size=32,
        seeds=2,
        steps=50,
        diverged=False,
        study="a <b>",
        label="x=<script>alert(1)</script>",
    )


def test_the_figure_has_a_log_axis_a_band_and_each_suggestion_marked(lr_test):
    drawn = figure(lr_test)
    assert drawn.layout.xaxis.type == "log"
    names = [trace.name for trace in drawn.data]
    assert names == [
        "all 2 seeds",
        "smoothed loss",
        "steepest 0.001",
        "valley 0.0001",
        "minimum / 10 0.1",
        "largest stable 0.5",
    ]
    assert [trace.x[0] for trace in drawn.data[2:]] == list(lr_test.suggestions.values())
    assert "nothing diverged" in drawn.data[-1].hovertemplate


def test_one_seed_has_no_band(lr_test):
    assert figure(replace(lr_test, seeds=1)).data[0].name == "smoothed loss"


def test_the_page_needs_no_network_and_takes_no_html_from_a_study(lr_test, tmp_path):
    page = write_html([lr_test, lr_test], tmp_path / "a.html", "<i>title</i>").read_text()
    assert "<script>alert" not in page
    assert "<i>title" not in page
    assert 'src="http' not in page
    assert page.count("Plotly.newPlot(") >= 2
    assert "nothing diverged" in page


def test_the_report_of_a_search_shows_the_tests_its_bounds_come_from(lr_test, tmp_path):
    path = write_report(
        tmp_path,
        header=SearchHeader(
            id="a-1",
            study="a",
            engine="optuna:tpe",
            objective=Minimize("val_loss"),
            versions=({},),
        ),
        trials=[],
        winner=None,
        space=Space({}),
        objective=Minimize("val_loss"),
        range_tests=cards([lr_test]),
    )
    assert path.read_text().count("<h2>Learning-rate range test</h2>") == 1


def test_a_png_is_drawn_for_each_test_without_a_browser_or_a_display(
    lr_test, tmp_path, monkeypatch
):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("DISPLAY", raising=False)
    sizes = []
    for tests in ([lr_test], [lr_test, replace(lr_test, losses=10.0 ** -np.linspace(0, 6, 50))]):
        data = write_png(tests, tmp_path / "a.png").read_bytes()
        assert data.startswith(b"\x89PNG")
        sizes.append(struct.unpack(">II", data[16:24]))
    assert sizes[1] == (sizes[0][0], 2 * sizes[0][1])


def test_plot_of_a_test_returns_the_figure_and_writes_it(lr_test, tmp_path):
    drawn = lr_test.plot(tmp_path / "a.html")
    assert len(drawn.data) == 6
    assert (tmp_path / "a.html").stat().st_size > 10_000
    with pytest.raises(StudyError, match=r"must end in \.html or \.png"):
        write(lr_test, tmp_path / "a.gif")


def test_neither_matplotlib_nor_plotly_is_imported_before_a_picture_is_wanted():
    code = (
        "import sys, tuning.lr_range.plot; "
        "print([m for m in ('matplotlib', 'plotly', 'keras') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_test_shows_itself_in_a_line_and_as_a_table(lr_test):
    assert repr(lr_test).startswith("LRRange(search in 0.0001 … 0.5; steepest 0.001, ")
    page = lr_test._repr_html_()
    for name in lr_test.suggestions:
        assert f">{name}<" in page
    assert "nothing diverged" in page
    assert "<script>" not in page
