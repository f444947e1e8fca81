"""`Rows`: X, y and weights of the same rows, as `fit` takes them and as tensors on the device."""

from __future__ import annotations

import weakref
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tuning.data.arrays import Array, Arrays
from tuning.data.arrays import take as take_rows
from tuning.data.kinds.window_array import WindowArray
from tuning.trainer.graphs import Tensors
from tuning.trainer.windows import WindowTensor

_BLOCK_BYTES = 32_768
"""Bytes in a row of the table whose sums are an array's fingerprint."""


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
        if isinstance(self.weight, Mapping):
            outputs = list(self.y) if isinstance(self.y, Mapping) else ["one without a name"]
            if set(self.weight) != set(outputs):
                raise ValueError(
                    "sample_weight is one array, or one for each output; received weights of "
                    f"{', '.join(self.weight)}; the outputs are {', '.join(outputs)}"
                )

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
        arrays: tuple[Arrays, ...] = (self.X, self.y)
        if self.weight is not None:
            arrays = (self.X, self.y, self.weight)
        elif self.y is None:
            arrays = (self.X,)
        return tuple(map(as_fit_takes, arrays))

    def for_fit(self) -> tuple[Any, ...]:
        """Return `arrays`, texts as tensors: `fit` takes no array of texts but a flat one."""
        converted: tuple[Any, ...] = keras.tree.map_structure(_texts_as_tensor, self.arrays)
        return converted

    def take(self, rows: Array | slice) -> Rows:
        """Return these rows, in this order."""
        weight = None if self.weight is None else take_rows(self.weight, rows)
        return Rows(take_rows(self.X, rows), take_rows(self.y, rows), weight)

    def for_outputs(self, model: keras.Model) -> Rows:
        """Return targets and weights by name in the order of a model's outputs, if it has one.

        Keras itself reconciles the two for targets, and not for weights.
        """
        names = getattr(model, "output_names", None) or ()
        if not isinstance(self.y, Mapping) or not isinstance(self.weight, Mapping):
            return self
        if set(self.y) != set(names) or isinstance(model.output, dict):
            return self
        y = {str(place): self.y[name] for place, name in enumerate(names)}
        weight = {str(place): self.weight[name] for place, name in enumerate(names)}
        return Rows(self.X, y, weight)

    def tensors(self) -> Tensors:
        """X, y and the weights on the device, as `fit` would cast them.

        Weights that are one array count for each output.
        """
        X, *others = (keras.tree.map_structure(on_device, arrays) for arrays in self.arrays)
        if len(others) == 2 and keras.tree.is_nested(others[0]):
            y, weight = others
            if not keras.tree.is_nested(weight):
                others[1] = keras.tree.map_structure(lambda _: weight, y)
        return (X, *others)


def by_name(arrays: Any) -> Any:
    """Return several arrays in the model's order as a mapping with the names "0", "1", …."""
    if isinstance(arrays, list | tuple):
        return {str(place): array for place, array in enumerate(arrays)}
    return arrays


def class_numbers(y: Array) -> Array:
    """Return the class number of each row, int `(rows,)`, as `fit` finds it for `class_weight`.

    Args:
        y: `(rows,)` or `(rows, 1)` with class numbers, which are rounded; or one column a class, of
            which the largest counts.

    Raises:
        ValueError: y is neither, or holds texts.
    """
    if y.dtype.kind not in "fiub" or y.ndim not in (1, 2):
        raise ValueError(
            "class_weight is by class number: y must be numbers, (rows,) or (rows, classes);"
            f" received {y.dtype} of shape {y.shape}"
        )
    numbers: Array = y.reshape(-1) if y.ndim == 1 or y.shape[1] == 1 else y.argmax(axis=1)
    rounded: Array = np.rint(numbers.astype("float64")).astype("int64")
    return rounded


def _texts_as_tensor(array: Any) -> Any:
    is_text = isinstance(array, np.ndarray) and array.dtype.kind in "USO"
    return tf.constant(array) if is_text else array


def as_fit_takes(arrays: Arrays | None) -> Any:
    """Return one array as it is, several by name as a dictionary, those in order as a tuple."""
    if not isinstance(arrays, Mapping):
        return arrays
    places = [str(place) for place in range(len(arrays))]
    if set(arrays) == set(places):
        return tuple(arrays[place] for place in places)
    return dict(arrays)


class _Moved(NamedTuple):
    """A read-only array that is on the device.

    Attributes:
        array: Refers to it as long as it lives.
        floatx: What its floats were cast to.
        contents: See `_fingerprint`.
        tensor: What became of it.
    """

    array: weakref.ref[Any]
    floatx: str
    contents: int
    tensor: tf.Tensor


_tensors: dict[int, _Moved] = {}
"""Read-only arrays that are on the device, by their id."""


def on_device(array: Any) -> tf.Tensor:
    """Return the array as a tensor, floats as Keras' floatx.

    An array that nobody can write to is moved to the device once in its life; another one may have
    changed since.
    """
    if isinstance(array, WindowArray):
        return WindowTensor(
            series=on_device(array.series), starts=on_device(array.starts), window=array.window
        )
    floatx = keras.config.floatx()
    if isinstance(array, tf.Tensor):
        return keras.ops.cast(array, floatx) if array.dtype.is_floating else array
    if array.dtype.kind not in "fiub" or not _is_unchanging(array):
        return _moved(array, floatx)

    key = id(array)
    contents = _fingerprint(array)
    known = _tensors.get(key)
    is_same = known is not None and known.array() is array
    if known is None or not is_same or (known.floatx, known.contents) != (floatx, contents):
        reference = weakref.ref(array, lambda _: _tensors.pop(key, None))
        known = _Moved(reference, floatx, contents, _moved(array, floatx))
        _tensors[key] = known
    return known.tensor


def _moved(array: Array, floatx: str) -> tf.Tensor:
    values = array.astype(floatx, copy=False) if array.dtype.kind == "f" else array
    return tf.constant(values)


def _fingerprint(array: Array) -> int:
    """Return a number that is another one when the contents of an array have changed.

    Who owns an array may lift its write protection, change it and protect it again. Sums along both
    axes of a table of its bytes cost a third of moving 63 MB of them anew, where a checksum of all
    costs more than that.
    """
    raw = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    n_whole = len(raw) // _BLOCK_BYTES * _BLOCK_BYTES
    blocks = raw[:n_whole].view(np.uint64).reshape(-1, _BLOCK_BYTES // 8)
    checksum = 0
    for part in (raw[n_whole:], blocks.sum(axis=0), blocks.sum(axis=1)):
        checksum = zlib.crc32(part.tobytes(), checksum)
    return checksum


def _is_unchanging(array: Array) -> bool:
    """Whether neither the array nor what it is a view of can be written to.

    A read-only view of memory that others write to is what pandas hands out.
    """
    owner: Any = array
    while isinstance(owner, np.ndarray):
        if owner.flags.writeable:
            return False
        if owner.base is None:
            return True
        owner = owner.base
    return isinstance(owner, bytes)
