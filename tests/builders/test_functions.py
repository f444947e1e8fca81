"""Known functions: their minima, what noise and fidelity do, and that every study of them can be
evaluated.
"""

import json
import math

import numpy as np
import pytest
from scipy.optimize import minimize

import tuning.search.run
from tests.search.run_parts import NoWriter
from tuning.builders.functions import MINIMA, NOISE, branin, hartmann6, noisy_branin
from tuning.search.options import RunOptions

OPTIMUM = (0.20169, 0.150011, 0.476874, 0.275332, 0.311652, 0.6573)


def at_point(*x):
    return hartmann6(**{f"x{i}": value for i, value in enumerate(x, 1)})


@pytest.mark.parametrize("point", [(-math.pi, 12.275), (math.pi, 2.275), (9.42478, 2.475)])
def test_branin_has_the_three_minima_of_the_literature(point):
    assert branin(*point) == pytest.approx(0.397887, abs=1e-6)


def test_hartmann6_has_the_minimum_of_the_literature():
    assert at_point(*OPTIMUM) == pytest.approx(-3.32237, abs=1e-5)


@pytest.mark.parametrize(
    ("name", "function", "start"),
    [
        ("branin", branin, (3.1, 2.3)),
        ("noisy_branin", noisy_branin, (3.1, 2.3)),
        ("hartmann6", at_point, OPTIMUM),
    ],
)
def test_the_minima_kept_are_what_an_optimizer_finds(name, function, start):
    assert minimize(lambda x: function(*x), start).fun == pytest.approx(MINIMA[name], abs=1e-7)


def test_at_full_fidelity_without_a_seed_the_noisy_function_is_branins():
    assert noisy_branin(2.0, 3.0) == branin(2.0, 3.0)
    assert noisy_branin(2.0, 3.0, fidelity=0.2) != branin(2.0, 3.0)


def test_the_noise_hangs_on_the_seed_alone_and_has_its_deviation():
    drawn = [noisy_branin(2.0, 3.0, seed=seed) - branin(2.0, 3.0) for seed in range(400)]
    assert noisy_branin(2.0, 3.0, seed=5) == noisy_branin(2.0, 3.0, seed=5)
    assert np.std(drawn) == pytest.approx(NOISE, rel=0.15)


def test_a_search_runs_on_a_function_to_its_winner_without_a_model(
    tmp_path, monkeypatch, forkserver
):
    monkeypatch.setattr(tuning.search.run, "Writer", NoWriter)
    options = RunOptions(
        home=str(tmp_path), variant={"engine": "keras-tuner:hyperband"}, budget={"trials": 12}
    )
    summary = tuning.search.run.run_study("noisy_branin", options, forkserver=forkserver)
    assert summary.status == "completed"
    assert summary.winner is not None
    assert summary.test["value"] == noisy_branin(**summary.winner.params)
    stored = json.loads(json.dumps(summary.to_json()))
    assert (stored["model"], stored["trials"]["completed"]) == (None, 12)
