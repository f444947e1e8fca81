"""Parts b, c, d: whole searches, our command against the plain libraries' programs, on the same
rows.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.perf.commands import (
    FINALS,
    ROOT,
    Trained,
    fresh_home,
    ours,
    params_of,
    plain,
    value_at,
)
from benchmarks.perf.records import Part, Row, Sizes, Verdict
from benchmarks.perf.together import at_once, core_slots
from tuning.data.california import california_housing
from tuning.data.parts import split
from tuning.executors.forkserver import ForkServer

_ALL_EPOCHS = ("--set", "patience=null")
SPREAD_SEEDS = 5


def part_b(sizes: Sizes) -> Part:
    """The courses' grid: 27 points, 2 folds, 30 epochs."""
    epochs, most_neurons = (1, 50) if sizes.quick else (30, 200)
    smaller = ("--epochs", epochs, "--trials", 4) if sizes.quick else ()
    pairs, at_theirs = [], []
    with _rows_file(whole=True) as data:
        for _ in range(sizes.repeats):
            with fresh_home() as home:
                theirs = plain("grid", data, epochs, most_neurons)
                pairs.append((theirs, ours(home, "housing_grid", *smaller, *FINALS)))
                at_theirs.append(value_at(home, theirs.answer["params"]))
    scores = {
        "SciKeras": [p.answer["best"] for p, _ in pairs],
        "ours": [o.answer["best"] for _, o in pairs],
    }
    theirs_at, ours_at = (side.answer["params"] for side in pairs[-1])
    seeds_there = _spread(theirs_at, epochs)
    seeds = seeds_there if ours_at == theirs_at else _spread(ours_at, epochs)
    title = (
        "the courses' grid: SciKeras and GridSearchCV(n_jobs=2) against `tuning run housing_grid`"
    )
    row = _whole("whole command", pairs, "SciKeras")
    last = Row(
        "until the last fit was scored",
        "s",
        {
            "SciKeras": [p.epochs[-1][0] for p, _ in pairs],
            "ours": [o.epochs[-1][0] for _, o in pairs],
        },
        against=("SciKeras",),
        better="lower",
    )
    best = Row(
        "score of the answer (best_params_, winner), RMSE",
        "100,000 USD",
        scores,
        better="lower",
        notes={
            "params": [o.answer["params"] for _, o in pairs],
            "plain params": [p.answer["params"] for p, _ in pairs],
            "our winner on other seeds": seeds,
            "lowest of our search": [o.answer["lowest"] for _, o in pairs],
        },
    )
    there = {"SciKeras": scores["SciKeras"], "ours": at_theirs}
    same = Row(
        "score of SciKeras' best point, RMSE",
        "100,000 USD",
        there,
        better="lower",
        notes={
            "on other seeds": seeds_there,
        },
    )
    return Part(
        "b",
        title,
        [row, last, best, same],
        [
            Verdict.at_least(
                "the whole command against SciKeras and GridSearchCV", row.ratio("SciKeras"), 15
            ),
            _within("the answers' scores differ by no more than the seeds of ours do", best, seeds),
            _within(
                "the scores of SciKeras' best point differ by no more than its seeds do",
                same,
                seeds_there,
            ),
        ],
    )


def _within(what: str, row: Row, seeds: list[float]) -> Verdict:
    """Compare the gap between both sides with the spread of seeds; a point that diverges on one of
    them has none.
    """
    gap = abs(row.medians["ours"] - row.medians["SciKeras"])
    if lost := sum(not math.isfinite(seed) for seed in seeds):
        return Verdict(f"{what} (no spread: it diverges on {lost} of {len(seeds)})", gap, met=False)
    return Verdict.at_most(what, gap, max(seeds) - min(seeds), "")


def part_c(sizes: Sizes) -> Part:
    """Hyperband: the study's 100 epochs at most, factor 3, as many epochs as the plain program is
    given time for.
    """
    epochs, most = (4, 6) if sizes.quick else (100, 600)
    shorter = ("--epochs", epochs, "--trials", 4) if sizes.quick else ("--set", "trials=null")
    pairs = []
    with _rows_file(whole=False) as data:
        for _ in range(sizes.repeats):
            with fresh_home() as home:
                mine = ("--engine", "keras-tuner:hyperband", *_ALL_EPOCHS, *shorter, *FINALS)
                pairs.append((plain("hyperband", data, epochs, most), ours(home, "housing", *mine)))
    row = _to_same(pairs, "KerasTuner")
    what = "time to the same number of epochs, Hyperband's short rungs"
    title = "KerasTuner's Hyperband with its own loop against `--engine keras-tuner:hyperband`"
    return Part("c", title, [row], [Verdict.at_least(what, row.ratio("KerasTuner"), 8)])


def part_d(sizes: Sizes) -> Part:
    """TPE: 20 trials of 30 epochs; Optuna in one thread and in two, the faster counts.

    Left to themselves the two would train other networks and batch sizes, 0.8 to 1.3 times the
    steps: the plain programs are given the points that ours came to.
    """
    epochs, trials = (2, 2) if sizes.quick else (30, 20)
    runs: list[tuple[Trained, Trained, Trained]] = []
    with _rows_file(whole=False) as data:
        for _ in range(sizes.repeats):
            with fresh_home() as home:
                mine = (
                    "--epochs",
                    epochs,
                    "--trials",
                    trials,
                    "--engine",
                    "optuna:tpe",
                    *_ALL_EPOCHS,
                    *FINALS,
                )
                own = ours(home, "housing", *mine)
                points = json.dumps([params_of(home, number) for number in range(trials)])
            one, two = (plain("tpe", data, epochs, points, n_jobs) for n_jobs in (1, 2))
            runs.append((one, two, own))
    rows = [_to_same([(run[i], run[2]) for run in runs], f"Optuna, n_jobs={i + 1}") for i in (0, 1)]
    rows += [_whole("whole command", [(run[0], run[2]) for run in runs], "Optuna, n_jobs=1")]
    least = min(row.ratio(row.against[0]) for row in rows[:2])
    title = "Optuna's TPE with model.fit in the objective against `--engine optuna:tpe`, at equal points"
    what = f"time to the same number of epochs, TPE, {epochs} epochs a trial, against the faster of the two"
    return Part("d", title, rows, [Verdict.at_least(what, least, 15)])


def scores_on_seeds(params: dict[str, Any], epochs: int, seeds: int, context: Any) -> list[float]:
    """Return the mean over folds of one point of `housing_grid` for several seeds; the function of
    a `Job`.
    """
    from benchmarks.perf.together import begin_together
    from tuning.trials.folds import prepare_fit
    from tuning.trials.worker_study import load_worker_study

    worker_study = load_worker_study(str(ROOT / "studies" / "housing_grid.py"), {})
    point = worker_study.study.split_params(params)
    begin_together(context)
    scores = []
    for seed in range(seeds):
        fits = [
            prepare_fit(worker_study, point, worker_study.fold(fold), epochs=epochs, seed=seed)
            for fold in range(worker_study.n_fits)
        ]
        for item in fits:
            item.train()
        values = [item.result(worker_study, seed).value for item in fits]
        scores.append(sum(values) / len(values))
    return scores


def _spread(params: dict[str, Any], epochs: int) -> list[float]:
    with ForkServer() as forkserver:
        function = "benchmarks.perf.searches:scores_on_seeds"
        scores = at_once(forkserver, core_slots()[:1], function, params, epochs, SPREAD_SEEDS)
    return [float(score) for score in scores[0]]


@contextmanager
def _rows_file(*, whole: bool) -> Iterator[Path]:
    """Give the studies' own rows as a file; `whole`: training and validation part together, as
    `--cv` has them.
    """
    parts = split(california_housing(), seed=42)
    with TemporaryDirectory(prefix="tuning-perf-") as folder:
        path = Path(folder) / "housing.npz"
        if whole:
            rows = parts.search_part
            np.savez(path, X=rows.X, y=rows.y)  # scaled within each fold, on both sides
        else:
            scaled = parts.scaled()
            train, validation = scaled.train, scaled.validation
            np.savez(
                path, X=train.X, y=train.y, X_validation=validation.X, y_validation=validation.y
            )
        yield path


def _whole(name: str, pairs: list[tuple[Trained, Trained]], other: str) -> Row:
    raw = {other: [p.whole_s for p, _ in pairs], "ours": [o.whole_s for _, o in pairs]}
    notes = {"failed": [o.answer["failed"] for _, o in pairs]}
    return Row(name, "s", raw, against=(other,), better="lower", notes=notes)


def _to_same(pairs: list[tuple[Trained, Trained]], other: str) -> Row:
    """Return the time from each command's start until both had trained as many epochs as the lesser
    one did.
    """
    counts = [min(p.total, o.total) for p, o in pairs]
    raw = {
        other: [p.time_to(n) for (p, _), n in zip(pairs, counts, strict=True)],
        "ours": [o.time_to(n) for (_, o), n in zip(pairs, counts, strict=True)],
    }
    notes = {
        "epochs": counts,
        "epochs of the plain program": [p.total for p, _ in pairs],
        "epochs of ours": [o.total for _, o in pairs],
        "failed": [o.answer["failed"] for _, o in pairs],
    }
    return Row(
        f"time to {counts[0]} epochs, against {other}",
        "s",
        raw,
        against=(other,),
        better="lower",
        notes=notes,
    )
