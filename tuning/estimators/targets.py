"""What the estimators make of y.

Class numbers or one-hot rows for Keras; the user's own labels and shapes back.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scikeras.utils.transformers import ClassifierLabelEncoder
from sklearn.utils.multiclass import type_of_target

from tuning.builders.losses import loss_name
from tuning.data.dataset import Array, Task

_SPARSE = "sparse_categorical_crossentropy"
_LOSSES_OF_NUMBERS = (_SPARSE, "circle", "ctc", "c_t_c")


class LabelEncoder(ClassifierLabelEncoder):  # type: ignore[misc]
    """SciKeras' encoder, which learns from the compiled model whether it wants one-hot rows.

    SciKeras looks at the wrapper's own `loss` only, so a builder that compiles categorical
    cross-entropy fails there.
    """

    def transform(self, y: Array) -> Array:
        """Return class numbers `(rows, 1)`; multilabel and one-hot targets as they came.

        All are float32.
        """
        encoded = super().transform(y)
        return np.asarray(encoded, np.float32)

    def inverse_transform(self, y: Array, return_proba: bool = False) -> Array:
        """Return labels in the shape of the y that was fitted, or probabilities by class."""
        is_binary = self._target_type == "binary"
        if return_proba:
            return self._class_probabilities(y) if is_binary and y.shape[1] == 1 else y
        if is_binary and self.n_classes_ == 1:
            return np.full((len(y), *self._y_shape[1:]), self.classes_[0])
        return np.asarray(super().inverse_transform(y))

    def _class_probabilities(self, y: Array) -> Array:
        """Return what a single sigmoid unit says of each class: it is the second's probability."""
        if self.n_classes_ == 1:
            return np.ones_like(y)  # the only class has all of it
        return np.column_stack([1 - y, y])


def fit_for_output(encoded: Array, model: Any) -> Array:
    """Return class numbers `(rows, 1)` as one-hot rows, or the reverse, where the loss wants so.

    Keras' losses compare output by output, but for a few; a loss of the user's own gets y as it is.

    Raises:
        ValueError: There are more classes than outputs.
    """
    shape = model.output_shape
    n_outputs = shape[-1] if isinstance(shape, tuple) else None
    if not n_outputs or n_outputs < 2 or encoded.ndim != 2:
        return encoded

    has_one_loss = isinstance(model.loss, str) or callable(model.loss)
    loss = loss_name(model.loss) if has_one_loss else ""
    holds_numbers = encoded.shape[1] == 1
    if holds_numbers and loss not in _LOSSES_OF_NUMBERS and _is_of_keras(model.loss):
        return _one_hot(encoded, n_outputs)
    if loss == _SPARSE and encoded.shape[1] == n_outputs:
        numbers = encoded.argmax(axis=1, keepdims=True)
        return np.asarray(numbers, np.float32)
    return encoded


def _one_hot(numbers: Array, n_outputs: int) -> Array:
    highest = numbers.max(initial=0)
    if highest >= n_outputs:
        raise ValueError(f"y has {int(highest) + 1} classes, but the model has {n_outputs} outputs")
    rows = np.eye(n_outputs, dtype=np.float32)
    classes = numbers[:, 0].astype(int)
    return np.asarray(rows[classes])


def _is_of_keras(loss: Any) -> bool:
    import keras

    if isinstance(loss, str):
        try:
            loss = keras.losses.get(loss)
        except ValueError:
            return False  # unknown to Keras, which says so when it is first used
    function = getattr(loss, "fn", loss)  # of a function in Keras' own wrapper
    home = function if hasattr(function, "__qualname__") else type(function)
    module = str(getattr(home, "__module__", ""))
    return module == "keras" or module.startswith("keras.")


def task_of(y: Array, classifier: bool, classes: Array | None) -> tuple[Task, int]:
    """Return (task, units of the last layer) for a builder.

    Args:
        y: Targets as the user gave them, `(rows,)` or `(rows, outputs)`.
        classifier: Whether y names classes.
        classes: All classes, where more are known than y holds.
    """
    n_columns = 1 if y.ndim == 1 else int(y.shape[1])
    if not classifier:
        return "regression", n_columns
    if type_of_target(y) == "multilabel-indicator":
        labels_of_row = y.sum(axis=1)
        if (labels_of_row == 1).all():
            return "multiclass", n_columns
        return "multilabel", n_columns

    if classes is None:
        classes = np.unique(y)
    if len(classes) <= 2:
        return "binary", 1
    return "multiclass", len(classes)
