"""The training half of the estimators: seeds, the inner split, the trainer.

SciKeras' own loop is never entered. Its `random_state` context switches op determinism on for the
rest of the process; here only seeds are set.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import numpy as np
from sklearn.exceptions import NotFittedError
from sklearn.utils import check_random_state

from tuning.builders.seeds import seeded
from tuning.data.dataset import Array
from tuning.data.parts import inner_split
from tuning.estimators.building import BuildsModel
from tuning.estimators.parameters import routed_to
from tuning.estimators.targets import fit_for_output
from tuning.study.study import derive_seed
from tuning.trainer.forward import predict as predict_model
from tuning.trainer.outputs import as_probabilities
from tuning.trainer.train import Fit, Rows

_TRAINER_SETTINGS = ("batch_size", "shuffle")
_FIT_SETTINGS = (*_TRAINER_SETTINGS, "epochs", "verbose", "initial_epoch")
_ESTIMATOR_SETTINGS = ("class_weight", "validation_split")


@dataclass(kw_only=True, eq=False)
class Watch:
    """How a search looks into one fit: a worker sets it as `_watch` on the estimator.

    A clone has none.

    Attributes:
        scoring: Rows scored after each epoch, ready for Keras.
        callbacks: Take the place of the estimator's own, early stopping included.
        inner: Numbers of the rows to train on and of those held out, to stop by or to tune a
            threshold on, among those that `fit` is given; None: none are held out.
        scope: What the model is built under, e.g. a distribution strategy.
        fits: Folds of the candidate, each a fit of equal structure.
        class_weight: Weight of each class by its number; None: all count alike.
        fit: The training, once it has begun.
    """

    scoring: Rows
    callbacks: Sequence[keras.callbacks.Callback]
    inner: tuple[Array, Array] | None
    scope: AbstractContextManager[Any]
    fits: int = 1
    class_weight: Mapping[int, float] | None = None
    fit: Fit | None = None


class _InnerSplit(NamedTuple):
    """Numbers of the rows to train on and of those to stop by; the second may be empty."""

    training: Array
    stopping: Array


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

            # Split first: the preprocessor must not see the rows that are held out.
            share = settings.pop("validation_split", self.validation_split)
            split = self._inner_split(y, share)
            if not goes_on:
                with nullcontext() if self._watch is None else self._watch.scope:
                    self._prepare(X[split.training])

            validation = self._given_validation()
            if len(split.stopping):
                validation = self._rows(X[split.stopping], y[split.stopping])
            weight = None if sample_weight is None else sample_weight[split.training]
            rows = self._rows(X[split.training], y[split.training], weight)
            settings |= {"epochs": initial_epoch + epochs, "initial_epoch": initial_epoch}
            fit = self._make_fit(rows, validation, settings)
            for _ in fit.epochs():
                pass

        before = getattr(self, "history_", {}) if goes_on and initial_epoch > 0 else {}
        self.history_ = _joined(before, fit.history)

    def _make_fit(self, rows: Rows, validation: Rows | None, settings: dict[str, Any]) -> Fit:
        """Return the training of the model built, as the user or a search wants it watched.

        Args:
            rows: What is trained on.
            validation: What `patience` stops by and `history_` tells of, or None.
            settings: Given to `fit`.
        """
        trainer_settings = self._trainer_settings(len(rows.X), settings)
        watch = self._watch

        fit = Fit(
            self.model_,
            rows,
            validation=validation if watch is None else watch.scoring,
            callbacks=self._callbacks(validation) if watch is None else watch.callbacks,
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

    def _predict_raw(self, X: Any, **settings: Any) -> Array:
        """Return the model's outputs, `(rows, outputs)`.

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
        predicted: Array = predict_model(self.model_, self._prepared(X))
        if self._is_classifier:
            predicted = as_probabilities(self.model_, predicted)
        return predicted.reshape(len(predicted), -1) if predicted.ndim == 1 else predicted

    def _encoded(self, y: Array) -> Array:
        encoded = np.asarray(self.target_encoder_.transform(y), np.float32)
        return fit_for_output(encoded, self.model_) if self._is_classifier else encoded

    def _rows(self, X: Array, y: Array, weight: Array | None = None) -> Rows:
        return Rows(self._prepared(X), self._encoded(y), weight)

    def _given_validation(self) -> Rows | None:
        if self.validation_data is None:
            return None
        return self._rows(*self._validate_data(*self.validation_data))

    def _inner_split(self, y: Array, share: float) -> _InnerSplit:
        """Return the rows to train on and those held out to stop by.

        Args:
            y: All targets, as the user gave them.
            share: Of the rows to hold out; 0: a tenth where somebody stops by them.
        """
        watch = self._watch
        if watch is not None and watch.inner is not None:
            return _InnerSplit(*watch.inner)
        if not share and watch is None and self.patience is not None:
            share = 0.1
        if self.validation_data is not None or not share or len(y) < 2:
            return _InnerSplit(np.arange(len(y)), np.arange(0))

        numbers = self.target_encoder_.transform(y) if self._is_classifier else y
        seed = derive_seed(self._seed, "inner")
        parts = inner_split(np.squeeze(numbers), seed=seed, share=share, task=self._task)
        return _InnerSplit(*parts)

    def _callbacks(self, validation: Rows | None) -> list[Any]:
        callbacks = list(self._fit_callbacks)
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
        for name in chosen:
            if name not in _FIT_SETTINGS:
                self._refuse_setting(name)

        chosen.pop("verbose", None)  # it decides on a callback
        if chosen.get("batch_size") == -1:
            chosen["batch_size"] = n_rows
        return {name: value for name, value in chosen.items() if value is not None}

    def _refuse_setting(self, name: str) -> None:
        kind = type(self).__name__
        if name in _ESTIMATOR_SETTINGS:
            advice = f"give it to {kind} itself"
        else:
            advice = f"it takes {', '.join(sorted(_FIT_SETTINGS))}"
        raise ValueError(f"{kind}: fit takes no '{name}'; {advice}")


def _joined(
    before: Mapping[str, list[float]], after: Mapping[str, list[float]]
) -> defaultdict[str, list[float]]:
    """Return the history of the fits so far (`warm_start`, `partial_fit`) with one more.

    SciKeras counts the epochs in it, also where none was trained.
    """
    history: defaultdict[str, list[float]] = defaultdict(list)
    for part in (before, after):
        for name, values in part.items():
            history[name] += values
    return history


def _draw_seed(random_state: Any) -> int:
    if isinstance(random_state, int | np.integer):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))


def _print_epoch(epoch: int, logs: Mapping[str, float] | None = None) -> None:
    figures = ", ".join(f"{name} {value:.4g}" for name, value in (logs or {}).items())
    print(f"epoch {epoch + 1}: {figures}")
