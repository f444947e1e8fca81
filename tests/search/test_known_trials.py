"""`--from`: another search's best points come first, and what is equal is told, not trained."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.search.run_parts import FILE, builds, options_of
from tests.search.scripted import (
    RECORD,
    ScriptedEngine,
    ScriptedExecutor,
    files_in,
    make_loop,
    result_of,
)
from tuning.errors import StudyError
from tuning.ledger.begin import begin
from tuning.ledger.catalog import find
from tuning.ledger.known import KnownRecord, KnownTrial, known_result, read_known
from tuning.ledger.records import SearchHeader
from tuning.ledger.search import SearchFiles
from tuning.search.known_trials import known_trials
from tuning.search.run import run_study
from tuning.space.domains import Choice, Float
from tuning.space.space import Int, Space
from tuning.study.objective import Minimize
from tuning.trial import Proposal, Status, TrialResult

ROOT = Path(__file__).parents[2]
DEVICES = "a"
DEFINITION = {"space": {}, "seed": 0, "epochs": 2, "engine": "optuna:random"}
STUDY = replace(RECORD, engine="optuna:tpe", definition=DEFINITION, trials=None)


def another(folder: Path, values, *, epochs=2, space=RECORD.space, **changes) -> SearchFiles:
    """Return a search whose trial i has x = values[i] and the value x; None: it failed."""
    header = SearchHeader(
        study="other",
        engine="optuna:random",
        objective=Minimize("val_loss"),
        versions=({**DEFINITION, **changes},),
        spaces_json=(space.to_json(),),
    )
    files = begin(folder / "other", header, fresh=False, allow_change=False)
    for number, value in enumerate(values):
        x = 1 if value is None else value
        proposal = Proposal(number, {"x": x}, epochs)
        files.write_spec(proposal)
        status = Status.FAILED if value is None else Status.COMPLETED
        files.write_result(result_of(proposal, status))
    return files


def taken_over(tmp_path, origin, study=STUDY, space=None):
    return known_trials(study, space or study.space, origin, tmp_path / "here")


def test_the_best_points_come_first_up_to_the_engines_usual_number(tmp_path):
    origin = another(tmp_path, [*range(30, 10, -1), None, 11])
    points = taken_over(tmp_path, origin).points
    assert [point["x"] for point in points] == list(range(11, 21))
    options = {**DEFINITION, "engine_options": {"n_startup_trials": 4}}
    assert len(taken_over(tmp_path, origin, replace(STUDY, definition=options)).points) == 4
    assert len(taken_over(tmp_path, origin, replace(STUDY, trials=6)).points) == 3


def test_the_studys_own_points_follow(tmp_path):
    study = replace(STUDY, initial=({"x": 77},), trials=2)
    assert list(taken_over(tmp_path, another(tmp_path, [5, 6]), study).points) == [
        {"x": 5},
        {"x": 77},
    ]
    sample = taken_over(tmp_path, another(tmp_path, [5]), replace(study, initial=3)).points
    assert len(sample) == 4
    assert sample[0] == {"x": 5}


def test_points_of_another_space_are_left_out_and_said(tmp_path):
    origin = another(tmp_path, [5, 60, 70])
    known = taken_over(tmp_path, origin, space=Space({"x": Int(50, 100)}))
    assert [point["x"] for point in known.points] == [60, 70]
    (said,) = [notice for notice in known.notices if "not of this space" in notice]
    assert said.startswith("1 of its 3 points are not of this space: trial 0: 'x' is 5, outside")


@pytest.mark.parametrize(
    "space",
    [
        Space({"x": Choice("a", "b")}),
        Space({"y": Int(0, 9)}),
        Space({"x": Int(0, 9), "y": Int(0, 9)}),
    ],
)
def test_no_point_of_this_space_is_an_error(tmp_path, space):
    with pytest.raises(StudyError, match=r"--from .*: none of its 2 points is of this space"):
        taken_over(tmp_path, another(tmp_path, [5, 6]), space=space)


def test_a_number_is_not_rounded_to_a_point_of_this_space(tmp_path):
    origin = another(tmp_path, [2.5, 3.0], space=Space({"x": Float(0.0, 9.0)}))
    assert [dict(point) for point in taken_over(tmp_path, origin).points] == [{"x": 3}]


def test_a_search_without_a_completed_trial_is_refused(tmp_path):
    with pytest.raises(StudyError, match="it has no completed trial to begin with"):
        taken_over(tmp_path, another(tmp_path, [None]))


@pytest.mark.parametrize("engine", ["keras-tuner:hyperband", "randomizedsearchcv", "capacity"])
def test_an_engine_that_takes_no_points_refuses(tmp_path, engine):
    with pytest.raises(StudyError, match=f"--from: {engine} chooses its own first points"):
        taken_over(tmp_path, another(tmp_path, [5]), replace(STUDY, engine=engine))


def test_where_study_and_data_are_equal_results_are_told(tmp_path):
    known = taken_over(tmp_path, another(tmp_path, [7, 5]))
    known.keep()
    result = known.result_of(Proposal(3, {"x": 7}, 2))
    assert (result.number, result.value, result.epochs, result.trained) == (3, 7.0, 0, False)
    assert result.from_search == f"{known.search}#0"
    assert TrialResult.from_json(result.to_json()) == result
    assert known.result_of(Proposal(3, {"x": 8}, 2)) is None
    assert known.result_of(Proposal(3, {"x": 7}, 9)) is None
    assert known.result_of(Proposal(3, {"x": 7}, 2, parent=1)) is None


@pytest.mark.parametrize("changes", [{"seed": 1}, {"cv": 3}, {"builder": "another"}])
def test_results_of_another_study_are_not_told_and_the_notice_says_why(tmp_path, changes):
    known = taken_over(tmp_path, another(tmp_path, [5], **changes))
    assert known.numbers == {}
    (name,) = changes
    assert f"its results are not told: {name} was" in " ".join(known.notices)


def test_trials_of_other_epochs_and_engines_that_train_by_themselves_are_not_told(tmp_path):
    assert taken_over(tmp_path, another(tmp_path, [5], epochs=1)).numbers == {}
    origin = another(tmp_path / "more", [5])
    grid = taken_over(tmp_path, origin, replace(STUDY, engine="gridsearchcv"))
    assert grid.numbers == {}
    assert "trials of optuna:random are trained in another way" in " ".join(grid.notices)


def test_what_was_taken_over_stays_though_the_other_search_goes_on(tmp_path):
    origin = another(tmp_path, [7])
    taken_over(tmp_path, origin).keep()
    proposal = Proposal(1, {"x": 2}, 2)
    origin.write_spec(proposal)
    origin.write_result(result_of(proposal))
    again = taken_over(tmp_path, origin)
    assert list(again.points) == [{"x": 7}]
    assert again.result_of(Proposal(0, {"x": 7}, 2)).value == 7.0


def test_the_record_survives_its_file():
    trial = KnownTrial(number=3, params={"x": 1}, epochs=2, whole=True)
    record = KnownRecord(
        search="a-1", name="a/b", engine="e", definition={}, trials=(trial,), n_starts=2
    )
    assert KnownRecord.from_json(record.to_json()) == record


def test_a_told_trial_takes_no_worker_and_counts(tmp_path):
    known = taken_over(tmp_path, another(tmp_path, [5, 7]))
    known.keep()
    executor = ScriptedExecutor(files_in(tmp_path))
    engine = ScriptedEngine(points=[5, 6, 7, 5])
    loop = make_loop(engine, executor, replace(RECORD, trials=4), known=known.result_of)
    loop.replay()
    loop.run()
    assert executor.trained == [(1, 1)]
    results = loop.trial_index.results
    assert [results[number].value for number in range(4)] == [5.0, 6.0, 7.0, 5.0]
    assert results[3].copied_from == 0
    assert ("tell", 0) in engine.calls


# Whole searches.


def trials_of(home: Path, name: str):
    files = find(home, name)
    header = files.require_header()
    return header, [
        (dict(proposal.params), files.result(proposal.number))
        for proposal in files.proposals(header.space)
    ]


def from_the_first(**budget):
    options = options_of("optuna:tpe", **budget)
    return replace(options, source="traces/optuna-random")


def test_a_search_begins_with_anothers_results_and_trains_the_rest(traces, alone, forkserver):
    home = traces.parent / "home"
    run_study(FILE, options_of("optuna:random", trials=3), None, forkserver)
    first, before = trials_of(home, "traces/optuna-random")
    before.sort(key=lambda pair: pair[1].value)
    n_built = len(builds(traces))

    summary = run_study(FILE, from_the_first(trials=4), None, forkserver)
    name = f"traces/optuna-tpe+from={first.id}"
    header, trials = trials_of(home, name)
    assert (header.source, summary.counts["completed"]) == (first.id, 4)
    assert [params for params, _ in trials[:2]] == [params for params, _ in before[:2]]
    assert [result.value for _, result in trials[:2]] == [result.value for _, result in before[:2]]
    assert [result.trained for _, result in trials] == [False, False, True, True]
    # Two trials, the finalist and the winner.
    assert len(builds(traces)) == n_built + 4

    again = run_study(FILE, from_the_first(trials=4), None, forkserver)
    assert again.search == summary.search
    assert trials_of(home, name) == (header, trials)
    assert len(builds(traces)) == n_built + 4


@pytest.mark.slow
def test_a_told_result_is_that_of_a_training_here(traces, alone, forkserver):
    home = traces.parent / "home"
    run_study(FILE, options_of("optuna:random", trials=2), None, forkserver)
    _, before = trials_of(home, "traces/optuna-random")
    best = min(before, key=lambda pair: pair[1].value)
    options = options_of("optuna:tpe", trials=1, seeds=1)
    trained = replace(options, variant={**options.variant, "initial": [best[0]]})
    summary = run_study(FILE, trained, None, forkserver)
    ((_, result),) = summary.trials
    assert result.trained
    assert result.value == best[1].value


@pytest.mark.slow
def test_a_search_on_another_seed_trains_the_points(traces, alone, forkserver):
    home = traces.parent / "home"
    run_study(FILE, options_of("optuna:random", trials=2), None, forkserver)
    options = from_the_first(trials=2)
    summary = run_study(
        FILE, replace(options, variant={**options.variant, "seed": 9}), None, forkserver
    )
    _, before = trials_of(home, "traces/optuna-random")
    best = min(before, key=lambda pair: pair[1].value)
    first, _ = summary.trials
    assert (dict(first[0].params), first[1].trained) == (best[0], True)


@pytest.mark.slow
def test_a_killed_search_goes_on_as_one_that_was_not(traces, alone, forkserver, monkeypatch):
    home = traces.parent / "home"
    run_study(FILE, options_of("optuna:random", trials=3), None, forkserver)
    (traces / "gate").touch()  # the first trial that is trained waits
    words = [sys.executable, "-m", "tests.search.run_parts", "optuna:tpe", "trials=6"]
    driver = subprocess.Popen([*words, "from=traces/optuna-random"], cwd=ROOT)
    pattern = "ledger/traces/optuna-tpe*/trials/00003/spec.json"
    until = time.monotonic() + 90
    while not list(home.glob(pattern)):
        assert time.monotonic() < until
        time.sleep(0.05)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    (traces / "gate").unlink()

    killed = run_study(FILE, from_the_first(trials=6), None, forkserver)
    whole = run_study(FILE, replace(from_the_first(trials=6), fresh=True), None, forkserver)
    assert killed.search != whole.search
    assert [(p.params, r.value, r.from_search) for p, r in killed.trials] == [
        (p.params, r.value, r.from_search) for p, r in whole.trials
    ]
    assert [result.trained for _, result in whole.trials] == [False] * 3 + [True] * 3


def test_what_is_kept_lies_in_the_searchs_folder(tmp_path):
    known = taken_over(tmp_path, another(tmp_path, [5]))
    known.keep()
    assert read_known(tmp_path / "here") == known.record
    assert known_result(tmp_path / "here", 0).value == 5.0


def test_a_result_of_another_trial_or_search_is_not_told(tmp_path):
    known = taken_over(tmp_path, another(tmp_path, [5, 7]))
    known.keep()
    kept = tmp_path / "here" / "known"
    first, second = (Proposal(number, {"x": x}, 2) for number, x in enumerate((5, 7)))
    assert [known.result_of(each).value for each in (first, second)] == [5.0, 7.0]

    shutil.copy(kept / "00001.json", kept / "00000.json")
    assert known.result_of(first) is None
    unlike = another(tmp_path / "elsewhere", [5], epochs=3)
    shutil.copy(unlike.trial_folder(0) / "result.json", kept / "00000.json")
    assert known.result_of(first) is None
