"""A winner's model as ONNX, for what runs without TensorFlow.

It takes what `Winner.model` takes: of a table the prepared numbers, see `Winner.inputs`.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from tuning.data.arrays import named
from tuning.errors import MissingError, StudyError
from tuning.winners.winner import Winner

NAME = "model.onnx"
_TOLERANCE = 1e-4
"""Most that both may differ: a share of the largest prediction, or of 1 where that is more."""


def write_onnx(winner: Winner, folder: Path) -> Path:
    """Write `model.onnx` into a folder, and see that it predicts what the model does.

    Args:
        winner: From `load_winner`.
        folder: That it was exported to.

    Returns:
        Its path.

    Raises:
        MissingError: tf2onnx or onnxruntime is not installed.
        StudyError: The model reads texts, or does what ONNX has no word for.
    """
    runtime = require_onnx()
    model = winner.model
    rows = _some_rows(winner, model)
    model(rows, training=False)  # Keras exports no model that was never called

    path = folder / NAME
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Keras, about NumPy 1
            model.export(os.fspath(path), format="onnx", verbose=False)
        difference = _difference(runtime, path, model, rows)
    except Exception as error:  # whatever tf2onnx and onnxruntime raise
        path.unlink(missing_ok=True)
        reason = " ".join(str(error).split())[:300]
        raise StudyError(f"{winner.search} cannot be written as ONNX: {reason}") from error
    # Not `difference > …`: NaN must be refused too.
    if not difference <= _TOLERANCE:
        path.unlink()
        raise StudyError(
            f"{winner.search} cannot be written as ONNX: it would predict something else, by "
            f"{difference:.3g}"
        )
    return path


def require_onnx() -> Any:
    """Return onnxruntime; see that tf2onnx is there, too.

    Raises:
        MissingError: One is not installed.
    """
    try:
        importlib.import_module("tf2onnx")
        return importlib.import_module("onnxruntime")
    except ImportError as error:
        raise MissingError(
            "--onnx needs tf2onnx and onnxruntime: pip install tf2onnx onnxruntime, or this "
            "package with its extra `onnx`"
        ) from error


def _some_rows(winner: Winner, model: Any) -> Any:
    """Return two rows as the model takes them, of the right shapes and types.

    Raises:
        StudyError: It takes texts.
    """
    import keras

    rng = np.random.default_rng(0)
    inputs = _tensors_of(model)
    if any(str(tensor.dtype) == "string" for tensor in keras.tree.flatten(inputs)):
        raise StudyError(
            f"{winner.search} takes texts, which ONNX does not read: it has no words for "
            "splitting and looking up texts"
        )

    def random(tensor: Any) -> Any:
        shape = [2, *(size or 1 for size in tensor.shape[1:])]
        if "int" in str(tensor.dtype):
            return np.zeros(shape, str(tensor.dtype))
        return rng.random(shape).astype(str(tensor.dtype))

    return keras.tree.map_structure(random, inputs)


def _tensors_of(model: Any) -> Any:
    """Return the inputs of a model, in its own structure."""
    import keras

    with contextlib.suppress(AttributeError, ValueError):
        return model.input
    # A `Sequential` that has not been called since it was read.
    if getattr(model, "inputs", None):
        return model.inputs[0]
    shape = (model.get_build_config() or {}).get("input_shape")
    if not shape:
        raise StudyError(f"the model '{model.name}' does not say which shape it takes")
    return keras.KerasTensor(tuple(shape))


def _difference(runtime: Any, path: Path, model: Any, rows: Any) -> float:
    """Return the largest difference of predictions, as a share of the largest or of 1."""
    session = runtime.InferenceSession(os.fspath(path), providers=["CPUExecutionProvider"])
    arrays = dict(named(rows)) if isinstance(rows, dict) else _in_order(rows)
    names = [each.name for each in session.get_inputs()]
    fed = arrays if set(arrays) == set(names) else dict(zip(names, arrays.values(), strict=True))
    outputs = session.run(None, fed)

    import keras

    expected = [np.asarray(each) for each in keras.tree.flatten(model(rows, training=False))]
    shares = [
        float(np.max(np.abs(one - other))) / max(1.0, float(np.max(np.abs(other))))
        for one, other in zip(outputs, expected, strict=True)
    ]
    return max(shares)


def _in_order(rows: Any) -> dict[str, Any]:
    several = rows if isinstance(rows, list | tuple) else [rows]
    return {str(place): array for place, array in enumerate(several)}
