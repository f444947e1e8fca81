"""Last layer, loss and metrics by task; optimizers by name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tuning.builders.arguments import one_of, whole
from tuning.builders.losses import ON_ONE_HOT, ON_SIGNS, adapted
from tuning.data.dataset import TASKS, Task

if TYPE_CHECKING:
    import keras

OUTPUT_ACTIVATIONS = {
    "regression": ("linear", "softplus", "exponential", "relu", "sigmoid", "tanh"),
    "binary": ("sigmoid",),
    "multiclass": ("softmax",),
    "multilabel": ("sigmoid",),
}
"""First the default.

Regression: softplus, exponential and relu for positive targets; sigmoid for targets in (0, 1), tanh
for (-1, 1).
"""

LOSSES = {
    "regression": (
        "mean_squared_error",
        "mean_absolute_error",
        "mean_absolute_percentage_error",
        "mean_squared_logarithmic_error",
        "huber",
        "log_cosh",
    ),
    "binary": (
        "binary_crossentropy",
        "binary_focal_crossentropy",
        *ON_SIGNS,
        "mean_squared_error",
        "mean_absolute_error",
        "huber",
    ),
    "multiclass": ("sparse_categorical_crossentropy", *ON_ONE_HOT),
    "multilabel": (
        "binary_crossentropy",
        "binary_focal_crossentropy",
        *ON_SIGNS,
        "mean_squared_error",
        "mean_absolute_error",
        "huber",
    ),
}
"""First the default.

All of them take y as a data set holds it: multiclass as class numbers, binary as 0 and 1. Those
of `losses.ON_ONE_HOT` and `losses.ON_SIGNS` are Keras' own on targets made fit for them.
"""

SHORT = {
    "mse": "mean_squared_error",
    "mae": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error",
    "msle": "mean_squared_logarithmic_error",
    "bce": "binary_crossentropy",
}

OPTIMIZERS = ("sgd", "momentum", "adam", "adamw", "rmsprop", "nadam")
TAKES_MOMENTUM = ("sgd", "momentum", "rmsprop")


def head_faults(
    task: Task, n_outputs: int, activation: str | None, loss: str | None
) -> Iterator[str]:
    """Yield what is wrong with the last layer asked for, or with its loss."""
    yield from whole("n_outputs", n_outputs, 1)
    if task not in TASKS:
        yield from one_of("task", task, TASKS)
        return  # what fits an unknown task is unknown too

    if task == "binary" and n_outputs != 1:
        yield (
            f"a binary task has n_outputs=1, got {n_outputs!r}; "
            "for one unit a class use task='multiclass'"
        )
    if task == "multiclass" and n_outputs == 1:
        yield (
            "a multiclass task has one unit a class, got n_outputs=1; "
            "for two classes use task='binary'"
        )

    if activation is not None and activation not in OUTPUT_ACTIVATIONS[task]:
        fitting = ", ".join(OUTPUT_ACTIVATIONS[task])
        yield f"output_activation {activation!r} does not fit a {task} task; fitting: {fitting}"
    if loss is not None and not _loss_fits(loss, task):
        fitting = ", ".join(LOSSES[task])
        yield f"loss {loss!r} does not fit a {task} task{_reason(loss, task)}; fitting: {fitting}"


def _loss_fits(loss: Any, task: Task) -> bool:
    return isinstance(loss, str) and SHORT.get(loss, loss) in LOSSES[task]


def _reason(loss: Any, task: Task) -> str:
    if loss in ON_SIGNS.values() and task in ("binary", "multilabel"):
        return ": it wants labels of −1 and 1, y holds 0 and 1"
    return ""


def last_layer(
    task: Task,
    n_outputs: int,
    activation: str | None = None,
    *,
    initializer: str = "glorot_uniform",
    l2: float = 0.0,
) -> keras.layers.Dense:
    """Return the last layer of a task: k linear units, 1 sigmoid, k softmax or k sigmoid units."""
    import keras

    return keras.layers.Dense(
        int(n_outputs),
        activation=activation or OUTPUT_ACTIVATIONS[task][0],
        kernel_initializer=initializer,
        kernel_regularizer=keras.regularizers.L2(float(l2)) if l2 else None,
    )


def compile_for(
    model: keras.Model, task: Task, loss: str | None, optimizer: keras.optimizers.Optimizer
) -> None:
    """Compile `model` with the task's loss, or another; classes have accuracy as their metric."""
    import keras

    metrics: dict[Task, list[Any]] = {
        "regression": [],
        "binary": ["accuracy"],
        "multiclass": ["accuracy"],
        # Not "accuracy": Keras' would compare the largest label, ours wants all labels of a row
        # right.
        "multilabel": [keras.metrics.BinaryAccuracy(name="label_accuracy")],
    }
    name = LOSSES[task][0] if loss is None else SHORT.get(loss, loss)
    needs_other_targets = name in (*ON_ONE_HOT, *ON_SIGNS)
    model.compile(
        optimizer=optimizer,
        loss=adapted(name) if needs_other_targets else name,
        metrics=metrics[task],
    )


def make_optimizer(
    name: str, lr: float, momentum: float = 0.0, clipnorm: float | None = None
) -> keras.optimizers.Optimizer:
    """Return an optimizer of `OPTIMIZERS`; `momentum` is SGD with 0.9 unless another is given."""
    import keras

    common: dict[str, Any] = {
        "learning_rate": float(lr),
        "clipnorm": None if clipnorm is None else float(clipnorm),
    }
    # Keras' own SGD has two names here: with and without a momentum by default.
    if name in ("sgd", "momentum"):
        default = 0.9 if name == "momentum" else 0.0
        return keras.optimizers.SGD(momentum=float(momentum or default), **common)
    if name == "rmsprop":
        return keras.optimizers.RMSprop(momentum=float(momentum), **common)
    kinds = {
        "adam": keras.optimizers.Adam,
        "adamw": keras.optimizers.AdamW,
        "nadam": keras.optimizers.Nadam,
    }
    return kinds[name](**common)
