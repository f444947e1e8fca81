"""Optuna's samplers on several objectives and under constraints."""

from __future__ import annotations

import math
import statistics
from importlib.util import find_spec

import pytest

from tuning import Float, Int, Minimize, Study
from tuning.engines.optuna import OptunaEngine
from tuning.scoring.pareto import hypervolume
from tuning.scoring.stand_ins import StandIns
from tuning.trial import Proposal, Status, TrialResult
from tuning.trials.functions import evaluate_all, no_data

TWO = (Minimize("val_a"), Minimize("val_b"))
ENGINES = ["optuna:nsga2", "optuna:tpe", "optuna:random", "optuna:qmc", "optuna:grid"]
SPACE = {"x": Int(0, 20), "y": Int(0, 6), "z": Int(0, 6)}


def zdt1(x: int = 0, y: int = 0, z: int = 0) -> tuple[float, float]:
    """Return two objectives whose front is where y and z are 0.

    Source: ZDT1 of Zitzler, Deb, Thiele 2000, three variables, on a grid.
    """
    g = 1 + 9 * (y + z) / 12
    return x / 20, g * (1 - math.sqrt(x / 20 / g))


FRONT = [zdt1(x) for x in range(21)]


def study(engine: str, **changes) -> Study:
    values = {"space": SPACE, "builder": zdt1, **changes}
    return Study(
        name="table",
        data=no_data,
        objectives=TWO,
        trainer="function",
        epochs=1,
        trials=100,
        engine=engine,
        **values,
    )


def result_of(searched: Study, number: int, params, status=Status.COMPLETED) -> TrialResult:
    values = evaluate_all(searched, params, epoch=1, seed=0)
    pair = (values["val_a"], values["val_b"])
    return TrialResult(number, status, pair[0], values, values=pair)


def search(searched: Study, n_trials: int) -> list[tuple[float, float]]:
    engine = OptunaEngine(searched)
    rows = []
    for number in range(n_trials):
        result = result_of(searched, number, engine.ask(number).params)
        engine.tell(result)
        rows.append(result.values)
    return rows


def share(rows) -> float:
    """Return the hypervolume as a share of the true front's, up to 1.1 in both objectives."""
    reference = (1.1, 1.1)
    return hypervolume(rows, TWO, reference) / hypervolume(FRONT, TWO, reference)


def test_tpe_finds_98_percent_of_the_hypervolume_of_a_table_in_100_trials():
    """Of 1,029 points; by chance it is less than half."""
    assert min(share(search(study("optuna:tpe", seed=seed), 100)) for seed in range(3)) >= 0.98
    by_chance = [share(search(study("optuna:random", seed=seed), 100)) for seed in range(3)]
    assert statistics.fmean(by_chance) < 0.8


WITH_GP = pytest.param(
    "optuna:gp", marks=pytest.mark.skipif(find_spec("torch") is None, reason="needs the extra gp")
)


@pytest.mark.parametrize("engine", [*ENGINES, WITH_GP])
def test_several_objectives_are_proposed_the_same_again_after_a_replay(engine):
    searched = study(engine)
    first, again = OptunaEngine(searched), OptunaEngine(searched)
    for number in range(30):
        proposal = first.ask(number)
        assert again.ask(number) == proposal
        if not isinstance(proposal, Proposal):  # the end of a grid
            break
        result = result_of(searched, number, proposal.params)
        if number % 4 == 1:
            result = TrialResult(number, Status.FAILED, error="ValueError: no")
        first.tell(result)
        again.tell(TrialResult.from_json(result.to_json()))


def infeasible_share(engine: str, seed: int) -> float:
    """Return how many of the last 30 of 90 proposals break a constraint."""
    limit = "n_parameters <= 300"
    unit = {"x": Float(0.0, 1.0), "y": Float(0.0, 1.0)}
    objectives = [Minimize("val_error"), Minimize("n_parameters")]
    searched = study(engine, seed=seed, space=unit, builder=lambda x, y: (x, y))
    searched = searched.with_(objectives=objectives, constraints=[limit])
    adapter = OptunaEngine(searched)
    broke = []
    for number in range(90):
        x, y = adapter.ask(number).params.values()
        n_parameters = 1000 * x
        broke.append(n_parameters > 300)
        metrics = {"n_parameters": n_parameters}
        violation = {limit: (n_parameters - 300) / 300}
        if broke[-1]:
            result = TrialResult(number, Status.INFEASIBLE, metrics=metrics, violations=violation)
        else:
            error = 2 - x + y  # it would be better beyond the limit
            result = TrialResult(
                number,
                Status.COMPLETED,
                error,
                metrics,
                values=(error, n_parameters),
                violations=violation,
            )
        adapter.tell(result)
    return sum(broke[60:]) / 30


@pytest.mark.parametrize("engine", ["optuna:tpe", "optuna:nsga2"])
def test_samplers_learn_what_breaks_a_constraint_although_it_is_never_trained(engine):
    shares = [infeasible_share(engine, seed) for seed in range(3)]
    # By chance it is 0.7, the share of the space that breaks it.
    assert statistics.fmean(shares) < 0.35


def test_a_trial_that_was_never_trained_stands_in_with_the_worst_that_was_seen():
    stand_ins = StandIns((Minimize("val_a"), Minimize("n_parameters")))
    refused = TrialResult(
        1, Status.INFEASIBLE, metrics={"n_parameters": 900.0}, violations={"c": 1.0}
    )
    assert stand_ins.values_of(refused) is None
    for values in ((0.5, 10.0), (0.2, 50.0)):
        stand_ins.learn(TrialResult(0, Status.COMPLETED, values[0], values=values))
    assert stand_ins.values_of(refused) == [0.5, 900.0]


def test_one_objective_may_have_constraints_too():
    searched = study("optuna:tpe", constraints=["val_recall >= 0.5"]).with_(
        objective=Minimize("val_a")
    )
    engine = OptunaEngine(searched)
    for number in range(12):
        value = float(engine.ask(number).params["x"])
        broken = value > 10
        engine.tell(
            TrialResult(
                number,
                Status.INFEASIBLE if broken else Status.COMPLETED,
                value,
                violations={"val_recall >= 0.5": 0.1 if broken else -0.1},
            )
        )
