"""The curve of a search, made of what its trials cost and brought."""

from __future__ import annotations

from dataclasses import replace

from tests.search.scripted import RECORD
from tuning.bench.budget import Budget
from tuning.bench.curve import anytime_run, count_trials, incumbent_of
from tuning.bench.meter import Meter
from tuning.bench.runs import Incumbent, TrialCounts
from tuning.ledger.results import keep_test_score
from tuning.ledger.search import SearchFiles
from tuning.search.trial_index import TrialIndex
from tuning.simulation.replay import MemoryFiles
from tuning.study.objective import Maximize
from tuning.trial import Proposal, Status, TrialResult

BUDGET = Budget("epochs", 20)


def trials_of(*ends, objective=RECORD.objective):
    """Trials in order, each as (status, value, epochs) and, for a copy, its original's number."""
    files = MemoryFiles()
    trial_index, meter = TrialIndex(objective, files, RECORD.space), Meter(BUDGET)
    for number, (status, value, epochs, *original) in enumerate(ends):
        proposal = Proposal(number, {"x": number}, 5)
        files.write_spec(proposal)
        trial_index.take(proposal)
        copied = original[0] if original else None
        result = TrialResult(
            number, status, value, epochs=epochs, training_s=epochs / 2, copied_from=copied
        )
        trial_index.enter(files.write_result(result))
        meter.end(result)
    return trial_index, meter


def curve(folder, trial_index, meter, info=RECORD):
    files = SearchFiles(folder)
    return anytime_run(info, trial_index, files, meter, engine="scripted", seed=3, asked_s=[0.1])


def test_every_trial_costs_and_only_a_better_completed_one_becomes_the_incumbent(tmp_path):
    trial_index, meter = trials_of(
        (Status.FAILED, None, 0),
        (Status.COMPLETED, 3.0, 5),
        (Status.PRUNED, 1.0, 2),
        (Status.COMPLETED, 2.0, 5),
        (Status.COMPLETED, 2.5, 5),
    )
    files = SearchFiles(tmp_path)
    for number, test in ((1, 3.3), (2, 1.1), (3, 2.2), (4, 2.7)):
        keep_test_score(files.trial_folder(number), "loss", test)

    run = curve(tmp_path, trial_index, meter)
    assert run.epochs == (1, 6, 8, 13, 18)
    assert run.seconds == (0.0, 2.5, 3.5, 6.0, 8.5)
    assert run.values == (None, 3.0, 3.0, 2.0, 2.0)
    assert run.tests == (None, 3.3, 3.3, 2.2, 2.2)
    assert (run.engine, run.seed, run.direction, run.metric) == (
        "scripted",
        3,
        "minimize",
        "val_loss",
    )


def test_a_stopped_trial_ends_the_curve_at_the_budget_with_the_incumbent_as_it_was(tmp_path):
    trial_index, meter = trials_of((Status.COMPLETED, 3.0, 15))
    meter.begin()
    while not meter.epoch(1):
        pass
    run = curve(tmp_path, trial_index, meter)
    assert (run.epochs, run.values) == ((15, 20), (3.0, 3.0))


def test_a_copy_beyond_the_budget_is_cut_to_it(tmp_path):
    trial_index, meter = trials_of((Status.COMPLETED, 3.0, 12), (Status.COMPLETED, 3.0, 0, 0))
    keep_test_score(SearchFiles(tmp_path).trial_folder(0), "loss", 3.5)
    assert curve(tmp_path, trial_index, meter).epochs == (12, 20)
    assert count_trials(trial_index) == TrialCounts(completed=2, copied=1)
    assert incumbent_of(trial_index, SearchFiles(tmp_path)) == Incumbent(
        number=0, params={"x": 0}, value=3.0, test=3.5
    )


def test_a_search_without_a_completed_trial_has_no_incumbent(tmp_path):
    trial_index, _ = trials_of((Status.FAILED, None, 0), (Status.DIVERGED, None, 3))
    assert incumbent_of(trial_index, SearchFiles(tmp_path)) is None
    assert count_trials(trial_index) == TrialCounts(failed=2)


def test_larger_is_better_where_the_study_says_so(tmp_path):
    info = replace(RECORD, objective=Maximize("val_auc"))
    trial_index, meter = trials_of(
        (Status.COMPLETED, 0.7, 5),
        (Status.COMPLETED, 0.6, 5),
        (Status.COMPLETED, 0.8, 5),
        objective=info.objective,
    )
    assert curve(tmp_path, trial_index, meter, info).values == (0.7, 0.7, 0.8)
