"""Calls on their way to a worker: pickled, but for the arrays that both sides have.

These go as names. joblib's own backends pickle the whole X into each task, 63 MB for
20,000 × 784 floats.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Mapping
from typing import Any

import cloudpickle
import numpy as np

from tuning.data.dataset import Array

Naming = Callable[[Array], str | None]
"""Returns the name under which the other side finds an array; None: it travels in the call."""


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    def __init__(self, file: io.BytesIO, naming: Naming) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self._naming = naming

    def persistent_id(self, value: Any) -> str | None:
        # An array of objects may hold functions, which are pickled like the rest.
        if isinstance(value, np.ndarray) and not value.dtype.hasobject:
            return self._naming(value)
        return None


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, arrays: Callable[[str], Array]) -> None:
        super().__init__(file)
        self._arrays = arrays

    def persistent_load(self, name: str) -> Array:
        return self._arrays(name)


def pack(value: Any, naming: Naming) -> bytes:
    """Pickle `value`, functions of notebooks included; arrays that `naming` knows go as names."""
    file = io.BytesIO()
    _Pickler(file, naming).dump(value)
    return file.getvalue()


def unpack(packed: bytes, arrays: Callable[[str], Array]) -> Any:
    """Return what `pack` was given; `arrays` finds those that went as names.

    For our own driver's bytes only: they are unpickled.
    """
    return _Unpickler(io.BytesIO(packed), arrays).load()


def by_identity(known: Mapping[str, Array]) -> Naming:
    """Name those very objects, not their equals: to compare values would read all of them."""
    names = {id(array): name for name, array in known.items()}
    return lambda array: names.get(id(array))
