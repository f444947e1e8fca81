"""A throw-away copy of a model, and random states that are afterwards what they were before."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from tuning.errors import StudyError
from tuning.trainer import keras_internals


@contextmanager
def random_states_kept() -> Iterator[None]:
    """Give Python, NumPy, TensorFlow and Keras their random states back, whatever ends the block.

    Nothing inside may call `keras.utils.set_random_seed`: TensorFlow's kernels would forget where
    they were.
    """
    python = random.getstate()
    numpy = np.random.get_state()
    layer_names = keras_internals.layer_name_counts()

    # Where there is none of these yet, none of its states has to be put back.
    keras_generator = keras_internals.keras_seed_generator()
    keras_state = None if keras_generator is None else keras_generator.state.numpy()
    seeds_of_ops = keras_internals.tensorflow_seed_source()
    seeds_state = None if seeds_of_ops is None else seeds_of_ops.getstate()
    tf_generator = keras_internals.tensorflow_generator()
    tf_state = None if tf_generator is None else tf_generator.state.numpy()

    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)

        if keras_generator is not None:
            keras_generator.state.assign(keras_state)
        keras_internals.set_keras_seed_generator(keras_generator)
        # Copies have named their layers too: the caller's next `Dense` must not count them.
        keras_internals.set_layer_name_counts(layer_names)

        if seeds_of_ops is not None and seeds_state is not None:
            seeds_of_ops.setstate(seeds_state)
        if tf_generator is not None:
            tf_generator.state.assign(tf_state)


def throw_away(model: keras.Model, batch: tuple[Any, ...], *, weights: bool = True) -> keras.Model:
    """Return a compiled copy that shares nothing with `model` that training changes.

    Its optimizer is new, without moments, its learning rate a plain variable; it has the loss but
    no metrics. Call it inside `random_states_kept`: initialisers without a seed draw theirs from
    Python's random state.

    Args:
        model: Compiled; read, never changed.
        batch: (X, y), perhaps weights, of a few rows, for the shapes.
        weights: Copy weights, statistics and seed generators; else the copy's initialisers draw
            them, but for what training would not change: frozen layers and adapted ones.

    Raises:
        StudyError: The class cannot be copied by its configuration.
    """
    try:
        # A Lambda of a model in our hands is the caller's own code.
        with keras_internals.unsafe_deserialization():
            copy = keras.models.clone_model(_not_compiled(model))
    except (NotImplementedError, TypeError, ValueError, KeyError, AttributeError) as error:
        reason = str(error).strip().splitlines()[0][:200]
        raise StudyError(
            f"{type(model).__name__} cannot be copied: {reason}. Give the class a get_config() "
            "that returns its constructor's arguments; the test never trains the model itself"
        ) from error

    for layer, original in _layer_pairs(copy, model):
        layer.trainable = original.trainable
    _compile_like(copy, model)
    keras_internals.build_from_batch(copy, batch)

    if weights and model.built:
        _assign(trained_state(copy), trained_state(model))
    for layer, original in _layer_pairs(copy, model):
        _copy_given(layer, original)
    return copy


def _assign(variables: list[Any], values: list[Any]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _layer_pairs(
    copy: keras.Model, model: keras.Model
) -> Iterator[tuple[keras.layers.Layer, keras.layers.Layer]]:
    copies = keras_internals.all_layers(copy)
    return zip(copies, keras_internals.all_layers(model), strict=False)


def _copy_given(layer: keras.layers.Layer, original: keras.layers.Layer) -> None:
    """Copy what a layer was given before training: what it was adapted to, or is frozen at."""
    was_given = hasattr(original, "adapt") or not original.trainable
    alike = original.built and len(layer.variables) == len(original.variables)
    if was_given and alike:
        _assign(layer.variables, original.variables)
    if isinstance(layer, keras.layers.Normalization):
        layer.finalize_state()  # it computes with constants made of its weights


def _not_compiled(model: keras.Model) -> keras.Model:
    """Return a view of the model that Keras' clone does not compile.

    It would do so from a configuration that only names functions.
    """
    view = object.__new__(type(model))
    vars(view).update({**vars(model), "compiled": False})
    return view


def own(model: keras.Model, batch: tuple[Any, ...]) -> keras.Model:
    """Prepare a model that nobody else holds, in place of a copy: a new optimizer, no metrics."""
    _compile_like(model, model)
    keras_internals.build_from_batch(model, batch)
    return model


def trained_state(model: keras.Model) -> list[Any]:
    """Return the variables that training changes besides the optimizer's.

    These are weights, statistics and seed generators.
    """
    metrics = {id(variable) for variable in model.metrics_variables}
    return [variable for variable in model.variables if id(variable) not in metrics]


def rate_variable(optimizer: Any) -> Any:
    """Return the learning rate of an optimizer made by `throw_away` or `own`, to be assigned."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    return keras_internals.learning_rate_of(inner)


def _compile_like(copy: keras.Model, model: keras.Model) -> None:
    """Compile a copy, or the model itself, with a new optimizer and without metrics."""
    if type(model).compile is not keras.Model.compile:
        if copy is not model:
            _compile_itself(copy, model)
        copy.optimizer = _new_optimizer(model.optimizer)
        return

    copy.compile(
        _new_optimizer(model.optimizer),
        model.loss,
        loss_weights=keras_internals.loss_weights(model),
        run_eagerly=model.run_eagerly,
        jit_compile=False,
        auto_scale_loss=False,  # `model` has wrapped its optimizer already
    )


def _compile_itself(copy: keras.Model, model: keras.Model) -> None:
    if type(model).compile_from_config is keras.Model.compile_from_config:
        name = type(model).__name__
        raise StudyError(
            f"{name} has its own compile(); give it get_compile_config and compile_from_config too"
        )
    copy.compile_from_config(model.get_compile_config())


def _new_optimizer(optimizer: Any) -> Any:
    """Return an optimizer of the same kind and settings, without moments."""
    config = optimizer.get_config()
    if "inner_optimizer" in config:
        inner = _new_optimizer(optimizer.inner_optimizer)
        config["inner_optimizer"] = keras.saving.serialize_keras_object(inner)
    else:
        config["learning_rate"] = 0.01  # a schedule would decide by itself
    return type(optimizer).from_config(config)
