"""`Judge`: the callback that computes the objective, reports it, and ends what is hopeless."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np

from tuning.builders.padding import scoring_weight
from tuning.data.arrays import Arrays
from tuning.data.dataset import Tasks
from tuning.errors import StudyError
from tuning.scoring.measure import Measure, is_always_ours, measure_of
from tuning.scoring.thresholds import Threshold, threshold_on
from tuning.study.objective import Objective
from tuning.trainer.compiled import CHUNK
from tuning.trainer.forward import predict
from tuning.trainer.outputs import as_probabilities
from tuning.trainer.train import Rows
from tuning.trial import Answer

OnEpoch: TypeAlias = Callable[[Mapping[str, float]], Answer]
"""Is given each row of a curve, answers whether training goes on."""


class Judge(keras.callbacks.Callback):  # type: ignore[misc]
    """Adds the objective to each epoch's logs and keeps the curve.

    Must come first in the list: callbacks after it find `val_rmse` (or whatever the objective is)
    in their logs, and `inner_rmse` where early stopping has rows of its own.

    Attributes:
        curve: One mapping an epoch, with `epoch` (from 1).
        diverged: Loss or objective was not finite; training stops at that epoch.
        answer: The first of `on_epoch` that was not CONTINUE.
        seconds: Spent in the epochs of the curve.

    Args:
        objective: What trials are compared by.
        task: Of the data set.
        scoring: Rows that the objective is computed on.
        stopping: Rows that early stopping looks at.
        on_epoch: Given each row of the curve.
        compiled: Names of the metrics that the model was compiled with: of these its own values
            count, but for those that are always ours.
        threshold: Between two classes; "tuned": on the stopping rows, anew after each epoch.
        also: Other objectives, and what constraints look at: added to the logs, too. They must be
            finite.
    """

    knows_only_its_model = True

    def __init__(
        self,
        objective: Objective,
        task: Tasks,
        scoring: Rows,
        stopping: Rows,
        on_epoch: OnEpoch | None = None,
        *,
        compiled: Collection[str] = (),
        threshold: Threshold = None,
        also: Sequence[Objective] = (),
    ) -> None:
        super().__init__()
        self.curve: list[dict[str, float]] = []
        self.diverged = False
        self.answer = Answer.CONTINUE
        self.seconds = 0.0
        # Predictions on the scoring rows are handed to it; those on other rows it makes itself.
        self.looks_at_weights = stopping is not scoring

        self._objective = objective
        self._measure = _measure(objective, task, compiled)
        self._others = [(other, _measure(other, task, compiled)) for other in also]
        self._threshold = threshold
        self._scoring = scoring
        self._stopping = stopping
        self._on_epoch = on_epoch

        self._weights: dict[int, Arrays | None] = {}
        self._predicted: Arrays | None = None
        self._began = time.perf_counter()

    @property
    def monitor(self) -> str:
        """What early stopping watches: the objective.

        On rows of its own it watches the loss where the objective is not ours to compute.
        """
        if self._stopping is self._scoring:
            return self._objective.metric
        if self._measure is not None:
            return f"inner_{self._objective.name}"
        return "inner_loss"

    def take_predictions(self, predicted: Arrays) -> None:
        """Take the predictions on the scoring rows after this epoch."""
        self._predicted = predicted

    def threshold_of(self, model: keras.Model) -> float | None:
        """Return the threshold that the objective of these weights is computed with."""
        if self._threshold != "tuned":
            return self._threshold
        if self._measure is None or self._stopping is self._scoring:
            return None
        inner = as_probabilities(model, predict(model, self._stopping.X))
        return self._threshold_now(self._measure, inner)

    @property
    def ended(self) -> bool:
        """Whether the trial is to go no further."""
        return self.diverged or self.answer is not Answer.CONTINUE

    def can_complete(self, logs: Mapping[str, Any]) -> bool:
        """Whether the objective of an epoch with these logs can be told."""
        return self._measure is not None or self._objective.metric in logs

    def weight_of(self, model: keras.Model, rows: Rows) -> Arrays | None:
        """Return what rows of this fit count in scores: steps that the model masks nothing.

        Looked for once: padding lies in the inputs.
        """
        if id(rows) not in self._weights:
            self._weights[id(rows)] = scoring_weight(model, rows.X, rows.y, rows.weight)
        return self._weights[id(rows)]

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Start the clock."""
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Complete the logs, keep them, report them."""
        assert logs is not None  # noqa: S101 - Keras passes its dictionary, shared by all callbacks
        self._complete(logs)
        self._predicted = None

        # A metric of one class or unit has one value in a list; one of several has no place here.
        numbers = {
            name: float(np.reshape(value, ()))
            for name, value in logs.items()
            if np.size(value) == 1
        }
        self.curve.append({"epoch": epoch + 1, **numbers})
        self.seconds += time.perf_counter() - self._began
        self._decide(logs)

    def _complete(self, logs: dict[str, float]) -> None:
        """Add the objective, and what early stopping watches where it has rows of its own."""
        metric = self._objective.metric
        has_own_rows = self._stopping is not self._scoring
        if self._measure is None:
            logs[metric] = self._of_the_model(self._objective, logs)
            if has_own_rows:
                logs[self.monitor] = self._inner_loss()
            self._add_others(logs, None if self._threshold == "tuned" else self._threshold)
            return

        inner = self._probabilities(self._stopping, None) if has_own_rows else None
        threshold = self._threshold_now(self._measure, inner)
        if self._model_has_it(self._objective, logs):
            logs[metric] = self._of_the_model(self._objective, logs)
        else:
            predicted = self._probabilities(self._scoring, self._predicted)
            logs[metric] = self._score(self._measure, self._scoring, predicted, threshold)
        if inner is not None:
            logs[self.monitor] = self._score(self._measure, self._stopping, inner, threshold)
        self._add_others(logs, threshold)

    def _of_the_model(self, objective: Objective, logs: Mapping[str, Any]) -> float:
        """Return a metric as Keras has it: a number, or a list of one."""
        metric = objective.metric
        if metric not in logs:
            known = ", ".join(sorted(name for name in logs if name.startswith("val_")))
            raise StudyError(f"no metric of the model is called '{metric}'; there are: {known}")
        if np.size(logs[metric]) != 1:
            raise StudyError(f"'{metric}' has {np.size(logs[metric])} values, one a class")
        return float(np.reshape(logs[metric], ()))

    def _model_has_it(self, objective: Objective, logs: Mapping[str, float]) -> bool:
        if is_always_ours(objective.name) or objective.function is not None:
            return False
        return np.size(logs.get(objective.metric, ())) == 1

    def _add_others(self, logs: dict[str, float], threshold: float | None) -> None:
        """Add what the study asks for besides the objective, from the same predictions."""
        for objective, measure in self._others:
            if measure is None or self._model_has_it(objective, logs):
                logs[objective.metric] = self._of_the_model(objective, logs)
                continue
            if self._predicted is None:
                self._predicted = predict(self.model, self._scoring.X)
            predicted = self._probabilities(self._scoring, self._predicted)
            logs[objective.metric] = self._score(measure, self._scoring, predicted, threshold)

    def _decide(self, logs: Mapping[str, float]) -> None:
        loss = logs.get("loss", 0.0)
        values = [logs[self._objective.metric]]
        values += [logs[other.metric] for other, _ in self._others]
        if not all(map(math.isfinite, (loss, *values))):
            self.diverged = True
        elif self._on_epoch is not None and self.answer is Answer.CONTINUE:
            self.answer = self._on_epoch(self.curve[-1])

        if self.ended:
            self.model.stop_training = True

    def _probabilities(self, rows: Rows, predicted: Arrays | None) -> Arrays:
        if predicted is None:
            predicted = predict(self.model, rows.X)
        probabilities: Arrays = as_probabilities(self.model, predicted)
        return probabilities

    def _threshold_now(self, measure: Measure, inner: Arrays | None) -> float | None:
        """Return the threshold after this epoch; a tuned one never sees the scoring rows."""
        if self._threshold != "tuned":
            return self._threshold
        if inner is None or not measure.wants_threshold:
            return None
        rows = self._stopping
        weight = self.weight_of(self.model, rows)
        return threshold_on(measure, self._objective, rows.y, inner, weight)

    def _score(
        self, measure: Measure, rows: Rows, predicted: Arrays, threshold: float | None
    ) -> float:
        weight = self.weight_of(self.model, rows)
        return measure(rows.y, predicted, weight, threshold=threshold)

    def _inner_loss(self) -> float:
        """Return the loss on the rows of early stopping."""
        # Eagerly, not by `predict`: the loss takes in the layers' own losses, and those that a
        # graph has left behind cannot be read outside of it.
        n_rows = len(self._stopping)
        total = 0.0
        for start in range(0, n_rows, CHUNK):
            chunk = slice(start, start + CHUNK)
            rows = self._stopping.take(chunk)
            x, y, *weight = rows.tensors()
            loss = self.model.compute_loss(
                x=x,
                y=y,
                y_pred=self.model(x, training=False),
                sample_weight=weight[0] if weight else None,
                training=False,
            )
            total += len(rows) * float(loss)
        return total / n_rows


def _measure(objective: Objective, task: Tasks, compiled: Collection[str]) -> Measure | None:
    """Return what computes the objective; None where the model itself does."""
    measure = measure_of(objective, task)
    if objective.function is None and not is_always_ours(objective.name):
        return None if objective.name in compiled else measure
    return measure


def early_stopping(
    judge: Judge, objective: Objective, patience: int
) -> keras.callbacks.EarlyStopping:
    """Return Keras' own early stopping on what the judge computes, best weights restored."""
    smaller_is_better = objective.direction == "minimize" or judge.monitor == "inner_loss"
    return keras.callbacks.EarlyStopping(
        judge.monitor,
        patience=patience,
        mode="min" if smaller_is_better else "max",
        restore_best_weights=True,
    )
