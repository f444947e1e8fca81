"""`build_wide_deep`: the courses' wide & deep network by the functional API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tuning.builders.arguments import above_zero, one_of, sample_shape, whole
from tuning.builders.tasks import OPTIMIZERS, compile_for, head_faults, last_layer, make_optimizer
from tuning.data.dataset import Task
from tuning.errors import BuilderError

if TYPE_CHECKING:
    import keras


def build_wide_deep(
    n_hidden: int = 2,
    n_neurons: int = 30,
    lr: float = 1e-3,
    *,
    optimizer: str = "sgd",
    task: Task = "regression",
    n_outputs: int = 1,
    input_shape: Sequence[int] = (8,),
) -> keras.Model:
    """Return a compiled network whose last layer sees the input beside what deep layers make of it.

    Source: Cheng et al. 2016, arXiv:1606.07792; here, as in the courses, both ways get the same
    inputs, and one optimizer trains them.

    Args:
        n_hidden: Hidden layers of the deep way, >= 1.
        n_neurons: Units of each, >= 1.
        lr: Learning rate, > 0.
        optimizer: See `tasks.OPTIMIZERS`.
        task: Fixes the last layer and the loss.
        n_outputs: Units of the last layer.
        input_shape: One sample's shape without the batch axis; flattened where it has more axes
            than one.

    Returns:
        Maps float32 `(batch, *input_shape)` to `(batch, n_outputs)`.

    Raises:
        BuilderError: Every argument outside its range.
    """
    faults = [
        *whole("n_hidden", n_hidden, 1),
        *whole("n_neurons", n_neurons, 1),
        *above_zero("lr", lr),
        *one_of("optimizer", optimizer, OPTIMIZERS),
        *sample_shape("input_shape", input_shape),
        *head_faults(task, n_outputs, None, None),
    ]
    if faults:
        raise BuilderError(faults, where="build_wide_deep")

    import keras

    inputs = keras.Input(tuple(int(size) for size in input_shape))
    wide = keras.layers.Flatten()(inputs) if len(input_shape) > 1 else inputs

    deep = wide
    for _ in range(n_hidden):
        deep = keras.layers.Dense(int(n_neurons), activation="relu")(deep)

    outputs = last_layer(task, n_outputs)(keras.layers.concatenate([wide, deep]))
    model = keras.Model(inputs, outputs)
    compile_for(model, task, None, make_optimizer(optimizer, lr))
    return model
