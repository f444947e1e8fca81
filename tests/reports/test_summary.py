from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from tuning.ledger.winner import Standing
from tuning.reports.summary import Summary, Winner, plain_json, ranked
from tuning.study.objective import Maximize, Minimize
from tuning.trial import Status


def test_json_is_exactly_the_contract(summary: Summary):
    best = ranked(summary.trials, summary.objective)[0]
    assert summary.to_json() == {
        "study": "housing",
        "engine": "optuna:tpe",
        "search": "housing-optuna-tpe-1a2b3c4d",
        "status": "finished",
        "trials": {"completed": 15, "pruned": 1, "failed": 3, "infeasible": 1},
        "best": {"number": 0, "params": dict(best[0].params), "metric": "val_rmse", "value": 0.5},
        "winner": {
            "number": 0,
            "params": dict(best[0].params),
            "mean": pytest.approx(0.554),
            "spread": pytest.approx(0.0036056, rel=1e-4),
            "seeds": [11, 12, 13],
            "validation": {
                "mean": pytest.approx(0.554),
                "std": pytest.approx(0.0036056, rel=1e-4),
                "values": [0.553, 0.551, 0.558],
            },
        },
        "test": {"rmse": 0.5531, "mae": 0.3712, "r2": 0.7712},
        "baseline": {
            "dummy": {"rmse": 1.153, "mae": 0.91, "r2": -0.0003},
            "linear": {"rmse": 0.7301, "mae": 0.53, "r2": None},
        },
        "seconds": {"total": 183.2, "startup": 5.0, "training": 300.0},
        "mlflow": {
            "tracking_uri": "postgresql://***@db:5432/x?password=***",
            "experiment_id": "1",
            "run_id": "abc",
        },
        "report": "mlruns/reports/housing.html",
        "model": "mlruns/winner.keras",
    }


def test_json_has_no_secret_and_no_nan(summary: Summary):
    text = json.dumps(summary.to_json(), allow_nan=False)
    assert "canary" not in text


def test_json_of_a_search_without_a_trial_has_null_where_nothing_is_known(summary: Summary):
    empty = replace(
        summary, trials=(), winner=None, tracking_uri="", experiment_id="", run_id="", report=None
    )
    plain = empty.to_json()
    assert plain["best"] is None
    assert plain["mlflow"] == {"tracking_uri": None, "experiment_id": None, "run_id": None}
    assert plain["trials"] == {"completed": 0, "pruned": 0, "failed": 0, "infeasible": 0}


def test_metrics_read_back_from_a_file_are_numbers(summary: Summary):
    plain = replace(
        summary, test={"rmse": "nan"}, linear={"rmse": "inf", "r2": np.float32(0.5)}
    ).to_json()  # type: ignore[dict-item]
    assert plain["test"] == {"rmse": None}
    assert plain["baseline"]["linear"] == {"rmse": None, "r2": 0.5}


def test_a_pruned_trial_is_never_the_best(summary: Summary):
    pruned = tuple(
        (p, replace(r, status=Status.PRUNED)) for p, r in summary.trials if r.value is not None
    )
    assert replace(summary, trials=pruned).best is None


@pytest.mark.parametrize("objective", [Minimize("val_rmse"), Maximize("val_own")])
def test_the_best_follows_the_direction(make_trials, objective):
    trials = [(p, r) for p, r in make_trials() if r.status is Status.COMPLETED]
    best = ranked(trials, objective)[0][1]
    wanted = (min if objective.direction == "minimize" else max)(r.value for _, r in trials)
    assert best.value == wanted


def test_winner_reports_mean_and_sample_deviation():
    winner = Winner(3, {"shape": (1, 2)}, (11, 12, 13), (1.0, 2.0, 3.0))
    assert (winner.mean, winner.std) == (2.0, 1.0)


def test_the_winner_of_a_searchs_files_has_its_parameters_in_their_own_types():
    standing = Standing(
        number=3,
        params={"shape": [1, 2]},
        epochs=9,
        seeds=(11, 12),
        weights=(None, None),
        values=(1.0, 2.0),
    )
    winner = Winner(3, {"shape": (1, 2)}, (11, 12), (1.0, 2.0))
    assert Winner.of(standing, {"shape": (1, 2)}) == winner
    assert Winner.of(standing).params == {"shape": [1, 2]}


def test_one_seed_has_no_spread():
    assert Winner(3, {}, (11,), (1.0,)).std == 0.0


def test_numpy_scalars_and_tuples_become_json_types():
    plain = plain_json({"a": np.float32(0.5), "b": (np.int64(3), None), "c": float("inf")})
    assert json.dumps(plain, allow_nan=False) == '{"a": 0.5, "b": [3, null], "c": null}'
