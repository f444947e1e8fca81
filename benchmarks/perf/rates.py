"""What a worker measures: epochs per second by `model.fit`, our trainer or a hand-written loop."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.perf.records import Rates
from benchmarks.perf.spec import HOUSING_SCORED, Spec
from benchmarks.perf.together import begin_together
from tuning.data.arrays import only
from tuning.data.dataset import Array, Task
from tuning.study.objective import Minimize, Objective
from tuning.trial import Context

if TYPE_CHECKING:
    from tuning.trainer.train import Rows

OURS = Minimize("val_rmse")
CLASSES = Objective("val_accuracy", "maximize")


def measure(spec: Spec, context: Context) -> Rates:
    """Return the times of the first epochs, and the rate from then on; the function of a `Job`.

    A structure is traced in its first epoch, and ours may go to XLA in the second: neither belongs
    to the steady rate.
    """
    if spec.warm_up:
        _times(replace(spec, widths=(3,), rows=2 * spec.batch, epochs=2, seconds=0.0))
    data = rows_of(spec)

    begin_together(context)
    began = time.perf_counter()
    times, compiler = _times(spec, data)
    return Rates(
        epochs_per_s=(len(times) - 2) / (times[-1] - times[1]),
        first_s=times[0] - began,
        two_epochs_s=times[1] - began,
        compiler=compiler,
    )


def rows_of(spec: Spec) -> tuple[Rows, Rows]:
    """Return training and validation rows: real housing, or random data in another shape."""
    from tuning.data.california import california_housing
    from tuning.data.parts import split
    from tuning.trainer.train import Rows

    if spec.inputs == 8:
        parts = split(california_housing(), seed=42).scaled()
        train = parts.train.take(np.arange(min(spec.rows, len(parts.train))))
        scored = parts.validation
        return Rows(only(train.X), only(train.y)), Rows(only(scored.X), only(scored.y))
    random = np.random.default_rng(0)
    train_x, train_y = _random_rows(random, spec.rows, spec)
    scored_x, scored_y = _random_rows(random, HOUSING_SCORED, spec)
    return Rows(train_x, train_y), Rows(scored_x, scored_y)


def _random_rows(random: np.random.Generator, rows: int, spec: Spec) -> tuple[Array, Array]:
    X = random.random((rows, spec.inputs), np.float32)
    return X, random.integers(0, spec.outputs, rows, np.int32)


def _times(spec: Spec, data: tuple[Rows, Rows] | None = None) -> tuple[list[float], str]:
    """Train; return when each epoch ended, and the compiler used."""
    train, scored = data or rows_of(spec)
    if spec.side == "hand":
        from benchmarks.perf.hand import train_by_hand

        return train_by_hand(spec, only(train.X), only(train.y)), spec.compiler
    if spec.side == "fit":
        return _fit(spec, train, scored)
    return _ours(spec, train, scored)


def _fit(spec: Spec, train: Rows, scored: Rows) -> tuple[list[float], str]:
    model = _model(spec)
    clock = _clock(spec)
    validation = (scored.X, scored.y) if spec.validation else None

    while not clock.over:
        model.fit(
            train.X,
            train.y,
            batch_size=spec.batch,
            epochs=spec.epochs,
            validation_data=validation,
            callbacks=[clock],
            verbose=0,
        )
    return clock.times, "keras"


def _ours(spec: Spec, train: Rows, scored: Rows) -> tuple[list[float], str]:
    from unittest.mock import patch

    from tuning.trainer import native_steps
    from tuning.trainer.train import Fit
    from tuning.trials.judge import Judge

    # A graph is what is left where no network is small enough for machine code.
    most = 0 if spec.side == "graph" else native_steps.MAX_PARAMETERS
    model = _model(spec)
    clock = _clock(spec)
    is_regression = spec.outputs == 1
    task: Task = "regression" if is_regression else "multiclass"
    objective = OURS if is_regression else CLASSES
    judges = [Judge(objective, task, scored, scored)] if spec.validation else []
    with patch.object(native_steps, "MAX_PARAMETERS", most):
        while not clock.over:
            fit = Fit(
                model,
                train,
                validation=scored if spec.validation else None,
                epochs_total=spec.epochs,
                batch_size=spec.batch,
                callbacks=[*judges, clock],
                trainer="compiled",
            )
            for _ in fit.epochs():
                pass
        return clock.times, _compiler(spec, model, train)


def _compiler(spec: Spec, model: Any, train: Rows) -> str:
    from tuning.trainer.compiled import repays_xla
    from tuning.trainer.native_steps import NativeSteps, steps_for

    if isinstance(steps_for(model, train.tensors(), spec.batch), NativeSteps):
        return "machine code"
    return "xla" if repays_xla(model, len(train.y), spec.batch, spec.epochs) else "graph"


def _model(spec: Spec) -> Any:
    from tuning.builders.build import build
    from tuning.builders.mlp import build_model

    arguments = {
        "n_hidden": len(spec.widths),
        "n_neurons": spec.widths,
        "optimizer": spec.optimizer,
        "lr": 1e-3,
        "input_shape": (spec.inputs,),
        "n_outputs": spec.outputs,
        "task": "regression" if spec.outputs == 1 else "multiclass",
    }
    return build(build_model, arguments, seed=1)


def _clock(spec: Spec) -> Any:
    """Return a Keras callback that notes when each epoch ends, and stops after enough of them."""
    import keras

    class Clock(keras.callbacks.Callback):  # type: ignore[misc]
        knows_only_its_model = True  # as our trials' callbacks do: no weights are copied for it

        def __init__(self) -> None:
            super().__init__()
            self.times: list[float] = []

        @property
        def over(self) -> bool:
            return spec.enough(self.times)

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.times.append(time.perf_counter())
            if self.over:
                self.model.stop_training = True

    return Clock()
