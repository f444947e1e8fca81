"""What the estimators make of y: class numbers or one-hot rows for Keras, the user's own labels and shapes back."""

from __future__ import annotations

from typing import Any

import numpy as np
from scikeras.utils.transformers import ClassifierLabelEncoder
from sklearn.utils.multiclass import type_of_target

from tuning.dataset import Array, Task


class LabelEncoder(ClassifierLabelEncoder):  # type: ignore[misc]
    """SciKeras' encoder, which learns from the compiled model whether it wants one-hot rows.

    SciKeras looks at the wrapper's own `loss` only, so a builder that compiles categorical cross-entropy fails there.
    """

    def transform(self, y: Array) -> Array:
        """Return class numbers `(rows, 1)`; multilabel and one-hot targets as they came, as floats."""
        encoded = super().transform(y)
        return np.asarray(encoded, np.float32)

    def inverse_transform(self, y: Array, return_proba: bool = False) -> Array:
        """Return labels in the shape of the y that was fitted, or `(rows, classes)` of probabilities."""
        if not return_proba:
            if self._target_type == "binary" and self.n_classes_ == 1:
                return np.full((len(y), *self._y_shape[1:]), self.classes_[0])
            return np.asarray(super().inverse_transform(y))
        if self._target_type == "binary" and y.shape[1] == 1:
            # A single sigmoid unit: the second class's probability. A single class has all of it.
            return np.ones_like(y) if self.n_classes_ == 1 else np.column_stack([1 - y, y])
        return y


def fit_for_output(encoded: Array, model: Any) -> Array:
    """Return class numbers `(rows, 1)` as one-hot rows, or one-hot rows as numbers, where the model's loss wants so."""
    from scikeras.utils import loss_name

    units = model.output_shape[-1] if isinstance(model.output_shape, tuple) else None
    loss = loss_name(model.loss) if isinstance(model.loss, str) or callable(model.loss) else ""
    if not units or units < 2 or encoded.ndim != 2:
        return encoded
    if loss == "categorical_crossentropy" and encoded.shape[1] == 1:
        return np.asarray(np.eye(units, dtype=np.float32)[encoded[:, 0].astype(int)])
    if loss == "sparse_categorical_crossentropy" and encoded.shape[1] == units:
        return np.asarray(encoded.argmax(axis=1, keepdims=True), np.float32)
    return encoded


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
