"""`Judge`: the callback that computes the objective, reports it, and ends what is hopeless."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import keras
import numpy as np

from tuning.data.arrays import Array, only
from tuning.data.dataset import Task
from tuning.errors import StudyError
from tuning.scoring import metrics
from tuning.study.objective import METRICS, Objective
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
    """

    knows_only_its_model = True

    def __init__(
        self,
        objective: Objective,
        task: Task,
        scoring: Rows,
        stopping: Rows,
        on_epoch: OnEpoch | None = None,
    ) -> None:
        super().__init__()
        self.curve: list[dict[str, float]] = []
        self.diverged = False
        self.answer = Answer.CONTINUE
        self.seconds = 0.0
        # Predictions on the scoring rows are handed to it; those on other rows it makes itself.
        self.looks_at_weights = stopping is not scoring

        self._objective = objective
        self._task = task
        self._scoring = scoring
        self._stopping = stopping
        self._on_epoch = on_epoch

        self._predicted: Array | None = None
        self._began = time.perf_counter()

    @property
    def monitor(self) -> str:
        """What early stopping watches: the objective.

        On rows of its own it watches the loss where the objective is not ours to compute.
        """
        if self._stopping is self._scoring:
            return self._objective.metric
        if self._ours:
            return f"inner_{self._objective.name}"
        return "inner_loss"

    @property
    def _ours(self) -> bool:
        return self._objective.name in METRICS and self._objective.name != "loss"

    def take_predictions(self, predicted: Array) -> None:
        """Take the predictions on the scoring rows after this epoch."""
        self._predicted = predicted

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Start the clock."""
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Complete the logs, keep them, report them."""
        assert logs is not None  # noqa: S101 - Keras passes its dictionary, shared by all callbacks
        self._complete(logs)
        self._predicted = None

        numbers = {name: float(value) for name, value in logs.items() if np.ndim(value) == 0}
        self.curve.append({"epoch": epoch + 1, **numbers})
        self.seconds += time.perf_counter() - self._began
        self._decide(logs)

    def _complete(self, logs: dict[str, float]) -> None:
        """Add the objective, and what early stopping watches where it has rows of its own."""
        metric = self._objective.metric
        if self._ours:
            logs[metric] = self._score(self._scoring, self._predicted)
        elif metric not in logs:
            known = ", ".join(sorted(name for name in logs if name.startswith("val_")))
            raise StudyError(f"no metric of the model is called '{metric}'; there are: {known}")

        if self._stopping is not self._scoring:
            logs[self.monitor] = self._inner()

    def _decide(self, logs: Mapping[str, float]) -> None:
        loss = logs.get("loss", 0.0)
        value = logs[self._objective.metric]
        if not (math.isfinite(loss) and math.isfinite(value)):
            self.diverged = True
        elif self._on_epoch is not None and self.answer is Answer.CONTINUE:
            self.answer = self._on_epoch(self.curve[-1])

        if self.diverged or self.answer is not Answer.CONTINUE:
            self.model.stop_training = True

    def _score(self, rows: Rows, predicted: Array | None) -> float:
        if predicted is None:
            predicted = predict(self.model, rows.X)
        probabilities = as_probabilities(self.model, predicted)
        return metrics.score(self._objective.name, self._task, only(rows.y), probabilities)

    def _inner(self) -> float:
        """Return what early stopping watches on its own rows."""
        if self._ours:
            return self._score(self._stopping, None)

        # Eagerly, not by `predict`: the loss takes in the layers' own losses, and those that a
        # graph has left behind cannot be read outside of it.
        n_rows = len(self._stopping)
        total = 0.0
        for start in range(0, n_rows, CHUNK):
            chunk = slice(start, start + CHUNK)
            rows = self._stopping.take(chunk)
            x, y, *weight = rows.tensors()
            loss = self.model.compute_loss(
                x=None,
                y=y,
                y_pred=self.model(x, training=False),
                sample_weight=weight[0] if weight else None,
                training=False,
            )
            total += len(rows) * float(loss)
        return total / n_rows


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
