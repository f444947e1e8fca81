"""The curve of a search, made of what its trials cost and brought."""

from __future__ import annotations

from dataclasses import replace

from tests.search.scripted import RECORD
from tuning.bench.budget import Budget, Meter
from tuning.bench.runs import BenchRun, anytime, best_of, counted
from tuning.bench.statistics.records import AnytimeRun
from tuning.ledger.results import keep_test_score
from tuning.ledger.search import SearchFiles
from tuning.search.trial_index import TrialIndex
from tuning.simulation.replay import MemoryFiles
from tuning.study.objective import Maximize
from tuning.trial import Proposal, Status, TrialResult

BUDGET = Budget("epochs", 20)


def roster_of(*ends, objective=RECORD.objective):
    """Trials in order, each given as (status, value, epochs) and, for a copy, the number of its
    original.
    """
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


def curve(folder, trial_index, meter, record=RECORD):
    return anytime(
        record, trial_index, SearchFiles(folder), meter, choice="scripted", seed=3, asked_s=[0.1]
    )


def test_every_trial_costs_and_only_a_better_completed_one_becomes_the_incumbent(tmp_path):
    trial_index, meter = roster_of(
        (Status.FAILED, None, 0),
        (Status.COMPLETED, 3.0, 5),
        (Status.PRUNED, 1.0, 2),
        (Status.COMPLETED, 2.0, 5),
        (Status.COMPLETED, 2.5, 5),
    )
    files = SearchFiles(tmp_path)
    for number, test in ((1, 3.3), (2, 1.1), (3, 2.2), (4, 2.7)):
        keep_test_score(files.trial_folder(number), "loss", test)
    found = curve(tmp_path, trial_index, meter)
    assert found.epochs == (1, 6, 8, 13, 18)
    assert found.seconds == (0.0, 2.5, 3.5, 6.0, 8.5)
    assert found.values == (None, 3.0, 3.0, 2.0, 2.0)
    assert found.tests == (None, 3.3, 3.3, 2.2, 2.2)
    assert (found.engine, found.seed, found.direction, found.metric) == (
        "scripted",
        3,
        "minimize",
        "val_loss",
    )


def test_a_stopped_trial_ends_the_curve_at_the_budget_with_the_incumbent_as_it_was(tmp_path):
    trial_index, meter = roster_of((Status.COMPLETED, 3.0, 15))
    meter.begin()
    while not meter.epoch(1):
        pass
    found = curve(tmp_path, trial_index, meter)
    assert (found.epochs, found.values) == ((15, 20), (3.0, 3.0))


def test_a_copy_beyond_the_budget_is_cut_to_it(tmp_path):
    trial_index, meter = roster_of((Status.COMPLETED, 3.0, 12), (Status.COMPLETED, 3.0, 0, 0))
    keep_test_score(SearchFiles(tmp_path).trial_folder(0), "loss", 3.5)
    assert curve(tmp_path, trial_index, meter).epochs == (12, 20)
    assert counted(trial_index) == {
        "completed": 2,
        "pruned": 0,
        "failed": 0,
        "infeasible": 0,
        "copied": 1,
    }
    assert best_of(trial_index, SearchFiles(tmp_path)) == {
        "number": 0,
        "params": {"x": 0},
        "value": 3.0,
        "test": 3.5,
    }


def test_larger_is_better_where_the_study_says_so(tmp_path):
    record = replace(RECORD, objective=Maximize("val_auc"))
    trial_index, meter = roster_of(
        (Status.COMPLETED, 0.7, 5),
        (Status.COMPLETED, 0.6, 5),
        (Status.COMPLETED, 0.8, 5),
        objective=record.objective,
    )
    assert curve(tmp_path, trial_index, meter, record).values == (0.7, 0.7, 0.8)


def test_a_run_is_read_as_it_was_kept(tmp_path):
    made = AnytimeRun(
        study="s",
        engine="e",
        seed=0,
        direction="minimize",
        metric="val_loss",
        epochs=(1, 3),
        seconds=(0.5, 1.0),
        values=(None, 2.0),
        tests=(None, None),
        asked_s=(0.1, 0.2),
    )
    run = BenchRun(made, "s-e-00ff", "abc", "failed", "TypeError: no", {"failed": 1}, {}, 5.0)
    assert BenchRun.kept(tmp_path) is None
    run.keep(tmp_path)
    assert BenchRun.kept(tmp_path) == run
    assert (run.epochs, run.seconds) == (3, 1.0)
