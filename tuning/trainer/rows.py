"""`Rows`: X, y and weights of the same rows, as `fit` takes them and as tensors on the device."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from tuning.data.arrays import Array, Arrays
from tuning.data.arrays import take as take_rows
from tuning.data.window_array import WindowArray
from tuning.trainer.graphs import Tensors
from tuning.trainer.windows import WindowTensor


@dataclass(frozen=True, eq=False)
class Rows:
    """Aligned rows: X, y and optional weights, each one array or several by name.

    Several are a mapping by the names of the model's inputs or outputs. A list or tuple, in the
    model's order, becomes a mapping with the names "0", "1", ….

    Raises:
        ValueError: There are not as many of each.
    """

    X: Arrays
    y: Arrays
    weight: Arrays | None = None

    def __post_init__(self) -> None:
        for name in ("X", "y", "weight"):
            object.__setattr__(self, name, by_name(getattr(self, name)))

        arrays = keras.tree.flatten(self.arrays)
        counts = [len(array) for array in arrays if getattr(array, "shape", ())]
        if len(set(counts)) > 1:
            raise ValueError(
                f"X, y and sample_weight belong together row by row; received {counts} rows of them"
            )

    def __len__(self) -> int:
        return len(keras.tree.flatten(self.X)[0])

    @property
    def arrays(self) -> tuple[Any, ...]:
        """X, y and the weights where there are any, as `fit` takes them."""
        arrays = (self.X, self.y) if self.weight is None else (self.X, self.y, self.weight)
        return tuple(map(as_fit_takes, arrays))

    def take(self, rows: Array | slice) -> Rows:
        """Return these rows, in this order."""
        weight = None if self.weight is None else take_rows(self.weight, rows)
        return Rows(take_rows(self.X, rows), take_rows(self.y, rows), weight)

    def tensors(self) -> Tensors:
        """X, y and the weights on the device, as `fit` would cast them."""
        return tuple(keras.tree.map_structure(on_device, array) for array in self.arrays)


def by_name(arrays: Any) -> Any:
    """Return several arrays in the model's order as a mapping with the names "0", "1", …."""
    if isinstance(arrays, list | tuple):
        return {str(place): array for place, array in enumerate(arrays)}
    return arrays


def as_fit_takes(arrays: Arrays) -> Any:
    """Return one array as it is, several by name as a dictionary, those in order as a tuple."""
    if not isinstance(arrays, Mapping):
        return arrays
    places = [str(place) for place in range(len(arrays))]
    if set(arrays) == set(places):
        return tuple(arrays[place] for place in places)
    return dict(arrays)


_tensors: dict[int, tuple[weakref.ref[Any], tf.Tensor]] = {}
"""Read-only arrays that are on the device, by their id."""


def on_device(array: Array) -> tf.Tensor:
    """Return the array as a tensor, floats as Keras' floatx.

    A read-only array is moved to the device once in its life; one that can be written to may have
    changed since.
    """
    if isinstance(array, WindowArray):
        return WindowTensor(
            series=on_device(array.series), starts=on_device(array.starts), window=array.window
        )
    key = id(array)
    if key in _tensors:
        reference, tensor = _tensors[key]
        if reference() is array:
            return tensor

    values = array
    if array.dtype.kind == "f":
        values = array.astype(keras.config.floatx(), copy=False)
    tensor = tf.constant(values)
    if not array.flags.writeable:
        reference = weakref.ref(array, lambda _: _tensors.pop(key, None))
        _tensors[key] = (reference, tensor)
    return tensor
