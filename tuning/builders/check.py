"""`check_builder`: does what a builder returns fit the data? Asked before anything is trained."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tuning.builders.build import build, builder_name
from tuning.builders.losses import is_adapted
from tuning.builders.metric_check import compiled_metric_faults, measure_faults
from tuning.builders.seeds import seeded
from tuning.builders.tasks import OUTPUT_ACTIVATIONS
from tuning.data.dataset import Array, Shapes, Task, Tasks, task_of
from tuning.errors import StudyError
from tuning.scoring.measure import Measure

if TYPE_CHECKING:
    import keras

_CROSSENTROPIES = (
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "sparse_categorical_crossentropy",
)
_HINGES = ("hinge", "squared_hinge", "categorical_hinge")
_REAL = (
    "mean_squared_error",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_logarithmic_error",
    "huber",
    "log_cosh",
    "poisson",
    "kl_divergence",
    "cosine_similarity",
)
_ONE_HOT = (
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_hinge",
    "kl_divergence",
)

_MISFITS: dict[Task, tuple[str, ...]] = {
    "regression": (*_CROSSENTROPIES, *_HINGES),
    "binary": (*_ONE_HOT, "sparse_categorical_crossentropy", *_HINGES[:2]),
    "multiclass": (*_ONE_HOT, *_REAL, *_HINGES[:2], *_CROSSENTROPIES[:2]),
    "multilabel": (*_ONE_HOT, "sparse_categorical_crossentropy", *_HINGES[:2]),
}
"""Keras losses that do not fit the task's y: they run and mean something else, or fail late.

A loss of one's own is tried, see `_loss_failure`.
"""

_FITTING: dict[Task, str] = {
    "regression": (
        "mean_squared_error, mean_absolute_error, mean_absolute_percentage_error, huber, log_cosh"
    ),
    "binary": "binary_crossentropy, binary_focal_crossentropy, mean_squared_error",
    "multiclass": "sparse_categorical_crossentropy",
    "multilabel": "binary_crossentropy, binary_focal_crossentropy, mean_squared_error",
}

_Y_HOLDS: dict[Task, str] = {
    "regression": "real numbers",
    "binary": "0 or 1, one a row",
    "multiclass": "class numbers, one a row",
    "multilabel": "0 and 1 a label",
}

_UNBOUNDED = (
    "linear",
    "relu",
    "tanh",
    "softplus",
    "exponential",
    "elu",
    "selu",
    "gelu",
    "leaky_relu",
)
"""Last layers whose outputs are no probabilities."""


def check_builder(
    builder: Callable[..., Any],
    arguments: Mapping[str, Any],
    *,
    input_shape: Shapes | Sequence[int],
    task: Tasks,
    n_outputs: int | Mapping[str, int] = 1,
    metric: str = "",
    measure: Measure | None = None,
) -> None:
    """Build once and check that the model fits the data; random states are left as they were.

    Args:
        builder: Any builder: Keras' own names or those of `tensorflow.keras`.
        arguments: One point of the space, the fixed arguments and those that come from the data.
        input_shape, task, n_outputs: Of the data set.
        metric: One that the compiled model must have, where the objective is not computed by us;
            "": none.
        measure: What computes the objective, where that is ours.

    Raises:
        StudyError: Every fault, with the builder's name; a `BuilderError` of the builder itself
            as it is.
    """
    if isinstance(input_shape, Mapping) or isinstance(n_outputs, Mapping):
        return  # several inputs or outputs: under way
    task = task_of(task)
    name = builder_name(builder)
    shape = tuple(input_shape)
    with seeded(0):
        try:
            model = build(builder, arguments, 0, input_shape=shape)
        except StudyError:
            raise
        except Exception as error:
            raise StudyError(f"{name}({_words(arguments)}) raised {_described(error)}") from error

        faults = list(_model_faults(model, shape, task, n_outputs))
        # Only a sound model can be tested on a batch, which is how Keras names its metrics.
        y = _sample_y(task, n_outputs)
        X = np.zeros((len(y), *shape), np.float32)
        if metric and not faults:
            faults = list(compiled_metric_faults(model, metric, X, y, task))
        if measure is not None and not faults:
            faults = list(measure_faults(measure, np.asarray(model(X)), y))
    if faults:
        raise StudyError(faults, where=name)


def _model_faults(
    model: keras.Model, input_shape: tuple[int, ...], task: Task, n_outputs: int
) -> Iterator[str]:
    input_fault = _input_fault(model, input_shape)
    if input_fault:
        yield input_fault
        return
    try:
        outputs = _outputs(model, input_shape)
    except (ValueError, TypeError) as error:  # what Keras raises for shapes that do not fit
        yield f"the model does not take data of shape {input_shape}: {_first_line(error)}"
        return
    if isinstance(outputs, list | tuple | dict):
        yield f"the model has {len(outputs)} outputs; it must have one"
        return

    shape = tuple(outputs.shape[1:])
    loss = loss_name(model.loss)
    has_two_units = _separates_two_classes(task, shape, loss)
    if shape != (n_outputs,) and not has_two_units:
        yield f"the last layer gives {_units(shape)}; {_wanted(task, n_outputs)}"
        return

    loss_fault = "" if has_two_units else _loss_fault(model.loss, loss, task)
    activation_fault = _activation_fault(model, loss, task)
    if loss_fault:
        yield loss_fault
    if activation_fault:
        yield activation_fault
    if not loss_fault:
        yield from _loss_failure(model, _sample_y(task, n_outputs), outputs)


def _outputs(model: keras.Model, input_shape: tuple[int, ...]) -> Any:
    """Return what the model makes of two rows of zeros."""
    with warnings.catch_warnings():
        # `_activation_fault` says the same as a fault.
        warnings.filterwarnings("ignore", message=".*You are using a softmax over axis")
        return model(np.zeros((2, *input_shape), np.float32))


def _separates_two_classes(task: Task, shape: tuple[int | None, ...], loss: str) -> bool:
    """Whether a binary task is done with one unit a class, which class numbers 0 and 1 allow."""
    takes_class_numbers = loss in ("sparse_categorical_crossentropy", "crossentropy")
    return task == "binary" and shape == (2,) and takes_class_numbers


def _input_fault(model: keras.Model, input_shape: tuple[int, ...]) -> str:
    inputs = getattr(model, "inputs", None)
    if not inputs:
        return ""  # a subclass shows its shape only in a call
    if len(inputs) != 1:
        return f"the model has {len(inputs)} inputs; it must have one"

    shape = tuple(inputs[0].shape[1:])
    if len(shape) == len(input_shape):
        sizes = zip(shape, input_shape, strict=True)
        if all(size in (None, size_of_data) for size, size_of_data in sizes):
            return ""
    return (
        f"the model takes inputs of shape {shape}, the data has {input_shape}; "
        "let the builder take `input_shape`, it is filled in from the data"
    )


def loss_name(loss: Any) -> str:
    """Return Keras' name of a compiled loss; `""` for none.

    Args:
        loss: A name, an alias, a function, a class or an object.
    """
    import keras

    if loss is None:
        return ""
    # An alias that no `keras.losses.get` knows: `compile` resolves it by the output's shape.
    if loss in ("crossentropy", "ce"):
        return "crossentropy"
    if isinstance(loss, str):
        try:
            loss = keras.losses.get(loss)
        except ValueError:
            return str(loss)  # unknown to Keras, which says so when it is first used
    if isinstance(loss, keras.losses.Loss):
        return _snake(type(loss).__name__)  # its `name` may have been changed
    if isinstance(loss, type):
        return _snake(loss.__name__)
    return str(getattr(loss, "__name__", type(loss).__name__))


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


def _loss_fault(compiled: Any, loss: str, task: Task) -> str:
    if not loss:
        return "the model is compiled without a loss; give model.compile(loss=…)"
    # A loss of `losses.adapted` has Keras' name, and makes y fit itself.
    if loss not in _MISFITS[task] or is_adapted(compiled):
        return ""
    reason = ""
    if loss in _HINGES[:2] and task in ("binary", "multilabel"):
        reason = ": it wants −1 and 1"
    return f"loss {loss} does not fit y, which holds {_Y_HOLDS[task]}{reason}; use {_FITTING[task]}"


def _activation_fault(model: keras.Model, loss: str, task: Task) -> str:
    import keras

    last = model.layers[-1] if model.layers else None
    if not isinstance(last, keras.layers.Dense):
        return ""

    activation = getattr(last.activation, "__name__", "")
    if activation == "softmax":
        return _softmax_fault(last.units, task)
    if activation == "sigmoid" and task == "multiclass":
        n = last.units
        return f"{n} sigmoids are {n} answers that do not exclude each other; use softmax"

    takes_logits = getattr(model.loss, "from_logits", False)
    if activation in _UNBOUNDED and loss in _CROSSENTROPIES and not takes_logits:
        usual = "sigmoid" if loss.startswith("binary") else "softmax"
        return (
            f"{loss} needs probabilities, but the last layer is {activation}; "
            f"give it activation='{usual}'"
        )
    return ""


def _softmax_fault(units: int, task: Task) -> str:
    if units == 1:
        return "softmax over one unit is always 1; use sigmoid"
    if task not in ("regression", "multilabel"):
        return ""
    effect = "labels exclude each other" if task == "multilabel" else "outputs add up to 1"
    return f"softmax makes the {effect}; use {' or '.join(OUTPUT_ACTIVATIONS[task][:2])}"


def _loss_failure(model: keras.Model, y: Array, outputs: Any) -> Iterator[str]:
    try:
        model.compute_loss(x=None, y=y, y_pred=outputs)
    except Exception as error:  # a loss of the user's own may raise anything
        yield (
            f"the loss cannot compare y of shape {y.shape} with outputs of shape "
            f"{tuple(outputs.shape)}: {_described(error)}"
        )


def _sample_y(task: Task, n_outputs: int) -> Array:
    """Return two rows of y as the trainer gives them to Keras."""
    if task == "multiclass":
        return np.array([0, n_outputs - 1], np.int32)
    return np.zeros((2, n_outputs), np.float32)


def _units(shape: tuple[int | None, ...]) -> str:
    if len(shape) != 1:
        return f"an output of shape {shape}"
    return "1 unit" if shape[0] == 1 else f"{shape[0]} units"


def _wanted(task: Task, n_outputs: int) -> str:
    units = _units((n_outputs,))
    return (
        f"a {task} task with this y needs {units}: "
        "let the builder take `n_outputs`, it is filled in from the data"
    )


def _words(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in arguments.items())


def _described(error: Exception) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {_first_line(error)} ({frame.filename}:{frame.lineno})"


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
