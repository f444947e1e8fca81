"""What a benchmark's runs say, as figures."""

from __future__ import annotations

import json

import pytest

from tests.bench.statistics.curves import ended, run
from tuning.bench.statistics.overview import analyse
from tuning.errors import StudyError

QUICK = {"resamples": 99}


def test_engines_are_listed_by_their_median_the_best_first():
    (study,) = analyse(ended([3, 4, 5], "slow") + ended([1, 2, 3], "fast"), **QUICK).studies
    assert [(e.engine, e.validation) for e in study.engines] == [("fast", 2.0), ("slow", 4.0)]
    assert [e.rank for e in study.engines] == [1.0, 2.0]


def test_the_best_median_is_the_highest_where_the_study_maximizes():
    runs = ended([0.7, 0.8], "a", direction="maximize") + ended(
        [0.9, 0.9], "b", direction="maximize"
    )
    (study,) = analyse(runs, **QUICK).studies
    assert [e.engine for e in study.engines] == ["b", "a"]
    assert study.target == pytest.approx(0.75)  # the worst median: what all can reach
    assert study.engines[0].validation_interval == (0.9, 0.9)


def test_times_are_to_the_targets_given_or_to_the_worst_median():
    runs = ended([0.5, 0.5, 0.5], "a") + ended([0.8, 0.8, None], "b")
    (study,) = analyse(runs, **QUICK).studies
    assert [(e.engine, e.reached, e.time_to_target) for e in study.engines] == [
        ("a", 3, 20.0),
        ("b", 2, 20.0),
    ]
    (study,) = analyse(runs, targets={"toy": 0.6}, budget="seconds", **QUICK).studies
    assert [(e.engine, e.reached, e.time_to_target) for e in study.engines] == [
        ("a", 3, 4.0),
        ("b", 0, None),
    ]


def test_regret_and_area_are_measured_from_the_best_known():
    (study,) = analyse(ended([0.5, 0.5], "a") + ended([0.75, 0.75], "b"), **QUICK).studies
    assert [(e.regret, e.area) for e in study.engines] == [
        (0.0, 1.0),
        (0.5, 1.0),
    ]  # the last trial ends the budget
    (study,) = analyse(ended([0.5], "a"), best={"toy": 0.0}, **QUICK).studies
    assert study.engines[0].regret == 0.5


def test_an_engine_without_any_value_has_no_figures_and_stands_last():
    (study,) = analyse(ended([None, None], "never") + ended([1, 2], "a"), **QUICK).studies
    never = study.engines[-1]
    assert (never.engine, never.runs, never.with_value) == ("never", 2, 0)
    assert (never.validation, never.validation_interval, never.test, never.time_to_target) == (
        None,
    ) * 4
    assert (never.regret, never.area) == (1.0, 1.0)


def test_a_search_without_a_trial_is_a_run_without_a_value():
    (study,) = analyse([run([], "a"), run([], "b")], **QUICK).studies
    assert [(e.with_value, e.validation, e.regret) for e in study.engines] == [(0, None, None)] * 2
    assert (study.scale, study.target, study.end) == (None, None, 0.0)


def test_the_time_of_a_proposal_is_the_median_over_all():
    (study,) = analyse(
        [run([1.0], asked_s=(0.1, 0.2)), run([1.0], seed=1, asked_s=(0.9,))], **QUICK
    ).studies
    assert study.engines[0].asked_s == pytest.approx(0.2)


def test_test_scores_have_medians_of_their_own():
    (study,) = analyse(ended([1, 2, 3], "a", tests=(9.0, 7.0)), **QUICK).studies
    assert (study.engines[0].test, study.engines[0].test_interval) == (7.0, (7.0, 7.0))


def test_studies_are_kept_apart_and_ranked_together():
    runs = [
        r for name in ("one", "two") for e in ("a", "b") for r in ended([1.0, 2.0], e, study=name)
    ]
    statistics = analyse(runs, **QUICK)
    assert [study.study for study in statistics.studies] == ["one", "two"]
    assert statistics.ranks is not None
    assert statistics.ranks.ranks == (1.5, 1.5)


def test_all_of_it_is_plain_json():
    runs = [
        r for name in ("one", "two") for e in ("a", "b") for r in ended([1.0, None], e, study=name)
    ]
    text = json.dumps(analyse(runs, **QUICK).to_json(), allow_nan=False)
    assert json.loads(text)["studies"][0]["pairs"][0]["verdict"] == "equal"


def test_nothing_is_made_of_no_runs():
    assert analyse([]).studies == ()


def test_every_fault_of_the_runs_is_told_at_once():
    runs = [run([1.0]), run([1.0]), run([1.0], seed=1, metric="val_mae")]
    with pytest.raises(StudyError) as error:
        analyse(runs)
    assert error.value.faults == (
        "toy · a · seed 0 is there twice",
        "'toy' was searched for minimize val_mae and for minimize val_rmse: "
        "these cannot be compared",
    )


def test_statistics_show_themselves_in_a_line_and_as_a_table():
    statistics = analyse(ended([3, 4, 5], "slow") + ended([1, 2, 3], "fast"), **QUICK)
    assert repr(statistics) == "Statistics(toy: fast first of 2)"
    page = statistics._repr_html_()
    assert page.index(">fast<") < page.index(">slow<")
    assert "fewer than" in page
