"""The score of a trial's kept weights on the test part: to compare engines, and nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from tuning.data.arrays import only
from tuning.data.dataset import Array, task_of
from tuning.ledger.results import keep_test_score
from tuning.scoring import metrics
from tuning.study.objective import METRICS
from tuning.trainer.forward import predict
from tuning.trainer.outputs import as_probabilities
from tuning.trial import Answer
from tuning.trials.folds import FoldFit
from tuning.trials.worker_study import WorkerStudy


def score_test_part(folder: Path, worker_study: WorkerStudy, fits: Sequence[FoldFit]) -> None:
    """Score each fit on the test part, scaled as its training rows were; keep the mean.

    Nothing is kept where a fit has diverged, was pruned, or was finished by an earlier attempt
    whose model is gone.
    """
    whole = [item for item in fits if _is_whole(item)]
    if len(whole) < worker_study.n_fits:
        return

    scores = [_score(worker_study, item) for item in whole]
    known = [score for score in scores if score is not None]
    if len(known) == len(scores):
        name = worker_study.study.objective.name
        keep_test_score(folder, name, sum(known) / len(known))


def _is_whole(item: FoldFit) -> bool:
    return not item.judge.diverged and item.judge.answer is Answer.CONTINUE


def _score(worker_study: WorkerStudy, item: FoldFit) -> float | None:
    model = item.fit.model
    name = worker_study.study.objective.name
    test = worker_study.parts.test
    X = only(worker_study.fold(item.fold).scaler.transform(test.X))
    test_y = only(test.y)

    if name in METRICS and name != "loss":
        predicted = as_probabilities(model, predict(model, X))
        return metrics.score(name, task_of(worker_study.parts.task), test_y, predicted)

    # Keras computes what the study's model alone knows of, on targets as that was trained on.
    y = _as_trained(test_y, item)
    if y is None:
        return None
    scores: dict[str, float] = model.evaluate(X, y, verbose=0, return_dict=True)
    return float(scores[name])


def _as_trained(y: Array, item: FoldFit) -> Array | None:
    """Return targets in the shape the model was trained on.

    None where that was another encoding, e.g. one-hot rows.
    """
    known = item.fit.validation
    columns = () if known is None else only(known.y).shape[1:]
    if math.prod(columns) != math.prod(y.shape[1:]):
        return None
    return y.reshape(len(y), *columns)
