"""Every engine searches a space with alternatives, and names that its library cannot take."""

from __future__ import annotations

import numpy as np
import pytest

from tuning.data.dataset import Dataset
from tuning.data.parts import split
from tuning.engines.catalog import make_engine
from tuning.study.objective import Minimize
from tuning.study.study import Study
from tuning.trial import Proposal, Status, TrialResult

ENGINES = (
    "optuna:tpe",
    "optuna:grid",
    "keras-tuner:random",
    "keras-tuner:bayesian",
    "keras-tuner:grid",
    "keras-tuner:hyperband",
    "gridsearchcv",
    "randomizedsearchcv",
    "halvingrandomsearchcv",
)


def objective(trial):
    deep = trial.suggest_categorical("deep", [True, False])
    units = trial.suggest_categorical("optimizer", [8, 16] if deep else [64, 128])
    return units * trial.suggest_float("lr__rate", 0.1, 1.0)


def data():
    rows = np.arange(40.0)
    return Dataset("rows", rows[:, None], rows, "regression")


@pytest.mark.parametrize("engine", ENGINES)
def test_proposals_are_points_under_the_users_names(engine):
    trials = None if "hyperband" in engine else 6
    study = Study(
        name="alternatives",
        builder=objective,
        data=data,
        objective=Minimize("val_y"),
        engine=engine,
        trials=trials,
        epochs=9,
        trainer="function",
    )
    study.check()
    parts = split(data(), seed=0, test_size=0.25, validation_size=0.25)
    made = make_engine(study, lambda: parts)
    seen = []
    for number in range(4):
        proposal = made.ask(number)
        assert isinstance(proposal, Proposal)
        study.space.check(proposal.params)
        seen.append(proposal.params["optimizer"])
        if not engine.endswith("searchcv"):  # these are told rounds
            result = TrialResult(number=number, status=Status.COMPLETED, value=1.0, epochs=1)
            made.tell(result)
    made.close()
    assert len(set(seen)) > 1
