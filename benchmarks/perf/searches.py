"""Parts b, c, d: whole searches, our command against the plain libraries' programs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

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
from tuning.data.arrays import only
from tuning.data.california import california_housing
from tuning.data.parts import split
from tuning.executors.forkserver import ForkServer
from tuning.trial import Context, Params

_ALL_EPOCHS = ("--set", "patience=null")
SPREAD_SEEDS = 5


class Pair(NamedTuple):
    """The same search by both sides, one right after the other."""

    plain: Trained
    ours: Trained


def part_b(sizes: Sizes) -> Part:
    """The courses' grid: 27 points, 2 folds, 30 epochs."""
    epochs = 1 if sizes.quick else 30
    most_neurons = 50 if sizes.quick else 200
    smaller = ("--epochs", epochs, "--trials", 4) if sizes.quick else ()
    pairs = []
    at_their_best = []  # our score of SciKeras' best point
    with _rows_file(whole=True) as data:
        for _ in range(sizes.repeats):
            with fresh_home() as home:
                theirs = plain("grid", data, epochs, most_neurons)
                pairs.append(Pair(theirs, ours(home, "housing_grid", *smaller, *FINALS)))
                at_their_best.append(value_at(home, theirs.params))

    their_params = pairs[-1].plain.params
    our_params = pairs[-1].ours.params
    their_spread = _spread(their_params, epochs)
    our_spread = their_spread if our_params == their_params else _spread(our_params, epochs)

    their_scores = [pair.plain.best for pair in pairs]
    whole = _whole("whole command", pairs, "SciKeras")
    last_fit = Row(
        name="until the last fit was scored",
        unit="s",
        raw={
            "SciKeras": [pair.plain.epochs[-1][0] for pair in pairs],
            "ours": [pair.ours.epochs[-1][0] for pair in pairs],
        },
        against=("SciKeras",),
        better="lower",
    )
    answers = Row(
        name="score of the answer (best_params_, winner), RMSE",
        unit="100,000 USD",
        raw={
            "SciKeras": their_scores,
            "ours": [pair.ours.best for pair in pairs],
        },
        better="lower",
        notes={
            "params": [pair.ours.params for pair in pairs],
            "plain params": [pair.plain.params for pair in pairs],
            "our winner on other seeds": our_spread,
            "lowest of our search": [pair.ours.lowest for pair in pairs],
        },
    )
    same_point = Row(
        name="score of SciKeras' best point, RMSE",
        unit="100,000 USD",
        raw={"SciKeras": their_scores, "ours": at_their_best},
        better="lower",
        notes={"on other seeds": their_spread},
    )
    return Part(
        key="b",
        title="the courses' grid: SciKeras and GridSearchCV(n_jobs=2) against "
        "`tuning run housing_grid`",
        rows=[whole, last_fit, answers, same_point],
        verdicts=[
            Verdict.at_least(
                "the whole command against SciKeras and GridSearchCV", whole.ratio("SciKeras"), 15
            ),
            _within_the_spread(
                "the answers' scores differ by no more than the seeds of ours do",
                answers,
                our_spread,
            ),
            _within_the_spread(
                "the scores of SciKeras' best point differ by no more than its seeds do",
                same_point,
                their_spread,
            ),
        ],
    )


def _within_the_spread(what: str, row: Row, scores: list[float]) -> Verdict:
    """Compare the gap between both sides with the spread of one point's scores on several seeds.

    A point that diverges on one of them has no spread.
    """
    gap = abs(row.medians["ours"] - row.medians["SciKeras"])
    diverged = sum(not math.isfinite(score) for score in scores)
    if diverged:
        reason = f"no spread: it diverges on {diverged} of {len(scores)}"
        return Verdict(f"{what} ({reason})", gap, met=False)
    return Verdict.at_most(what, gap, max(scores) - min(scores), "")


def part_c(sizes: Sizes) -> Part:
    """Hyperband: the study's 100 epochs at most, factor 3.

    The plain program ends after `most` epochs; the time to as many of ours is compared.
    """
    epochs = 4 if sizes.quick else 100
    most = 6 if sizes.quick else 600
    shorter = ("--epochs", epochs, "--trials", 4) if sizes.quick else ("--set", "trials=null")
    options = ("--engine", "keras-tuner:hyperband", *_ALL_EPOCHS, *shorter, *FINALS)
    pairs = []
    with _rows_file(whole=False) as data:
        for _ in range(sizes.repeats):
            with fresh_home() as home:
                theirs = plain("hyperband", data, epochs, most)
                pairs.append(Pair(theirs, ours(home, "housing", *options)))

    row = _to_same_epochs(pairs, "KerasTuner")
    what = "time to the same number of epochs, Hyperband's short rungs"
    return Part(
        key="c",
        title="KerasTuner's Hyperband with its own loop against `--engine keras-tuner:hyperband`",
        rows=[row],
        verdicts=[Verdict.at_least(what, row.ratio("KerasTuner"), 8)],
    )


def part_d(sizes: Sizes) -> Part:
    """TPE: 20 trials of 30 epochs; Optuna in one thread and in two, the faster counts.

    Left to themselves the two would train other networks and batch sizes, 0.8 to 1.3 times the
    steps: the plain programs are given the points that ours came to.
    """
    epochs = 2 if sizes.quick else 30
    trials = 2 if sizes.quick else 20
    size = ("--epochs", epochs, "--trials", trials)
    options = (*size, "--engine", "optuna:tpe", *_ALL_EPOCHS, *FINALS)
    one_thread = []
    two_threads = []
    with _rows_file(whole=False) as data:
        for _ in range(sizes.repeats):
            with fresh_home() as home:
                own = ours(home, "housing", *options)
                points = json.dumps([params_of(home, number) for number in range(trials)])
            one_thread.append(Pair(plain("tpe", data, epochs, points, 1), own))
            two_threads.append(Pair(plain("tpe", data, epochs, points, 2), own))

    one = _to_same_epochs(one_thread, "Optuna, n_jobs=1")
    two = _to_same_epochs(two_threads, "Optuna, n_jobs=2")
    whole = _whole("whole command", one_thread, "Optuna, n_jobs=1")
    least = min(one.ratio("Optuna, n_jobs=1"), two.ratio("Optuna, n_jobs=2"))
    what = (
        f"time to the same number of epochs, TPE, {epochs} epochs a trial, "
        "against the faster of the two"
    )
    return Part(
        key="d",
        title="Optuna's TPE with model.fit in the objective against `--engine optuna:tpe`, "
        "at equal points",
        rows=[one, two, whole],
        verdicts=[Verdict.at_least(what, least, 15)],
    )


def scores_on_seeds(params: Params, epochs: int, seeds: int, context: Context) -> list[float]:
    """Return one point's mean over the folds of `housing_grid` for several seeds.

    It is the function of a `Job`.
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
        for fit in fits:
            fit.train()
        values = [fit.result(worker_study, seed).value for fit in fits]
        scores.append(sum(values) / len(values))
    return scores


def _spread(params: Params, epochs: int) -> list[float]:
    """Return the scores of one point on several seeds."""
    with ForkServer() as forkserver:
        function = "benchmarks.perf.searches:scores_on_seeds"
        scores = at_once(forkserver, core_slots()[:1], function, params, epochs, SPREAD_SEEDS)
    return [float(score) for score in scores[0]]


@contextmanager
def _rows_file(*, whole: bool) -> Iterator[Path]:
    """Give the studies' own rows as a file.

    Args:
        whole: Training and validation part together, as `--cv` has them; they are scaled within
            each fold, on both sides.
    """
    parts = split(california_housing(), seed=42)
    with TemporaryDirectory(prefix="tuning-perf-") as folder:
        path = Path(folder) / "housing.npz"
        if whole:
            rows = parts.search_part
            np.savez(path, X=only(rows.X), y=only(rows.y))
        else:
            scaled = parts.scaled()
            np.savez(
                path,
                X=only(scaled.train.X),
                y=only(scaled.train.y),
                X_validation=only(scaled.validation.X),
                y_validation=only(scaled.validation.y),
            )
        yield path


def _whole(name: str, pairs: list[Pair], other: str) -> Row:
    return Row(
        name=name,
        unit="s",
        raw={
            other: [pair.plain.whole_s for pair in pairs],
            "ours": [pair.ours.whole_s for pair in pairs],
        },
        against=(other,),
        better="lower",
        notes={"failed": [pair.ours.failed for pair in pairs]},
    )


def _to_same_epochs(pairs: list[Pair], other: str) -> Row:
    """Return the time from each command's start until both had trained as many epochs as the other.

    That is as many as the lesser one trained in all.
    """
    counts = [min(pair.plain.total, pair.ours.total) for pair in pairs]
    counted = list(zip(pairs, counts, strict=True))

    return Row(
        name=f"time to {counts[0]} epochs, against {other}",
        unit="s",
        raw={
            other: [pair.plain.time_to(count) for pair, count in counted],
            "ours": [pair.ours.time_to(count) for pair, count in counted],
        },
        against=(other,),
        better="lower",
        notes={
            "epochs": counts,
            "epochs of the plain program": [pair.plain.total for pair in pairs],
            "epochs of ours": [pair.ours.total for pair in pairs],
            "failed": [pair.ours.failed for pair in pairs],
        },
    )
