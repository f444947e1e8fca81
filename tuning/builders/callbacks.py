"""Callbacks of the user's: made fresh for each fit, and kept with its progress."""

from __future__ import annotations

import json
import re
import sys
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, TypeAlias

import keras
import numpy as np

from tuning.data.arrays import Array
from tuning.errors import StudyError
from tuning.study.builder_arguments import SplitParams, names_of_callbacks
from tuning.study.study import Study

Callbacks: TypeAlias = Sequence[keras.callbacks.Callback]

_returned: weakref.WeakSet[Any] = weakref.WeakSet()

_PATHS = ("filepath", "filename", "log_dir", "backup_dir")
"""Where Keras' callbacks remember what they write to."""

_NOT_STATE = ("params", "_model", "validation_data")
"""What Keras itself puts into a callback before it trains."""

_CONSTANT = (
    FunctionType,
    MethodType,
    BuiltinFunctionType,
    ModuleType,
    PurePath,
    np.ufunc,
    re.Pattern,
    type,
    keras.callbacks.Callback,
    keras.optimizers.schedules.LearningRateSchedule,
)
"""What training does not change in an attribute; a fresh callback has the same."""

_SCALARS = (bool, int, float, str, type(None))


def make_callbacks(
    study: Study, point: SplitParams, *, epochs: int, n_rows: int, folder: Path | None
) -> list[keras.callbacks.Callback]:
    """Call a study's `callbacks` for one fit.

    Args:
        study: Without such a function there are none.
        point: What the trial's parameters say.
        epochs: Of this fit, which may be a rung.
        n_rows: Rows that are trained on.
        folder: The fit's own, made where the function names it.

    Raises:
        StudyError: It returned something else than callbacks, one that it has returned before, or
            one that would write to the same file in every trial.
    """
    if study.callbacks is None:
        return []

    known = {
        **point.callbacks,
        "epochs": epochs,
        "steps_per_epoch": -(-n_rows // point.batch_size),
        "folder": folder,
    }
    taken = names_of_callbacks(study)
    arguments = {
        name: value for name, value in known.items() if taken.any_name or name in taken.names
    }
    if folder is not None and "folder" in arguments:
        folder.mkdir(parents=True, exist_ok=True)

    returned = study.callbacks(**arguments)
    faults = _faults_of(returned)
    if faults:
        raise StudyError(faults, where=f"study '{study.name}'")
    _returned.update(returned)
    return list(returned)


def _faults_of(returned: Any) -> list[str]:
    """Return what is wrong with what the user's function returned."""
    is_list = isinstance(returned, list | tuple)
    if not is_list or not all(isinstance(each, keras.callbacks.Callback) for each in returned):
        return [f"callbacks must return a list of keras.callbacks.Callback, got {returned!r}"]

    faults = []
    for index, callback in enumerate(returned):
        name = type(callback).__name__
        # One that is shared would carry what it has seen from fit to fit.
        if callback in _returned or callback in returned[:index]:
            faults.append(
                f"callbacks returned the same {name} object again; make new ones at each call"
            )
        for attribute in _PATHS:
            path = getattr(callback, attribute, None)
            if isinstance(path, str | PurePath) and not PurePath(path).is_absolute():
                faults.append(
                    f"callbacks: {name} writes to '{path}', the same place in each trial; "
                    "let the function take `folder`, which is each fit's own, and write there"
                )
    return faults


def restoring_stopper(callbacks: Callbacks) -> keras.callbacks.EarlyStopping | None:
    """Return the early stopping of the user's that decides on the weights kept, if there is one."""
    for callback in reversed(callbacks):
        if isinstance(callback, keras.callbacks.EarlyStopping) and callback.restore_best_weights:
            return callback
    return None


def why_not_kept(callbacks: Callbacks) -> str:
    """Return why what these callbacks have learnt cannot be kept in a file; "" where it can."""
    for callback in callbacks:
        for name, value in _attributes(callback):
            if not _is_keepable(value):
                kind = type(value).__name__
                return f"what {type(callback).__name__}.{name} holds, a {kind}, cannot be kept"
    return ""


def state_of(callbacks: Callbacks) -> dict[str, Any]:
    """Return what these callbacks have learnt as arrays for a checkpoint.

    Raises:
        ValueError: `why_not_kept` says why.
    """
    reason = why_not_kept(callbacks)
    if reason:
        raise ValueError(reason)

    arrays: list[Array] = []
    stored = [
        {
            "class": type(callback).__name__,
            "attributes": {
                name: _encoded(value, arrays)
                for name, value in _attributes(callback)
                if not isinstance(value, _CONSTANT) or _name_of_function(value)
            },
        }
        for callback in callbacks
    ]
    numbered = {f"c{i:05d}": array for i, array in enumerate(arrays)}
    return {"callbacks": np.array(json.dumps(stored)), **numbered}


def put_state(callbacks: Callbacks, stored: Mapping[str, Array]) -> None:
    """Give fresh callbacks what others had learnt (`state_of`)."""
    for callback, known in zip(callbacks, _stored_callbacks(stored), strict=True):
        values = {name: _decoded(value, stored) for name, value in known["attributes"].items()}
        vars(callback).update(values)


def check_kind(callbacks: Callbacks, stored: Mapping[str, Array]) -> None:
    """Raise `ValueError` where a checkpoint was kept with other callbacks."""
    before = [known["class"] for known in _stored_callbacks(stored)]
    now = [type(callback).__name__ for callback in callbacks]
    if before != now:
        raise ValueError(f"it was kept with the callbacks {before}, now there are {now}")


def _stored_callbacks(stored: Mapping[str, Array]) -> list[Any]:
    if "callbacks" not in stored:
        return []
    callbacks: list[Any] = json.loads(str(stored["callbacks"]))
    return callbacks


def _attributes(callback: keras.callbacks.Callback) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in vars(callback).items() if name not in _NOT_STATE]


def _is_keepable(value: Any) -> bool:
    """Whether a value is constant, or data that a file gives back as it was."""
    if isinstance(value, FunctionType):
        return all(map(_is_unchanging, _enclosed(value)))
    if isinstance(value, _CONSTANT):
        return True
    if type(value) in (list, tuple):
        return all(map(_is_data, value))
    return _is_data(value)


def _is_data(value: Any) -> bool:
    if type(value) in (list, tuple):
        return all(map(_is_data, value))
    if type(value) is dict:
        return all(isinstance(key, str | int) for key in value) and all(
            map(_is_data, value.values())
        )
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "fiub"
    return isinstance(value, np.number | np.bool_) or type(value) in _SCALARS


def _enclosed(function: FunctionType) -> list[Any]:
    contents = []
    for cell in function.__closure__ or ():
        try:
            contents.append(cell.cell_contents)
        except ValueError:  # a cell that is still empty
            continue
    return contents


def _is_unchanging(value: Any) -> bool:
    """Whether what a function encloses cannot be changed by calling it."""
    if isinstance(value, FunctionType):
        return all(map(_is_unchanging, _enclosed(value)))
    if isinstance(value, tuple):
        return all(map(_is_unchanging, value))
    return isinstance(value, _CONSTANT) or type(value) in _SCALARS or isinstance(value, np.number)


def _encoded(value: Any, arrays: list[Array]) -> Any:
    """Return data as JSON that says what became of tuples, arrays and keys; add to `arrays`."""
    if isinstance(value, _CONSTANT):
        return {"function": _name_of_function(value)}
    if isinstance(value, np.ndarray):
        arrays.append(value)
        return {"array": len(arrays) - 1}
    if isinstance(value, np.number | np.bool_):
        return value.item()
    if isinstance(value, list | tuple):
        return {type(value).__name__: [_encoded(item, arrays) for item in value]}
    if isinstance(value, dict):
        return {"dict": [[key, _encoded(item, arrays)] for key, item in value.items()]}
    return value


def _name_of_function(value: Any) -> str:
    """Return "module:name" of a function that its module has under this name; else ""."""
    # Keras chooses what compares two values in the first epoch: that is something learnt.
    module = getattr(value, "__module__", None)
    name = getattr(value, "__name__", "")
    if not isinstance(value, FunctionType | BuiltinFunctionType) or not module:
        return ""
    known = getattr(sys.modules.get(module), name, None)
    return f"{module}:{name}" if known is value else ""


def _function_of(name: str) -> Any:
    """Return the function of this name, of a module that is loaded."""
    module, _, function = name.partition(":")
    known = getattr(sys.modules.get(module), function, None)
    if not isinstance(known, FunctionType | BuiltinFunctionType):
        raise ValueError(f"there is no function {name} here")
    return known


def _decoded(value: Any, stored: Mapping[str, Array]) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "array":
        return stored[f"c{content:05d}"]
    if kind == "function":
        return _function_of(content)
    if kind == "dict":
        return {key: _decoded(item, stored) for key, item in content}
    items = [_decoded(item, stored) for item in content]
    return tuple(items) if kind == "tuple" else items
