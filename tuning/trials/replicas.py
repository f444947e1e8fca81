"""Whether several devices train a model faster than one does: both are timed, once a worker."""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass, field, replace

import keras

from tuning.trainer.state import randomness_kept
from tuning.trainer.train import Fit
from tuning.trial import WARNING
from tuning.trials.training import Training
from tuning.trials.worker_study import WorkerStudy

_STEPS = 20
"""Of an epoch that is timed; the one before it compiles."""


@dataclass(frozen=True)
class StepTimes:
    """Seconds of one step at the same global batch.

    Attributes:
        several_s: Of the trial's devices together.
        one_s: Of one of them, by the trainer that it would have alone.
        n_devices: How many several are.
        batch_size: Rows of the step.
    """

    several_s: float
    one_s: float
    n_devices: int
    batch_size: int

    @property
    def warning(self) -> str:
        """What a user should know; "" where several are faster."""
        if self.several_s <= self.one_s:
            return ""
        return (
            f"{WARNING}{self.n_devices} GPUs take {1000 * self.several_s:.1f} ms for a step of "
            f"{self.batch_size} rows, one takes {1000 * self.one_s:.1f} ms. With gpus_per_trial=1 "
            f"each trial is faster, and {self.n_devices} run at once"
        )


@dataclass(frozen=True)
class _Timed:
    """A study in one worker, as a key; what it is timed with does not count."""

    study: str
    training: Training = field(compare=False)


def replica_warning(training: Training) -> str:
    """Return a warning where the devices of a trial train its model slower than one of them.

    Timed with the first trial of a worker; later ones are told the same.
    """
    study = training.worker_study.study
    if study.gpus_per_trial == 1:
        return ""
    return _measured(_Timed(study.hash, training)).warning


@functools.lru_cache(maxsize=2)
def _measured(timed: _Timed) -> StepTimes:
    return step_times(timed.training)


def step_times(training: Training) -> StepTimes:
    """Time a step on the trial's devices and on one, on models that are thrown away."""
    worker_study = training.worker_study
    n_devices = worker_study.study.gpus_per_trial
    alone = replace(worker_study, study=worker_study.study.with_(gpus_per_trial=1))
    with randomness_kept():
        return StepTimes(
            several_s=_step_s(worker_study, training),
            one_s=_step_s(alone, training),
            n_devices=n_devices,
            batch_size=training.point.batch_size,
        )


def _step_s(worker_study: WorkerStudy, training: Training) -> float:
    """Return the seconds of a step in the second of two short epochs."""
    point = training.point
    model = worker_study.model_at(point, training.seed)
    train = worker_study.rows_of_fit(0).for_model(model).train
    n_steps = max(1, min(_STEPS, len(train) // point.batch_size))
    fit = Fit(
        model,
        train.take(slice(0, min(len(train), n_steps * point.batch_size))),
        epochs_total=2,
        batch_size=point.batch_size,
        seed=training.seed,
        trainer=worker_study.study.trainer,
        callbacks=[clock := _Clock()],
    )
    for _ in fit.epochs():
        pass
    return clock.seconds / n_steps


class _Clock(keras.callbacks.Callback):  # type: ignore[misc]
    """Times the last epoch."""

    seconds = 0.0
    _began = 0.0

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        self.seconds = time.perf_counter() - self._began
