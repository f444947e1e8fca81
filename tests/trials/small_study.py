"""A tiny study for the tests of this room: importable, so that its saved models load again."""

from __future__ import annotations

from typing import Any

import cloudpickle
import keras
import numpy as np

from tuning import Choice, Float, Minimize, Study
from tuning.data.dataset import Dataset
from tuning.trial import Answer, EpochReport, Proposal
from tuning.trials.jobs import TrialJob


def rows(task: str = "regression", n: int = 120, classes: int = 2) -> Dataset:
    rng = np.random.default_rng(11)
    X = rng.normal(3.0, 5.0, size=(n, 3))
    line = X[:, 0] - 0.5 * X[:, 1] + rng.normal(size=n)
    if task == "regression":
        return Dataset("line", X, line, "regression")
    y = np.digitize(line, np.quantile(line, np.arange(1, classes) / classes))
    return Dataset("line", X, y, task, classes=tuple(map(str, range(classes))))  # type: ignore[arg-type]


def net(
    lr: float = 0.05, width: int = 4, dropout: float = 0.0, input_shape: tuple[int, ...] = (3,)
) -> keras.Model:
    layers = [
        keras.Input(input_shape),
        keras.layers.Dense(width, "tanh"),
        keras.layers.Dropout(dropout),
    ]
    model = keras.Sequential([*layers, keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(lr, momentum=0.5), "mse")
    return model


def logits(lr: float = 0.2, input_shape: tuple[int, ...] = (3,), n_outputs: int = 1) -> keras.Model:
    model = keras.Sequential([keras.Input(input_shape), keras.layers.Dense(n_outputs)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    if n_outputs == 1:
        loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(lr), loss)
    return model


def study(**changes: Any) -> Study:
    settings: dict[str, Any] = {
        "name": "small",
        "builder": net,
        "data": rows,
        "objective": Minimize("val_rmse"),
        "epochs": 4,
        "seed": 1,
        "space": {"lr": Float(1e-4, 1e30, log=True), "batch_size": Choice(8, 16, 32)},
        "batch_size": 16,
    }
    if "objectives" in changes:
        settings.pop("objective")
    return Study(**{**settings, **changes})


def job(
    folder: Any, defined: Study, *, number: int = 0, epochs: int | None = None, **settings: Any
) -> TrialJob:
    """A trial with lr 0.05; `params`, `of` (its parent) and whatever a TrialJob takes."""
    proposal = Proposal(
        number=number,
        params={"lr": 0.05, **settings.pop("params", {})},
        epochs=defined.epochs if epochs is None else epochs,
        parent=settings.pop("of", None),
    )
    source = cloudpickle.dumps(defined)
    return TrialJob(source=source, overrides={}, proposal=proposal, folder=folder, **settings)


class ScriptedContext:
    """A Context that keeps what is reported; answers CONTINUE `at` times, then from a list."""

    slot = "cpu:0"

    def __init__(self, *answers: Answer, at: int = 0) -> None:
        self.retired = False
        self.reports: list[EpochReport] = []
        self._answers = [Answer.CONTINUE] * at + list(answers)

    def report(self, report: EpochReport) -> Answer:
        self.reports.append(report)
        return self._answers.pop(0) if self._answers else Answer.CONTINUE

    def retire(self) -> None:
        self.retired = True
