"""A whole epoch, and a whole validation pass, as one `tf.function` call over the unmodified Keras model.

`model.fit` spends about 1.3 ms of Python on each batch. Here the loop over batches lies inside the graph and calls the
model's own `train_step`, so loss, metrics, regularisers and optimizer do exactly what they do in `fit`.

The compiled steps are kept by the process and used again for every model of equal structure: the weights, optimizer
variables (the learning rate among them) and random states of the new model are assigned, nothing is traced again.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from tuning.dataset import Array

Tensors: TypeAlias = tuple[tf.Tensor, ...]

KEPT_STRUCTURES = 24
"""Compiled structures a process keeps, the least recently used dropped first; each costs 2-6 MB."""

XLA_MIN_STEPS = 12_000
"""Optimizer steps a fit must still have for XLA to repay its compilation.

Measured on 2 cores: XLA takes 0.4-0.6 s longer for the first epoch and saves 40-80 µs a step. The rule looks at the
fit alone, not at what the process has compiled before: the same trial gives the same numbers on every worker.
"""

XLA_MAX_WORK = 20_000_000
"""Parameters x batch size above which the arithmetic dominates and XLA's kernels gain nothing on a CPU."""

CHUNK = 8192
"""Rows of one forward pass in validation and prediction."""


class CompiledSteps:
    """The epoch and the validation pass of one structure, bound to one model at a time.

    The graph works on the variables of `twin`, which belongs to it alone; `bind` moves a model's state in and that of
    the model before out, so fits of equal structure may also take turns epoch by epoch (folds in lock-step).
    """

    def __init__(self, twin: keras.Model, batch_size: int, xla: bool) -> None:
        self.twin = twin
        self.xla = xla
        self._bound: keras.Model | None = None
        self._batch_size = batch_size
        self.run_epoch = tf.function(self._static_epoch, jit_compile=True) if xla else self._relaxed(self._epoch)
        self.evaluate = self._relaxed(self._evaluate)

    @staticmethod
    def _relaxed(function: Any) -> Any:
        return tf.function(function, reduce_retracing=True)

    def bind(self, model: keras.Model) -> None:
        """Make the graph work on the state of `model`; the state worked on before goes back to its own model."""
        if model is self._bound or model is self.twin:
            return
        if self._bound is not None:
            _copy_state(self.twin, self._bound)
        _copy_state(model, self.twin)
        self._bound = model

    def release(self, model: keras.Model) -> None:
        """Move the state worked on back into `model`, if it is the one bound."""
        if model is self._bound:
            _copy_state(self.twin, model)
            self._bound = None

    def _epoch(self, order: tf.Tensor, *arrays: tf.Tensor) -> dict[str, tf.Tensor]:
        """One pass over the rows in `order` (int32); any number of rows, so one trace serves every fold."""
        self.twin.reset_metrics()
        rows = tf.shape(order)[0]
        for start in tf.range(0, rows, self._batch_size):
            batch = order[start : tf.minimum(start + self._batch_size, rows)]
            self.twin.train_step(tuple(tf.gather(a, batch) for a in arrays))
        return self.twin.get_metrics_result()

    def _static_epoch(self, order: tf.Tensor, *arrays: tf.Tensor) -> dict[str, tf.Tensor]:
        """The same with every shape known, which XLA needs; gathered once, since slices are cheaper than gathers."""
        self.twin.reset_metrics()
        size, rows = self._batch_size, int(order.shape[0])
        full = rows // size
        mixed = tuple(tf.gather(a, order) for a in arrays)
        if full:
            batches = tuple(tf.reshape(a[: full * size], (full, size, *a.shape[1:])) for a in mixed)
            for i in tf.range(full):
                self.twin.train_step(tuple(b[i] for b in batches))
        if rows % size:
            self.twin.train_step(tuple(a[full * size :] for a in mixed))
        return self.twin.get_metrics_result()

    def _evaluate(self, *arrays: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        """Return (metrics, predictions) over all rows, as `model.evaluate` and `model.predict` would."""
        self.twin.reset_metrics()
        x, y, *weight = arrays
        rows = tf.shape(y)[0]
        predicted = tf.TensorArray(self.twin.compute_dtype, size=0, dynamic_size=True, infer_shape=False)
        for i in tf.range((rows + CHUNK - 1) // CHUNK):
            part = slice(i * CHUNK, tf.minimum((i + 1) * CHUNK, rows))
            predicted = predicted.write(i, self._test_step(x[part], y[part], *(w[part] for w in weight)))
        return self.twin.get_metrics_result(), predicted.concat()

    def _test_step(self, x: tf.Tensor, y: tf.Tensor, weight: tf.Tensor | None = None) -> tf.Tensor:
        """Keras' own `test_step`, returning the predictions that it throws away."""
        model = self.twin
        predicted = model(x, training=False)
        loss = model._compute_loss(x=x, y=y, y_pred=predicted, sample_weight=weight, training=False)
        model._loss_tracker.update_state(loss, sample_weight=tf.shape(x)[0])
        model.compute_metrics(x, y, predicted, sample_weight=weight)
        return tf.cast(predicted, model.compute_dtype)


_kept: OrderedDict[str, CompiledSteps] = OrderedDict()


def steps_for(model: keras.Model, arrays: Tensors, batch_size: int, epochs: int) -> CompiledSteps:
    """Return compiled steps for `model`: those of an earlier model of equal structure, else new ones.

    Args:
        model: Built and compiled.
        arrays: X, y and perhaps sample weights, rows first.
        batch_size: Rows a step.
        epochs: Epochs this fit may still run; with the rows they decide whether XLA is used.
    """
    rows = int(arrays[0].shape[0])
    steps = epochs * -(-rows // batch_size)
    xla = steps >= XLA_MIN_STEPS and model.count_params() * batch_size <= XLA_MAX_WORK
    model._symbolic_build(data_batch=tuple(a[: min(batch_size, rows)] for a in arrays))
    key = _structure(model, arrays, batch_size, xla)
    if key is None:
        return CompiledSteps(model, batch_size, xla)
    if key not in _kept:
        _kept[key] = CompiledSteps(_twin_of(model, arrays), batch_size, xla)
    _kept.move_to_end(key)
    while len(_kept) > KEPT_STRUCTURES:
        _kept.popitem(last=False)
    return _kept[key]


def _twin_of(model: keras.Model, arrays: Tensors) -> keras.Model:
    twin = type(model).from_config(model.get_config())
    twin.compile_from_config(model.get_compile_config())
    twin._symbolic_build(data_batch=tuple(a[:2] for a in arrays))
    return twin


def forget(steps: CompiledSteps) -> None:
    """Drop compiled steps that failed, so that nobody uses them again."""
    for key in [key for key, kept in _kept.items() if kept is steps]:
        del _kept[key]


def _structure(model: keras.Model, arrays: Tensors, batch_size: int, xla: bool) -> str | None:
    """Return equal texts for models whose graphs are equal; None where that cannot be told from the configuration."""
    try:
        compiled = model.get_compile_config()
        config = {"class": type(model).__qualname__, "model": model.get_config(), "compile": compiled}
        optimizer = compiled["optimizer"]["config"]
    except (NotImplementedError, TypeError, KeyError, ValueError):
        return None
    if not type(model).__module__.startswith("keras.") or not _only_keras(config):
        return None
    if isinstance(optimizer.get("learning_rate"), float):
        optimizer["learning_rate"] = "assigned"
    shapes = [(a.shape[1:].as_list(), a.dtype.name) for a in arrays]
    return json.dumps([config, shapes, batch_size, xla], sort_keys=True, default=repr)


def _only_keras(config: Any) -> bool:
    """Whether every object named is Keras' own: of a user's function the configuration holds only the name."""
    if isinstance(config, dict):
        if config.get("class_name") in ("function", "Lambda", "__lambda__"):
            return False
        if "registered_name" in config and not str(config.get("module")).startswith("keras"):
            return False
        return all(map(_only_keras, config.values()))
    if isinstance(config, list | tuple):
        return all(map(_only_keras, config))
    return config is None or isinstance(config, str | int | float | bool | np.generic)


def _copy_state(source: keras.Model, target: keras.Model) -> None:
    for a, b in zip(_state(source), _state(target), strict=True):
        b.assign(a)


def _state(model: keras.Model) -> list[Any]:
    """Everything training changes: weights, random states, optimizer variables; metrics are reset each epoch."""
    metrics = {id(v) for v in model.metrics_variables}
    return [v for v in model.variables if id(v) not in metrics] + list(model.optimizer.variables)


def state_arrays(model: keras.Model) -> list[Array]:
    """Return all that training changes, for a checkpoint."""
    return [np.asarray(v) for v in _state(model)]


def load_state(model: keras.Model, arrays: list[Array]) -> None:
    """Put back what `state_arrays` returned, into a model of equal structure."""
    for variable, array in zip(_state(model), arrays, strict=True):
        variable.assign(array)
