"""A pandas DataFrame as a `Dataset`: its inputs, its target, and what was left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from tuning.data.dataset import Array, Column, Dataset, Task
from tuning.data.tables.cells import Cells, Frame, is_number
from tuning.data.tables.dates import read_date_part, written_dates
from tuning.data.tables.inputs import ColumnReader, Value, as_floats, encode_categories
from tuning.data.tables.leaks import leak_faults
from tuning.data.tables.numbers import decimal_of, read_numbers
from tuning.data.tables.options import NO_OPTIONS, Notices, TableOptions
from tuning.data.tables.target import target_faults, target_numbers, target_values
from tuning.errors import StudyError, did_you_mean

_SHARE_OF_COPIES = 0.3
"""Of all rows, from which on copies are remarked on."""
_MANY_VALUES = 50
"""Different values from which on a column is a quantity."""
_FIRST_ROWS = 1000


def table_dataset(
    frame: Frame,
    target: str,
    task: Task,
    *,
    name: str,
    source: str = "",
    options: TableOptions = NO_OPTIONS,
    notices: Notices | None = None,
) -> Dataset:
    """Return a data set of a DataFrame: every column but `target` is an input.

    Numbers and truth values stay numbers; texts that say numbers or dates become these, others
    categories. Left out, with a notice: columns that are empty, that hold one value, that number
    the rows, or that hold more than `inputs.MOST_CATEGORIES` different texts.

    Args:
        frame: The table.
        target, task: What is to be predicted.
        name, source: Of the data set.
        options: What the user said of the table.
        notices: What was found out while it was read from its file.

    Raises:
        StudyError: No rows, no such target, a target that does not fit the task, a column that
            mixes numbers and texts or tells the target, or no input left; all faults at once.
    """
    where = f"table '{source or name}'"
    frame = frame.rename(columns=str)  # a frame without a header numbers its columns
    notices = notices or Notices()
    faults = list(_name_faults(frame, target, options))
    if faults:
        raise StudyError(faults, where=where)

    decimal = options.decimal or decimal_of(frame)
    cells = target_numbers(frame[target], task, decimal, notices)
    reader = ColumnReader(options, decimal)
    inputs = [frame[column] for column in _inputs(frame, target, options)]
    values, column_faults = _values(inputs, reader, notices)
    faults = [*target_faults(cells, task), *column_faults]
    if not faults and not values:
        faults.append("no column is left to predict from")
    y, classes = (np.empty(0), ()) if faults else target_values(cells, task)
    faults += [] if faults else leak_faults(values, y, task, target, options.trust)
    roles = _Roles(frame, options)
    faults += roles.faults()
    if faults:
        raise StudyError(faults, where=where)

    columns = tuple(column for column, _ in values)
    X = np.column_stack([array for _, array in values])
    copies = _copies(X, y)
    if copies:
        notices.add(copies)
    return Dataset(
        name=name,
        X=X,
        y=y,
        task=task,
        classes=classes,
        feature_names=tuple(column.name for column in columns),
        source=source,
        # Without them the winner takes X as it is.
        columns=columns if _needs_preparation(X, columns) else (),
        notices=tuple(notices.texts),
        weight=roles.weight,
        groups=roles.groups,
        time=roles.time,
    )


def _values(
    inputs: Sequence[Cells], reader: ColumnReader, notices: Notices
) -> tuple[list[Value], list[str]]:
    """Return what columns become, and what is wrong with them; remarks are added to `notices`."""
    read = [reader.read(cells) for cells in inputs]
    for text in (text for column in read for text in column.notices):
        notices.add(text)
    values = [value for column in read for value in column.values]
    return values, [column.fault for column in read if column.fault]


def _copies(X: Array, y: Array) -> str:
    """Remark on rows that are copies of others, where these are no accident; "" elsewhere."""
    rows = np.column_stack([X, y])
    # Of a few categories rows must repeat; of a quantity they do not.
    most_different = max(len(np.unique(column[:_FIRST_ROWS])) for column in rows.T)
    if most_different < _MANY_VALUES or len(rows) < 2 * _MANY_VALUES:
        return ""

    different = len(np.unique(rows, axis=0, equal_nan=True)) if _has_copies(rows) else len(rows)
    n_copies = len(rows) - different
    if n_copies < _SHARE_OF_COPIES * len(rows):
        return ""
    return (
        f"{n_copies} of {len(rows)} rows are copies of others: the same row may be trained on and "
        "tested; remove them, or give a groups= column that keeps them together"
    )


def _has_copies(rows: Array) -> bool:
    """Whether copies are likely: counted on the sum of each row, in a fraction of the time."""
    sums = np.nansum(rows * np.arange(1, rows.shape[1] + 1), axis=1)
    return len(np.unique(sums)) < (1 - _SHARE_OF_COPIES / 2) * len(rows)


def _needs_preparation(X: Array, columns: Sequence[Column]) -> bool:
    is_read = any(column.categories or column.reading for column in columns)
    return is_read or bool(np.isnan(X).any())


def _name_faults(frame: Frame, target: str, options: TableOptions) -> Iterator[str]:
    names = list(frame.columns)
    if target not in names:
        guess = did_you_mean(target, names)
        listed = ", ".join(names)
        hint = ""
        if any(_is_figure(name) for name in names):
            hint = ". These look like values: the first line must name the columns"
        yield f"no column '{target}'.{guess} There are: {listed}{hint}"
        return
    doubled = [name for name in names if name == target or _is_later_copy(name, target)]
    if len(doubled) > 1:
        yield (
            f"{len(doubled)} columns are called '{target}', the target: "
            "leave only one of them in the table"
        )
    if not len(frame):
        yield "there are no rows"
    for option, columns in options.columns_named().items():
        for column in columns:
            if column not in names:
                yield f"{option}: no column '{column}'.{did_you_mean(column, names)}"
            elif column == target and option != "trust":
                yield f"{option}: '{column}' is the target"


def _is_figure(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True


def _is_later_copy(name: str, target: str) -> bool:
    """Whether pandas has renamed a second column of the target's name."""
    head, _, number = name.rpartition(".")
    return head == target and number.isdigit()


def _inputs(frame: Frame, target: str, options: TableOptions) -> list[str]:
    left_out = {target, *options.drop, options.weight, options.groups, options.time}
    return [column for column in frame.columns if column not in left_out]


class _Roles:
    """The columns that say something of the rows, and are no inputs."""

    def __init__(self, frame: Frame, options: TableOptions) -> None:
        self._options = options
        self._frame = frame
        self.weight = self._of(options.weight, _weights)
        self.groups = self._of(options.groups, _group_numbers)
        self.time = self._of(options.time, _moments)

    def faults(self) -> Iterator[str]:
        """Yield what keeps a column from its role."""
        if self._options.weight and (self.weight is None or not (self.weight >= 0).all()):
            yield f"weight: column '{self._options.weight}' must hold numbers from 0 on"
        if self._options.groups and self._frame[self._options.groups].isna().any():
            yield f"groups: column '{self._options.groups}' has empty cells"
        if self._options.time and self.time is None:
            yield f"time: column '{self._options.time}' must hold numbers or dates in every row"

    def _of(self, column: str | None, read: Callable[[Cells], Array | None]) -> Array | None:
        if column is None:
            return None
        return read(self._frame[column])


def _weights(cells: Cells) -> Array | None:
    return as_floats(cells) if is_number(cells) and not cells.isna().any() else None


def _group_numbers(cells: Cells) -> Array:
    _, numbers = np.unique(cells.astype(str).to_numpy(dtype=str), return_inverse=True)
    return numbers.reshape(-1)


def _moments(cells: Cells) -> Array | None:
    if cells.isna().any():
        return None
    if is_number(cells):
        return as_floats(cells)
    if getattr(cells.dtype, "tz", None) is not None:  # by the clock an hour of autumn comes twice
        cells = cells.dt.tz_convert("UTC")
    written = written_dates(cells)
    if written is None:
        return None
    moments: Array = written.dates.to_numpy()
    return moments


def encode(frame: Frame, columns: tuple[Column, ...]) -> Array:
    """Return float64 `(rows, columns)` of a DataFrame, as `Dataset.X` holds it.

    A category that is not among the column's becomes -1.

    Raises:
        StudyError: A column is missing, or holds texts where there were numbers.
    """
    needed = dict.fromkeys(column.source for column in columns)
    missing = [name for name in needed if name not in frame.columns]
    if missing:
        raise StudyError(f"the table lacks the columns {', '.join(missing)}")
    encoded = [_encode_column(frame[column.source], column) for column in columns]
    return np.column_stack(encoded).astype(float)


def _encode_column(cells: Cells, column: Column) -> Array:
    if column.categories:
        return encode_categories(cells, column)
    if column.reading is None:
        return _numbers(cells, column.name)
    if column.reading.part:
        return read_date_part(cells, column.reading)
    return read_numbers(cells, column.reading)


def _numbers(cells: Cells, name: str) -> Array:
    try:
        return as_floats(cells)
    except (ValueError, TypeError) as error:
        raise StudyError(
            f"column '{name}' held numbers in the table that was trained on; here: {error}"
        ) from error
