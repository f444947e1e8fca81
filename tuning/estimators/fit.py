"""The training half of the estimators: seeds, the inner split, the trainer.

SciKeras' own loop is never entered. Its `random_state` context switches op determinism on for the
rest of the process; here only seeds are set.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import numpy as np
from scikeras.utils import metric_name
from sklearn.exceptions import NotFittedError
from sklearn.utils import check_random_state
from sklearn.utils.class_weight import compute_sample_weight

from tuning.builders.seeds import seeded
from tuning.data.arrays import Array, Arrays, each
from tuning.data.parts import inner_split
from tuning.estimators.building import BuildsModel
from tuning.estimators.parameters import routed_to
from tuning.estimators.targets import fit_for_output
from tuning.study.study import derive_seed
from tuning.trainer.forward import predict as predict_model
from tuning.trainer.outputs import as_probabilities
from tuning.trainer.rows import Rows, as_fit_takes, by_name, class_numbers
from tuning.trainer.train import Fit

_TRAINER_SETTINGS = ("batch_size", "shuffle")
_FIT_SETTINGS = (*_TRAINER_SETTINGS, "epochs", "verbose", "initial_epoch")
_WITHOUT_EFFECT = ("verbose", "validation_batch_size")
"""Settings of `fit` that change no figure here: long validation rows are cut by the trainer."""
_PREDICT_HOOKS = (
    "on_predict_begin",
    "on_predict_end",
    "on_predict_batch_begin",
    "on_predict_batch_end",
)


_HELD_OUT = 0.1
"""Of the rows, to stop by where nobody says which."""


class Watched(NamedTuple):
    """Rows scored after each epoch, ready for Keras, and the callbacks of a fit."""

    scoring: Rows
    callbacks: Sequence[keras.callbacks.Callback]


@dataclass(kw_only=True, eq=False)
class Watch:
    """How a search looks into one fit: a worker sets it as `_watch` on the estimator.

    A clone has none.

    Attributes:
        watched_by: Returns what watches the fit of a model, in the place of the estimator's own
            callbacks, early stopping included.
        inner: Numbers of the rows to train on and of those held out, to stop by or to tune a
            threshold on, among those that `fit` is given; None: none are held out.
        scope: What the model is built under, e.g. a distribution strategy.
        fits: Folds of the candidate, each a fit of equal structure.
        class_weight: Weight of each class by its number; None: all count alike.
        weight: What each row that is trained on counts, without those held out; None: 1. A search
            class cuts weights that its own `fit` was given; here they come from the data set.
        fit, scoring, callbacks: The training and what watches it, once it has begun.
    """

    watched_by: Callable[[keras.Model], Watched]
    inner: tuple[Array, Array] | None
    scope: AbstractContextManager[Any]
    fits: int = 1
    class_weight: Mapping[int, float] | None = None
    weight: Array | None = None
    fit: Fit | None = None
    scoring: Rows | None = None
    callbacks: Sequence[keras.callbacks.Callback] = ()


class _InnerSplit(NamedTuple):
    """Numbers of the rows to train on and of those to stop by; the second may be empty."""

    training: Array
    stopping: Array


class _OfThisCall(NamedTuple):
    """What was given to `fit` alone, or as `fit__…`, else the estimator's own.

    Attributes:
        validation_split: Share of the rows, the last ones; 0: none.
        validation_data: (X, y) or (X, y, weights) as the user has them, or None.
        class_weight: Weight by label or class number, or "balanced", beside the estimator's own.
        callbacks: Beside the estimator's own.
    """

    validation_split: float
    validation_data: tuple[Any, ...] | None
    class_weight: Any
    callbacks: tuple[keras.callbacks.Callback, ...]


class TrainsWithTuning(BuildsModel):
    """Replaces SciKeras' `_fit` and `_predict_raw`."""

    _watch: Watch | None = None
    _seed: int

    epochs: int
    patience: int | None
    validation_data: tuple[Any, Any] | None
    validation_split: float
    random_state: Any
    trainer: str
    verbose: int
    warm_start: bool
    initialized_: bool

    def _fit(
        self,
        X: Any,
        y: Any,
        *,
        sample_weight: Any,
        warm_start: bool,
        epochs: int,
        initial_epoch: int,
        **settings: Any,
    ) -> None:
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None"
            )

        goes_on = (self.warm_start or warm_start) and self.initialized_
        if not goes_on:
            self._seed = _draw_seed(self.random_state)

        with seeded(self._seed):
            X, y = self._validate_data(X, y, reset=not goes_on)
            if sample_weight is not None:
                X, y, sample_weight = self._validate_sample_weight(X, y, sample_weight)
                sample_weight = np.asarray(sample_weight)
            if not goes_on:
                self._fit_encoder(y)

            own = self._taken_out(settings)
            # Split first: the preprocessor must not see the rows that are held out.
            split = self._inner_split(y, own)
            if not goes_on:
                with nullcontext() if self._watch is None else self._watch.scope:
                    self._prepare(X[split.training])

            validation = self._given_validation(own)
            if len(split.stopping):
                # As in Keras: `class_weight` is the training loss' alone, `sample_weight` is not.
                held_out = None if sample_weight is None else sample_weight[split.stopping]
                validation = self._rows(X[split.stopping], y[split.stopping], held_out)
            weight = self._weight_by_class(y, sample_weight, own.class_weight)
            weight = None if weight is None else weight[split.training]
            if self._watch is not None and self._watch.weight is not None:
                weight = self._watch.weight
            rows = self._rows(X[split.training], y[split.training], weight)
            settings |= {"epochs": initial_epoch + epochs, "initial_epoch": initial_epoch}
            fit = self._make_fit(rows, validation, settings, own.callbacks)
            for _ in fit.epochs():
                pass

        before = getattr(self, "history_", {}) if goes_on and initial_epoch > 0 else {}
        self.history_ = _joined(before, fit.history)

    def _make_fit(
        self,
        rows: Rows,
        validation: Rows | None,
        settings: dict[str, Any],
        callbacks: Sequence[keras.callbacks.Callback],
    ) -> Fit:
        """Return the training of the model built, as the user or a search wants it watched.

        Args:
            rows: What is trained on.
            validation: What `patience` stops by and `history_` tells of, or None.
            settings: Given to `fit`.
            callbacks: The same, beside the estimator's own.
        """
        trainer_settings = self._trainer_settings(len(rows), settings)
        watch = self._watch
        watched = None if watch is None else watch.watched_by(self.model_)
        if watch is not None and watched is not None:
            watch.scoring, watch.callbacks = watched

        fit = Fit(
            self.model_,
            rows,
            validation=validation if watched is None else watched.scoring,
            callbacks=(
                self._callbacks(validation, callbacks) if watched is None else watched.callbacks
            ),
            fits=1 if watch is None else watch.fits,
            class_weight=None if watch is None else watch.class_weight,
            epochs_total=trainer_settings.pop("epochs"),
            seed=self._seed,
            trainer=self.trainer,
            **trainer_settings,
        )

        if watch is not None:
            watch.fit = fit
        return fit

    def _initialize(self, X: Any, y: Any = None) -> tuple[Any, Any]:
        """Check X and y, fit encoder and preprocessor on them, build the model.

        SciKeras calls it from its `initialize`.
        """
        self._seed = _draw_seed(self.random_state)
        with seeded(self._seed):
            X, y = self._validate_data(X, y, reset=True)
            self._fit_encoder(y)
            self._prepare(X)
        return X, y

    def _predict_raw(self, X: Any, **settings: Any) -> Any:
        """Return the model's outputs, `(rows, outputs)`, a list of them where there are several.

        Those of a classifier are probabilities, also where the model gives logits.

        Args:
            X: As given to `fit`.
            **settings: Of SciKeras (batch_size, verbose, …); they change no value, and the trainer
                cuts long X by itself.
        """
        if not self.initialized_:
            raise NotFittedError(
                f"This {type(self).__name__} is not fitted yet: call fit before predict"
            )
        X, _ = self._validate_data(X)
        predicted = self._outputs(self._prepared(X))
        if self._is_classifier:
            predicted = as_probabilities(self.model_, predicted)
        if isinstance(predicted, Mapping):  # SciKeras' encoders take several outputs as a list
            return list(predicted.values())
        return predicted.reshape(len(predicted), -1) if predicted.ndim == 1 else predicted

    def _outputs(self, inputs: Arrays) -> Any:
        callbacks = keras.tree.flatten(getattr(self, "_predict_callbacks", []))
        if any(_acts_on_predictions(callback) for callback in callbacks):
            predicted = self.model_.predict(as_fit_takes(inputs), callbacks=callbacks, verbose=0)
            return by_name(predicted)
        return predict_model(self.model_, inputs)

    def _encoded(self, y: Array) -> Arrays:
        encoded = by_name(self.target_encoder_.transform(y))
        if isinstance(encoded, Mapping):
            return each(lambda array: np.asarray(array, np.float32), encoded)
        encoded = np.asarray(encoded, np.float32)
        return fit_for_output(encoded, self.model_) if self._is_classifier else encoded

    def _rows(self, X: Array, y: Array, weight: Array | None = None) -> Rows:
        return Rows(self._prepared(X), self._encoded(y), weight)

    def _taken_out(self, settings: dict[str, Any]) -> _OfThisCall:
        """Take out of the settings of `fit` what `Fit` has other words for."""
        params = self.get_params()
        given = {**routed_to("fit", params), **settings}
        for name in ("validation_split", "validation_data", "class_weight", "callbacks"):
            settings.pop(name, None)

        callbacks = given.get("callbacks") or ()
        if callbacks is getattr(self, "fit__callbacks", None):
            callbacks = ()  # SciKeras has made them with those of the estimator
        share = given.get("validation_split")
        return _OfThisCall(
            validation_split=self.validation_split if share is None else share,
            validation_data=given.get("validation_data", self.validation_data),
            class_weight=given.get("class_weight"),
            callbacks=tuple(keras.tree.flatten(callbacks)),
        )

    def _weight_by_class(
        self, y: Array, sample_weight: Array | None, class_weight: Any
    ) -> Array | None:
        """Return the rows' weights times those of their classes.

        A class is named by its label, or by its number as in Keras.
        """
        if class_weight is None:
            return sample_weight
        if isinstance(class_weight, Mapping) and not set(class_weight) <= set(np.unique(y)):
            numbers = class_numbers(np.asarray(self.target_encoder_.transform(y)))
            by_class = np.array([class_weight.get(number, 1.0) for number in numbers.tolist()])
        else:
            by_class = compute_sample_weight(class_weight, y)
        return by_class if sample_weight is None else by_class * sample_weight

    def _given_validation(self, own: _OfThisCall) -> Rows | None:
        if own.validation_data is None:
            return None
        X, y, *weight = own.validation_data
        X, y = self._validate_data(X, y)
        return self._rows(X, y, *(np.asarray(array) for array in weight))

    def _inner_split(self, y: Array, own: _OfThisCall) -> _InnerSplit:
        """Return the rows to train on and those held out to stop by.

        Args:
            y: All targets, as the user gave them.
            own: Where a share of validation rows is given, they are the last ones, as in Keras;
                without one a tenth is drawn by seed and by class where somebody stops by them.
        """
        watch = self._watch
        if watch is not None and watch.inner is not None:
            return _InnerSplit(*watch.inner)

        share = own.validation_split
        n_rows = len(y)
        everything = _InnerSplit(np.arange(n_rows), np.arange(0))
        if own.validation_data is not None or n_rows < 2:
            return everything
        if share:
            first_held_out = math.floor(n_rows * (1.0 - share))
            return _InnerSplit(np.arange(first_held_out), np.arange(first_held_out, n_rows))
        if watch is not None or self.patience is None:
            return everything

        numbers = self.target_encoder_.transform(y) if self._is_classifier else y
        if isinstance(numbers, list | tuple | Mapping):  # several outputs have no one class a row
            numbers = np.zeros(n_rows)
        seed = derive_seed(self._seed, "inner")
        parts = inner_split(np.squeeze(numbers), seed=seed, share=_HELD_OUT, task=self._task)
        return _InnerSplit(*parts)

    def _callbacks(
        self, validation: Rows | None, of_this_call: Sequence[keras.callbacks.Callback]
    ) -> list[Any]:
        callbacks = [*keras.tree.flatten(self._fit_callbacks), *of_this_call]
        if self.patience is not None and validation is not None:
            stopper = keras.callbacks.EarlyStopping(
                "val_loss", patience=self.patience, restore_best_weights=True
            )
            callbacks.append(stopper)
        if self.verbose:
            callbacks.append(keras.callbacks.LambdaCallback(on_epoch_end=_print_epoch))
        return callbacks

    def _trainer_settings(self, n_rows: int, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return what `Fit` takes of the settings: the estimator's, `fit__x`, those given to `fit`.

        Raises:
            ValueError: There is one that `fit` does not take.
        """
        params = self.get_params()
        chosen = {name: params[name] for name in _TRAINER_SETTINGS if name in params}
        chosen |= routed_to("fit", params)
        chosen |= settings
        for name in (*_WITHOUT_EFFECT, *_OfThisCall._fields):
            chosen.pop(name, None)
        for name in chosen:
            if name not in _FIT_SETTINGS:
                self._refuse_setting(name)
        if chosen.get("batch_size") == -1:
            chosen["batch_size"] = n_rows
        return {name: value for name, value in chosen.items() if value is not None}

    def _refuse_setting(self, name: str) -> None:
        kind = type(self).__name__
        taken = sorted({*_FIT_SETTINGS, *_WITHOUT_EFFECT, *_OfThisCall._fields})
        raise ValueError(f"{kind}: fit takes no '{name}'; it takes {', '.join(taken)}")


def _acts_on_predictions(callback: keras.callbacks.Callback) -> bool:
    plain = keras.callbacks.Callback
    return any(getattr(type(callback), hook) is not getattr(plain, hook) for hook in _PREDICT_HOOKS)


def _joined(
    before: Mapping[str, list[float]], after: Mapping[str, list[float]]
) -> defaultdict[str, list[float]]:
    """Return the history of the fits so far (`warm_start`, `partial_fit`) with one more.

    SciKeras counts the epochs in it, also where none was trained.
    """
    history: defaultdict[str, list[float]] = defaultdict(list)
    for name, values in before.items():
        history[name] += values
    for name, values in after.items():
        history[_whole_name(name)] += values
    return history


def _whole_name(name: str) -> str:
    """Return a metric's whole name as SciKeras has it in `history_`: "acc" is "accuracy"."""
    if name == "loss" or name.startswith("val_"):
        return name
    try:
        return str(metric_name(name))
    except ValueError:  # none of Keras' own
        return name


def _draw_seed(random_state: Any) -> int:
    if isinstance(random_state, int | np.integer):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))


def _print_epoch(epoch: int, logs: Mapping[str, float] | None = None) -> None:
    figures = ", ".join(f"{name} {value:.4g}" for name, value in (logs or {}).items())
    print(f"epoch {epoch + 1}: {figures}")
