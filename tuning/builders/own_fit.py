"""`OwnFit`: a `HyperModel.fit` carried out word for word, our callbacks among those it is given."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from tuning.data.arrays import Array
from tuning.errors import StudyError
from tuning.study.foreign.hypermodel_fit import replaced
from tuning.study.objective import Objective
from tuning.trainer.state import randomness_kept, state_arrays
from tuning.trainer.train import Fit


class Watcher(Protocol):
    """What is asked of the judge: see `tuning.trials.judge.Judge`."""

    curve: list[dict[str, float]]
    diverged: bool
    ended: bool

    def can_complete(self, logs: Mapping[str, Any]) -> bool:
        """Whether it can compute the objective of an epoch with these logs."""


@dataclass(eq=False, kw_only=True)
class OwnFit(Fit):
    """A training run that the user's code does.

    It cannot be left between epochs, nor taken up after an interruption.

    Attributes:
        carry_out: `ForeignBuilder.own_fit`.
        why: Why our training cannot do the same, in words.
        name: Of the function, for people.
        judge: The first of `callbacks`.
        objective: Of the study.
        returned: The figures that it has returned, by name, in the place of those of the weights;
            empty where it returned a history.
    """

    carry_out: Callable[..., Any]
    why: str
    name: str
    judge: Watcher
    objective: Objective
    returned: Mapping[str, float] = field(default_factory=dict)

    @property
    def reason(self) -> str:
        """Why this training is not compiled."""
        return f"{self.name} is carried out as it is, since {self.why}"

    def epochs(self) -> Generator[int, None, None]:
        """Train to the end; then yield each epoch's number (from 1).

        Raises:
            StudyError: It returned nothing that a trial can be judged by, or has trained a model of
                another structure.
        """
        self.notes.append(self.reason)
        optimizer = self.model.optimizer
        if not optimizer.built:  # as it is where a kept state is put back
            with self.model.distribute_strategy.scope():
                optimizer.build(self.model.trainable_variables)
        shapes = _shapes(self.model)
        watchers = _Watchers(self.callbacks, self.judge, self.initial_epoch)
        watchers.set_model(self.model)
        result: Any = None
        with randomness_kept(), _noting_fits(self.batch_size) as trained:
            keras.utils.set_random_seed(self.seed)
            with contextlib.suppress(_Ended):
                result = self._call(watchers)
            watchers.end_training()
        self._keep_the_trained(trained, watchers)
        if _shapes(self.model) != shapes:  # it has compiled the model again, for a second phase
            self.model.optimizer = optimizer
        if _shapes(self.model) != shapes:
            raise StudyError(
                f"{self.name} changes the structure of the model; do that in build, so that the "
                "winner can be built again"
            )
        if not self.judge.ended:
            self._take(result, watchers)
        yield from watchers.done

    def _call(self, watchers: _Watchers) -> Any:
        arguments = self._keras_rows(self.rows.for_outputs(self.model))
        arguments.pop("shuffle")
        rows = [arguments.pop("x")]
        if arguments.get("y") is not None:
            rows.append(arguments.pop("y"))
        passed = {
            **{name: value for name, value in arguments.items() if value is not None},
            "validation_data": self._keras_validation(self._scored_rows()),
            "epochs": self.epochs_total,
            "callbacks": [watchers],
        }
        if self.class_weight is not None:
            passed["class_weight"] = dict(self.class_weight)
        if self.initial_epoch:
            passed["initial_epoch"] = self.initial_epoch
        return self.carry_out(self.model, *rows, **passed)

    def _keep_the_trained(self, trained: Sequence[keras.Model], watchers: _Watchers) -> None:
        """Put the weights into the model that `build` returned, where another one was trained."""
        other = watchers.model if watchers.done else (trained[-1] if trained else self.model)
        if other is self.model:
            return
        try:
            self.model.set_weights(other.get_weights())
        except ValueError as error:
            raise StudyError(
                f"{self.name} trains a model of another structure than the one that build "
                "returned; let build return it"
            ) from error

    def _take(self, result: Any, watchers: _Watchers) -> None:
        """Take what it returned as KerasTuner does."""
        metric = self.objective.metric
        figures = _figures(result, self.objective)
        value = figures.get(metric, figures.get(metric.removeprefix("val_")))
        if value is not None:
            self.returned = {**_own_names(figures), metric: value}
            self.notes.append(f"{metric} is what {self.name} has returned")
        elif result is None:
            raise StudyError(
                f"{self.name} returns nothing; let it return what model.fit returns, the "
                f"objective as a number, or a mapping with {metric}"
            )
        if not self.judge.curve:
            self._judge_the_end(result, watchers)
        self.judge.diverged |= value is not None and not math.isfinite(value)

    def _judge_the_end(self, result: Any, watchers: _Watchers) -> None:
        """Have the model judged as it is now: no epoch was told."""
        history = result if isinstance(result, keras.callbacks.History) else None
        n_epochs = watchers.n_told or self.epochs_total
        logs = dict(self.returned)
        if history is not None and history.epoch:
            n_epochs = len(history.epoch)
            logs |= {name: values[-1] for name, values in history.history.items()}
        if not self.judge.can_complete(logs):
            raise StudyError(
                f"{self.name} tells no {self.objective.metric}: let it pass its callbacks on to "
                f"model.fit, or return {self.objective.metric}"
            )
        watchers.judge_alone(max(n_epochs, self.initial_epoch + 1) - 1, logs)


class _Ended(BaseException):
    """The judge has ended the trial; not an `Exception`, which a user's code may catch."""


class _Watchers(keras.callbacks.Callback):  # type: ignore[misc]
    """All our callbacks as one, for a training that may call only some of a callback's methods.

    Several fits of one training count as one: epochs are numbered on.

    Attributes:
        done: The numbers of the epochs that were judged, from 1.
        n_told: The epochs that have ended, judged or not.
    """

    def __init__(self, inner: Sequence[Any], judge: Watcher, initial_epoch: int) -> None:
        super().__init__()
        self.done: list[int] = []
        self.n_told = 0
        self._inner = list(inner)
        self._judge = judge
        self._last = initial_epoch - 1
        self._has_begun = False
        self._has_ended = False

    def set_model(self, model: keras.Model) -> None:
        """Let each know the model."""
        super().set_model(model)
        for each in self._inner:
            each.set_model(model)

    def set_params(self, params: Any) -> None:
        """Let each know what `fit` was told."""
        super().set_params(params)
        for each in self._inner:
            each.set_params(params)

    def on_train_begin(self, logs: Any = None) -> None:
        """Begin, or begin again: a second `model.fit` of one training."""
        self._has_begun = True
        self._has_ended = False
        self._call("on_train_begin", logs)

    def on_train_end(self, logs: Any = None) -> None:
        """End."""
        self._has_ended = True
        self._call("on_train_end", logs)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Begin an epoch."""
        self._begin()
        self._call("on_epoch_begin", self._numbered(epoch), logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """End an epoch; leave the training where the judge says so.

        Of one whose figures have no objective nothing is told.
        """
        self._begin()
        logs = {} if logs is None else logs
        number = self._numbered(epoch)
        self._last = number
        self.n_told += 1
        if not self._judge.can_complete(logs):
            return
        self._call("on_epoch_end", number, logs)
        self.done.append(number + 1)
        if self._judge.ended:
            raise _Ended

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Begin a step."""
        self._call("on_train_batch_begin", batch, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """End a step."""
        self._call("on_train_batch_end", batch, logs)

    def on_test_begin(self, logs: Any = None) -> None:
        """Begin to validate."""
        self._call("on_test_begin", logs)

    def on_test_end(self, logs: Any = None) -> None:
        """End of it."""
        self._call("on_test_end", logs)

    def end_training(self) -> None:
        """Do what a loop that has told epochs alone has left out: best weights are put back."""
        if self._has_begun and not self._has_ended:
            self.on_train_end()

    def judge_alone(self, epoch: int, logs: dict[str, float]) -> None:
        """Have the judge, the first of them, see the model as it is."""
        self._inner[0].on_epoch_end(epoch, logs)
        self.done.append(epoch + 1)

    def _begin(self) -> None:
        if not self._has_begun:
            self.on_train_begin()

    def _numbered(self, epoch: int) -> int:
        return epoch if epoch > self._last else self._last + 1

    def _call(self, hook: str, *arguments: Any) -> None:
        for each in self._inner:
            getattr(each, hook)(*arguments)


@contextlib.contextmanager
def _noting_fits(batch_size: int) -> Iterator[list[keras.Model]]:
    """Note which models are fitted meanwhile; of arrays in our batches where it says no others."""
    trained: list[keras.Model] = []
    fit = keras.Model.fit

    def noted(self: Any, *args: Any, **kwargs: Any) -> Any:
        trained.append(self)
        x = args[0] if args else kwargs.get("x")
        are_arrays = isinstance(x, np.ndarray | Mapping | list | tuple) or tf.is_tensor(x)
        if are_arrays and len(args) < 3:  # `batch_size` is the third
            kwargs.setdefault("batch_size", batch_size)
        kwargs.setdefault("verbose", 0)
        return fit(self, *args, **kwargs)

    with replaced(keras.Model, "fit", noted):
        yield trained


def _figures(result: Any, objective: Objective) -> dict[str, float]:
    """Return the figures of a result by name; none of a single history, whose epochs were told."""
    if isinstance(result, int | float | np.number):
        return {objective.metric: float(result)}
    if isinstance(result, Mapping):
        numbers = {name: np.asarray(value) for name, value in result.items()}
        return {str(name): float(value) for name, value in numbers.items() if value.size == 1}
    if isinstance(result, list | tuple) and result:
        each = [_figures(item, objective) or _best_of(item, objective) for item in result]
        return {
            name: float(np.mean([figures[name] for figures in each]))
            for name in each[0]
            if all(name in figures for figures in each)
        }
    return {}


def _best_of(history: Any, objective: Objective) -> dict[str, float]:
    values = getattr(history, "history", {}).get(objective.metric)
    if not values:
        return {}
    best = min(values) if objective.direction == "minimize" else max(values)
    return {objective.metric: float(best)}


def _own_names(figures: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in figures.items() if name.startswith("val_")}


def _shapes(model: keras.Model) -> list[tuple[int, ...]]:
    arrays: list[Array] = state_arrays(model)
    return [array.shape for array in arrays]
