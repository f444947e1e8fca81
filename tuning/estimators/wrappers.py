"""`KerasClassifier` and `KerasRegressor`: Keras builders as scikit-learn estimators.

They are SciKeras' wrappers, fixed for scikit-learn 1.9 (scikeras#332, #337: `is_classifier` is
False there, so folds are not stratified) and for searches: builder arguments are parameters, seeds
are ours, nothing leaks into a fold.
"""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
from scikeras import wrappers
from sklearn.utils import ClassifierTags, RegressorTags
from sklearn.utils.class_weight import compute_sample_weight

from tuning.data.dataset import Array
from tuning.estimators.fit import TrainsWithTuning
from tuning.estimators.parameters import builder_defaults, own_defaults
from tuning.estimators.targets import LabelEncoder


class _KerasEstimator(TrainsWithTuning):
    """What both estimators share; stands before SciKeras' wrapper among the bases.

    Args:
        model: The builder, a plain function that returns a compiled `keras.Model`.
        epochs: Epochs of a fit. SciKeras' own default is 1, which trains nothing worth having; ours
            is the study's.
        batch_size: Rows a step.
        patience: Stop after this many epochs without a lower validation loss and keep the best
            weights; None: train to the end. The loss is that of `validation_data`, else of a tenth
            of the rows given to `fit`, drawn by seed and by class, which are then not trained on.
        preprocessor: A scikit-learn transformer. A clone is fitted on the rows that are trained on,
            and on no other.
        validation_data: `(X, y)` as given to `fit`, for `patience` and for `val_` entries in
            `history_`.
        random_state: Seed of weights, shuffling and inner split; None draws one from NumPy.
        trainer: "auto", "compiled" or "fit", as in a study.
        verbose: 1 prints a line each epoch.
        **arguments: Builder arguments by name; further SciKeras parameters (`callbacks`,
            `warm_start`, …) and routes (`model__n_hidden`, `fit__batch_size`). `input_shape`,
            `task` and `n_outputs` are taken from X and y where the builder names them and nobody
            set them.

    Raises:
        ValueError: A name that nothing takes; the nearest valid one is named.
    """

    def __init__(
        self,
        model: Any = None,
        *,
        epochs: int = 30,
        batch_size: int = 32,
        patience: int | None = None,
        preprocessor: Any = None,
        validation_data: tuple[Any, Any] | None = None,
        random_state: Any = None,
        trainer: Literal["auto", "compiled", "fit"] = "auto",
        verbose: int = 0,
        **arguments: Any,
    ) -> None:
        self.model = model
        self.epochs = epochs
        self.batch_size = batch_size
        self.patience = patience
        self.preprocessor = preprocessor
        self.validation_data = validation_data
        self.random_state = random_state
        self.trainer = trainer
        self.verbose = verbose

        self._refuse_unknown(arguments)
        # A default is not stored again, so that after `clone` what the user gave can still be told
        # from the rest.
        defaults = self._defaults()
        for name, value in arguments.items():
            if name not in defaults or value is not defaults[name]:
                vars(self)[name] = value

    def __repr__(self) -> str:
        arguments = [getattr(self.model, "__name__", repr(self.model))]
        for name in builder_defaults(self._builder()) | own_defaults(_KerasEstimator):
            value = getattr(self, name)
            if name != "model" and value is not None:
                arguments.append(f"{name}={value!r}")
        return f"{type(self).__name__}({', '.join(arguments)})"

    def __sklearn_is_fitted__(self) -> bool:
        return self.initialized_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()  # type: ignore[misc]
        tags.input_tags.sparse = True
        tags.input_tags.three_d_array = True
        tags.target_tags.required = True
        return tags


class KerasClassifier(_KerasEstimator, wrappers.KerasClassifier):  # type: ignore[misc]
    """A Keras builder as a scikit-learn classifier with `predict_proba` and stratified folds.

    Labels may be of any type. `class_weight` ("balanced", or weight by label) is SciKeras'. See
    `_KerasEstimator` for the other parameters.
    """

    _is_classifier = True

    def __sklearn_tags__(self) -> Any:
        """Return the tags that SciKeras 0.13 loses: its mixin stands behind `BaseEstimator`."""
        tags = super().__sklearn_tags__()
        tags.estimator_type = "classifier"
        # A net may score badly after few epochs: what it reaches is the builder's matter.
        tags.classifier_tags = ClassifierTags(poor_score=True, multi_class=True, multi_label=True)
        return tags

    @property
    def target_encoder(self) -> LabelEncoder:
        """The transformer of labels; knows all classes where `partial_fit` was given them."""
        if self.classes_ is None:
            return LabelEncoder(categories="auto")
        return LabelEncoder(categories=[np.asarray(self.classes_)])

    def fit(self, X: Any, y: Any, sample_weight: Any = None, **settings: Any) -> Self:
        """Build a model for X and train it towards the labels y.

        Args:
            X: Dense or sparse numbers, `(rows, …)`.
            y: Labels, `(rows,)`, or `(rows, labels)` of 0 / 1.
            sample_weight: `(rows,)`; left as it is, also with `class_weight`.
            **settings: `epochs`, `batch_size`, `shuffle` for this call.

        Returns:
            Itself, with `model_`, `history_`, `classes_`.
        """
        goes_on = self.warm_start and self.initialized_
        if not goes_on:
            self.classes_ = None  # else the encoder of the fit before stays, and so do its classes
        weight = self._weighted(y, sample_weight)
        # Past SciKeras' classifier, which multiplies into the caller's own array of weights.
        wrappers.BaseWrapper.fit(self, X, y, sample_weight=weight, **settings)
        return self

    def partial_fit(
        self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None, **settings: Any
    ) -> Self:
        """Train one more epoch; the first call needs all `classes` where y does not hold them."""
        if classes is None:
            classes = getattr(self, "classes_", None)
        self.classes_ = classes
        weight = self._weighted(y, sample_weight)
        wrappers.BaseWrapper.partial_fit(self, X, y, sample_weight=weight, **settings)
        return self

    def predict_proba(self, X: Any, **settings: Any) -> Array:
        """Return `(rows, classes)` of probabilities, columns as in `classes_`.

        A multilabel problem has one column a label.
        """
        predicted = self._predict_raw(X, **settings)
        return np.asarray(self.target_encoder_.inverse_transform(predicted, return_proba=True))

    def _weighted(self, y: Any, sample_weight: Any) -> Any:
        if self.class_weight is None:
            return sample_weight
        by_class = compute_sample_weight(class_weight=self.class_weight, y=y)
        return by_class if sample_weight is None else by_class * np.asarray(sample_weight)


class KerasRegressor(_KerasEstimator, wrappers.KerasRegressor):  # type: ignore[misc]
    """A Keras builder as a scikit-learn regressor for one or several targets."""

    _is_classifier = False

    def __sklearn_tags__(self) -> Any:
        """Return the tags that SciKeras 0.13 loses: its mixin stands behind `BaseEstimator`."""
        tags = super().__sklearn_tags__()
        tags.estimator_type = "regressor"
        tags.regressor_tags = RegressorTags(poor_score=True)
        tags.target_tags.multi_output = True
        return tags

    def predict(self, X: Any, **settings: Any) -> Array:
        """Return float64 predictions in the shape of the y that was fitted.

        That is `(rows,)` or `(rows, outputs)`.
        """
        predicted = self._predict_raw(X, **settings)
        return np.asarray(self.target_encoder_.inverse_transform(predicted), np.float64)
