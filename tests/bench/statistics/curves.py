"""Runs for the tests of a benchmark's statistics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tuning.bench.statistics.records import AnytimeRun


def run(
    values: Sequence[float | None],
    engine: str = "a",
    seed: int = 0,
    *,
    study: str = "toy",
    **fields: Any,
) -> AnytimeRun:
    """Return a search with these incumbents, one trial each 10 epochs and 2 seconds."""
    steps = range(1, len(values) + 1)
    plain = {
        "direction": "minimize",
        "metric": "val_rmse",
        "epochs": tuple(10 * i for i in steps),
        "seconds": tuple(2.0 * i for i in steps),
        "values": tuple(values),
        "tests": (None,) * len(values),
    }
    return AnytimeRun(study=study, engine=engine, seed=seed, **{**plain, **fields})


def ended(scores: Sequence[float | None], engine: str, **fields: Any) -> list[AnytimeRun]:
    """Return one search a seed, whose first incumbent has 1.0 and whose last has the score."""
    return [
        run([None if score is None else 1.0, score], engine, seed, **fields)
        for seed, score in enumerate(scores)
    ]
