"""The training half of the estimators: seeds, the inner split, the trainer; SciKeras' own loop is
never entered.

Its `random_state` context switches op determinism on for the rest of the process; here only seeds
are set.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from scikeras._utils import route_params
from sklearn.exceptions import NotFittedError
from sklearn.utils import check_random_state

from tuning.builders.seeds import seeded
from tuning.data.dataset import Array
from tuning.data.parts import inner_split
from tuning.estimators.data import ChecksAndBuilds
from tuning.estimators.targets import fit_for_output
from tuning.study.study import derive_seed
from tuning.trainer.forward import predict as predict_model
from tuning.trainer.outputs import as_probabilities
from tuning.trainer.train import Fit, Rows

_TRAINER_TAKES = ("batch_size", "shuffle")
_PASSED_ON = (*_TRAINER_TAKES, "epochs", "initial_epoch", "sample_weight")
_OURS = {"epochs", "verbose", "initial_epoch"}
_OF_THE_ESTIMATOR = ("class_weight", "validation_split")


@dataclass(eq=False)
class Watch:
    """How a search looks into one fit: a worker sets it as `_watch` on the estimator, a clone has
    none.

    Attributes:
        scoring: Rows scored after each epoch, ready for Keras.
        callbacks: Take the place of the estimator's own, early stopping included.
        inner_seed: Draws the rows that `patience` holds out.
        hold_out: Whether such rows are needed.
        scope: What the model is built under, e.g. a distribution strategy.
        fits: Folds of the candidate, each a fit of equal structure.
        fit: The training, once it has begun.
    """

    scoring: Rows
    callbacks: Sequence[keras.callbacks.Callback]
    inner_seed: int
    hold_out: bool
    scope: AbstractContextManager[Any]
    fits: int = 1
    fit: Fit | None = None


class TrainsWithTuning(ChecksAndBuilds):
    """Replaces SciKeras' `_fit` and `_predict_raw`."""

    _watch: Watch | None = None

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
        fresh = not ((self.warm_start or warm_start) and self.initialized_)
        if fresh:
            self._seed = _drawn_seed(self.random_state)
        with seeded(self._seed):
            X, y = self._validate_data(X, y, reset=fresh)
            if sample_weight is not None:
                X, y, sample_weight = self._validate_sample_weight(X, y, sample_weight)
            if fresh:
                self._fit_encoder(y)
            rows, held = self._cut_for_stopping(y, settings)
            if fresh:
                with nullcontext() if self._watch is None else self._watch.scope:
                    self._prepare(X[rows])
            validation = self._rows(X[held], y[held]) if len(held) else self._given()
            settings["sample_weight"] = (
                None if sample_weight is None else np.asarray(sample_weight)[rows]
            )
            kept = history_of_fit(self, fresh, initial_epoch)
            epochs_of = {"epochs": initial_epoch + epochs, "initial_epoch": initial_epoch}
            for key, values in self._train(
                X[rows], y[rows], validation, settings | epochs_of
            ).items():
                kept[key] += values
        self.history_ = kept

    def _train(
        self, X: Array, y: Array, validation: Rows | None, settings: dict[str, Any]
    ) -> dict[str, list[float]]:
        passed = self._trainer_settings(len(X), settings)
        rows = Rows(self._prepared(X), self._encoded(y), passed.pop("sample_weight", None))
        watch = self._watch
        fit = Fit(
            self.model_,
            rows,
            validation=validation if watch is None else watch.scoring,
            epochs_total=passed.pop("epochs"),
            seed=self._seed,
            trainer=self.trainer,
            callbacks=self._callbacks(validation) if watch is None else watch.callbacks,
            fits=1 if watch is None else watch.fits,
            **passed,
        )
        if watch is not None:
            watch.fit = fit
        for _ in fit.epochs():
            pass
        return fit.history

    def _initialize(self, X: Any, y: Any = None) -> tuple[Any, Any]:
        """Check X and y, fit encoder and preprocessor on them, build the model: SciKeras'
        `initialize`.
        """
        self._seed = _drawn_seed(self.random_state)
        with seeded(self._seed):
            X, y = self._validate_data(X, y, reset=True)
            self._fit_encoder(y)
            self._prepare(X)
        return X, y

    def _predict_raw(self, X: Any, **settings: Any) -> Array:
        """Return the model's outputs, `(rows, outputs)`; of a classifier probabilities, also where
        it gives logits.
        """
        if not self.initialized_:
            raise NotFittedError(
                f"This {type(self).__name__} is not fitted yet: call fit before predict"
            )
        X, _ = self._validate_data(X)
        # `settings` (SciKeras: batch_size, verbose, …) change no value; the trainer cuts long X by
        # itself.
        predicted = predict_model(self.model_, self._prepared(X))
        if self._is_classifier:
            predicted = as_probabilities(self.model_, predicted)
        return predicted.reshape(len(predicted), -1) if predicted.ndim == 1 else predicted

    def _encoded(self, y: Array) -> Array:
        encoded = np.asarray(self.target_encoder_.transform(y), np.float32)
        return fit_for_output(encoded, self.model_) if self._is_classifier else encoded

    def _given(self) -> Rows | None:
        if self.validation_data is None:
            return None
        return self._rows(*self._validate_data(*self.validation_data))

    def _rows(self, X: Array, y: Array) -> Rows:
        return Rows(self._prepared(X), self._encoded(y))

    def _cut_for_stopping(self, y: Array, settings: dict[str, Any]) -> tuple[Array, Array]:
        """Return (rows to train on, rows to stop by); the second is empty where none are to be held
        out.
        """
        hold_out = self.patience is not None if self._watch is None else self._watch.hold_out
        share = settings.pop("validation_split", self.validation_split) or (
            0.1 if hold_out else 0.0
        )
        if self.validation_data is not None or not share or len(y) < 2:
            return np.arange(len(y)), np.arange(0)
        numbers = self.target_encoder_.transform(y) if self._is_classifier else y
        seed = derive_seed(self._seed, "inner") if self._watch is None else self._watch.inner_seed
        return inner_split(np.squeeze(numbers), seed=seed, share=share, task=self._task)

    def _callbacks(self, validation: Any) -> list[Any]:
        found = list(self._fit_callbacks)
        if self.patience is not None and validation is not None:
            found.append(
                keras.callbacks.EarlyStopping(
                    "val_loss", patience=self.patience, restore_best_weights=True
                )
            )
        if self.verbose:
            found.append(keras.callbacks.LambdaCallback(on_epoch_end=_print_epoch))
        return found

    def _trainer_settings(self, rows: int, settings: dict[str, Any]) -> dict[str, Any]:
        weights = {"sample_weight": settings.pop("sample_weight", None)}
        routed = (
            route_params(self.get_params(), "fit", pass_filter=set(_TRAINER_TAKES), strict=True)
            | settings
        )
        extra = [name for name in routed if name not in (*_TRAINER_TAKES, *_OURS)]
        if extra:
            known = ", ".join(sorted({*_TRAINER_TAKES, *_OURS}))
            instead = (
                f"give it to {type(self).__name__} itself"
                if extra[0] in _OF_THE_ESTIMATOR
                else f"it takes {known}"
            )
            raise ValueError(f"{type(self).__name__}: fit takes no '{extra[0]}'; {instead}")
        routed |= weights
        chosen = {name: routed[name] for name in _PASSED_ON if routed.get(name) is not None}
        return chosen | ({"batch_size": rows} if chosen.get("batch_size") == -1 else {})


def history_of_fit(
    estimator: Any, fresh: bool, initial_epoch: int
) -> defaultdict[str, list[float]]:
    """Return the history that a fit adds to: a new one, or that of the fits before (`warm_start`,
    `partial_fit`).
    """
    before = getattr(estimator, "history_", {})
    return defaultdict(
        list, {} if fresh or initial_epoch == 0 else {k: list(v) for k, v in before.items()}
    )


def _drawn_seed(random_state: Any) -> int:
    if isinstance(random_state, int | np.integer):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))


def _print_epoch(epoch: int, logs: dict[str, float] | None = None) -> None:
    print(
        f"epoch {epoch + 1}: "
        + ", ".join(f"{key} {value:.4g}" for key, value in (logs or {}).items())
    )
