"""scikit-learn's four search classes behind ask and tell; nothing is trained here."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

from tests.engines.contract import (
    CONDITIONAL,
    FLAT,
    LABELS,
    make_study,
    result_of,
    run,
)
from tuning.data.dataset import Dataset
from tuning.data.packing import unpack
from tuning.data.parts import split
from tuning.engines.scikit import ScikitEngine
from tuning.engines.scikit_search import arrays_of, candidates_within, distributions, rounds
from tuning.errors import StudyError
from tuning.space.domains import Choice, Float, Int
from tuning.space.space import Space
from tuning.trial import Pause, Status


def make_parts(rows=40):
    rng = np.random.default_rng(0)
    return split(
        Dataset("numbers", rng.normal(size=(rows, 3)), rng.normal(size=rows), "regression"), seed=0
    )


PARTS = make_parts()


@pytest.fixture
def make():
    made = []

    def make(engine, space=FLAT, **changes):
        made.append(ScikitEngine(make_study(engine, space, **changes), PARTS))
        return made[-1]

    yield make
    for engine in made:
        engine.close()


def test_cv_results_has_a_row_for_each_candidate_and_nan_for_the_failed(make):
    engine = make("gridsearchcv", LABELS, trials=5)
    run(engine, 99, lambda number: Status.FAILED if number == 1 else Status.COMPLETED)
    rows = list(csv.DictReader(io.StringIO(engine.artifacts()["cv_results.csv"])))
    assert [row["mean_test_score"] == "nan" for row in rows] == [False, True, False, False, False]
    assert {"param_lr", "param_shape", "rank_test_score", "split0_test_score"} <= set(rows[0])


def test_minimised_objectives_are_negated_for_scikit_learn(make):
    engine = make("gridsearchcv", Space({"lr": Choice(0.1, 0.01)}), trials=None)
    proposals = run(engine, 9)
    best = min(proposals, key=lambda p: result_of(p).value)
    assert engine._search.best_params_ == best.params


def test_a_candidate_goes_to_the_worker_with_all_its_folds_and_without_the_data(make):
    engine = make("gridsearchcv", Space({"lr": Choice(0.1, 0.01)}), cv=3)
    proposal = engine.ask(0)
    asked = []
    calls = unpack(proposal.call, lambda name: asked.append(name) or arrays_of(PARTS, 3)[name])
    assert [kwargs["split_progress"] for _, kwargs in calls] == [(0, 3), (1, 3), (2, 3)]
    assert {"X", "y", "train-0", "test-2"} <= set(asked)
    assert len(proposal.call) < 20_000


def test_each_rung_of_halving_names_the_trial_of_the_round_before(make):
    engine = make(
        "halvinggridsearchcv",
        Space({"lr": Float(1e-4, 1e-1, log=True), "n": Int(1, 3)}),
        trials=None,
    )
    proposals = run(engine, 99)
    assert [p.epochs for p in proposals] == [1] * 9 + [3] * 3 + [9]
    for proposal in proposals[9:]:
        parent = proposals[proposal.parent]
        assert (parent.params, parent.epochs * 3, proposal.continued) == (
            proposal.params,
            proposal.epochs,
            False,
        )


@pytest.mark.parametrize("kind", ["halvinggridsearchcv", "halvingrandomsearchcv"])
def test_trials_counts_the_rungs_of_halving(make, kind):
    engine = make(kind, trials=20)
    proposals = run(engine, 99)
    assert 17 <= len(proposals) <= 20
    assert engine.ask(len(proposals)) is Pause.EXHAUSTED
    assert any("each rung trained from zero" in notice for notice in engine.notices)
    assert not any(
        "--trials" in notice and "--trials 20 counts rungs" not in notice
        for notice in engine.notices
    )


@pytest.mark.parametrize(("n", "epochs"), [(1, 9), (5, 1), (27, 30), (10, 2), (81, 9)])
def test_our_rounds_are_those_of_scikit_learn(make, n, epochs):
    engine = make(
        "halvinggridsearchcv",
        Space({"n": Int(1, n, step=1) if n < 4 else Choice(*range(n))}),
        trials=None,
        epochs=epochs,
    )
    run(engine, 500)
    assert rounds(n, epochs) == list(
        zip(engine._search.n_candidates_, engine._search.n_resources_, strict=True)
    )


@pytest.mark.parametrize("trials", [1, 2, 13, 40, 60])
def test_as_many_candidates_as_the_trials_allow(trials):
    n = candidates_within(trials, 27)
    assert (
        sum(size for size, _ in rounds(n, 27))
        <= trials
        < sum(size for size, _ in rounds(n + 1, 27))
    )


def test_halving_waits_at_the_end_of_a_round_until_all_is_told(make):
    engine = make("halvinggridsearchcv", Space({"n": Int(1, 3)}), trials=None)
    first = [engine.ask(number) for number in range(3)]
    assert engine.ask(3) is Pause.WAIT
    for proposal in first:
        engine.tell(result_of(proposal))
    assert engine.ask(3).parent is not None


def test_branches_of_conditions_are_as_likely_as_their_values():
    branches = distributions(CONDITIONAL)
    assert len(branches) == 3 * 2 * 4
    for branch in branches:
        assert ("momentum" in branch) == (branch["optimizer"] == ["sgd"])
        assert ("last" in branch) == (branch["n_hidden"][0] >= 2)


def test_a_random_search_that_only_a_timeout_ends_says_how_far_it_plans(make):
    engine = make("randomizedsearchcv", trials=None, timeout=60.0)
    assert len(run(engine, 3)) == 3
    assert engine.notices == ("random: at most 1000 trials until the timeout",)


def test_conditions_with_too_many_branches_are_refused_in_words():
    space = Space({"n": Int(1, 20_000), "last": Int(1, 9).when(n=7)})
    with pytest.raises(StudyError, match=r"20,000 combinations of n; use Optuna"):
        ScikitEngine(make_study("randomizedsearchcv", space), PARTS)


def test_an_error_inside_the_search_is_raised_by_ask(make):
    engine = make("gridsearchcv")
    engine._search.set_params(cv=1)
    with pytest.raises(ValueError, match="The 'cv' parameter of GridSearchCV"):
        engine.ask(0)


def test_closing_ends_the_thread_in_mid_search(make):
    engine = make("gridsearchcv")
    engine.ask(0)
    engine.close()
    assert not engine._thread.is_alive()
