"""Winners as files: saved for raw inputs, loaded again to see that they predict the same."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tuning.data.arrays import only
from tuning.data.columns import TableScaler
from tuning.data.dataset import Array
from tuning.data.parts import Scaler, Scaling
from tuning.data.tables.frames import encode
from tuning.errors import StudyError
from tuning.storage.durable import read_json, write_json
from tuning.study.builder_arguments import Builder
from tuning.trainer.forward import predict


def save_for_raw_inputs(
    model: keras.Model, scaler: Scaling, path: Path, input_shape: tuple[int, ...] | None = None
) -> None:
    """Save a model as `.keras` with its scaling inside: it takes features as the data set has them.

    Keras has no layer for empty cells and categories: the figures of a user's table are kept as
    JSON beside the model, and `inputs_of` makes what it takes.

    Args:
        model: Trained on scaled inputs.
        scaler: What they were scaled with.
        path: The `.keras` file to be written.
        input_shape: Of one row; None: the model's own, which a subclass of `keras.Model` does not
            tell.
    """
    beside = _figures_path(path)
    if isinstance(scaler, TableScaler):
        write_json(beside, scaler.to_json())
    else:
        beside.unlink(missing_ok=True)  # of another winner, saved here before

    if isinstance(scaler, Scaler) and scaler.mean is not None and scaler.deviation is not None:
        shape = model.inputs[0].shape[1:] if input_shape is None else input_shape
        model = _with_scaling(
            model,
            mean=np.asarray(scaler.mean).reshape(shape),
            factor=np.asarray(1.0 / scaler.deviation).reshape(shape),
        )
    _save(model, path)


def _with_scaling(model: keras.Model, *, mean: Array, factor: Array) -> keras.Model:
    """Put `(inputs - mean) * factor` before a model."""
    # float64: a date in seconds must be centred before it is rounded.
    inputs = keras.Input(mean.shape, dtype="float64")
    # Not Normalization: it divides by 1e-7 at least, and rounds its figures to float32 when it is
    # loaded.
    centred = keras.layers.Rescaling(1.0, -mean, name="centring", dtype="float64")(inputs)
    scaled = keras.layers.Rescaling(factor, name="scaling", dtype="float64")(centred)
    return keras.Model(inputs, model(scaled), name=f"{model.name}_on_raw_inputs")


def _save(model: keras.Model, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.stem}.tmp.keras")  # Keras insists on the ending
    model.save(temporary)
    temporary.replace(path)


def inputs_of(path: Path, rows: Any) -> Array:
    """Return rows of a table as the model saved at `path` takes them, float32 `(rows, inputs)`.

    A model with its scaling inside has no figures beside it: it takes rows as they are.

    Args:
        path: The `.keras` file; what its columns mean stands in a JSON file beside it.
        rows: A DataFrame with the columns that were trained on, in any order and beside any others:
            categories are found again by their names. An array, `(rows, columns)`, only where no
            column holds categories.

    Raises:
        StudyError: A column is missing, or an array is given where categories would have to be
            guessed.
    """
    scaler = _scaler_beside(path)
    if scaler is None:
        return np.asarray(rows)
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
    figures = read_json(_figures_path(path))
    return None if figures is None else TableScaler.from_json(figures)


def _figures_path(path: Path) -> Path:
    return path.with_suffix(".preprocessing.json")


def reload_error(path: Path, builder: Builder, raw: Array, predicted: Array) -> float | None:
    """Return the largest difference between the predictions of a saved model and `predicted`.

    Args:
        path: The `.keras` file.
        builder: What built it; the user's own layers and functions are taken from its module.
        raw: Rows as the data set has them.
        predicted: What the model predicted for them before it was saved.

    Returns:
        None where the file holds a lambda, which is code that Keras rightly refuses to load.
    """
    try:
        model = keras.saving.load_model(path, compile=False, custom_objects=_custom(builder))
    except ValueError as error:
        if "safe_mode" in str(error) or "unsafe" in str(error):
            return None
        raise

    scaler = _scaler_beside(path)
    inputs = raw if scaler is None else only(scaler.transform(raw))
    return float(np.max(np.abs(predict(model, inputs) - predicted)))


def _custom(builder: Builder) -> Mapping[str, Any]:
    """Return the user's own layers and functions by name: whatever the builder's module defines.

    A module that imports Keras only when needed has a function `custom_objects()` that returns
    them.
    """
    home = builder.__module__
    if home not in sys.modules:
        return {}

    own = {
        name: value
        for name, value in vars(sys.modules[home]).items()
        if getattr(value, "__module__", None) == home
    }

    if "custom_objects" in own:
        own |= own["custom_objects"]()
    return own
