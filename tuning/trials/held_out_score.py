"""The score of a trial's kept weights on the test part: to compare engines, and nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tuning.data.dataset import Array
from tuning.ledger.results import keep_test_score
from tuning.study.objective import METRICS
from tuning.trainer.forward import predict
from tuning.trainer.outputs import as_probabilities
from tuning.trials import metrics
from tuning.trials.folds import FoldFit
from tuning.trials.worker_study import WorkerStudy


def score_test_part(folder: Path, bench: WorkerStudy, fits: Sequence[FoldFit]) -> None:
    """Score each fit on the test part, scaled as its training rows were, and keep the mean under
    the objective's name.

    Nothing is kept where a fit has diverged, was pruned, or was finished by an earlier attempt
    whose model is gone.
    """
    whole = [item for item in fits if not item.judge.diverged and item.judge.verdict == "continue"]
    if len(whole) == bench.n_fits:
        scores = [score for item in whole if (score := _score(bench, item)) is not None]
        if len(scores) == len(whole):
            keep_test_score(folder, bench.study.objective.name, sum(scores) / len(scores))


def _score(bench: WorkerStudy, item: FoldFit) -> float | None:
    model, objective, part = item.fit.model, bench.study.objective, bench.parts.test
    X = bench.fold(item.fold).scaler.transform(part.X)
    if objective.name in METRICS and objective.name != "loss":
        return metrics.score(
            objective.name, bench.parts.task, part.y, as_probabilities(model, predict(model, X))
        )
    y = _as_trained(part.y, item)
    if y is None:
        return None
    found: dict[str, Any] = model.evaluate(X, y, verbose=0, return_dict=True)
    return float(found[objective.name])


def _as_trained(y: Array, item: FoldFit) -> Array | None:
    """Return targets in the shape the model was trained on; None where that was another encoding,
    e.g. one-hot rows.
    """
    known = item.fit.validation
    columns = () if known is None else known.y.shape[1:]
    return y.reshape(len(y), *columns) if math.prod(columns) == math.prod(y.shape[1:]) else None
