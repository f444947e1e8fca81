"""KerasTuner's oracles, driven without its tuners. The import of TensorFlow is paid once, by this
module only.
"""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor

from tests.engines.contract import (
    FLAT,
    SMALL,
    make_study,
    maximize,
    result_of,
    run,
)
from tuning.engines.keras_tuner import KerasTunerEngine, hyperparameters
from tuning.space.domains import Choice, Float, Int
from tuning.space.space import Space
from tuning.trial import Pause, Proposal, Status


def test_several_trials_of_a_sampled_grid_are_open_at_once_although_the_oracle_makes_two():
    engine = KerasTunerEngine(make_study("keras-tuner:grid", SMALL, trials=20))
    points = [engine.ask(number).params for number in range(20)]
    assert len({repr(point) for point in points}) == 20
    assert engine.ask(20) is Pause.WAIT


def test_hyperband_promotes_the_best_third_of_each_rung_from_its_checkpoint():
    proposals = run(
        KerasTunerEngine(make_study("keras-tuner:hyperband", FLAT, trials=None, epochs=27)), 1000
    )
    fresh = [p for p in proposals if p.parent is None]
    promoted = [p for p in proposals if p.parent is not None]
    # Brackets of 27 epochs: 27 → 9 → 3 → 1, 12 → 4 → 2 (9 / 3 rounded up) …, by the oracle's own
    # sizes.
    assert Counter(p.epochs for p in fresh) == {1: 27, 3: 12, 9: 6, 27: 4}
    assert Counter(p.epochs for p in promoted) == {3: 9, 9: 3 + 4, 27: 1 + 2 + 2}
    for proposal in promoted:
        parent = proposals[proposal.parent]
        assert proposal.continued
        assert proposal.params == parent.params
        assert proposal.epochs == 3 * parent.epochs
        assert parent.number < proposal.number


def test_hyperband_promotes_the_trials_with_the_best_values():
    engine = KerasTunerEngine(make_study("keras-tuner:hyperband", FLAT, trials=None, epochs=9))
    first = [engine.ask(number) for number in range(9)]
    assert all(p.epochs == 1 for p in first)
    for proposal in first:
        engine.tell(_valued(proposal, float(proposal.number)))
    assert [engine.ask(number).parent for number in (9, 10, 11)] == [0, 1, 2]


def test_a_maximized_objective_promotes_the_largest_values():
    study = make_study("keras-tuner:hyperband", FLAT, trials=None, epochs=9, objective=maximize())
    engine = KerasTunerEngine(study)
    for proposal in [engine.ask(number) for number in range(9)]:
        engine.tell(_valued(proposal, float(proposal.number)))
    assert [engine.ask(number).parent for number in (9, 10, 11)] == [8, 7, 6]


def test_hyperband_does_not_promote_a_trial_that_failed():
    engine = KerasTunerEngine(make_study("keras-tuner:hyperband", FLAT, trials=None, epochs=9))
    for proposal in [engine.ask(number) for number in range(9)]:
        engine.tell(
            result_of(proposal, Status.INFEASIBLE if proposal.number == 0 else Status.COMPLETED)
        )
    assert 0 not in [engine.ask(number).parent for number in (9, 10)]


@pytest.mark.parametrize("slots", [1, 4])
def test_trials_that_diverge_cost_hyperband_no_promotions(slots):
    """As in the paper a rung promotes its best third; one without a value is its last."""
    engine = KerasTunerEngine(make_study("keras-tuner:hyperband", FLAT, trials=None, epochs=27))
    proposals = run(
        engine, 1000, lambda n: Status.DIVERGED if n % 3 == 0 else Status.COMPLETED, slots
    )
    promoted = [p for p in proposals if p.parent is not None]
    assert Counter(p.epochs for p in proposals if p.parent is None) == {1: 27, 3: 12, 9: 6, 27: 4}
    assert all(p.parent % 3 for p in promoted)
    assert Counter(p.epochs for p in promoted)[3] == 9
    assert (
        len(promoted) >= 19
    )  # of 21: of the last rungs there may be less left than they have places


def test_a_rung_goes_on_with_what_is_left_where_more_fail_than_it_discards():
    engine = KerasTunerEngine(make_study("keras-tuner:hyperband", FLAT, trials=None, epochs=9))
    proposals = run(
        engine, 1000, lambda n: Status.COMPLETED if n in (4, 7) or n > 8 else Status.DIVERGED
    )
    assert sorted(
        p.parent for p in proposals if p.epochs == 3 and p.parent is not None and p.parent < 9
    ) == [4, 7]
    assert [p.parent in (9, 10) for p in proposals if p.epochs == 9 and p.parent in (9, 10)] == [
        True
    ]


def test_hyperband_promotes_in_a_space_too_small_for_its_first_rung():
    space = Space({"a": Choice(*range(6))})
    proposals = run(
        KerasTunerEngine(make_study("keras-tuner:hyperband", space, trials=None, epochs=9)), 1000
    )
    assert [p.epochs for p in proposals] == [1] * 6 + [3] * 3 + [9]


def test_hyperband_waits_for_open_trials_and_then_ends():
    engine = KerasTunerEngine(make_study("keras-tuner:hyperband", FLAT, trials=None, epochs=1))
    proposals = []
    while (answer := engine.ask(len(proposals))) is not Pause.WAIT:
        proposals.append(answer)
    for proposal in proposals:
        engine.tell(result_of(proposal))
    assert engine.ask(len(proposals)) is engine.ask(len(proposals)) is Pause.EXHAUSTED


def test_random_ends_when_the_space_holds_no_new_point():
    space = Space({"a": Choice("x", "y"), "b": Int(1, 2)})
    assert (
        len(run(KerasTunerEngine(make_study("keras-tuner:random", space, trials=None)), 100)) == 4
    )


@pytest.mark.parametrize("name", ["random", "hyperband"])
def test_asks_that_were_answered_with_a_pause_leave_no_trace(name):
    """A replay repeats only the answered asks; where few points are left many others are made."""
    study = make_study(
        f"keras-tuner:{name}", Space({"a": Choice(*range(40))}), trials=None, epochs=27, seed=1
    )
    engine, replayed = KerasTunerEngine(study), KerasTunerEngine(study)
    given, running, pauses = [], [], 0
    for _ in range(200):
        answer = engine.ask(len(given)) if len(running) < 3 else None
        if isinstance(answer, Proposal):
            assert replayed.ask(len(given)) == answer
            given.append(answer)
            running.append(answer)
        elif running:
            pauses += answer is not None
            result = result_of(running.pop(0))
            engine.tell(result)
            replayed.tell(result)
    assert pauses > 0


def test_more_failures_in_a_row_than_kerastuner_bears_do_not_end_the_search():
    engine = KerasTunerEngine(make_study("keras-tuner:random", FLAT))
    assert len(run(engine, 30, lambda number: Status.FAILED)) == 30


def test_a_parameter_under_two_conditions_of_which_one_is_conditional_is_described_up_front():
    space = Space(
        {
            "a": Choice(None, 1),
            "b": Choice("x", "y").when(a=1),
            "n": Int(1, 4).when(a=1, b="y"),
            "m": Float(0.1, 1.0, log=True).when(n=[2, 3]),
        }
    )
    names = {
        p.name: [(c.name, c.values) for c in p.conditions] for p in hyperparameters(space).space
    }
    assert names == {
        "a": [],
        "b": [("a", ["1"])],
        "n": [("a", ["1"]), ("b", ["y"])],
        "m": [("n", [2, 3])],
    }
    for proposal in run(KerasTunerEngine(make_study("keras-tuner:random", space)), 40):
        space.check(proposal.params)


def test_a_parameter_whose_condition_the_cut_grid_never_meets_is_left_out():
    space = Space({"n": Int(0, 100), "b": Choice(1, 2).when(n=7), "c": Choice(1, 2).when(b=1)})
    proposals = run(KerasTunerEngine(make_study("keras-tuner:grid", space, trials=None)), 100)
    assert [dict(p.params) for p in proposals] == [{"n": 0}, {"n": 50}, {"n": 100}]


def test_the_regressor_may_propose_the_upper_end_of_a_range():
    engine = KerasTunerEngine(
        make_study("keras-tuner:bayesian", Space({"n": Int(1, 8, log=True)}), trials=8)
    )
    numbers = []
    for number in range(8):
        proposal = engine.ask(number)
        numbers.append(proposal.params["n"])
        engine.tell(_valued(proposal, -float(numbers[-1])))
    assert max(numbers) == 8


def test_the_user_is_told_how_many_rungs_a_full_search_has():
    def notices(**changes):
        return KerasTunerEngine(make_study("keras-tuner:hyperband", FLAT, **changes)).notices

    assert notices(trials=None, epochs=9) == (
        "hyperband: 3 brackets, 23 trials in all (17 fresh, 6 continued)",
    )
    assert notices(trials=6, epochs=5) == (
        "hyperband: 2 brackets, 10 trials in all (8 fresh, 2 continued); --trials 6 ends it early",
    )


def test_the_user_is_told_of_the_random_start_and_of_the_cut_axes():
    assert KerasTunerEngine(make_study("keras-tuner:bayesian", FLAT, trials=20)).notices == (
        "bayesian: trials are random until 10 have completed",
    )
    assert KerasTunerEngine(make_study("keras-tuner:grid", SMALL, trials=None)).notices == (
        "grid: 27 points",
        "grid: of lr, from 0.1 to 0.3, only 0.1, 0.2, 0.3 are tried",
    )


def test_the_quick_regressor_predicts_what_the_library_does():
    rng = np.random.default_rng(0)
    X, points = rng.uniform(size=(9, 3)), rng.uniform(size=(5, 3))
    y = np.sin(4 * X).sum(axis=1)
    study = make_study("keras-tuner:bayesian", FLAT)
    quick = KerasTunerEngine(study)._oracle._make_gpr()
    plain = GaussianProcessRegressor(**quick.get_params(deep=False))
    for ours, theirs in zip(
        quick.fit(X, y).predict(points, return_std=True),
        plain.fit(X, y).predict(points, return_std=True),
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9)


def test_the_oracle_prints_nothing(capfd):
    run(KerasTunerEngine(make_study("keras-tuner:random", FLAT)), 3)
    assert capfd.readouterr() == ("", "")


def _valued(proposal, value):
    return dataclasses.replace(result_of(proposal), value=value)
