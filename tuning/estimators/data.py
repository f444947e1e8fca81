"""The data half of the estimators: checks as scikit-learn makes them, preprocessing, and the model
built to fit.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
from scikeras._utils import route_params
from sklearn.base import clone
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array, column_or_1d, validate_data

from tuning.builders.build import build
from tuning.builders.check import loss_name
from tuning.data.dataset import Array
from tuning.estimators.parameters import (
    SCIKERAS_EXTRAS,
    BuilderParameters,
    Unset,
    builder_defaults,
    takes_any,
)
from tuning.estimators.targets import task_of
from tuning.study.study import FROM_DATA


class ChecksAndBuilds(BuilderParameters):
    """Replaces what SciKeras does between the user's X, y and the model; each method has its name
    there.
    """

    preprocessor: Any
    preprocessor_: Any
    target_encoder: Any
    _is_classifier: bool
    _seed: int

    def _validate_data(self, X: Any = None, y: Any = None, reset: bool = False) -> tuple[Any, Any]:
        """Check X and y as scikit-learn's own estimators do; sparse X becomes dense, numbers stay
        as they are.
        """
        if X is not None:
            options: dict[str, Any] = {
                "accept_sparse": True,
                "allow_nd": True,
                "reset": reset,
                "dtype": "numeric",
            }
            if self.preprocessor is not None:
                options["ensure_all_finite"] = "allow-nan"  # it may be the one to fill empty cells
            if y is None:
                X = validate_data(self, X, **options)
            else:
                X, y = validate_data(
                    self, X, y, multi_output=True, y_numeric=not self._is_classifier, **options
                )
            X = X.toarray() if hasattr(X, "toarray") else X
            self._check_shape(X, reset)
        if y is not None:
            y = check_array(y, ensure_2d=False, dtype=None if self._is_classifier else "numeric")
            if self._is_classifier and y.ndim == 2 and y.shape[1] == 1:
                y = column_or_1d(y, warn=True)
            self._check_targets(y, reset)
        return X, y

    def _check_shape(self, X: Array, reset: bool) -> None:
        if reset:
            self.X_shape_, self.X_dtype_ = X.shape, X.dtype
        elif X.shape[1:] != self.X_shape_[1:]:
            raise ValueError(
                f"X has samples of shape {X.shape[1:]}, but this estimator knows {self.X_shape_[1:]}"
            )

    def _check_targets(self, y: Array, reset: bool) -> None:
        if self._is_classifier:
            check_classification_targets(y)
        if reset:
            self.y_dtype_, self.y_ndim_, self.target_type_ = (
                y.dtype,
                y.ndim,
                self._type_of_target(y),
            )
        elif y.ndim != self.y_ndim_:
            raise ValueError(f"y has {y.ndim} dimensions, but this estimator knows {self.y_ndim_}")

    def _fit_encoder(self, y: Array) -> None:
        self.target_encoder_ = self.target_encoder.fit(y)
        vars(self).update(self.target_encoder_.get_metadata())
        self._task, self._n_outputs = task_of(
            y, self._is_classifier, getattr(self, "classes_", None)
        )

    def _prepare(self, X: Array) -> None:
        """Fit the preprocessor on `X`, the rows that will be trained on, and build the model for
        what it returns.
        """
        self.preprocessor_ = None if self.preprocessor is None else clone(self.preprocessor).fit(X)
        self._input_shape = self._prepared(X[:1]).shape[1:]
        self.model_ = self._build_keras_model()
        self._initialize_callbacks()

    def _prepared(self, X: Array) -> Array:
        changed = X if self.preprocessor_ is None else self.preprocessor_.transform(X)
        return np.asarray(changed.toarray() if hasattr(changed, "toarray") else changed, np.float32)

    def _build_keras_model(self) -> Any:
        import keras

        builder = self._builder()
        if builder is None:
            raise ValueError(
                f"{type(self).__name__} needs a builder: {type(self).__name__}(build_model)"
            )
        if isinstance(builder, keras.Model):
            self._refuse_ignored(builder)
            return builder
        if not callable(builder):
            raise TypeError(
                f"model must be a function that returns a compiled keras.Model, got {builder!r}"
            )
        arguments = self._builder_arguments(builder)
        return build(
            self._compiling(builder), arguments, None, input_shape=self._input_shape
        )  # seeded around it

    def _compiling(self, builder: Any) -> Any:
        """Return the builder, completed where it leaves compiling to SciKeras: `optimizer=`,
        `loss=`, `metrics=`.
        """
        completes = self.loss is not None and "loss" not in builder_defaults(builder)

        @functools.wraps(builder)
        def complete(**arguments: Any) -> Any:
            model = builder(**arguments)
            if completes and not getattr(model, "compiled", True):
                model.compile(**self._get_compile_kwargs())
            else:
                self._refuse_ignored(model)
            return model

        return complete

    def _refuse_ignored(self, model: Any) -> None:
        """Raise where an optimizer or a loss was given that a model compiled by its builder does
        not have.
        """
        builder = self._builder()
        if not getattr(model, "compiled", False) or (model is not builder and _extras_of(builder)):
            return
        taken = builder_defaults(builder)
        for name in (
            n
            for n in vars(self)
            if n.partition("__")[0] in ("optimizer", "loss") and n not in taken
        ):
            value, head = getattr(self, name), name.partition("__")[0]
            usual = (value is None or isinstance(value, str)) and value == self._own().get(
                name
            )  # by `set_params`
            if not usual and not _is_compiled_with(model, name, value):
                raise ValueError(
                    f"{type(self).__name__}: {name}={value!r} changes nothing, for the builder compiles the model "
                    f"itself: let it take '{head if name == head else name.partition('__')[2]}', or leave compiling to "
                    f"the estimator"
                )

    def _builder_arguments(self, builder: Any) -> dict[str, Any]:
        params = self.get_params(deep=False)
        given = builder_defaults(builder)
        if takes_any(builder):
            own = self._own()
            given |= {name: None for name in params if name not in own and "__" not in name}
        named = {name: params[name] for name in given}
        from_data = {
            "input_shape": self._input_shape,
            "task": self._task,
            "n_outputs": self._n_outputs,
        }
        named |= {
            name: from_data[name] for name in FROM_DATA if name in named and named[name] is None
        }
        named |= route_params(params, destination="model", pass_filter=set(), strict=True)
        named |= self._scikeras_extras(builder, params)
        missing = [name for name, value in named.items() if value is Unset.REQUIRED]
        if missing:
            raise ValueError(
                f"{builder.__name__} needs a value for {', '.join(missing)}, which has no default"
            )
        return named

    def _scikeras_extras(self, builder: Any, params: Mapping[str, Any]) -> dict[str, Any]:
        makers = {
            "meta": self._get_metadata,
            "compile_kwargs": self._get_compile_kwargs,
            "params": lambda: params,
        }
        return {name: makers[name]() for name in _extras_of(builder)}


def _extras_of(builder: Any) -> list[str]:
    return [name for name in SCIKERAS_EXTRAS if name in inspect.signature(builder).parameters]


def _is_compiled_with(model: Any, name: str, value: Any) -> bool:
    """Whether a compiled model has the optimizer or loss of this name; settings of one cannot be
    told.
    """
    if name == "loss":
        return (
            value is model.loss
            or value == model.loss
            or _key(loss_name(value)) == _key(loss_name(model.loss))
        )
    named = value if isinstance(value, str) else getattr(value, "__name__", "")
    used = getattr(model.optimizer, "inner_optimizer", model.optimizer)  # wrapped for float16
    return name == "optimizer" and _key(named) == _key(type(used).__name__)


def _key(name: str) -> str:
    return name.replace("_", "").lower()
