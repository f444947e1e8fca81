"""Searches side by side: facts, differences, cautions, the page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.tracking.writer.searches import SPACE, spoiled, trial
from tuning.ledger.records import SearchHeader
from tuning.ledger.winner import Evaluation, Standing, WinnerRecord
from tuning.reports.compare import Compared, Comparison, difference_rows, fact_rows, space_rows
from tuning.reports.compare_html import curves, incumbent, write_comparison
from tuning.space.space import Float, Space
from tuning.study.info import DatasetFacts
from tuning.study.objective import Objective
from tuning.trial import Status

DEFINITION = {
    "objective": "minimize val_rmse",
    "epochs": 3,
    "seed": 42,
    "cv": None,
    "engine": "optuna:tpe",
}
STANDING = Standing(
    number=1,
    params={"lr": 0.01},
    epochs=3,
    seeds=(1, 2),
    weights=("0.npz", "1.npz"),
    values=(0.4, 0.6),
)
WINNER = WinnerRecord(
    standing=STANDING,
    finalists=(STANDING,),
    evaluation=Evaluation(
        test={"rmse": 0.55},
        baseline={"linear": {"rmse": 0.7}, "dummy": {"rmse": 1.1}},
    ),
    seed=1,
    at=0.0,
)


def compared(name="toy/a", numbers=range(4), *, definition=None, space=SPACE, **fields) -> Compared:
    whole = {**DEFINITION, **(definition or {})}
    direction, metric = whole["objective"].split()
    header = SearchHeader(
        id=f"{name.replace('/', '-')}-0a1b2c3d",
        study=name.partition("/")[0],
        engine="optuna:tpe",
        objective=Objective(metric, direction),
        trials=20,
        versions=(whole,),
        data=DatasetFacts(name="houses", digest="ab"),
        versions_of={"keras": "3.15.1"},
        git_commit="c0ffee",
    )
    header = replace(header, **fields.pop("header", {}))
    trials = [trial(number) for number in numbers]
    return Compared(name=name, header=header, space=space, trials=trials, **fields)


def facts(*searches) -> dict[str, list[str]]:
    return dict(fact_rows(Comparison(searches)))


def page_of(comparison: Comparison, folder: Path) -> str:
    path = write_comparison(comparison, folder / "compare.html")
    return path.read_text(encoding="utf-8")


def test_budget_counts_best_and_scores_stand_side_by_side():
    rows = facts(compared(winner=WINNER, status="completed"), compared("toy/b", range(2)))
    assert rows["budget"] == ["trials 20, epochs 3"] * 2
    assert rows["trials"] == ["4 completed", "2 completed"]
    assert rows["epochs trained"] == ["12", "6"]
    assert rows["status"] == ["completed", "–"]
    assert rows["winner, validation"] == ["0.5000 ± 0.14 over 2 fresh seeds (trial 1)", "–"]
    assert rows["winner, test rmse"] == ["0.5500", "–"]
    assert rows["linear baseline, test rmse"] == ["0.7000", "–"]


def test_the_best_trial_is_shown_with_its_parameters():
    search = compared()
    proposal, result = search.best
    assert result.value == min(r.value for _, r in search.trials)
    rows = facts(search, search)
    assert f"(trial {result.number})" in rows["best val_rmse"][0]
    assert f"n_hidden={proposal.params['n_hidden']}" in rows["best parameters"][0]


def test_of_several_objectives_it_is_said_which_one_is_compared():
    objectives = (Objective("val_rmse", "minimize"), Objective("n_parameters", "minimize"))
    shown = facts(compared(header={"objectives": objectives}), compared("toy/b"))
    expected = "val_rmse, the first objective; not by minimize n_parameters"
    assert shown["compared by"] == [expected, "–"]


def test_a_search_without_a_completed_trial_has_no_best():
    proposal, result = trial(0)
    bare = replace(compared(), trials=[(proposal, spoiled(result, Status.FAILED))])
    assert bare.best is None
    assert facts(compared(), bare)["best val_rmse"][1] == "–"


def test_a_pruner_belongs_to_the_name_of_the_engine():
    assert compared(header={"pruner": "asha"}).engine == "optuna:tpe+asha"


def test_what_differs_is_told_by_kind():
    other = compared(
        "toy/b",
        definition={"epochs": 5},
        space=Space({"lr": Float(1e-5, 1.0, log=True)}),
        header={
            "data": DatasetFacts(name="houses", digest="cd"),
            "versions_of": {"keras": "3.16.0", "optuna": "5.0.0"},
        },
    )
    differences = dict(difference_rows(Comparison((compared(), other))))
    assert differences["study: epochs"] == ["3", "5"]
    assert differences["data: digest"] == ["ab", "cd"]
    assert differences["versions: keras"] == ["3.15.1", "3.16.0"]
    assert differences["versions: optuna"] == ["–", "5.0.0"]
    assert differences["space: lr"] == ["0.0003 … 0.03, log", "1e-05 … 1, log"]
    assert "data: name" not in differences
    assert "code: git_commit" not in differences


def test_a_parameter_that_one_space_lacks_has_a_dash():
    without = compared("toy/b", (), space=Space({"lr": Float(0.1, 1.0)}))
    domains = dict(space_rows(Comparison((compared(), without))))
    assert domains["n_hidden"] == ["0 … 3", "–"]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            {"definition": {"objective": "maximize val_r2"}},
            "different objectives (minimize val_rmse, maximize val_r2)",
        ),
        (
            {"definition": {"seed": 7, "cv": 3}},
            "on other rows, or by other splits (seed, cv differ)",
        ),
        ({"header": {"data": DatasetFacts(name="houses", digest="cd")}}, "Their data differ"),
        ({}, "Each is one search: a difference may be luck"),
    ],
)
def test_why_values_should_not_be_read_against_each_other_is_said(other, message):
    comparison = Comparison((compared(), compared("toy/b", **other)))
    assert any(message in caution for caution in comparison.cautions)


def test_the_incumbent_moves_in_the_order_the_trials_ended_and_every_trial_costs():
    trials = [trial(number) for number in range(4)]
    trials[1] = (trials[1][0], spoiled(trials[1][1], Status.FAILED))
    late = replace(trials[0][1], ended_at=trials[3][1].ended_at + 1)
    search = replace(compared(), trials=[(trials[0][0], late), *trials[1:]])
    xs, ys = incumbent(search, "epochs")
    assert xs == [6, 9, 12]  # trial 1 failed first and cost 3 epochs
    values = [trials[2][1].value, trials[3][1].value, late.value]
    assert ys == [values[0], min(values[:2]), min(values)]


def test_all_curves_are_in_one_plot():
    figure = curves([compared(), compared("toy/<b>")], "epochs")
    assert [trace.name for trace in figure.data] == ["toy/a", "toy/&lt;b&gt;"]


def test_the_page_needs_no_network_and_escapes_what_users_wrote(tmp_path):
    wild = compared("toy/b", header={"engine": "<script>alert(1)</script>"})
    page = page_of(Comparison((compared(), wild)), tmp_path)
    assert "<script>alert(1)" not in page
    assert "http://" not in page.partition("</style>")[0]
    assert "Best so far, over epochs" in page
    assert "What differs" in page


def test_searches_for_different_objectives_have_plots_of_their_own(tmp_path):
    other = compared("toy/b", definition={"objective": "maximize val_r2"})
    page = page_of(Comparison((compared(), other)), tmp_path)
    assert "Best so far, minimize val_rmse, over epochs" in page
    assert "Best so far, maximize val_r2, over epochs" in page


def test_equal_searches_are_told_to_differ_in_nothing(tmp_path):
    page = page_of(Comparison((compared(), compared())), tmp_path)
    assert "Nothing: study, data, versions and code are the same." in page
