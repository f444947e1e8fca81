"""The model an estimator builds to fit its data: arguments for the builder, and compiling."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tuning.builders.build import build, builder_name
from tuning.builders.inputs.adapting import adapt_layers, waiting
from tuning.builders.losses import loss_name
from tuning.data.dataset import Array
from tuning.estimators.data import ChecksData
from tuning.estimators.fold_scaler import FoldScaler
from tuning.estimators.parameters import (
    SCIKERAS_EXTRAS,
    Unset,
    builder_defaults,
    routed_to,
    takes_any,
)
from tuning.study.builder_arguments import FIT_PARAMETERS, FROM_DATA


class BuildsModel(ChecksData):
    """Replaces what SciKeras does between the prepared data and the compiled model."""

    def _prepare(self, X: Array) -> None:
        """Fit the preprocessor on `X` and build the model for what it returns.

        Args:
            X: The rows that will be trained on, and no other.
        """
        self._fit_preprocessor(X)
        self.model_ = self._build_keras_model()
        if isinstance(self.preprocessor_, FoldScaler):
            self.preprocessor_.fit_for(self.model_, X)
        if any(waiting(self.model_)):
            adapt_layers(self.model_, self._prepared(X))
        self._initialize_callbacks()

    def _build_keras_model(self) -> Any:
        import keras

        builder = self._builder()
        kind = type(self).__name__
        if builder is None:
            raise ValueError(f"{kind} needs a builder: {kind}(build_model)")
        if isinstance(builder, keras.Model):
            self._refuse_ignored(builder)
            return builder
        if not callable(builder):
            raise TypeError(
                f"model must be a function that returns a compiled keras.Model, got {builder!r}"
            )
        arguments = self._builder_arguments(builder)
        seed = None  # the caller has seeded around it
        model = build(self._compiling(builder), arguments, seed, input_shape=self._input_shape)
        self._check_compiled(model)
        return model

    def _check_compiled(self, model: Any) -> None:
        """Refuse a model that cannot be trained, before Keras does so in words of its own.

        Raises:
            ValueError: It has no loss, no optimizer, or another number of outputs than the encoder
                of the targets makes.
        """
        kind = type(self).__name__
        losses = model.loss if isinstance(model.loss, list | tuple) else [model.loss]
        if all(loss is None for loss in losses):
            raise ValueError(f"the model has no loss: you must provide a loss, e.g. {kind}(loss=…)")
        if model.optimizer is None:
            raise ValueError(
                "the model is compiled without optimizer. You must provide an optimizer"
            )

        expected = getattr(self, "n_outputs_expected_", None)
        outputs = getattr(model, "outputs", None)
        if expected and outputs and len(outputs) != expected:
            raise ValueError(
                f"the target encoder makes {expected} outputs, but the model has {len(outputs)}"
            )

    def _get_metadata(self) -> dict[str, Any]:
        """Return what SciKeras tells a builder of the data; of ours only what is used."""
        metadata: dict[str, Any] = super()._get_metadata()  # type: ignore[misc]
        if metadata.get("preprocessor_") is None:
            metadata.pop("preprocessor_", None)
        return metadata

    def _compiling(self, builder: Any) -> Any:
        """Return the builder, completed where it leaves compiling to SciKeras.

        That takes `optimizer=`, `loss=` and `metrics=` from the estimator.
        """
        completes = self.loss is not None and "loss" not in builder_defaults(builder)

        @functools.wraps(builder)
        def complete(**arguments: Any) -> Any:
            model = builder(**arguments)
            if not completes and not getattr(model, "compiled", True) and self.loss is None:
                raise ValueError(
                    f"{builder_name(builder)} returned a model that is not compiled: end it with "
                    "model.compile(…), or provide a loss to the estimator, which compiles it then"
                )
            if completes and not getattr(model, "compiled", True):
                model.compile(**self._get_compile_kwargs())
            else:
                self._refuse_ignored(model)
            return model

        return complete

    def _refuse_ignored(self, model: Any) -> None:
        """Refuse an optimizer or a loss that the model does not have.

        Raises:
            ValueError: The builder has compiled the model with another one.
        """
        builder = self._builder()
        if not getattr(model, "compiled", False):
            return
        if model is not builder and _extras_of(builder):  # it compiles with what SciKeras gives it
            return

        taken = builder_defaults(builder)
        names = [name for name in vars(self) if _names_compile_setting(name)]
        for name in names:
            if name in taken or self._has_usual_value(name):
                continue
            value = getattr(self, name)
            if not _is_compiled_with(model, name, value):
                head, _, tail = name.partition("__")
                raise ValueError(
                    f"{type(self).__name__}: {name}={value!r} changes nothing, for the builder "
                    f"compiles the model itself: let it take '{tail or head}', "
                    "or leave compiling to the estimator"
                )

    def _has_usual_value(self, name: str) -> bool:
        """Whether a value is stored that is the default all the same: `set_params` stores any."""
        value = getattr(self, name)
        is_plain = value is None or isinstance(value, str)
        return is_plain and value == self._own().get(name)

    def _builder_arguments(self, builder: Any) -> dict[str, Any]:
        """Return what the builder is called with.

        Raises:
            ValueError: An argument without default was not set.
        """
        params = self.get_params(deep=False)
        names = [*builder_defaults(builder)]
        if takes_any(builder):
            own = self._own()
            names += [name for name in params if name not in own and "__" not in name]
        if getattr(builder, "asks_for_parameters", False):
            names += [name for name in FIT_PARAMETERS if name in params]
        arguments = {name: params[name] for name in names}

        from_data = {
            "input_shape": self._input_shape,
            "task": self._task,
            "n_outputs": self._n_outputs,
        }
        for name in FROM_DATA:
            if name in arguments and arguments[name] is None:
                arguments[name] = from_data[name]
        arguments |= routed_to("model", params)
        arguments |= self._scikeras_extras(builder, params)

        # `np.arange` gives NumPy's numbers, which Keras' layers do not take.
        arguments = {name: _plain(value) for name, value in arguments.items()}
        missing = [name for name, value in arguments.items() if value is Unset.REQUIRED]
        if missing:
            name = builder_name(builder)
            raise ValueError(f"{name} needs a value for {', '.join(missing)}, which has no default")
        return arguments

    def _scikeras_extras(self, builder: Any, params: Mapping[str, Any]) -> dict[str, Any]:
        makers: dict[str, Callable[[], Any]] = {
            "meta": self._get_metadata,
            "compile_kwargs": self._get_compile_kwargs,
            "params": lambda: params,
        }
        return {name: makers[name]() for name in _extras_of(builder)}


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _extras_of(builder: Any) -> list[str]:
    parameters = inspect.signature(builder).parameters
    return [name for name in SCIKERAS_EXTRAS if name in parameters]


def _names_compile_setting(name: str) -> bool:
    return name.partition("__")[0] in ("optimizer", "loss")


def _is_compiled_with(model: Any, name: str, value: Any) -> bool:
    """Whether a compiled model has the optimizer or loss of this name.

    Settings of one (`optimizer__learning_rate`) cannot be told.
    """
    if name == "loss":
        if value is model.loss or value == model.loss:
            return True
        return _key(loss_name(value)) == _key(loss_name(model.loss))
    if name != "optimizer":
        return False
    wanted = value if isinstance(value, str) else getattr(value, "__name__", "")
    used = getattr(model.optimizer, "inner_optimizer", model.optimizer)  # wrapped for float16
    return _key(wanted) == _key(type(used).__name__)


def _key(name: str) -> str:
    return name.replace("_", "").lower()
