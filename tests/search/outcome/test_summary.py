"""The summary of a run, with and without a winner and a store."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.search.scripted import RECORD
from tuning.ledger.winner import Evaluation, Margin, Standing, WinnerRecord
from tuning.search.outcome.summary import Seconds, summarize, with_place
from tuning.tracking.writer.handle import Report
from tuning.trial import FoldResult, Proposal, Status, TrialResult

SECONDS = Seconds(total_s=9.0, startup_s=2.0, training_s=5.0)
FOLD = FoldResult(
    0, 0.5, {"loss": 0.5}, ({"epoch": 1, "val_loss": 0.5},), best_epoch=1, seconds=1.0, seed=1
)
TRIAL = (Proposal(0, {"x": 7}, 2), TrialResult(0, Status.COMPLETED, 0.5, folds=(FOLD,)))
STANDING = Standing(number=0, params={"x": 7}, epochs=2, seeds=(5,), weights=(None,), values=(0.5,))
EVALUATION = Evaluation(
    test={"loss": 0.625},
    baseline={"dummy": {"loss": 1.0}, "linear": {"loss": 0.75}},
    margin=Margin(difference=0.125, standard_error=0.0625),
    threshold=0.25,
    prepared="standardised",
    imports=("import mine",),
    model="winner.keras",
)
WINNER = WinnerRecord(
    standing=STANDING, finalists=(STANDING,), evaluation=EVALUATION, seed=5, at=1.0
)


def summary_of(winner):
    return summarize(
        RECORD,
        [TRIAL],
        winner,
        search="scripted-1",
        status="completed",
        seconds=SECONDS,
        report=Path("reports/scripted-1.html"),
        warnings=["a store is down"],
    )


def test_a_summary_has_study_seconds_and_trials_without_their_curves():
    summary = summary_of(None)
    assert (summary.study, summary.search, summary.status) == (
        "scripted",
        "scripted-1",
        "completed",
    )
    assert (summary.total_s, summary.startup_s, summary.training_s) == (9.0, 2.0, 5.0)
    assert [result.value for _, result in summary.trials] == [0.5]
    assert not summary.trials[0][1].curve
    assert (summary.report, summary.warnings) == (
        str(Path("reports/scripted-1.html")),
        ("a store is down",),
    )


def test_what_the_winner_scored_on_the_test_part_is_beside_its_baselines():
    summary = summary_of(WINNER)
    assert (summary.winner.number, summary.winner.values) == (0, (0.5,))
    assert (summary.test, summary.dummy, summary.linear) == (
        {"loss": 0.625},
        {"loss": 1.0},
        {"loss": 0.75},
    )
    assert summary.margin == EVALUATION.margin
    assert (summary.threshold, summary.prepared, summary.imports, summary.model) == (
        0.25,
        "standardised",
        ("import mine",),
        "winner.keras",
    )


def test_without_a_winner_there_is_nothing_on_the_test_part():
    summary = summary_of(None)
    assert (summary.winner, summary.test, summary.margin, summary.model) == (None, {}, None, None)


@pytest.mark.parametrize(("run_id", "shown"), [("abc", "sqlite:///mlflow.db"), ("", "")])
def test_mlflows_place_is_shown_where_the_search_is_there(run_id, shown):
    written = Report(experiment_id="1", run_id=run_id)
    assert with_place(summary_of(None), written, "sqlite:///mlflow.db").tracking_uri == shown
