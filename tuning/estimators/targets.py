"""What the estimators make of y: class numbers or one-hot rows for Keras, the user's own labels and
shapes back.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scikeras.utils.transformers import ClassifierLabelEncoder
from sklearn.utils.multiclass import type_of_target

from tuning.builders.check import loss_name
from tuning.data.dataset import Array, Task

_SPARSE = "sparse_categorical_crossentropy"
_TAKE_NUMBERS = (_SPARSE, "circle", "ctc", "c_t_c")


class LabelEncoder(ClassifierLabelEncoder):  # type: ignore[misc]
    """SciKeras' encoder, which learns from the compiled model whether it wants one-hot rows.

    SciKeras looks at the wrapper's own `loss` only, so a builder that compiles categorical
    cross-entropy fails there.
    """

    def transform(self, y: Array) -> Array:
        """Return class numbers `(rows, 1)`; multilabel and one-hot targets as they came, as floats."""
        encoded = super().transform(y)
        return np.asarray(encoded, np.float32)

    def inverse_transform(self, y: Array, return_proba: bool = False) -> Array:
        """Return labels in the shape of the y that was fitted, or `(rows, classes)` of
        probabilities.
        """
        if not return_proba:
            if self._target_type == "binary" and self.n_classes_ == 1:
                return np.full((len(y), *self._y_shape[1:]), self.classes_[0])
            return np.asarray(super().inverse_transform(y))
        if self._target_type == "binary" and y.shape[1] == 1:
            # A single sigmoid unit: the second class's probability. A single class has all of it.
            return np.ones_like(y) if self.n_classes_ == 1 else np.column_stack([1 - y, y])
        return y


def fit_for_output(encoded: Array, model: Any) -> Array:
    """Return class numbers `(rows, 1)` as one-hot rows, or one-hot rows as numbers, where the
    model's loss wants so.

    Keras' losses compare output by output, but for a few; a loss of the user's own gets y as it is.

    Raises:
        ValueError: There are more classes than outputs.
    """
    units = model.output_shape[-1] if isinstance(model.output_shape, tuple) else None
    loss = loss_name(model.loss) if isinstance(model.loss, str) or callable(model.loss) else ""
    if not units or units < 2 or encoded.ndim != 2:
        return encoded
    if encoded.shape[1] == 1 and loss not in _TAKE_NUMBERS and _is_of_keras(model.loss):
        if encoded.max(initial=0) >= units:
            raise ValueError(
                f"y has {int(encoded.max()) + 1} classes, but the model has {units} outputs"
            )
        return np.asarray(np.eye(units, dtype=np.float32)[encoded[:, 0].astype(int)])
    if loss == _SPARSE and encoded.shape[1] == units:
        return np.asarray(encoded.argmax(axis=1, keepdims=True), np.float32)
    return encoded


def _is_of_keras(loss: Any) -> bool:
    import keras

    try:
        found = keras.losses.get(loss) if isinstance(loss, str) else loss
    except ValueError:
        return False  # unknown to Keras, which says so when it is first used
    found = getattr(found, "fn", found)  # of a function in Keras' own wrapper
    home = found if hasattr(found, "__qualname__") else type(found)
    return str(getattr(home, "__module__", "")).partition(".")[0] == "keras"


def task_of(y: Array, classifier: bool, classes: Array | None) -> tuple[Task, int]:
    """Return (task, units of the last layer) for a builder.

    Args:
        y: Targets as the user gave them, `(rows,)` or `(rows, outputs)`.
        classifier: Whether y names classes.
        classes: All classes, where more are known than y holds.
    """
    columns = 1 if y.ndim == 1 else int(y.shape[1])
    if not classifier:
        return "regression", columns
    kind = type_of_target(y)
    if kind == "multilabel-indicator":
        return ("multiclass" if (y.sum(axis=1) == 1).all() else "multilabel"), columns
    n_classes = len(np.unique(y)) if classes is None else len(classes)
    return ("binary", 1) if n_classes <= 2 else ("multiclass", n_classes)
