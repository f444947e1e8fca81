"""`check_builder`: does what a builder returns fit the data? Asked before anything is trained."""

from __future__ import annotations

import re
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tuning.builders.build import build, builder_name
from tuning.builders.inputs.adapting import adapt_layers
from tuning.builders.inputs.first_layers import first_layers_of
from tuning.builders.inputs.preparation import AsTheyAre
from tuning.builders.loss_check import answer_weight_faults, fault_of_activation, fault_of_loss
from tuning.builders.losses import loss_name
from tuning.builders.metric_check import compiled_metric_faults, measure_faults
from tuning.builders.seeds import seeded
from tuning.builders.targets import TAKE_ONE_HOT, form_for, in_form, is_of_keras
from tuning.data.arrays import Array, Arrays, leaves, named, only
from tuning.data.dataset import (
    Shapes,
    Task,
    Tasks,
    answer_axes,
    each_shape,
    output_shape_of,
    task_of,
)
from tuning.data.faults import holds_text
from tuning.data.parts import Part
from tuning.errors import StudyError
from tuning.scoring.measure import Measure
from tuning.space.trial_recorder import asks_to_prune
from tuning.trainer.keras_internals import wants_columns
from tuning.trainer.outputs import loss_of
from tuning.trainer.reasons import has_own
from tuning.trainer.rows import as_fit_takes, on_device

if TYPE_CHECKING:
    import keras

_ROWS = 2
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


def check_builder(
    builder: Callable[..., Any],
    arguments: Mapping[str, Any],
    *,
    input_shape: Shapes | Sequence[int],
    task: Tasks,
    n_outputs: int | Mapping[str, int] = 1,
    metric: str = "",
    measure: Measure | None = None,
    sample: Part | None = None,
    one_hot: tuple[str, ...] = (),
) -> None:
    """Build once and check that the model fits the data; random states are left as they were.

    Args:
        builder: Any builder: Keras' own names or those of `tensorflow.keras`.
        arguments: One point of the space, the fixed arguments and those that come from the data.
        input_shape, task, n_outputs: Of the data set.
        metric: One that the compiled model must have, where the objective is not computed by us;
            "": none.
        measure: What computes the objective, where that is ours.
        sample: A few rows of the data, not prepared; None: zeros of these shapes.
        one_hot: See `Dataset.one_hot`.

    Raises:
        StudyError: Every fault, with the builder's name; a `BuilderError` of the builder itself
            as it is.
    """
    name = builder_name(builder)
    if not isinstance(input_shape, Mapping):
        input_shape = tuple(input_shape)
    data = _Data(
        X=_zeros(input_shape) if sample is None else sample.X,
        y=_zero_targets(task, n_outputs) if sample is None else sample.y,
        input_shape=input_shape,
        task=task,
        n_outputs=n_outputs,
        one_hot=one_hot,
        weight=None if sample is None else sample.weight,
        may_lack_loss=bool(getattr(builder, "has_fit", False)),
    )
    with seeded(0):
        try:
            model = build(builder, arguments, 0, input_shape=input_shape)
        except StudyError:
            raise
        except Exception as error:
            if asks_to_prune(error):
                return  # this point is none of those that it trains
            raise StudyError(f"{name}({_words(arguments)}) raised {_described(error)}") from error

        faults = list(_model_faults(model, data))
        # Only a sound model can be tested on a batch, which is how Keras names its metrics.
        if not faults:
            faults = list(_objective_faults(model, data, metric, measure))
    if faults:
        raise StudyError(faults, where=name)


@dataclass(frozen=True, eq=False, kw_only=True)
class _Data:
    """A few rows of the data set, and what is known of it."""

    X: Arrays
    y: Arrays
    input_shape: Shapes
    task: Tasks
    n_outputs: int | Mapping[str, int]
    one_hot: tuple[str, ...]
    weight: Arrays | None
    may_lack_loss: bool
    """A `HyperModel.fit` may compile, or have its loss in a loop of its own."""

    def units(self, output: str) -> int:
        """Units that the task of an output needs."""
        return self.n_outputs[output] if isinstance(self.n_outputs, Mapping) else self.n_outputs

    def weight_of(self, output: str) -> Array | None:
        """Weights of an output; one array is that of all."""
        return self.weight.get(output) if isinstance(self.weight, Mapping) else self.weight


def _zeros(input_shape: Shapes) -> Arrays:
    return each_shape(lambda shape: np.zeros((_ROWS, *shape), np.float32), input_shape)


def _zero_targets(task: Tasks, n_outputs: int | Mapping[str, int]) -> Arrays:
    if isinstance(n_outputs, Mapping):
        return {name: _sample_y(task_of(task, name), units) for name, units in n_outputs.items()}
    return _sample_y(task_of(task), n_outputs)


def _objective_faults(
    model: keras.Model, data: _Data, metric: str, measure: Measure | None
) -> Iterator[str]:
    X = as_fit_takes(_as_model_takes(model, data.X))
    if metric:
        y = as_fit_takes(_targets(model, data))
        yield from compiled_metric_faults(model, metric, X, y, data.task)
    if measure is not None:
        yield from measure_faults(measure, _by_name(model, model(X), data), data.y)


def _model_faults(model: keras.Model, data: _Data) -> Iterator[str]:
    input_fault = _input_fault(model, data)
    if input_fault:
        yield input_fault
        return
    try:
        adapt_layers(model, _as_model_takes(model, data.X))
        outputs = _outputs(model, data)
    except StudyError as error:
        yield from error.faults
        return
    except (ValueError, TypeError) as error:  # what Keras raises for shapes that do not fit
        yield f"the model does not take data of shape {data.input_shape}: {_first_line(error)}"
        return

    output_fault = _output_fault(model, outputs, data)
    if output_fault:
        yield output_fault
        return
    faults: list[str] = []
    for position, (name, output) in enumerate(named(_by_name(model, outputs, data))):
        faults += _faults_of_output(model, data, name, position, tuple(output.shape[1:]))
    yield from faults
    if not faults and not _has_its_loss_elsewhere(model, data):
        yield from _loss_failure(model, data, outputs)


def _has_its_loss_elsewhere(model: keras.Model, data: _Data) -> bool:
    """Whether a model is compiled without a loss, and need not be: its own methods compute one.

    A `train_step` alone is not enough: Keras' `test_step` finds no loss in the validation.
    """
    if model.loss is not None:
        return False
    has_steps = has_own(model, "train_step") and has_own(model, "test_step")
    return data.may_lack_loss or has_steps or has_own(model, "compute_loss")


def _faults_of_output(
    model: keras.Model, data: _Data, output: str, position: int, shape: tuple[int | None, ...]
) -> Iterator[str]:
    """Yield why an output does not fit its y, or its loss."""
    task = task_of(data.task, output)
    compiled = loss_of(model, output, position)
    loss = loss_name(compiled)
    y = dict(named(data.y))[output]
    where = f"output '{output}': " if output else ""

    separates = _separates_two_classes(task, shape, loss, y)
    is_own = bool(loss) and not is_of_keras(compiled)
    if not (separates or is_own or _fits(task, shape, data.units(output), y)):
        yield f"{where}the last layer gives {_units(shape)}; {_wanted(task, data.units(output), y)}"
        return
    if not is_own:
        yield from answer_weight_faults(data.weight_of(output), shape, where)
    if not separates and not _has_its_loss_elsewhere(model, data):
        loss_fault = fault_of_loss(compiled, task)
        if loss_fault:
            yield f"{where}{loss_fault}"
    activation_fault = fault_of_activation(_last_layer(model, output), compiled, task)
    if activation_fault:
        yield f"{where}{activation_fault}"


def _fits(task: Task, shape: tuple[int | None, ...], n_outputs: int, y: Array) -> bool:
    """Whether an output has y's shape, of many numbers a row but for a last axis of 1."""
    wanted = output_shape_of(y, task, n_outputs)
    if shape == wanted:
        return True
    if task not in ("binary", "regression") or y.ndim < 2 or not shape:
        return False
    return _without_last_one(shape) == _without_last_one(wanted)


def _without_last_one(shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
    return shape[:-1] if shape[-1] == 1 else shape


def _targets(model: keras.Model, data: _Data) -> Arrays:
    """Return y as the model's losses take it."""
    by_name = {}
    outputs = dict(named(_by_name(model, _outputs(model, data), data)))
    for position, (name, y) in enumerate(named(data.y)):
        units = int(outputs[name].shape[-1])
        form = form_for(
            loss_of(model, name, position),
            task=task_of(data.task, name),
            units=units,
            was_one_hot=name in data.one_hot,
            n_columns=y.ndim - 1,
            ranks=(y.ndim - 1, outputs[name].ndim - 1),
        )
        if form == "as it is" and units == 1 and y.ndim == 1 and wants_columns(model):
            form = "column"
        by_name[name] = in_form(y, form, units)
    return by_name if isinstance(data.y, Mapping) else by_name[""]


def _as_model_takes(model: keras.Model, X: Arrays) -> Arrays:
    """Return inputs in the type the model is given: whole numbers only where it looks them up."""
    kinds = first_layers_of(model, [name for name, _ in named(X)])

    def prepared(name: str, array: Array) -> Array:
        if array.dtype.kind in "biuf" and not kinds[name]:
            return array.astype(np.float32)
        return only(AsTheyAre().transform(array))

    if isinstance(X, Mapping):
        return {name: prepared(name, array) for name, array in X.items()}
    return prepared("", X)


def _by_name(model: Any, outputs: Any, data: _Data) -> Any:
    """Return the model's outputs under the names of the data's; one output as it is."""
    if not isinstance(data.y, Mapping):
        return outputs
    if isinstance(outputs, Mapping):
        return {name: outputs[name] for name in data.y}
    names = list(getattr(model, "output_names", ()))
    if set(data.y) == set(names):
        return {name: outputs[names.index(name)] for name in data.y}
    return dict(zip(data.y, outputs, strict=True))


def _output_fault(model: Any, outputs: Any, data: _Data) -> str:
    """Return why the outputs are not those of y."""
    is_several = isinstance(outputs, list | tuple | Mapping)
    n_outputs = len(outputs) if is_several else 1
    wanted = [name for name, _ in named(data.y)]
    if not isinstance(data.y, Mapping):
        if not is_several:
            return ""
        return (
            f"the model has {n_outputs} outputs, the data has one; "
            "give y as a mapping by the names of the outputs, or as a tuple in their order"
        )
    if isinstance(outputs, Mapping):
        names = list(outputs)
    else:
        names = list(getattr(model, "output_names", ()))
    in_order = wanted == [str(place) for place in range(len(wanted))]
    if n_outputs == len(wanted) and (set(names) == set(wanted) or in_order):
        return ""
    return (
        f"the model has {n_outputs} outputs ({', '.join(names)}), the data has {len(wanted)} "
        f"({', '.join(wanted)}); name them alike: keras.layers.Dense(…, name='{wanted[0]}')"
    )


def _outputs(model: keras.Model, data: _Data) -> Any:
    """Return what the model makes of the rows."""
    with warnings.catch_warnings():
        # `_activation_fault` says the same as a fault.
        warnings.filterwarnings("ignore", message=".*You are using a softmax over axis")
        return model(_tensors(as_fit_takes(_as_model_takes(model, data.X))))


def _separates_two_classes(task: Task, shape: tuple[int | None, ...], loss: str, y: Array) -> bool:
    """Whether a binary task is done with one unit a class, which class numbers 0 and 1 allow."""
    fits = ("sparse_categorical_crossentropy", "crossentropy", *TAKE_ONE_HOT)
    return task == "binary" and shape == (*answer_axes(y, task), 2) and loss in fits


def _input_fault(model: keras.Model, data: _Data) -> str:
    inputs = getattr(model, "inputs", None)
    if not inputs:
        return ""  # a subclass shows its shape only in a call
    names = [tensor.name for tensor in inputs]
    given = [name for name, _ in named(data.X)]
    if not isinstance(data.X, Mapping) and len(inputs) != 1:
        return (
            f"the model has {len(inputs)} inputs ({', '.join(names)}), the data has one; "
            "give X as a mapping by these names, or as a tuple in their order"
        )
    in_order = given == [str(place) for place in range(len(given))]
    if isinstance(data.X, Mapping) and not in_order and not set(names) <= set(given):
        return (
            f"the model has the inputs {', '.join(names)}, the data has {', '.join(given)}; "
            f"name them alike: keras.Input(…, name='{given[0]}')"
        )
    if in_order and len(given) != len(inputs):
        return f"the model has {len(inputs)} inputs, the data has {len(given)}"

    for position, (name, X) in enumerate(named(data.X)):
        by_name = dict(zip(names, inputs, strict=True))
        tensor = by_name.get(name, inputs[position] if name in ("", str(position)) else None)
        fault = "" if tensor is None else _shape_fault(tensor, X)
        if fault:
            return f"input '{name}': {fault}" if name else fault
    return ""


def _shape_fault(tensor: Any, X: Array) -> str:
    takes_text = tensor.dtype == "string"
    if holds_text(X) and not takes_text:
        return (
            f"the model takes {tensor.dtype}, X holds text; begin with keras.Input(shape, "
            "dtype='string') and TextVectorization or StringLookup, or encode it as numbers"
        )
    if takes_text and not holds_text(X):
        return f"the model takes text, X holds {X.dtype}"

    shape = tuple(tensor.shape[1:])
    of_data = tuple(X.shape[1:])
    if len(shape) == len(of_data):
        sizes = zip(shape, of_data, strict=True)
        if all(size in (None, size_of_data) for size, size_of_data in sizes):
            return ""
    if (*of_data, 1) == shape or of_data == (*shape, 1):  # Keras adds or drops such an axis
        return ""
    return (
        f"the model takes inputs of shape {shape}, the data has {of_data}; "
        "let the builder take `input_shape`, it is filled in from the data"
    )


def _last_layer(model: keras.Model, output: str) -> Any:
    """Return the layer that gives an output; None where it has another name."""
    if not output:
        return model.layers[-1] if model.layers else None
    return next((layer for layer in model.layers if layer.name == output), None)


def _loss_failure(model: keras.Model, data: _Data, outputs: Any) -> Iterator[str]:
    y = _targets(model, data)
    try:
        model.compute_loss(x=None, y=_tensors(as_fit_takes(y)), y_pred=outputs)
    except Exception as error:  # a loss of the user's own may raise anything
        shapes = [tuple(array.shape) for array in leaves(y)]
        of_outputs = [tuple(o.shape) for o in leaves(_by_name(model, outputs, data))]
        yield (
            f"the loss cannot compare y of shape {_listed(shapes)} with outputs of shape "
            f"{_listed(of_outputs)}: {_described(error)}"
        )


def _tensors(arrays: Any) -> Any:
    import keras

    return keras.tree.map_structure(on_device, arrays)


def _listed(shapes: list[tuple[int, ...]]) -> str:
    return ", ".join(map(str, shapes))


def _sample_y(task: Task, n_outputs: int) -> Array:
    """Return two rows of y as the trainer gives them to Keras."""
    if task == "multiclass":
        return np.array([0, n_outputs - 1], np.int32)
    return np.zeros((2, n_outputs), np.float32)


def _units(shape: tuple[int | None, ...]) -> str:
    if len(shape) != 1:
        return f"an output of shape {shape}"
    return "1 unit" if shape[0] == 1 else f"{shape[0]} units"


def _wanted(task: Task, n_outputs: int, y: Array) -> str:
    units = _units(output_shape_of(y, task, n_outputs))
    # One row's shape says it all where each row has many answers, or is an image.
    name = "n_outputs" if y.ndim == 1 or (y.ndim == 2 and task != "binary") else "output_shape"
    wanted = (
        f"a {task} task with this y needs {units}: "
        f"let the builder take `{name}`, it is filled in from the data"
    )
    if task == "binary" and y.ndim == 2:
        wanted += "; for several labels a row use task='multilabel'"
    return wanted


def _words(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in arguments.items())


def _described(error: Exception) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {_first_line(error)} ({frame.filename}:{frame.lineno})"


def _first_line(error: Exception) -> str:
    lines = [_ANSI.sub("", line).strip() for line in str(error).splitlines()]
    known = [line for line in lines if line] or [type(error).__name__]
    # Keras begins with where it was; what went wrong is behind it.
    if known[0].startswith("Exception encountered when calling") and len(known) > 1:
        return f"{known[0].rstrip('.')}: {known[1]}"
    return known[0]
