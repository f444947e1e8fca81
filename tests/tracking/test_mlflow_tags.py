"""How records become MLflow's tags."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.tracking.contract import record
from tests.tracking.writer.searches import trial, winner
from tuning.study.info import DatasetFacts
from tuning.tracking.base import Best, Progress
from tuning.tracking.mlflow_metrics import trial_points, winner_metrics
from tuning.tracking.mlflow_tags import (
    dataset_texts,
    progress_tags,
    search_name,
    search_tags,
    trial_tags,
    winner_note,
    winner_tags,
)
from tuning.trial import Finding


def tags_of(**changes):
    proposal, result = trial(7)
    return trial_tags(record(), proposal, replace(result, **changes))


def test_a_trials_tags_say_what_it_is_and_leave_out_what_it_has_not():
    search = replace(record(), tags={"git_commit": "c0ffee"})
    proposal, result = trial(7)
    assert trial_tags(search, proposal, replace(result, notices=("half", "batch"))) == {
        "git_commit": "c0ffee",
        "kind": "trial",
        "search": "toy-optuna-tpe-00000001",
        "study": "toy",
        "engine": "optuna:tpe",
        "trial": "7",
        "attempt": "1",
        "status": "completed",
        "seed": "14",
        "device": "cpu:1",
        "epochs_asked": "3",
        "notes": "half; batch",
    }


def test_trial_0_is_a_parent_like_any_other():
    proposal, result = trial(7)
    tags = trial_tags(record(), replace(proposal, parent=0), replace(result, copied_from=0))
    assert (tags["parent_trial"], tags["copied_from"]) == ("0", "0")


def test_a_diagnosis_is_a_tag_in_words_and_a_healthy_trial_has_none():
    findings = (
        Finding("lr_too_high", "warning", "jumps"),
        Finding("overfitting", "warning", "gap"),
    )
    assert tags_of(diagnosis=findings)["diagnosis"] == "lr_too_high: jumps; overfitting: gap"
    assert "diagnosis" not in tags_of()


def test_a_told_trial_names_the_other_search_and_a_trained_one_does_not():
    search = replace(record(), tags={"from_search": "other-1"})
    proposal, result = trial(7)
    told = replace(result, from_search="other-1#4")
    assert trial_tags(search, proposal, told)["from_search"] == "other-1#4"
    assert "from_search" not in trial_tags(search, proposal, result)
    assert search_tags(search)["from_search"] == "other-1"


def test_the_spread_over_a_trials_seeds_is_a_metric():
    _, result = trial(7)
    first = result.folds[0]
    seeds = (first, replace(first, value=first.value + 2.0, seed=first.seed + 1))
    metric = f"{record().metric}_spread"
    spreads = [
        point.value
        for point in trial_points(record(), replace(result, folds=seeds))
        if point.key == metric
    ]
    assert spreads == [pytest.approx(2**0.5)]
    assert metric not in {point.key for point in trial_points(record(), result)}


def test_a_batch_that_memory_has_halved_is_a_tag_and_a_whole_one_is_none():
    assert tags_of(batch_size=16)["batch_size_used"] == "16"
    assert "batch_size_used" not in tags_of()


def test_a_searchs_tags_name_its_source_and_its_commit_where_there_is_one():
    search = replace(record(), tags={"git_commit": "c0ffee"})
    assert search_tags(search) == {
        "git_commit": "c0ffee",
        "kind": "search",
        "search": "toy-optuna-tpe-00000001",
        "study": "toy",
        "engine": "optuna:tpe",
        "objective": "minimize val_rmse",
        "mlflow.source.name": "studies/toy",
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": "c0ffee",
    }
    assert "mlflow.source.git.commit" not in search_tags(record())


def test_the_head_of_a_searchs_page_tells_its_best_trial_once_there_is_one():
    counts = {"completed": 2, "failed": 0}
    none_yet = progress_tags(record(), Progress(2, None, counts, 0.0))
    assert none_yet == {
        "mlflow.note.content": "**optuna:tpe** on study `toy`: 2 trials (2 completed)."
    }
    best = progress_tags(record(), Progress(2, Best(0.51234, 1), counts, 0.0))
    assert best["mlflow.note.content"].endswith("Best val_rmse: **0.5123** (trial 1).")
    assert best["best_trial"] == "1"


def test_a_winners_tags_are_its_parameters_and_its_trial():
    assert winner_tags(winner(3)) == {"winner.lr": "0.1", "winner_trial": "3"}


def test_a_winners_metrics_are_its_figures_under_their_path():
    assert winner_metrics(record(), winner(3)) == {
        "val_rmse": 0.5,
        "final/epochs": 3.0,
        "final/validation_mean": 0.5,
        "final/validation_std": 0.0,
        "test_rmse": 0.5,
    }


def test_baselines_have_a_group_of_their_own():
    won = winner(3)
    evaluation = replace(won.evaluation, baseline={"linear": {"rmse": 0.7}})
    metrics = winner_metrics(record(), replace(won, evaluation=evaluation))
    assert metrics["baseline/linear_rmse"] == 0.7


def test_a_search_is_named_by_engine_budget_and_validation():
    params = {"study.trials": "20", "study.epochs": "100", "study.cv": "5"}
    name = search_name(replace(record(), params=params))
    assert name == "optuna:tpe, 20 trials, 100 epochs, cv 5 (00000001)"
    assert search_name(record()) == "optuna:tpe (00000001)"


def test_a_winners_note_has_its_scores_beside_the_baselines():
    won = winner(3)
    evaluation = replace(
        won.evaluation, test={"rmse": 0.5, "r2": 0.8}, baseline={"linear": {"rmse": 0.71234}}
    )
    note = winner_note(record(), replace(won, evaluation=evaluation))
    assert note.splitlines() == [
        "**Winner: trial 3**, val_rmse **0.5** ± 0 on a fresh seed: `lr=0.1`",
        "",
        "| on the test set | rmse | r2 |",
        "|---|--:|--:|",
        "| winner | 0.5 | 0.8 |",
        "| linear | 0.7123 |  |",
    ]


def test_a_source_of_data_is_shown_without_its_password():
    source = "postgresql://me:canary@db/houses"
    fields = dataset_texts(DatasetFacts(name="houses", source=source, rows=3))
    assert fields["source"] == '{"uri": "postgresql://***@db/houses"}'
    assert fields["digest"] == "unknown"
    assert fields["profile"] == '{"rows": 3, "task": "regression"}'


def test_a_winners_tags_say_how_inputs_were_prepared_and_what_its_reader_imports():
    first = winner(3)
    told = replace(first.evaluation, prepared="inputs: divided by 255", imports=("import a", "b"))
    tags = winner_tags(replace(first, evaluation=told))
    assert tags["winner.prepared"] == "inputs: divided by 255"
    assert tags["winner.imports"] == "import a; b"


def test_a_winners_tags_say_why_it_has_no_score():
    first = winner(3)
    evaluation = replace(first.evaluation, test={}, not_scored="its evaluation failed: no")
    assert winner_tags(replace(first, evaluation=evaluation))["winner.not_scored"] == (
        "its evaluation failed: no"
    )
