"""A recording made by hand: values and seconds are functions of the point, the training seed, the
fold, the epoch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tuning.simulation.manifest import RecordingManifest
from tuning.simulation.outcomes import RecordedOutcomes
from tuning.simulation.recording import load_recording, write_recording
from tuning.simulation.run import Replayed
from tuning.simulation.stand_in import study_of
from tuning.space.domains import Choice, Float
from tuning.space.space import Space
from tuning.study.info import DatasetFacts
from tuning.study.objective import Objective
from tuning.trial import FoldResult, Status, TrialResult

GRID = Space({"n": Choice(2, 3, 4), "lr": Choice(0.01, 0.1)})
LINE = Space({"lr": Float(1e-4, 1.0, log=True)})


def manifest(space: Space, **changes: Any) -> RecordingManifest:
    """Return what a recording tells, but for what is added on writing."""
    about = {
        "study": "made",
        "definition": {"space": {name: repr(domain) for name, domain in space.domains.items()}},
        "space_json": space.to_json(),
        "objective": Objective("val_rmse", "minimize"),
        "engine": "optuna:random",
        "trials": 20,
        "epochs": 4,
        "patience": None,
        "cv": None,
        "seed": 7,
        "batch_size": 32,
        "attempts": 3,
        "max_failures": 10,
        "data": DatasetFacts(name="made", digest="0" * 64),
        "seeds": [11],
        "design": "by hand",
        "platform": "none",
        "slots": 2,
    }
    return RecordingManifest(**{**about, **changes})


def value_of(params: Mapping[str, Any], seed: int, fold: int, epoch: int) -> float:
    """Fall with the epochs to something that hangs on the point, and a little on seed and fold."""
    return (
        abs(math.log10(params["lr"]) + 2)
        + params.get("n", 0) / 10
        + 1 / epoch
        + seed / 100
        + fold / 10
    )


def seconds_of(params: Mapping[str, Any], epoch: int) -> float:
    """Grow evenly with the epochs."""
    return epoch * (1 + params.get("n", 1) / 10)


def result_of(
    number: int,
    params: Mapping[str, Any],
    seed: int,
    told: RecordingManifest,
    *,
    value: Callable[..., float] = value_of,
    seconds: Callable[..., float] = seconds_of,
    status: Status = Status.COMPLETED,
    overhead_s: float = 0.5,
) -> TrialResult:
    """Return a trained point as the worker gives it."""
    folds = []
    epochs = range(1, told.epochs + 1)
    for fold in range(told.cv or 1):
        rows = [
            {"epoch": e, "val_rmse": value(params, seed, fold, e), "seconds": seconds(params, e)}
            for e in epochs
        ]
        best = min(rows, key=lambda row: row["val_rmse"]) if told.patience else rows[-1]
        folds.append(
            FoldResult(
                fold,
                best["val_rmse"],
                {},
                tuple(rows),
                best_epoch=int(best["epoch"]),
                seconds=rows[-1]["seconds"],
                seed=seed,
            )
        )
    failed = status is Status.FAILED
    mean = sum(fold.value for fold in folds) / len(folds)
    total = overhead_s + (0 if failed else sum(fold.seconds for fold in folds))
    return TrialResult(
        number,
        status,
        mean if status is Status.COMPLETED else None,
        folds=() if failed else tuple(folds),
        seconds=total,
        rss_mb=300.0,
    )


def write(
    folder: Path, space: Space = GRID, points: Any = None, *, ends: Any = None, **changes: Any
) -> Path:
    """Write a recording; `ends` maps points, or (point, seed), by number to a status other than
    completed.
    """
    told = manifest(
        space,
        **{
            name: v for name, v in changes.items() if name not in ("value", "seconds", "overhead_s")
        },
    )
    how = {name: changes[name] for name in ("value", "seconds", "overhead_s") if name in changes}
    points = space.grid() if points is None else points
    statuses = ends or {}
    trials = [
        [
            (
                point,
                result_of(
                    i,
                    point,
                    seed,
                    told,
                    status=statuses.get((i, seed), statuses.get(i, Status.COMPLETED)),
                    **how,
                ),
            )
            for i, point in enumerate(points)
        ]
        for seed in range(len(told.seeds))
    ]
    return write_recording(folder / "made", told, trials)


def replayed(
    folder: Path, space: Space = GRID, points: Any = None, *, exact: bool = False, **changes: Any
) -> Replayed:
    """Return the same, opened."""
    recording = load_recording(write(folder, space, points, **changes))
    return Replayed(study_of(recording), RecordedOutcomes(recording, exact=exact), None)
