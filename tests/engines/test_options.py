"""The settings of a study's `engine_options` reach the library, and the plan that is told."""

from __future__ import annotations

import inspect

import numpy as np
import optuna
import pytest

from tests.engines.contract import FLAT
from tuning.data.dataset import Dataset
from tuning.data.parts import split
from tuning.engines import keras_tuner_oracles, options
from tuning.engines.catalog import make_engine
from tuning.engines.keras_tuner import KerasTunerEngine
from tuning.engines.optuna import make_sampler
from tuning.engines.scikit_search import rounds
from tuning.study.objective import Minimize
from tuning.study.study import Study
from tuning.trial import FoldResult, Pause, Proposal, Status, TrialResult


def build(**_):
    """Never called."""


def data():
    rows = np.arange(40.0)
    return Dataset("rows", rows[:, None], rows, "regression")


def study(engine, trials=20, **own):
    return Study(
        name="own",
        builder=build,
        data=data,
        objective=Minimize("val_rmse"),
        space=FLAT,
        engine=engine,
        trials=trials,
        epochs=27,
        engine_options=own,
    )


@pytest.mark.parametrize(
    ("known", "library"),
    [
        (options.TPE, optuna.samplers.TPESampler),
        (options.CMAES, optuna.samplers.CmaEsSampler),
        (options.QMC, optuna.samplers.QMCSampler),
        (options.NSGA2, optuna.samplers.NSGAIISampler),
        (options.GP, optuna.samplers.GPSampler),
        (options.BAYESIAN, keras_tuner_oracles.Bayesian),
        (options.HYPERBAND, keras_tuner_oracles.Hyperband),
    ],
)
def test_every_option_is_an_argument_of_the_library(known, library):
    assert set(known) <= set(inspect.signature(library.__init__).parameters)


def test_optunas_samplers_take_them():
    assert make_sampler("nsga2", study("optuna:nsga2", population_size=7)).population_size == 7
    random = [make_sampler("tpe", study("optuna:tpe", n_startup_trials=n)) for n in (3, 10)]
    assert [sampler._n_startup_trials for sampler in random] == [3, 10]


def test_hyperband_counts_its_brackets_by_the_factor():
    usual = KerasTunerEngine(study("keras-tuner:hyperband", None))
    other = KerasTunerEngine(study("keras-tuner:hyperband", None, factor=9))
    assert "4 brackets" in usual.notices[0]
    assert "2 brackets" in other.notices[0]


def test_the_bayesian_oracle_is_random_for_as_long_as_it_is_told():
    engine = KerasTunerEngine(study("keras-tuner:bayesian", num_initial_points=2, beta=1.0))
    assert engine.notices == ("bayesian: trials are random until 2 have completed",)
    assert engine._oracle.beta == 1.0


@pytest.mark.parametrize(
    "own",
    [
        {},
        {"factor": 2},
        {"factor": 4, "min_resources": 2},
        {"min_resources": "smallest"},
        {"factor": 2, "min_resources": 9, "aggressive_elimination": True},
    ],
)
def test_the_rounds_told_are_those_that_scikit_learn_makes(own):
    searched = study("halvingrandomsearchcv", 40, **own)
    parts = split(data(), seed=0, test_size=0.25, validation_size=0.25)
    engine = make_engine(searched, lambda: parts)

    made: list[tuple[int, int]] = []
    waiting: list[Proposal] = []
    answer = engine.ask(0)
    while answer is not Pause.EXHAUSTED:
        if isinstance(answer, Proposal):
            waiting.append(answer)
        else:
            made.append((len(waiting), waiting[0].epochs))
            for proposal in waiting:
                engine.tell(_result(proposal.number))
            waiting = []
        answer = engine.ask(sum(n for n, _ in made) + len(waiting))
    engine.close()
    plan = rounds(made[0][0], 27, own)
    assert made == [(each.candidates, each.epochs) for each in plan]
    assert sum(n for n, _ in made) <= 40


def _result(number: int) -> TrialResult:
    fold = FoldResult(
        fold=0, value=float(number), metrics={}, curve=(), best_epoch=1, seconds=0.0, seed=0
    )
    return TrialResult(number=number, status=Status.COMPLETED, value=float(number), folds=(fold,))
