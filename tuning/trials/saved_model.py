"""Winners as files: saved for raw inputs, loaded again to see that they predict the same."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from tuning.builders.inputs import raw_inputs
from tuning.builders.inputs.preparation import BRIGHTEST, Pixels, texts_as_objects
from tuning.data.arrays import Arrays, each, named
from tuning.data.columns import TableScaler
from tuning.data.dataset import Array
from tuning.data.faults import holds_text
from tuning.data.parts import Parts, Scaler, Scaling, Several
from tuning.data.tables.frames import encode
from tuning.errors import StudyError
from tuning.storage.checked import load_checked
from tuning.storage.durable import write_json
from tuning.trainer.forward import predict


def save_for_raw_inputs(
    model: keras.Model, scaler: Scaling, path: Path, parts: Parts | None = None
) -> None:
    """Save a model as `.keras` with its scaling inside: it takes features as the data set has them.

    Keras has no layer for empty cells and categories: the figures of a user's table are kept as
    JSON beside the model, and `inputs_of` makes what it takes.

    Args:
        model: Trained on prepared inputs.
        scaler: What they were prepared with.
        path: The `.keras` file to be written.
        parts: The data, for the shapes of inputs that a subclass of `keras.Model` does not tell;
            None: the model has one input and tells.
    """
    beside = _figures_path(path)
    if isinstance(scaler, TableScaler):
        write_json(beside, scaler.to_json())
    else:
        beside.unlink(missing_ok=True)  # of another winner, saved here before
    raw_inputs.keep(path, None if parts is None or parts.columns else parts.train.X)

    if isinstance(scaler, Several):
        if any(_changes(one) for one in scaler.by_name.values()):
            model = _with_several_scalings(model, scaler, parts)
    elif _changes(scaler):
        shape: Any = model.inputs[0].shape[1:] if parts is None else parts.input_shape
        outer, scaled = _scaled_input(scaler, "", tuple(shape))
        outputs = _named(model(scaled), model)
        model = keras.Model(outer, outputs, name=f"{model.name}_on_raw_inputs")
    _save(model, path)


def _changes(scaler: Scaling) -> bool:
    """Whether a layer before the model has to do what a scaling does."""
    if isinstance(scaler, Pixels):
        return True
    return isinstance(scaler, Scaler) and scaler.mean is not None


def _with_several_scalings(model: keras.Model, scaler: Several, parts: Parts | None) -> keras.Model:
    """Put each input's scaling before it; the new model takes a dictionary, or as many in order."""
    shapes = {} if parts is None else dict(parts.input_shape)  # type: ignore[arg-type]
    arrays = {} if parts is None else dict(named(parts.train.X))
    in_order = set(scaler.by_name) == {str(place) for place in range(len(scaler.by_name))}
    outer = {}
    inner = {}
    for place, (name, one) in enumerate(scaler.by_name.items()):
        dtype = _raw_type(model, name, place, arrays.get(name))
        outer[name], inner[name] = _scaled_input(one, name, shapes[name], dtype)
    if in_order:
        places = [str(place) for place in range(len(outer))]
        outputs = model([inner[place] for place in places])
        inputs: Any = [outer[place] for place in places]
    else:
        outputs = model(inner)
        inputs = outer
    return keras.Model(inputs, _named(outputs, model), name=f"{model.name}_on_raw_inputs")


def _raw_type(model: keras.Model, name: str, place: int, array: Array | None) -> str | None:
    """Return the type of an input that no scaling is put before; None: Keras' floats.

    Numbers of customers are whole: floats would round those above 2 ** 24.
    """
    if array is not None and holds_text(array):
        return "string"
    for index, tensor in enumerate(getattr(model, "inputs", None) or ()):
        if tensor.name == name or (name.isdigit() and index == place):
            return str(tensor.dtype)
    if array is None or array.dtype.kind not in "iu":
        return None
    return array.dtype.name


def _named(outputs: Any, model: keras.Model) -> Any:
    """Return several outputs under the model's own names; Keras would call all after the model."""
    if not isinstance(outputs, list | tuple):
        return outputs
    names = model.output_names
    return [
        keras.layers.Identity(name=name)(output)
        for name, output in zip(names, outputs, strict=True)
    ]


def _scaled_input(
    scaler: Scaling, name: str, shape: tuple[int, ...], dtype: str | None = None
) -> tuple[Any, Any]:
    """Return an input of raw features, and what a scaling makes of it."""
    called = name if name and not name.isdigit() else None
    prefix = f"{name}_" if name else ""
    if isinstance(scaler, Pixels):
        outer = keras.Input(shape, name=called)
        return outer, keras.layers.Rescaling(1.0 / BRIGHTEST, name=f"{prefix}scaling")(outer)
    if not isinstance(scaler, Scaler) or scaler.mean is None or scaler.deviation is None:
        outer = keras.Input(shape, name=called, dtype=dtype)
        return outer, outer

    mean = np.asarray(scaler.mean).reshape(shape)
    factor = np.asarray(1.0 / scaler.deviation).reshape(shape)
    # float64: a date in seconds must be centred before it is rounded.
    outer = keras.Input(shape, name=called, dtype="float64")
    # Not Normalization: it divides by 1e-7 at least, and rounds its figures to float32 when it is
    # loaded.
    centring = keras.layers.Rescaling(1.0, -mean, name=f"{prefix}centring", dtype="float64")
    scaling = keras.layers.Rescaling(factor, name=f"{prefix}scaling", dtype="float64")
    return outer, scaling(centring(outer))


def _save(model: keras.Model, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.stem}.tmp.keras")  # Keras insists on the ending
    model.save(temporary)
    temporary.replace(path)


def inputs_of(path: Path | str, rows: Any) -> Any:
    """Return rows as the model saved at `path` takes them in `model.predict`.

    Args:
        path: The `.keras` file; what it takes stands in a JSON file beside it, where that is more
            than numbers.
        rows: As in the data set that was trained on.

            Of a table: a DataFrame with its columns, in any order and beside any others: categories
            are found again by their names. An array, `(rows, columns)`, only where no column holds
            categories.

            Of several inputs: a mapping by their names, or a tuple in their order, of arrays or
            what becomes one; a DataFrame gives each input the column of its name, or all columns
            under it.

            Of texts: a list, an array, a Series, or a DataFrame of one column.

            Of one array: what becomes an array.

    Returns:
        Of a table float32 `(rows, inputs)`; of several inputs a dictionary of arrays by name, or a
        list where they have no names; else an array. Texts are of dtype object, as Keras wants
        them; ragged rows are padded with 0.

    Raises:
        StudyError: A column or an input is missing, its shape is another one, or an array is given
            where categories would have to be guessed; all faults at once.
    """
    path = Path(path)
    scaler = _scaler_beside(path)
    if scaler is None:
        return raw_inputs.as_taken(path, rows)
    if hasattr(rows, "columns"):
        return scaler.transform(encode(rows, scaler.columns))

    categorical = [column.name for column in scaler.columns if column.categories]
    if categorical:
        raise StudyError(
            "give a DataFrame: the numbers of an array do not tell the categories of "
            f"{', '.join(categorical)}"
        )
    return scaler.transform(np.asarray(rows, float))


def _scaler_beside(path: Path) -> TableScaler | None:
    return load_checked(_figures_path(path), TableScaler.from_json)


def _figures_path(path: Path) -> Path:
    return path.with_suffix(".preprocessing.json")


class Saved(NamedTuple):
    """A winner's file.

    Attributes:
        path: The `.keras` file; where a model cannot be written whole, that of its weights.
        reload_error: Largest difference between the predictions of the model and of its file, read
            back; None where it could not be read.
        fault: Why not, and what would help; "" also where it holds a lambda, which is code that
            Keras rightly refuses to load.
    """

    path: Path
    reload_error: float | None
    fault: str = ""


def save_and_read_back(
    model: keras.Model,
    scaler: Scaling,
    path: Path,
    parts: Parts,
    *,
    objects: Mapping[str, Any],
    predicted: Arrays,
) -> Saved:
    """Save a model for raw inputs, and compare what its file predicts for the test part.

    A class of the user's own that Keras cannot write or make again is no reason to lose a winner.

    Args:
        model, scaler, path, parts: See `save_for_raw_inputs`.
        objects: The user's own layers and functions, by name.
        predicted: What the model predicts for the test part.
    """
    weights = weights_path(path)
    weights.unlink(missing_ok=True)  # of another winner, saved here before
    try:
        save_for_raw_inputs(model, scaler, path, parts)
    except _OF_OWN_CLASSES as error:
        path.unlink(missing_ok=True)
        temporary = weights.with_name(f".{weights.name}")
        model.save_weights(temporary)
        temporary.replace(weights)
        return Saved(
            weights,
            None,
            f"Keras cannot write the winner whole: {_reason(error)} Its weights alone are kept, "
            "for a model that the builder makes and that is given prepared inputs",
        )

    try:
        again = keras.saving.load_model(path, compile=False, custom_objects=dict(objects))
    except _OF_OWN_CLASSES as error:
        if "safe_mode" in str(error) or "unsafe" in str(error):
            return Saved(path, None)
        return Saved(
            path,
            None,
            f"Keras cannot read the winner's file again: {_reason(error)} Let the class take "
            "**kwargs and pass them to super().__init__, and write its get_config",
        )
    return Saved(path, _difference(again, path, parts.test.X, predicted))


_OF_OWN_CLASSES = (AttributeError, NotImplementedError, TypeError, ValueError)
"""What Keras raises where a class of the user's own is not made to be written or read."""


def weights_path(path: Path) -> Path:
    """Return where the weights of a model lie that could not be saved whole at `path`."""
    return path.with_suffix(".weights.h5")


def _reason(error: BaseException) -> str:
    """Return the first sentence of what is at the bottom of an error of Keras'."""
    while error.__cause__ is not None or error.__context__ is not None:
        error = error.__cause__ or error.__context__ or error
    words = " ".join(str(error).split()).split(". ")[0]
    return f"{words.rstrip('.')[:300]}."


def _difference(again: keras.Model, path: Path, raw: Arrays, predicted: Arrays) -> float:
    """Return the largest difference between `predicted` and what a file's model predicts."""
    scaler = _scaler_beside(path)
    # Not narrowed: a date in seconds is centred in float64 by the model.
    inputs = each(texts_as_objects, raw) if scaler is None else scaler.transform(raw)
    by_name = dict(named(_by_output(predict(again, inputs), predicted)))
    differences = [float(np.max(np.abs(by_name[name] - array))) for name, array in named(predicted)]
    return float(np.max(differences))


def _by_output(again: Arrays, predicted: Arrays) -> Arrays:
    """Return predictions under the names of those before: a wrapped model renames its outputs."""
    if not isinstance(again, Mapping) or set(again) == set(dict(named(predicted))):
        return again
    return dict(zip(dict(named(predicted)), again.values(), strict=True))
