"""Every private name of Keras and TensorFlow that this package uses, each behind a function.

Checked with Keras 3.15.1 and TensorFlow 2.21; `pyproject.toml` bounds both to these minor
releases, and `tests/trainer/test_keras_internals.py` has a test for each name. Importing this
module does not import TensorFlow, so `builders` can use it before a worker needs one.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

_LAYER_NAMES = "object_name_uids"


# Random states and names that are global to the process.


def set_keras_seed(seed: int) -> None:
    """Give Keras another global seed, without what `keras.utils.set_random_seed` does besides.

    Private: `global_state`, `GLOBAL_RANDOM_SEED`, `GLOBAL_SEED_GENERATOR`.
    """
    from keras.src.backend.common import global_state
    from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR
    from keras.src.utils.rng_utils import GLOBAL_RANDOM_SEED

    global_state.set_global_attribute(GLOBAL_RANDOM_SEED, seed)
    global_state.set_global_attribute(GLOBAL_SEED_GENERATOR, None)


@contextmanager
def global_seeds_kept() -> Iterator[None]:
    """Afterwards Keras and TensorFlow draw from their global seeds as if nothing had been drawn.

    Within it others may be set. What `tf.random` keeps in a kernel, where an operation has a seed
    of its own, is not brought back.

    Private: `global_state`, `GLOBAL_RANDOM_SEED`, `GLOBAL_SEED_GENERATOR`; `_seed` and `_rng` of
    TensorFlow's eager context.
    """
    from keras.src.backend.common import global_state
    from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR
    from keras.src.utils.rng_utils import GLOBAL_RANDOM_SEED
    from tensorflow.python.eager import context

    eager = context.context()
    source = getattr(eager, "_rng", None)
    drawn = None if source is None else source.getstate()
    seed = getattr(eager, "_seed", None)
    keras_seed = global_state.get_global_attribute(GLOBAL_RANDOM_SEED)
    generator = global_state.get_global_attribute(GLOBAL_SEED_GENERATOR)
    state = None if generator is None else generator.state.numpy()
    try:
        yield
    finally:
        eager._seed = seed
        eager._rng = source
        if source is not None:
            source.setstate(drawn)
        global_state.set_global_attribute(GLOBAL_RANDOM_SEED, keras_seed)
        global_state.set_global_attribute(GLOBAL_SEED_GENERATOR, generator)
        if generator is not None:
            generator.state.assign(state)


def set_tensorflow_seed(seed: int) -> None:
    """Give TensorFlow another global seed and keep its kernels, which `tf.random.set_seed` drops.

    Private: `tensorflow.python.eager.context`, `_seed` and `_rng` of the context.
    """
    from tensorflow.python.eager import context

    eager = context.context()
    eager._seed = seed
    eager._rng = random.Random(seed)


def tensorflow_seed_source() -> random.Random | None:
    """Return what TensorFlow draws the seeds of its operations from; None before a seed was set.

    Private: `_rng` of the eager context.
    """
    from tensorflow.python.eager import context

    source: random.Random | None = getattr(context.context(), "_rng", None)
    return source


def tensorflow_generator() -> Any:
    """Return the generator of `tf.random`, or None; the public function would make one.

    Private: `stateful_random_ops.global_generator`.
    """
    from tensorflow.python.ops import stateful_random_ops

    return stateful_random_ops.global_generator


def stateful_draws() -> int:
    """Return how many stateful random ops were called, or traced, since the first call of this.

    Each of TensorFlow's asks `random_seed.get_seed`, be it for a seed of its own. The first call
    puts a counting function in its place.

    Private: `tensorflow.python.framework.random_seed`.
    """
    from tensorflow.python.framework import random_seed

    if not hasattr(random_seed.get_seed, "draws"):
        random_seed.get_seed = _counting(random_seed.get_seed)
    return int(random_seed.get_seed.draws)


def _counting(function: Any) -> Any:
    @functools.wraps(function)
    def counted(*args: Any, **kwargs: Any) -> Any:
        counted.draws += 1  # type: ignore[attr-defined]
        return function(*args, **kwargs)

    counted.draws = 0  # type: ignore[attr-defined]
    return counted


def keras_seed_generator() -> Any:
    """Return the generator that Keras' layers draw from when they have none of their own, or None.

    Private: `GLOBAL_SEED_GENERATOR`; the public way would make one.
    """
    from keras.src.backend.common import global_state
    from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR

    return global_state.get_global_attribute(GLOBAL_SEED_GENERATOR)


def set_keras_seed_generator(generator: Any) -> None:
    """Put back what `keras_seed_generator` returned."""
    from keras.src.backend.common import global_state
    from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR

    global_state.set_global_attribute(GLOBAL_SEED_GENERATOR, generator)


def layer_name_counts() -> dict[str, int]:
    """Return a copy of Keras' counts by which it names layers: `dense_3` is the fourth `Dense`.

    Private: the global attribute `object_name_uids`.
    """
    from keras.src.backend.common import global_state

    return dict(global_state.get_global_attribute(_LAYER_NAMES, {}))


def set_layer_name_counts(counts: Mapping[str, int]) -> None:
    """Have Keras number the layers to come as if it had named those of `counts` alone."""
    from keras.src.backend.common import global_state

    present = global_state.get_global_attribute(_LAYER_NAMES)
    if present is not None:
        present.clear()  # the mapping counts from 0 by itself
        present.update(counts)


def reset_layer_names() -> None:
    """Have Keras number layers from 0 again; `clear_session()` would also forget a dtype policy.

    Private: `keras.src.utils.naming.reset_uids`.
    """
    from keras.src.utils.naming import reset_uids

    reset_uids()


def unsafe_deserialization() -> AbstractContextManager[Any]:
    """Return a scope in which a model's own `Lambda` is copied: its code is the caller's.

    Private: `SafeModeScope`; the public `enable_unsafe_deserialization()` has no end.
    """
    from keras.src.saving.serialization_lib import SafeModeScope

    scope: AbstractContextManager[Any] = SafeModeScope(safe_mode=False)
    return scope


# Models.


def build_from_batch(model: keras.Model, batch: tuple[Any, ...]) -> None:
    """Build a compiled model, its metrics and its optimizer from the shapes of (X, y), weights.

    Without y there is no telling what the metrics take: they are left to the model's own step.

    Private: `Model._symbolic_build`, which `fit` calls first.
    """
    if len(batch) > 1:
        model._symbolic_build(data_batch=batch)
        return

    import keras

    def symbolic(tensor: Any) -> Any:
        return keras.KerasTensor(tensor.shape, keras.backend.standardize_dtype(tensor.dtype))

    if not model.built:
        model(keras.tree.map_structure(symbolic, batch[0]), training=False)
    if model.optimizer is not None and not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)


def all_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Return a model and all layers within it, nested ones too.

    Private: `Layer._flatten_layers`.
    """
    return list(model._flatten_layers())


def compile_arguments(model: keras.Model) -> Mapping[str, Any]:
    """Return what was given to `compile`, the objects themselves: `get_compile_config` copies them.

    Private: `Model._compile_config`.
    """
    arguments: Mapping[str, Any] = model._compile_config.config
    return arguments


def compiled_metric_names(model: keras.Model) -> frozenset[str]:
    """Return the names that the metrics of a compiled model will have in its logs.

    Before its first batch a model does not tell them itself.
    """
    names = {metric.name for metric in model.metrics}
    compiled = getattr(model, "_compile_metrics", None)
    if compiled is not None:
        names.discard(compiled.name)
        for metrics in (compiled._user_metrics, compiled._user_weighted_metrics):
            names.update(_metric_names(metrics))
    return frozenset(names - {"loss"})


def compiled_metrics(model: keras.Model) -> list[Any]:
    """Return the metrics given to `compile`, weighted ones too: names, functions, objects.

    Private: `Model._compile_metrics`, which keeps them within itself.
    """
    import keras

    compiled = getattr(model, "_compile_metrics", None)
    if compiled is None:
        return []
    metrics = keras.tree.flatten([compiled._user_metrics, compiled._user_weighted_metrics])
    return [metric for metric in metrics if metric is not None]


def wants_columns(model: keras.Model) -> bool:
    """Whether a compiled metric takes y as `(rows, units)` alone, as Keras' F-scores do."""
    import keras

    return any(
        isinstance(metric, keras.metrics.FBetaScore) or metric in ("f1_score", "fbeta_score")
        for metric in compiled_metrics(model)
    )


def _metric_names(metrics: Any) -> Iterator[str]:
    if isinstance(metrics, Mapping):
        for output, of_output in metrics.items():
            for name in _metric_names(of_output):
                yield from (name, f"{output}_{name}")
    elif isinstance(metrics, list | tuple):
        for metric in metrics:
            yield from _metric_names(metric)
    elif metrics is not None:
        own_name = getattr(metrics, "name", None) or getattr(metrics, "__name__", "")
        yield metrics if isinstance(metrics, str) else str(own_name or type(metrics).__name__)


def loss_weights(model: keras.Model) -> Any:
    """Return the `loss_weights` given to `compile`, or None.

    Private: `Model._compile_loss`, `CompileLoss._user_loss_weights`.
    """
    return getattr(model._compile_loss, "_user_loss_weights", None)


def add_loss(model: keras.Model, x: Any, y: Any, predicted: Any, weight: Any) -> None:
    """Compute the loss of a batch as `test_step` does and count it in the epoch's mean.

    Inputs, outputs and weights are each a tensor, or several nested.

    Private: `Trainer._compute_loss`, `Trainer._loss_tracker`.
    """
    import keras
    import tensorflow as tf

    loss = model._compute_loss(x=x, y=y, y_pred=predicted, sample_weight=weight, training=False)
    n_rows = tf.shape(keras.tree.flatten(x)[0])[0]
    model._loss_tracker.update_state(loss, sample_weight=n_rows)


def restored_epoch(model: keras.Model) -> int | None:
    """Return the epoch at which `BackupAndRestore` has found an interrupted training, if it did.

    Private: `Trainer._initial_epoch`, by which the callback tells `fit`.
    """
    epoch: int | None = model._initial_epoch
    return epoch


def forget_restored_epoch(model: keras.Model) -> None:
    """Make `restored_epoch` None, before the callbacks of a training begin."""
    model._initial_epoch = None


def history_of(callbacks: keras.callbacks.CallbackList) -> dict[str, list[float]]:
    """Return the history that a list made with `add_history=True` has kept.

    Private: `CallbackList._history`.
    """
    return dict(callbacks._history.history)


def graph_nodes(model: keras.Model) -> Iterator[Any]:
    """Yield the calls of layers that a functional or sequential model is made of, inputs first.

    Private: `Sequential._functional`, `Functional._nodes_by_depth`.
    """
    import keras

    graph = model._functional if isinstance(model, keras.Sequential) else model
    for _, nodes in sorted(graph._nodes_by_depth.items(), reverse=True):
        yield from nodes


def loss_settings(loss: Any) -> dict[str, Any]:
    """Return the keyword arguments that a loss or metric object passes to its function.

    Private: `LossFunctionWrapper._fn_kwargs`, `MeanMetricWrapper._fn_kwargs`. An object without
    has none.
    """
    return dict(getattr(loss, "_fn_kwargs", {}))


# Variables and layers.


def kernel_variable(layer: keras.layers.Dense) -> keras.Variable:
    """Return the variable of a dense layer's kernel; `kernel` may be a product with LoRA's weights.

    Private: `Dense._kernel`.
    """
    return layer._kernel


def set_value(variable: keras.Variable, value: tf.Variable) -> None:
    """Have a Keras variable keep its numbers in another variable of TensorFlow's.

    Private: `Variable._value`.
    """
    variable._value = value


def copy_shape(source: keras.Variable, target: keras.Variable) -> None:
    """Note the shape of `source` in `target`, whose TensorFlow variable takes any.

    Private: `Variable._shape`.
    """
    target._shape = source._shape


# Optimizers.


def learning_rate_of(optimizer: keras.optimizers.Optimizer) -> Any:
    """Return the variable of the learning rate, or its schedule; `learning_rate` is its value.

    Private: `Optimizer._learning_rate`.
    """
    return optimizer._learning_rate


def built_for(optimizer: keras.optimizers.Optimizer) -> list[keras.Variable]:
    """Return the weights that an optimizer was built for.

    Private: `Optimizer._trainable_variables`.
    """
    return list(optimizer._trainable_variables)


def position_of(optimizer: keras.optimizers.Optimizer, weight: Any) -> int:
    """Return the place of a weight among those the optimizer was built for.

    Private: `Optimizer._get_variable_index`.
    """
    return int(optimizer._get_variable_index(weight))


def first_moments(optimizer: keras.optimizers.Optimizer) -> list[Any]:
    """Return the momentums of an optimizer, in the order of its weights; empty where it keeps none.

    Private: `Adam._momentums`, `RMSprop._momentums`. Only SGD's are public.
    """
    public = getattr(optimizer, "momentums", None)
    return list(optimizer._momentums if public is None else public)


def second_moments(optimizer: keras.optimizers.Optimizer) -> list[Any]:
    """Return the mean squares of gradients of Adam or RMSprop, in the order of the weights.

    Private: `Adam._velocities`, `RMSprop._velocities`.
    """
    return list(optimizer._velocities)


def parts_of(optimizer: keras.optimizers.Optimizer) -> list[keras.optimizers.Optimizer]:
    """Return what changes the weights: the optimizer itself, or those that it hands them to.

    Keras wraps an optimizer for float16; a `MultiOptimizer` has one for each group of layers.
    """
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    return list(getattr(optimizer, "optimizers", [optimizer]))


def averages(optimizer: keras.optimizers.Optimizer) -> list[tuple[Any, Any]]:
    """Return each weight with its moving average; none without `use_ema`, and before it is built.

    Private: `Optimizer._model_variables_moving_average`.
    """
    pairs: list[tuple[Any, Any]] = []
    for part in parts_of(optimizer):
        if part.use_ema and part.built:
            pairs.extend(zip(built_for(part), part._model_variables_moving_average, strict=True))
    return [(weight, average) for weight, average in pairs if average is not None]


def update_step(optimizer: keras.optimizers.Optimizer) -> Callable[..., None]:
    """Return what updates all weights: it takes gradients, weights and the learning rate.

    Private: `Optimizer._backend_update_step`.
    """
    step: Callable[..., None] = optimizer._backend_update_step
    return step


def set_update_step(optimizer: keras.optimizers.Optimizer, step: Callable[..., None]) -> None:
    """Have an optimizer update all weights by another function than `update_step` returned."""
    optimizer._backend_update_step = step


@contextmanager
def steps_read_once(optimizer: keras.optimizers.Optimizer) -> Iterator[None]:
    """Within it, the optimizer computes with one reading of its count of steps.

    Private: `Optimizer._iterations`. It is set past Keras' tracking of attributes.
    """
    import tensorflow as tf

    variable = optimizer._iterations
    object.__setattr__(optimizer, "_iterations", tf.identity(variable.value))
    try:
        yield
    finally:
        object.__setattr__(optimizer, "_iterations", variable)


def leaves_out_of_weight_decay(optimizer: keras.optimizers.Optimizer) -> bool:
    """Whether `exclude_from_weight_decay` was called, which no configuration tells.

    Private: the attributes `_exclude_from_weight_decay…`.
    """
    return any(name.startswith("_exclude_from_weight_decay") for name in vars(optimizer))
