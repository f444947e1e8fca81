"""`Windows`: a series as a data set whose rows are its windows, which are never written out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np

from tuning.data.arrays import Array
from tuning.data.dataset import Dataset, Task
from tuning.data.kinds.window_array import WindowArray
from tuning.errors import StudyError, did_you_mean

Column: TypeAlias = str | int | np.integer[Any]
Series: TypeAlias = Any
"""An array `(moments,)` or `(moments, columns)`, or a DataFrame with a row a moment."""


def Windows(  # noqa: N802 - reads as a declaration in a study file
    series: Series,
    window: int,
    *,
    target: Column | Sequence[Column] | Array | None = None,
    horizon: int = 1,
    every_step: bool = False,
    stride: int = 1,
    columns: Sequence[Column] | None = None,
    time: Array | None = None,
    task: Task = "regression",
    classes: tuple[str, ...] = (),
    name: str = "windows",
    **fields: Any,
) -> Dataset:
    """Return the windows of a series as rows: what went before, and what came after it.

    Row i is `series[i * stride : i * stride + window]`; its y is the target `horizon` moments after
    the last of these. Each row knows its first and its last moment, the target's included, so the
    study splits by time and no moment is on both sides. Only the series is in memory.

    Args:
        series: In the order of time, equally spaced.
        window: Moments that a row looks back, >= 1.
        target: The column to predict, several of them, or an array `(moments, …)` of its own such
            as class numbers. None: the only column.
        horizon: Moments from the last one seen to the target, >= 1.
        every_step: Predict each of the next `horizon` moments instead of the last of them: y is
            `(rows, horizon)`.
        stride: Moments from one window's beginning to the next one's, >= 1.
        columns: Those that the model sees; None: all, the target's past among them.
        time: `(moments,)`, increasing: what a moment is called; None: its number.
        task, classes: As in `Dataset`.
        name: Short name, for display.
        **fields: Others of `Dataset`, such as `unit`, `scale`, `source`.

    Returns:
        X is `(rows, window, columns)`.

    Raises:
        StudyError: Every fault, e.g. a window longer than the series or an unknown column.
    """
    where = f"data '{name}'"
    values, names = _values(series)
    faults = [
        *_series_faults(values),
        *_number_faults(window=window, horizon=horizon, stride=stride),
    ]
    if faults:
        raise StudyError(faults, where=where)

    inputs = _find(columns if columns is not None else range(values.shape[1]), names, "columns")
    targets = _target_columns(target, names, len(values))
    moments = _moments(time, len(values))
    faults = [*inputs.faults, *targets.faults, *moments.faults]
    span = window + horizon
    if len(values) < span + 1:
        faults.append(
            f"{len(values)} moments do not make two rows of window={window} and "
            f"horizon={horizon}; give a shorter window or a longer series"
        )
    if faults:
        raise StudyError(faults, where=where)

    starts = np.arange(0, len(values) - span + 1, stride)
    y = np.asarray(target) if targets.own else values[:, targets.numbers]
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]

    return Dataset(
        name=name,
        X=cast(Array, WindowArray(values[:, inputs.numbers], starts, window)),
        y=_targets(y, starts, window, horizon, every_step=every_step),
        task=task,
        classes=classes,
        feature_names=tuple(names[number] for number in inputs.numbers),
        time=np.stack([moments.values[starts], moments.values[starts + span - 1]], axis=1),
        **fields,
    )


def _values(series: Series) -> tuple[Array, tuple[str, ...]]:
    """Return a series as `(moments, columns)` and the names of its columns."""
    if hasattr(series, "columns"):
        return series.to_numpy(), tuple(map(str, series.columns))
    values = np.asarray(series)
    if values.ndim == 1:
        values = values[:, None]
    n_columns = values.shape[1] if values.ndim == 2 else 0
    return values, tuple(f"x{number}" for number in range(n_columns))


def _series_faults(values: Array) -> Iterator[str]:
    if values.ndim != 2:
        yield f"series must be (moments,) or (moments, columns), got {values.shape}"
    elif values.dtype.kind not in "biuf":
        yield (
            f"series must hold numbers, got dtype {values.dtype}; "
            "leave texts and dates out, or encode them as numbers"
        )


def _number_faults(**numbers: int) -> Iterator[str]:
    for name, value in numbers.items():
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
            yield f"{name} must be a whole number from 1 on, got {value!r}"


@dataclass(frozen=True)
class _Columns:
    """Columns found by name or number.

    Attributes:
        own: The target is an array of its own and no column.
    """

    numbers: list[int]
    faults: tuple[str, ...] = ()
    own: bool = False


def _find(wanted: Sequence[Column], names: tuple[str, ...], argument: str) -> _Columns:
    numbers = []
    faults = []
    for column in wanted:
        if isinstance(column, str) and column in names:
            numbers.append(names.index(column))
        elif isinstance(column, int | np.integer) and -len(names) <= column < len(names):
            numbers.append(int(column) % len(names))
        else:
            guess = did_you_mean(str(column), names)
            faults.append(f"{argument}: no column {column!r}.{guess} There are: {', '.join(names)}")
    if not numbers and not faults:
        faults.append(f"{argument}: name at least one of {', '.join(names)}")
    return _Columns(numbers, tuple(faults))


def _target_columns(target: Any, names: tuple[str, ...], n_moments: int) -> _Columns:
    if target is None:
        if len(names) == 1:
            return _Columns([0])
        fault = f"target is missing: name the column to predict, one of {', '.join(names)}"
        return _Columns([], (fault,))
    if isinstance(target, str | int | np.integer):
        return _find((target,), names, "target")
    if isinstance(target, list | tuple) and all(isinstance(item, str | int) for item in target):
        return _find(target, names, "target")

    values = np.asarray(target)
    if values.ndim and len(values) == n_moments:
        return _Columns([], own=True)
    fault = f"target has {len(values) if values.ndim else 1} moments, the series has {n_moments}"
    return _Columns([], (fault,))


@dataclass(frozen=True)
class _Moments:
    """What each moment is called, increasing."""

    values: Array
    faults: tuple[str, ...] = ()


def _moments(time: Array | None, n_moments: int) -> _Moments:
    if time is None:
        return _Moments(np.arange(n_moments))
    values = np.asarray(time)
    if values.shape != (n_moments,):
        return _Moments(values, (f"time must be ({n_moments},), got {values.shape}",))
    falls = np.flatnonzero(values[1:] <= values[:-1])
    if len(falls):
        place = int(falls[0])
        fault = (
            f"time must increase, but {values[place + 1]} follows {values[place]} "
            f"at moment {place + 1}; sort the series by time"
        )
        return _Moments(values, (fault,))
    return _Moments(values)


def _targets(values: Array, starts: Array, window: int, horizon: int, *, every_step: bool) -> Array:
    """Return y of each window, `(rows, …)` or with `every_step` `(rows, horizon, …)`."""
    first = starts + window
    moments = first + horizon - 1
    if every_step:
        moments = first[:, None] + np.arange(horizon)
    targets: Array = values[moments]
    return targets
