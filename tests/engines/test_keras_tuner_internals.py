"""Each private name of KerasTuner still means what our engines take it to mean."""

from __future__ import annotations

import keras_tuner
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor

from tuning.engines import keras_tuner_internals as internals
from tuning.engines.keras_tuner_internals import (
    BayesianWithRegressor,
    Condition,
    GridInAnyOrder,
    HyperbandBrackets,
    WithoutFiles,
    draws_made,
    mark_as_tried,
    take_back_draws,
)

OBJECTIVE = keras_tuner.Objective("val_loss", "min")


class Random(WithoutFiles, keras_tuner.oracles.RandomSearchOracle):
    pass


def space(**values):
    made = keras_tuner.HyperParameters()
    for name, choices in values.items():
        made.Choice(name, choices)
    return made


def oracle(kind, hyperparameters=None, **settings):
    hyperparameters = hyperparameters or space(a=[1, 2, 3, 4])
    return kind(objective=OBJECTIVE, hyperparameters=hyperparameters, seed=7, **settings)


def values_of(trials):
    return [trial.hyperparameters.values["a"] for trial in trials]


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (keras_tuner.Oracle, "_compute_values_hash"),
        (keras_tuner.Oracle, "_save_trial"),
        (keras_tuner.oracles.HyperbandOracle, "_get_size"),
        (keras_tuner.oracles.HyperbandOracle, "_get_epochs"),
        (keras_tuner.oracles.HyperbandOracle, "_get_num_brackets"),
        (keras_tuner.oracles.HyperbandOracle, "_remove_completed_brackets"),
        (keras_tuner.oracles.BayesianOptimizationOracle, "_make_gpr"),
        (keras_tuner.oracles.GridSearchOracle, "_get_next_combination"),
    ],
)
def test_a_private_method_is_there(owner, name):
    assert callable(getattr(owner, name, None)), (
        f"KerasTuner {keras_tuner.__version__} has no {owner.__name__}.{name}: "
        f"see keras_tuner_internals.py, checked with {internals.CHECKED_WITH}"
    )


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: oracle(Random, max_trials=9), "_seed_state"),
        (lambda: oracle(Random, max_trials=9), "_tried_so_far"),
        (lambda: oracle(HyperbandBrackets, max_epochs=9), "_brackets"),
        (lambda: oracle(GridInAnyOrder), "_populate_next"),
    ],
)
def test_a_private_attribute_is_there(make, name):
    made = make()
    assert hasattr(made, name), (
        f"KerasTuner {keras_tuner.__version__} has no {type(made).__name__}.{name}: "
        f"see keras_tuner_internals.py, checked with {internals.CHECKED_WITH}"
    )


def test_a_draw_that_is_taken_back_is_made_again():
    first = oracle(Random, max_trials=9, hyperparameters=space(a=list(range(1000))))
    before = draws_made(first)
    assert before == 7
    trial = first.create_trial("0")
    assert draws_made(first) > before

    second = oracle(Random, max_trials=9, hyperparameters=space(a=list(range(1000))))
    second.create_trial("0")
    take_back_draws(second, before)
    again = second._random_values  # what is drawn next, with repetitions refused by the oracle
    second._tried_so_far.clear()
    assert again()["a"] == trial.hyperparameters.values["a"]


def test_values_marked_as_tried_are_not_proposed():
    made = oracle(Random, max_trials=9)
    for value in (1, 2, 3):
        mark_as_tried(made, {"a": value})
    assert values_of([made.create_trial("0")]) == [4]


def test_a_condition_holds_under_a_parent_that_has_conditions_itself():
    made = keras_tuner.HyperParameters()
    kinds = keras_tuner.engine.hyperparameters
    made.merge([kinds.Choice("a", [1, 2])])
    made.merge([kinds.Choice("b", [1, 2], conditions=[Condition("a", [1])])])
    made.merge([kinds.Choice("c", [1, 2], conditions=[Condition("b", [1])])])
    assert set(made.values) == {"a", "b", "c"}


def test_an_oracle_writes_no_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trial = oracle(Random, max_trials=9).create_trial("0")
    assert trial.status == "RUNNING"
    assert list(tmp_path.iterdir()) == []


def test_the_brackets_of_hyperband_are_those_of_the_paper():
    """Li et al. 2018, algorithm 1, R = 9 and eta = 3; KerasTuner rounds the sizes up."""
    made = oracle(HyperbandBrackets, max_epochs=9, factor=3)
    assert made.rung_sizes() == [[3], [5, 2], [9, 3, 1]]
    assert [made.rung_epochs(2, rung) for rung in range(3)] == [1, 3, 9]


def test_the_open_brackets_list_their_trials():
    made = oracle(HyperbandBrackets, max_epochs=9, factor=3)
    trial = made.create_trial("0")
    (bracket,) = made.open_brackets()
    assert bracket["bracket_num"] == 2
    assert bracket["rounds"] == [[{"past_id": None, "id": trial.trial_id}], [], []]


def test_the_regressor_of_the_bayesian_oracle_is_ours():
    class Mine(GaussianProcessRegressor):
        pass

    class Oracle(BayesianWithRegressor):
        def make_regressor(self, **settings):
            return Mine(**settings)

    theirs = oracle(keras_tuner.oracles.BayesianOptimizationOracle, max_trials=9).gpr
    ours = oracle(Oracle, max_trials=9).gpr
    assert type(ours) is Mine
    assert repr(ours.get_params()) == repr(theirs.get_params())


def test_a_grid_leaves_points_out_and_has_all_others_in_flight():
    class Odd(GridInAnyOrder):
        def keeps(self, values):
            return values["a"] % 2 == 1

    made = oracle(Odd, hyperparameters=space(a=[1, 2, 3, 4, 5]))
    assert values_of([made.create_trial(str(ask)) for ask in range(3)]) == [1, 3, 5]
    assert made.create_trial("3").status != "RUNNING"
