"""Optuna's samplers and pruners, driven by ask and tell."""

from __future__ import annotations

import dataclasses
import math
import os
import subprocess
import sys
from pathlib import Path

import optuna
import pytest

from tests.engines.contract import (
    CONDITIONAL,
    FLAT,
    make_study,
    maximize,
    result_of,
    run,
)
from tuning.engines.optuna import OptunaEngine
from tuning.errors import MissingError, StudyError
from tuning.space.domains import Choice, Float, Int
from tuning.space.space import Space
from tuning.trial import EpochReport, Proposal, Status


def test_gp_without_torch_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingError) as caught:
        OptunaEngine(make_study("optuna:gp", FLAT))
    assert str(caught.value) == "engine 'optuna:gp' needs PyTorch: pip install -e '.[gp]'"


def test_labels_of_a_grid_come_back_as_the_values_in_any_order_of_the_seed():
    engine = OptunaEngine(
        make_study("optuna:grid", Space({"a": Choice(None, (1, 2), True)}), trials=None)
    )
    assert sorted(repr(p.params["a"]) for p in run(engine, 9)) == ["(1, 2)", "None", "True"]


def test_asks_out_of_order_are_refused():
    engine = OptunaEngine(make_study("optuna:random", FLAT))
    with pytest.raises(ValueError, match="expected trial 0, got 1"):
        engine.ask(1)


def test_a_maximized_objective_draws_tpe_to_large_values():
    space = Space({"lr": Float(0.0, 1.0)})
    engine = OptunaEngine(make_study("optuna:tpe", space, objective=maximize()))
    late = []
    for number in range(40):
        proposal = engine.ask(number)
        late.append(proposal.params["lr"])
        engine.tell(_valued(proposal, proposal.params["lr"]))
    assert sum(late[20:]) / 20 > 0.8


MEMORY = Space(
    {"n_neurons": Int(1, 1000), "n_hidden": Int(1, 8), "lr": Float(1e-4, 1e-1, log=True)}
)


def _infeasible_share(told: Status, seed: int) -> float:
    """Return how many of the last 40 of 60 proposals are too large; larger would be better."""
    engine = OptunaEngine(make_study("optuna:tpe", MEMORY, seed=seed))
    large = []
    for number in range(60):
        proposal = engine.ask(number)
        size = proposal.params["n_neurons"] * proposal.params["n_hidden"]
        large.append(size > 1000)
        engine.tell(result_of(proposal, told) if large[-1] else _valued(proposal, 1 / size))
    return sum(large[20:]) / 40


def test_out_of_memory_as_a_constraint_is_proposed_less_often_than_as_a_failure():
    constrained = [_infeasible_share(Status.INFEASIBLE, seed) for seed in range(3)]
    failed = [_infeasible_share(Status.FAILED, seed) for seed in range(3)]
    assert sum(constrained) < 0.75 * sum(failed), (constrained, failed)


def _valued(proposal, value, status=Status.COMPLETED):
    return dataclasses.replace(result_of(proposal), value=value, status=status)


@pytest.mark.parametrize("pruner", ["median", "asha", "hyperband"])
def test_a_pruner_stops_a_trial_that_is_far_behind(pruner):
    engine = OptunaEngine(make_study("optuna:random", FLAT, pruner=pruner, trials=40, epochs=9))
    stopped = [_train(engine, number, worst=number >= 12) for number in range(30)]
    assert not any(epoch < 9 for epoch in stopped[:1])
    assert min(stopped[12:]) < 9
    assert stopped.count(9) >= 1


def _train(engine, number, worst):
    """Train one trial until its pruner stops it; return the epochs done."""
    proposal = engine.ask(number)
    for epoch in range(1, 10):
        value = 100.0 if worst else 1.0 + number / 100
        if engine.report(EpochReport(number, epoch, value, {}, 0.1)):
            engine.tell(_valued(dataclasses.replace(proposal, epochs=epoch), None, Status.PRUNED))
            return epoch
    engine.tell(_valued(proposal, value))
    return 9


def test_without_a_pruner_nothing_is_ever_stopped():
    engine = OptunaEngine(make_study("optuna:random", FLAT))
    assert [_train(engine, number, worst=number > 5) for number in range(12)] == [9] * 12


@pytest.mark.parametrize("pruner", ["none", "median", "asha", "hyperband"])
def test_reports_that_are_not_finite_are_taken(pruner):
    engine = OptunaEngine(make_study("optuna:tpe", FLAT, pruner=pruner))
    for number in range(8):
        proposal = engine.ask(number)
        for epoch, value in enumerate((1.0, math.nan, math.inf, -math.inf), start=1):
            engine.report(EpochReport(number, epoch, value, {}, 0.1))
        engine.tell(result_of(proposal, Status.DIVERGED))


def test_a_second_attempt_may_report_its_epochs_again():
    engine = OptunaEngine(make_study("optuna:random", FLAT, pruner="asha"))
    engine.ask(0)
    for _ in range(2):
        for epoch in (1, 2, 3):
            assert engine.report(EpochReport(0, epoch, 1.0, {}, 0.1)) is False


@pytest.mark.parametrize("pruner", ["asha", "hyperband", "median"])
def test_after_its_last_epoch_nothing_is_pruned(pruner):
    engine = OptunaEngine(make_study("optuna:random", FLAT, pruner=pruner, epochs=9))
    for number in range(12):
        engine.ask(number)
        for epoch in range(1, 9):
            engine.report(EpochReport(number, epoch, 1.0, {}, 0.1))
        assert engine.report(EpochReport(number, 9, 1.0 if number < 11 else 99.0, {}, 0.1)) is False
        engine.tell(_valued(Proposal(number, {}, 9), 1.0))


def test_an_attempt_that_was_condemned_and_then_lost_is_condemned_again():
    engine = OptunaEngine(make_study("optuna:random", FLAT, pruner="asha", epochs=9))
    for number in range(6):
        _train(engine, number, worst=False)
    engine.ask(6)
    first = [engine.report(EpochReport(6, epoch, 99.0, {}, 0.1)) for epoch in (1, 2)]
    again = [engine.report(EpochReport(6, epoch, 99.0, {}, 0.1)) for epoch in (1, 2)]
    assert first == again == [True, True]


def test_hyperband_brackets_are_the_same_after_a_restart():
    def verdicts():
        engine = OptunaEngine(make_study("optuna:random", FLAT, pruner="hyperband", epochs=9))
        return [_train(engine, number, worst=number % 3 == 2) for number in range(40)]

    first = verdicts()
    assert first == verdicts()
    assert len(set(first)) > 2  # stopped at different rungs, or not at all


def test_a_step_that_does_not_reach_the_upper_end_stays_inside():
    engine = OptunaEngine(make_study("optuna:random", Space({"n": Int(1, 10, step=4)})))
    assert {p.params["n"] for p in run(engine, 40)} == {1, 5, 9}


def test_the_user_is_told_what_a_grid_leaves_out():
    space = Space({"lr": Float(1e-4, 1e-2, log=True), "n": Int(0, 100), "a": Choice("x", "y")})
    assert OptunaEngine(make_study("optuna:grid", space, trials=5)).notices == (
        "grid: a seeded sample of 5 of 18 points; 13 left out (--trials 5)",
        "grid: of lr, from 0.0001 to 0.01, only 0.0001, 0.001, 0.01 are tried",
        "grid: of n, from 0 to 100, only 0, 50, 100 are tried",
    )


def test_a_grid_of_more_than_a_million_points_is_refused():
    space = Space({f"p{i}": Choice(*range(10)) for i in range(7)})
    with pytest.raises(StudyError) as caught:
        OptunaEngine(make_study("optuna:grid", space))
    assert (
        str(caught.value)
        == "optuna:grid: space: the grid has 10,000,000 points; use fewer or coarser axes"
    )


def test_the_user_is_told_which_parameters_a_sampler_draws_apart():
    assert OptunaEngine(make_study("optuna:cmaes", CONDITIONAL)).notices == (
        "cmaes: optimizer, momentum_on, momentum, nesterov, last (Choice or conditional) drawn "
        "at random, "
        "apart from the others",
    )
    assert OptunaEngine(make_study("optuna:qmc", FLAT)).notices == ()
    assert OptunaEngine(make_study("optuna:nsga2", FLAT, trials=40)).notices == (
        "nsga2: generations of 8 trials; the first is random",
    )


def test_optuna_says_nothing_and_keeps_its_own_level(capfd):
    level = optuna.logging.get_verbosity()
    run(OptunaEngine(make_study("optuna:qmc", CONDITIONAL)), 5)
    assert capfd.readouterr() == ("", "")
    assert optuna.logging.get_verbosity() == level


def test_this_engine_needs_no_tensorflow():
    code = (
        "import sys, tuning.engines.optuna;"
        "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_proposals_do_not_depend_on_the_hashes_of_strings():
    code = (
        "from tests.engines.contract import *; from tuning.engines.optuna import OptunaEngine;"
        "print(run(OptunaEngine(make_study('optuna:tpe', CONDITIONAL)), 20))"
    )
    root = Path(__file__).parents[2]

    def output(hash_seed):
        env = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(root)}
        done = subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, check=True, text=True
        )
        return done.stdout

    assert output("1") == output("2") != ""
