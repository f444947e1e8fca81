"""Scores on the test part: of a trial's kept weights, and of what a model was compiled with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import numpy as np

from tuning.builders.padding import scoring_weight
from tuning.data.arrays import Array, Arrays, named
from tuning.ledger.results import keep_test_score
from tuning.scoring.measure import is_always_ours, measure_of
from tuning.trainer.forward import predict
from tuning.trainer.keras_internals import compiled_metric_names
from tuning.trainer.outputs import as_probabilities
from tuning.trainer.rows import Rows
from tuning.trial import Answer
from tuning.trials.folds import FoldFit
from tuning.trials.worker_study import WorkerStudy


def score_test_part(folder: Path, worker_study: WorkerStudy, fits: Sequence[FoldFit]) -> None:
    """Score each fit on the test part, scaled as its training rows were; keep the mean.

    To compare engines, and nothing else. Nothing is kept where a fit has diverged, was pruned, or
    was finished by an earlier attempt whose model is gone.
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
    objective = worker_study.study.objective
    test = worker_study.parts.test
    X = item.rows.inputs(test.X)

    measure = measure_of(objective, worker_study.parts.task)
    is_of_the_model = (
        objective.function is None
        and not is_always_ours(objective.name)
        and objective.name in compiled_metric_names(model)
    )
    if measure is not None and not is_of_the_model:
        predicted = as_probabilities(model, predict(model, X))
        threshold = item.judge.threshold_of(model)
        weight = scoring_weight(model, X, test.y, test.weight)
        return measure(test.y, predicted, weight, threshold=threshold)

    # Keras computes what the study's model alone knows of, on targets as that was trained on.
    known = item.fit.validation
    as_data = item.rows.targets(test.y)
    y = as_data if known is None else as_trained(as_data, known.y)
    if y is None:
        return None
    rows = Rows(X, y, item.rows.weights(test))
    return compiled_scores(model, rows, batch_size=32)[objective.name]


def compiled_scores(model: keras.Model, rows: Rows, batch_size: int = 1024) -> dict[str, float]:
    """Return the loss and every compiled metric, weighted where the rows are: Keras' `evaluate`.

    A metric with one value in a list is a number; one with several, one a class, is left out.

    Args:
        model: Compiled.
        rows: Prepared as those it was trained on; y in the form that it was trained on.
        batch_size: Rows a step. Means over rows do not depend on it; what Keras averages over
            batches (the losses of several outputs, one of the user's own) does.
    """
    X, y, *weight = rows.arrays
    values = model.evaluate(
        X,
        y,
        sample_weight=weight[0] if weight else None,
        batch_size=batch_size,
        verbose=0,
        return_dict=True,
    )
    return {
        name: float(np.reshape(value, ())) for name, value in values.items() if np.size(value) == 1
    }


def has_compiled_metrics(model: keras.Model) -> bool:
    """Whether a model was compiled with more than a loss."""
    return bool(compiled_metric_names(model))


def as_trained(y: Arrays, known: Arrays) -> Arrays | None:
    """Return targets in the form that a model was trained on.

    Args:
        y: As the data set has them.
        known: Of the rows it was trained on.

    Returns:
        None where those have another form that is not known.
    """
    forms = dict(named(known))
    several = {name: _one_as_trained(array, forms[name]) for name, array in named(y)}
    arrays = {name: array for name, array in several.items() if array is not None}
    if len(arrays) < len(several):
        return None
    return arrays if isinstance(y, Mapping) else arrays[""]


def _one_as_trained(y: Array, known: Array) -> Array | None:
    row_shape = known.shape[1:]
    if math.prod(row_shape) == math.prod(y.shape[1:]):
        return y.reshape(len(y), *row_shape)
    if y.ndim == 1 and len(row_shape) == 1 and y.dtype.kind in "iu":  # one-hot rows
        return np.asarray(np.eye(row_shape[0], dtype=known.dtype)[y])
    return None
