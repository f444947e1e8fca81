"""What each search of a benchmark may use."""

from __future__ import annotations

import pytest

from tests.trials.small_study import study
from tuning.bench.budget import MOST_TRIALS, Budget
from tuning.engines.scikit_search import candidates_within, rounds
from tuning.errors import StudyError

EPOCHS = Budget("epochs", 10)


@pytest.mark.parametrize(
    ("engine", "budget", "trials"),
    [
        ("optuna:tpe", Budget("epochs", 400), MOST_TRIALS),
        ("keras-tuner:hyperband", Budget("time", 60), MOST_TRIALS),
        ("optuna:tpe", Budget("trials", 7), 7),
        ("gridsearchcv", Budget("epochs", 400), 8),
        ("gridsearchcv", Budget("trials", 7), 7),
        ("gridsearchcv", Budget("time", 60), 12),
    ],
)
def test_engines_that_plan_ahead_get_what_the_budget_pays_for(engine, budget, trials):
    assert budget.trials_for(study(engine=engine, epochs=100, patience=10, trials=12)) == trials


def test_the_rungs_of_a_halving_search_fit_into_its_budget():
    trials = Budget("epochs", 400).trials_for(study(engine="halvingrandomsearchcv", epochs=100))
    planned = sum(size * epochs for size, epochs in rounds(candidates_within(trials, 100), 100))
    assert 300 < planned <= 400


@pytest.mark.parametrize(
    ("budget", "text", "words"),
    [
        (EPOCHS, "epochs=10", "10 epochs"),
        (Budget("time", 90.0), "time=90s", "90 seconds of training"),
        (Budget("trials", 100000), "trials=100000", "100000 trials"),
    ],
)
def test_a_budget_reads_as_it_is_given(budget, text, words):
    assert (budget.text, budget.words) == (text, words)


def test_a_trial_of_several_seeds_costs_as_much_as_its_fits():
    three = {"repeats": 3, "cv": 2, "epochs": 10}
    assert Budget("epochs", 600).whole_trials(study(**three)) == 10
    halving = study(engine="halvingrandomsearchcv", **{**three, "cv": None})
    once = study(engine="halvingrandomsearchcv", epochs=10)
    assert Budget("epochs", 300).trials_for(halving) == Budget("epochs", 100).trials_for(once)


@pytest.mark.parametrize(
    ("changes", "amount", "least"),
    [
        ({"epochs": 30}, 29, 30),
        ({"epochs": 30, "cv": 3}, 89, 90),
        ({"epochs": 30, "patience": 4}, 4, 5),
    ],
)
def test_a_budget_that_pays_for_no_trial_is_refused(changes, amount, least):
    with pytest.raises(
        StudyError, match=rf"one takes {least} epochs at least; give epochs={least}"
    ):
        Budget("epochs", amount).require_a_trial(study(**changes))
    Budget("epochs", least).require_a_trial(study(**changes))


def test_an_engine_that_rations_epochs_may_have_less():
    Budget("epochs", 10).require_a_trial(study(engine="keras-tuner:hyperband", epochs=30))
    Budget("time", 0.1).require_a_trial(study(epochs=30))
