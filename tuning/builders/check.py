"""`check_builder`: does what a builder returns fit the data? Asked once, before anything is
trained.
"""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tuning.builders.build import build, builder_name
from tuning.builders.losses import is_adapted
from tuning.builders.seeds import seeded
from tuning.builders.tasks import OUTPUT_ACTIVATIONS
from tuning.data.dataset import Array, Task
from tuning.errors import StudyError, did_you_mean
from tuning.study.objective import METRICS

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
"""Keras losses that run on the task's y, or fail on it late, and mean something else; a loss of
one's own is tried.
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
    input_shape: Sequence[int],
    task: Task,
    n_outputs: int = 1,
    metric: str = "",
) -> None:
    """Build once and check that the model fits the data; random states are left as they were.

    Args:
        builder: Any builder: Keras' own names or those of `tensorflow.keras`.
        arguments: One point of the space, the fixed arguments and those that come from the data.
        input_shape, task, n_outputs: Of the data set.
        metric: One that the compiled model must have, since the objective is not computed by us;
            "": none.

    Raises:
        StudyError: Every fault found, with the builder's name; a `BuilderError` of the builder
            itself as it is.
    """
    name = builder_name(builder)
    with seeded(0):
        try:
            model = build(builder, arguments, 0, input_shape=input_shape)
        except StudyError:
            raise
        except Exception as error:
            raise StudyError(f"{name}({_words(arguments)}) raised {_described(error)}") from error
        faults = list(_model_faults(model, tuple(input_shape), task, n_outputs))
        if metric and not faults:
            faults = list(
                _metric_fault(model, metric, tuple(input_shape), _sample_y(task, n_outputs))
            )
    if faults:
        raise StudyError(faults, where=name)


def _model_faults(
    model: keras.Model, input_shape: tuple[int, ...], task: Task, n_outputs: int
) -> Iterator[str]:
    wrong_input = _input_fault(model, input_shape)
    if wrong_input:
        yield wrong_input
        return
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", message=".*You are using a softmax over axis"
            )  # told below, as a fault
            predicted = model(np.zeros((2, *input_shape), np.float32))
    except (ValueError, TypeError) as error:  # what Keras raises for shapes that do not fit
        yield f"the model does not take data of shape {input_shape}: {_first_line(error)}"
        return
    if isinstance(predicted, list | tuple | dict):
        yield f"the model has {len(predicted)} outputs; it must have one"
        return
    shape = tuple(predicted.shape[1:])
    loss = loss_name(model.loss)
    two_units = (
        task == "binary"
        and shape == (2,)
        and loss in ("sparse_categorical_crossentropy", "crossentropy")
    )
    if shape != (n_outputs,) and not two_units:
        yield f"the last layer gives {_units(shape)}; {_wanted(task, n_outputs)}"
        return
    misfit = "" if two_units else _loss_misfit(model.loss, loss, task)
    yield from (fault for fault in (misfit, _activation_fault(model, loss, task)) if fault)
    if not misfit:
        yield from _loss_failure(model, _sample_y(task, n_outputs), predicted)


def _metric_fault(
    model: keras.Model, metric: str, input_shape: tuple[int, ...], y: Array
) -> Iterator[str]:
    x = np.zeros((len(y), *input_shape), np.float32)
    values = model.test_on_batch(x, y, return_dict=True)
    known = sorted(values)
    if np.ndim(values.get(metric, 0.0)):
        yield (
            f"the objective 'val_{metric}' has {np.size(values[metric])} values, one a class; "
            "give average='macro'"
        )
    if metric not in known:
        yield (
            f"the objective is 'val_{metric}', but no metric of the compiled model is called "
            f"'{metric}'.{did_you_mean(metric, [*known, *METRICS])} "
            f"It has: {', '.join(known)}; computed for any model: "
            f"{', '.join(METRICS)}"
        )


def _input_fault(model: keras.Model, input_shape: tuple[int, ...]) -> str:
    inputs = getattr(model, "inputs", None)
    if not inputs:
        return ""  # a subclass tells its shape only by a call
    if len(inputs) != 1:
        return f"the model has {len(inputs)} inputs; it must have one"
    takes = tuple(inputs[0].shape[1:])
    if len(takes) == len(input_shape) and all(
        t in (None, s) for t, s in zip(takes, input_shape, strict=True)
    ):
        return ""
    return (
        f"the model takes inputs of shape {takes}, the data has {input_shape}; "
        "let the builder take `input_shape`, it is filled in from the data"
    )


def loss_name(loss: Any) -> str:
    """Return Keras' name of a loss given as a name, an alias, a function, a class or an object;
    `""` for none.
    """
    import keras

    if loss is None or loss in ("crossentropy", "ce"):
        return "" if loss is None else "crossentropy"
    try:
        found = keras.losses.get(loss) if isinstance(loss, str) else loss
    except ValueError:
        return str(loss)  # unknown to Keras, which says so when it is first used
    if isinstance(found, keras.losses.Loss):
        return _snake(type(found).__name__)  # its `name` may have been changed
    if isinstance(found, type):
        return _snake(found.__name__)
    return str(getattr(found, "__name__", type(found).__name__))


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


def _loss_misfit(compiled: Any, loss: str, task: Task) -> str:
    if not loss:
        return "the model is compiled without a loss; give model.compile(loss=…)"
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
    if activation == "softmax" and last.units == 1:
        return "softmax over one unit is always 1; use sigmoid"
    if activation == "softmax" and task in ("regression", "multilabel"):
        sums = "labels exclude each other" if task == "multilabel" else "outputs add up to 1"
        return f"softmax makes the {sums}; use {' or '.join(OUTPUT_ACTIVATIONS[task][:2])}"
    if activation == "sigmoid" and task == "multiclass":
        n = last.units
        return f"{n} sigmoids are {n} answers that do not exclude each other; use softmax"
    if (
        activation in _UNBOUNDED
        and loss in _CROSSENTROPIES
        and not getattr(model.loss, "from_logits", False)
    ):
        usual = "sigmoid" if loss.startswith("binary") else "softmax"
        return (
            f"{loss} needs probabilities, but the last layer is {activation}; "
            f"give it activation='{usual}'"
        )
    return ""


def _loss_failure(model: keras.Model, y: Array, predicted: Any) -> Iterator[str]:
    try:
        model.compute_loss(x=None, y=y, y_pred=predicted)
    except Exception as error:  # a loss of the user's own may raise anything
        yield (
            f"the loss cannot compare y of shape {y.shape} with outputs of shape "
            f"{tuple(predicted.shape)}: {_described(error)}"
        )


def _sample_y(task: Task, n_outputs: int) -> Array:
    """Return two rows of y as the trainer gives them to Keras."""
    if task == "multiclass":
        return np.array([0, n_outputs - 1], np.int32)
    return np.zeros((2, n_outputs) if n_outputs > 1 else (2, 1), np.float32)


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
