"""`build`: call a builder so that equal arguments and an equal seed give equal models."""

from __future__ import annotations

import inspect
import warnings
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tuning.builders.inputs.adapting import not_adapted, waiting
from tuning.builders.inputs.graph_internals import all_layers, reads_text
from tuning.builders.seeds import set_seed
from tuning.data.dataset import Shapes
from tuning.errors import StudyError
from tuning.trainer.keras_internals import reset_layer_names, stateful_draws

if TYPE_CHECKING:
    import keras

_OLD_SPELLINGS = (
    "Argument `input_shape` is deprecated",
    "Do not pass an `input_shape`/`input_dim` argument",
)
"""Keras 3 takes these spellings of the courses and warns at every model, which helps nobody."""

_returned: weakref.WeakSet[Any] = weakref.WeakSet()


def build(
    builder: Callable[..., Any],
    arguments: Mapping[str, Any],
    seed: int | None,
    *,
    input_shape: Shapes | Sequence[int] | None = None,
) -> keras.Model:
    """Return the builder's model, with weights where the input shape is known.

    Layer names are counted from 1 again, so that equal structures have equal names.

    Args:
        builder: Returns a compiled `keras.Model`.
        arguments: Its keyword arguments.
        seed: Set for Python, NumPy, Keras and TensorFlow before the call and left set, for the
            training that follows; inside `seeds.seeded` it is taken back. None: not set.
        input_shape: One sample's shape, for a model that has no weights yet; else the argument of
            this name.

    Raises:
        StudyError: The builder returned something else than a compiled model, or one that it has
            returned before.
    """
    model = _call(builder, arguments, seed)
    fault = not_a_model(builder, model)
    if fault:
        raise StudyError(fault)
    # A builder that keeps its model would give each trial the weights of the one before.
    if model in _returned:
        raise StudyError(
            f"{builder_name(builder)} returned the same model object again; "
            "make a new model at each call"
        )
    _returned.add(model)

    shape = input_shape if input_shape is not None else arguments.get("input_shape")
    if not model.built and shape is not None:
        try:
            give_weights(model, shape)
        except StudyError as error:
            raise StudyError(error.faults, where=builder_name(builder)) from None
    return model


def _call(builder: Callable[..., Any], arguments: Mapping[str, Any], seed: int | None) -> Any:
    import keras

    with warnings.catch_warnings():
        for start in _OLD_SPELLINGS:
            warnings.filterwarnings("ignore", message=start, category=UserWarning)
        reset_layer_names()
        if seed is None:
            return builder(**arguments)

        set_seed(seed)
        draws_before = stateful_draws()
        model = builder(**arguments)
        if stateful_draws() == draws_before:
            return model

        # The builder drew with stateful ops. They repeat with fresh kernels only, which this call
        # makes and `set_seed` does not.
        keras.utils.set_random_seed(int(seed))
        reset_layer_names()
        return builder(**arguments)


def give_weights(model: keras.Model, input_shape: Shapes | Sequence[int]) -> None:
    """Make the weights of a model whose first layer names no input shape.

    Raises:
        StudyError: The model is a subclass, and a layer in it waits for `adapt`, or reads texts
            that nobody but the builder can give it.
    """
    import keras

    if isinstance(model, keras.Sequential):
        model.build((None, *input_shape))
        return

    # A subclass learns its shapes from a call, and its layers must be able to answer it.
    unadapted = next(waiting(model), None)
    if unadapted is not None:
        raise not_adapted(unadapted)
    if not any(reads_text(layer) for layer in all_layers(model)):
        model(_zeros(input_shape))
    elif isinstance(input_shape, Mapping):
        raise StudyError(
            f"{type(model).__name__} takes several inputs and reads texts, and nobody can tell "
            "which of them: call it once in the builder, model({name: rows, …}), or build the "
            "model with keras.Model(inputs, outputs)"
        )
    else:
        model(np.full((1, *input_shape), "", object))


def _zeros(input_shape: Shapes | Sequence[int]) -> Any:
    if isinstance(input_shape, Mapping):
        return {name: np.zeros((1, *shape), np.float32) for name, shape in input_shape.items()}
    return np.zeros((1, *input_shape), np.float32)


def not_a_model(builder: Callable[..., Any], returned: Any) -> str:
    """Return in words what is wrong with what a builder returned; `""` for a compiled model."""
    import keras

    name = builder_name(builder)
    if isinstance(returned, keras.Model):
        if returned.compiled:
            return ""
        return (
            f"{name} returned a model that is not compiled; "
            "end it with model.compile(optimizer=…, loss=…)"
        )
    if returned is None:
        return f"{name} returned None; end it with `return model`"
    if inspect.isfunction(returned) or inspect.ismethod(returned):
        inner = returned.__name__
        return f"{name} returned the function {inner} instead of a model; give {inner} itself"
    if isinstance(returned, tuple):
        kinds = ", ".join(type(item).__name__ for item in returned)
        return f"{name} returned a tuple ({kinds}); it must return the model alone"
    if isinstance(returned, type):
        return f"{name} returned the class {returned.__name__}, not a model made of it"

    kind = type(returned)
    return (
        f"{name} returned a {kind.__module__}.{kind.__name__}; "
        "it must return a compiled keras.Model"
    )


def builder_name(builder: Callable[..., Any]) -> str:
    """Return what the user calls the builder."""
    return str(getattr(builder, "__name__", type(builder).__name__))
