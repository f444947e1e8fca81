"""A summary in a notebook: short, as HTML, as a frame, in pictures."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.reports.conftest import SPACE
from tuning.errors import StudyError
from tuning.reports.notebook.plottable_summary import PICTURES, PlottableSummary


@pytest.fixture
def plottable(summary):
    return PlottableSummary.of(replace(summary, space=SPACE))


@pytest.mark.parametrize("picture", PICTURES)
def test_each_picture_is_a_figure_with_something_in_it(plottable, picture):
    assert len(plottable.plot(picture).data) > 0


def test_another_picture_is_refused_by_name(plottable):
    with pytest.raises(StudyError, match="no picture 'pie'; there are: history, parallel"):
        plottable.plot("pie")


def test_too_few_trials_for_a_picture_are_told(plottable):
    with pytest.raises(StudyError, match="too few completed trials for the picture 'history': 0"):
        replace(plottable, trials=()).plot()


def test_its_repr_is_a_line_that_says_how_it_ended(plottable):
    text = repr(plottable)
    assert "\n" not in text
    assert len(text) < 200
    assert f"winner is trial {plottable.winner.number}" in text


def test_its_html_has_the_winner_and_the_scores_on_the_test_set(plottable):
    page = plottable._repr_html_()
    assert f"trial {plottable.winner.number}: " in page
    for name, value in plottable.test.items():
        assert name in page
        assert f"{value:.4g}" in page


def test_a_search_without_a_winner_has_html_too(plottable):
    plain = replace(plottable, winner=None, test={}, linear={}, dummy={}, model=None)
    page = plain._repr_html_()
    assert "winner" not in page


def test_its_frame_has_a_row_for_each_trial(plottable):
    assert list(plottable.frame().index) == [result.number for _, result in plottable.trials]


def test_a_copy_says_what_the_summary_says(plottable, summary):
    assert plottable.to_json() == summary.to_json()
