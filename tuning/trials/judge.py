"""`Judge`: the callback that computes the objective after each epoch, reports it, and stops what is
hopeless.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from tuning.data.dataset import Array, Task
from tuning.errors import StudyError
from tuning.study.objective import METRICS, Objective
from tuning.trainer.compiled import CHUNK
from tuning.trainer.forward import predict
from tuning.trainer.outputs import as_probabilities
from tuning.trainer.train import Rows
from tuning.trials import metrics


class Judge(keras.callbacks.Callback):  # type: ignore[misc]
    """Adds the objective to each epoch's logs and keeps the curve.

    Must come first in the list: callbacks after it find `val_rmse` (or whatever the objective is)
    in their logs, and `inner_rmse` where early stopping has rows of its own.

    Attributes:
        curve: One mapping an epoch, with `epoch` (from 1).
        diverged: Loss or objective was not finite; training stops at that epoch.
        verdict: The first answer of `on_epoch` that was not "continue".
    """

    knows_only_its_model = True

    def __init__(
        self,
        objective: Objective,
        task: Task,
        scoring: Rows,
        stopping: Rows,
        on_epoch: Callable[[Mapping[str, float]], str] | None = None,
    ) -> None:
        super().__init__()
        self.curve: list[dict[str, float]] = []
        self.diverged = False
        self.verdict = "continue"
        self.seconds = 0.0
        self._objective, self._task = objective, task
        self._scoring, self._stopping = scoring, stopping
        self.looks_at_weights = stopping is not scoring  # to predict
        self._on_epoch = on_epoch
        self._predicted: Array | None = None
        self._began = time.perf_counter()

    @property
    def monitor(self) -> str:
        """What early stopping watches: the objective; on rows of its own the loss, where the
        objective is not ours.
        """
        if self._stopping is self._scoring:
            return self._objective.metric
        return f"inner_{self._objective.name if self._ours else 'loss'}"

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
        if self._ours:
            logs[self._objective.metric] = self._score(self._scoring, self._predicted)
        elif self._objective.metric not in logs:
            known = ", ".join(sorted(name for name in logs if name.startswith("val_")))
            raise StudyError(
                f"no metric of the model is called '{self._objective.metric}'; there are: {known}"
            )
        if self._stopping is not self._scoring:
            logs[self.monitor] = self._inner()
        self._predicted = None
        numbers = {key: float(value) for key, value in logs.items() if np.ndim(value) == 0}
        self.curve.append({"epoch": epoch + 1, **numbers})
        self.seconds += time.perf_counter() - self._began
        self._decide(logs)

    def _decide(self, logs: Mapping[str, float]) -> None:
        watched = (logs.get("loss", 0.0), logs[self._objective.metric])
        if not all(map(math.isfinite, watched)):
            self.diverged = True
        elif self._on_epoch is not None and self.verdict == "continue":
            self.verdict = self._on_epoch(self.curve[-1])
        if self.diverged or self.verdict != "continue":
            self.model.stop_training = True

    def _score(self, rows: Rows, predicted: Array | None) -> float:
        if predicted is None:
            predicted = predict(self.model, rows.X)
        return metrics.score(
            self._objective.name, self._task, rows.y, as_probabilities(self.model, predicted)
        )

    def _inner(self) -> float:
        if self._ours:
            return self._score(self._stopping, None)
        # Called eagerly: a layer's own losses, which the loss takes in, would else be those of
        # another graph.
        total = 0.0
        for start in range(0, len(self._stopping.y), CHUNK):
            x, y = (
                keras.ops.convert_to_tensor(a[start : start + CHUNK])
                for a in (self._stopping.X, self._stopping.y)
            )
            predicted = self.model(x, training=False)
            total += len(y) * float(
                self.model.compute_loss(x=None, y=y, y_pred=predicted, training=False)
            )
        return total / len(self._stopping.y)


def early_stopping(
    judge: Judge, objective: Objective, patience: int
) -> keras.callbacks.EarlyStopping:
    """Return Keras' own early stopping on what the judge computes, best weights restored."""
    mode = "min" if objective.direction == "minimize" or judge.monitor == "inner_loss" else "max"
    return keras.callbacks.EarlyStopping(
        judge.monitor, patience=patience, mode=mode, restore_best_weights=True
    )
