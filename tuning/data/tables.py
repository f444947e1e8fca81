"""A user's own table, CSV or Parquet, as a `Dataset`: numbers, categories, empty cells."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from tuning.data.dataset import Array, Column, Dataset, Task
from tuning.errors import StudyError, did_you_mean

Frame: TypeAlias = Any
"""A `pandas.DataFrame`; pandas is imported when a table is read."""
Cells: TypeAlias = Any
"""A `pandas.Series`: one column of a frame."""

SUFFIXES = (".csv", ".csv.gz", ".parquet")
MOST_CATEGORIES = 50
"""Different texts above which a column is taken for names or numbers of things, and left out."""
MOSTLY_NUMBERS = 0.9
"""Share of numbers above which a column's texts are taken for mistakes, however many there are."""
_LONGEST_QUOTE = 40
"""Characters of a cell that a message quotes."""


@dataclass(frozen=True)
class Table:
    """A table by its path, given to a study in the place of a data function.

    `data=Table("titanic.csv", target="survived", task="binary")`.

    Attributes:
        path: A file of one of `SUFFIXES`, with a header.
        target: The column to be predicted.
        task: regression, binary or multiclass.
    """

    path: str
    target: str
    task: Task

    def __call__(self) -> Dataset:
        """Read it.

        Raises:
            StudyError: Every fault of the file and its columns.
        """
        frame = read_table(Path(self.path))
        return table_dataset(
            frame, self.target, self.task, name=stem(self.path), source=Path(self.path).name
        )


def is_table(text: str) -> bool:
    """Whether a path names a table by its ending."""
    return text.lower().endswith(SUFFIXES)


def stem(path: str) -> str:
    """Return the file's name without its folder and ending."""
    return re.sub(r"\.(csv|csv\.gz|parquet)$", "", Path(path).name, flags=re.IGNORECASE)


def read_table(path: Path) -> Frame:
    """Return a pandas DataFrame.

    In CSV "NA", "nan" and "None" are empty cells among numbers, and texts among texts.

    Raises:
        StudyError: There is no such file, or it cannot be read as what its name says.
    """
    import pandas as pd

    where = f"table '{path}'"
    if not is_table(path.name):
        raise StudyError(f"a table's name must end in {', '.join(SUFFIXES)}", where=where)
    if not path.is_file():
        raise StudyError("there is no such file", where=where)

    try:
        if path.suffix.lower() == ".parquet":
            return pd.read_parquet(path)
        return _read_csv(path)
    except pd.errors.EmptyDataError as error:
        raise StudyError("the file is empty; a header and rows are needed", where=where) from error
    except (ValueError, OSError) as error:  # of pandas and pyarrow: not CSV, not Parquet, not UTF-8
        raise StudyError(f"cannot be read: {str(error).splitlines()[0]}", where=where) from error


def _read_csv(path: Path) -> Frame:
    import pandas as pd

    separator = _separator(path)
    # `low_memory` would guess types block by block, and mix them within a column.
    frame = pd.read_csv(path, sep=separator, low_memory=False)
    text_columns = [i for i in range(frame.shape[1]) if not _is_number(frame.iloc[:, i])]
    if text_columns:
        # Among texts "None" is a value (a roof of the kind "None"), not an empty cell.
        literal = pd.read_csv(
            path, sep=separator, low_memory=False, keep_default_na=False, na_values=[""]
        )
        for i in text_columns:
            frame.isetitem(i, literal.iloc[:, i])
    return frame


def _is_number(cells: Cells) -> bool:
    """Whether a column holds numbers, or True and False with empty cells between."""
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    return bool(is_numeric_dtype(cells) or is_bool_dtype(cells.dropna().infer_objects()))


def _separator(path: Path) -> str:
    """Return the separator that the header has most of.

    Not pandas' own guess, which reads the whole file by its slow Python parser.
    """
    is_zipped = path.suffix.lower() == ".gz"
    with gzip.open(path) if is_zipped else path.open("rb") as file:
        header = file.readline()
    return max((b",", b";", b"\t"), key=header.count).decode()


def table_dataset(frame: Frame, target: str, task: Task, *, name: str, source: str = "") -> Dataset:
    """Return a data set of a DataFrame: every column but `target` is an input.

    Numbers and truth values stay numbers; texts become categories. Left out, with a notice: columns
    that are empty, that hold one value, that number the rows, or that hold more than
    `MOST_CATEGORIES` different texts.

    Raises:
        StudyError: No rows, no such target, a target that does not fit the task, a column that
            mixes numbers and texts or holds dates, or no input left; all faults at once.
    """
    where = f"table '{source or name}'"
    frame = frame.rename(columns=str)  # a frame without a header numbers its columns
    names = list(frame.columns)
    if target not in names:
        guess = did_you_mean(target, names)
        raise StudyError(f"no column '{target}'.{guess} There are: {', '.join(names)}", where=where)
    if not len(frame):
        raise StudyError("there are no rows", where=where)

    columns_read = [_read_column(frame[column]) for column in names if column != target]
    inputs = [item for item in columns_read if isinstance(item, _Input)]

    faults = [
        *_target_faults(frame[target], task),
        *(item.fault for item in columns_read if isinstance(item, _Faulty)),
    ]
    if not faults and not inputs:
        faults.append("no column is left to predict from")
    if faults:
        raise StudyError(faults, where=where)

    y, classes = _target(frame[target], task)
    columns = tuple(item.column for item in inputs)
    X = np.column_stack([item.values for item in inputs])
    needs_preparation = np.isnan(X).any() or any(column.categories for column in columns)

    return Dataset(
        name=name,
        X=X,
        y=y,
        task=task,
        classes=classes,
        feature_names=tuple(column.name for column in columns),
        source=source,
        columns=columns if needs_preparation else (),  # without them the winner takes X as it is
        notices=tuple(item.notice for item in columns_read if isinstance(item, _LeftOut)),
    )


def encode(frame: Frame, columns: tuple[Column, ...]) -> Array:
    """Return float64 `(rows, columns)` of a DataFrame, as `Dataset.X` holds it.

    A category that is not among the column's becomes -1.

    Raises:
        StudyError: A column is missing.
    """
    missing = [column.name for column in columns if column.name not in frame.columns]
    if missing:
        raise StudyError(f"the table lacks the columns {', '.join(missing)}")
    encoded = [_encode_column(frame[column.name], column) for column in columns]
    return np.column_stack(encoded).astype(float)


def _encode_column(cells: Cells, column: Column) -> Array:
    import pandas as pd

    if not column.categories:
        return _as_floats(cells)

    numbers = {text: float(number) for number, text in enumerate(column.categories)}
    return np.array(
        [np.nan if pd.isna(cell) else numbers.get(str(cell), -1.0) for cell in cells], float
    )


def _as_floats(cells: Cells) -> Array:
    values: Array = cells.astype(float).to_numpy(dtype=float, na_value=np.nan)
    return values


@dataclass(frozen=True)
class _Input:
    """A column to predict from, and its values as `Dataset.X` holds them."""

    column: Column
    values: Array


@dataclass(frozen=True)
class _LeftOut:
    """A column that says nothing about the target, and the reason."""

    notice: str


@dataclass(frozen=True)
class _Faulty:
    """A column that the user has to change."""

    fault: str


def _read_column(cells: Cells) -> _Input | _LeftOut | _Faulty:
    from pandas.api import types

    name = cells.name
    values_there = cells.dropna()
    if not len(values_there):
        return _LeftOut(f"column '{name}' is empty: left out")
    if values_there.nunique() == 1:
        value = str(values_there.iloc[0])[:_LONGEST_QUOTE]
        return _LeftOut(f"column '{name}' holds nothing but {value!r}: left out")
    if types.is_datetime64_any_dtype(cells) or types.is_timedelta64_dtype(cells):
        return _Faulty(f"column '{name}' holds dates; give numbers, such as days since the first")
    if not _is_number(cells):
        return _read_text_column(cells)

    values = _as_floats(cells)
    # A model would learn the order of the file from it. Two rows are too few to tell.
    counts_up = types.is_integer_dtype(cells) and len(values) > 2 and (np.diff(values) == 1).all()
    if counts_up:
        return _LeftOut(f"column '{name}' numbers the rows: left out")
    return _Input(Column(name), values)


def _read_text_column(cells: Cells) -> _Input | _LeftOut | _Faulty:
    import pandas as pd

    name = cells.name
    texts = cells.dropna().astype(str)
    n_different = texts.nunique()
    has_too_many = n_different > MOST_CATEGORIES

    is_number = pd.to_numeric(texts, errors="coerce").notna()
    is_mixed = is_number.any() and not is_number.all()
    # With many different texts among few numbers the column is one of names, and is left out.
    if is_mixed and (not has_too_many or is_number.mean() >= MOSTLY_NUMBERS):
        row = texts.index[~is_number][0]
        text = texts[~is_number].iloc[0][:_LONGEST_QUOTE]
        return _Faulty(
            f"column '{name}' mixes numbers and texts, such as {text!r} in row {row}; "
            "write all of them as numbers, or none, or leave the column out"
        )
    if has_too_many:
        return _LeftOut(
            f"column '{name}' holds {n_different} different texts, "
            f"more than {MOST_CATEGORIES}: left out"
        )
    column = Column(name, tuple(sorted(texts.unique())))
    return _Input(column, _encode_column(cells, column))


def _target_faults(cells: Cells, task: Task) -> Iterator[str]:
    from pandas.api.types import is_numeric_dtype

    head = f"target '{cells.name}'"
    if task not in ("regression", "binary", "multiclass"):
        yield f"task {task!r} does not go with a table; there are: regression, binary, multiclass"
        return
    is_empty = cells.isna()
    if is_empty.any():
        first = np.flatnonzero(is_empty)[0]
        yield (
            f"{head} has {int(is_empty.sum())} empty cells, the first in row {first}; "
            "drop these rows"
        )
        return

    n_different = cells.nunique()
    is_numeric = is_numeric_dtype(cells)
    example = str(cells.iloc[0])[:_LONGEST_QUOTE]
    if n_different == 1:
        yield f"{head} is constant: every row has {example!r}, there is nothing to learn"
    elif task == "regression" and not is_numeric:
        fitting = "binary" if n_different == 2 else "multiclass"
        yield (
            f"{head} holds texts such as {example!r}; a regression needs numbers, "
            f"fitting: {fitting}"
        )
    elif task == "binary" and n_different != 2:
        fitting = "regression or multiclass" if is_numeric else "multiclass"
        yield (
            f"{head} holds {n_different} different values, a binary target has two; "
            f"fitting: {fitting}"
        )
    elif task == "multiclass" and is_numeric and _has_fractions(cells):
        yield f"{head} holds fractions; fitting: regression"


def _has_fractions(cells: Cells) -> bool:
    return not np.equal(np.mod(cells.astype(float), 1), 0).all()


def _target(cells: Cells, task: Task) -> tuple[Array, tuple[str, ...]]:
    """Return y and the names of its classes."""
    if task == "regression":
        return cells.to_numpy(dtype=float), ()
    classes, numbers = np.unique(cells.to_numpy(), return_inverse=True)
    return numbers.reshape(-1), tuple(str(name) for name in classes.tolist())
