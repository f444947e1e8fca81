"""A user's own table, CSV or Parquet, as a `Dataset`: numbers, categories, empty cells, and what is
wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tuning.data.dataset import Array, Column, Dataset, Task
from tuning.errors import StudyError, did_you_mean

SUFFIXES = (".csv", ".csv.gz", ".parquet")
MOST_CATEGORIES = 50
"""Different texts above which a column is taken for names or numbers of things, and left out."""
MOSTLY_NUMBERS = 0.9
"""Share of numbers above which the texts of a column are taken for mistakes, however many there
are.
"""


@dataclass(frozen=True)
class Table:
    """A table by its path, to be given to a study as `data=Table("titanic.csv", target="survived",
    task="binary")`.

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


def read_table(path: Path) -> Any:
    """Return a pandas DataFrame; in CSV "NA", "nan", "None" are empty among numbers, texts among
    texts.

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


def _read_csv(path: Path) -> Any:
    import pandas as pd

    options: dict[str, Any] = {"sep": _separator(path), "low_memory": False}
    frame = pd.read_csv(path, **options)
    texts = [i for i in range(frame.shape[1]) if not _is_number(frame.iloc[:, i])]
    if texts:  # a roof of the kind "None" is no empty cell
        literal = pd.read_csv(path, **options, keep_default_na=False, na_values=[""])
        for i in texts:
            frame.isetitem(i, literal.iloc[:, i])
    return frame


def _is_number(cells: Any) -> bool:
    import pandas as pd

    return bool(
        pd.api.types.is_bool_dtype(cells.dropna().infer_objects())
        or pd.api.types.is_numeric_dtype(cells)
    )


def _separator(path: Path) -> str:
    import gzip

    with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
        header = file.readline()
    return max((b",", b";", b"\t"), key=header.count).decode()


def table_dataset(frame: Any, target: str, task: Task, *, name: str, source: str = "") -> Dataset:
    """Return a data set of a DataFrame: every column but `target` is an input.

    Numbers and truth values stay numbers; texts become categories. Left out, with a notice: columns
    that are empty, that hold one value, that number the rows, or that hold more than
    `MOST_CATEGORIES` different texts.

    Raises:
        StudyError: No rows, no such target, a target that does not fit the task, a column that
            mixes numbers and texts or holds dates, or no input left; all faults at once.
    """
    where = f"table '{source or name}'"
    frame = frame.rename(columns=str)
    if target not in frame.columns:
        known = list(frame.columns)
        listed = f"There are: {', '.join(known)}"
        raise StudyError(
            f"no column '{target}'.{did_you_mean(target, known)} {listed}", where=where
        )
    if not len(frame):
        raise StudyError("there are no rows", where=where)
    found = [_column(frame[column]) for column in frame.columns if column != target]
    faults = [
        *_target_faults(frame[target], task),
        *(item for item in found if isinstance(item, str)),
    ]
    kept = [item for item in found if isinstance(item, tuple) and item[1] is not None]
    if not faults and not kept:
        faults.append("no column is left to predict from")
    if faults:
        raise StudyError(faults, where=where)
    y, classes = _target(frame[target], task)
    columns = tuple(column for column, _ in kept)
    X = np.column_stack([values for _, values in kept])
    plain = not np.isnan(X).any() and not any(
        column.categories for column in columns
    )  # the winner takes it raw then
    left_out = (item[0] for item in found if isinstance(item, tuple) and item[1] is None)
    return Dataset(
        name=name,
        X=X,
        y=y,
        task=task,
        classes=classes,
        feature_names=tuple(column.name for column in columns),
        source=source,
        columns=() if plain else columns,
        notices=tuple(str(notice) for notice in left_out),
    )


def encode(frame: Any, columns: tuple[Column, ...]) -> Array:
    """Return float64 `(rows, columns)` of a DataFrame, as `Dataset.X` holds it; a category never
    met is -1.

    Raises:
        StudyError: A column is missing.
    """
    import pandas as pd

    missing = [column.name for column in columns if column.name not in frame.columns]
    if missing:
        raise StudyError(f"the table lacks the columns {', '.join(missing)}")
    coded = []
    for column in columns:
        cells = frame[column.name]
        if column.categories:
            numbers = {text: float(i) for i, text in enumerate(column.categories)}
            coded.append(
                [np.nan if pd.isna(cell) else numbers.get(str(cell), -1.0) for cell in cells]
            )
        else:
            coded.append(cells.astype(float).to_numpy(dtype=float, na_value=np.nan))
    return np.column_stack(coded).astype(float)


def _column(cells: Any) -> tuple[Column, Array] | tuple[str, None] | str:
    """Return a column and its values, (why it is left out, None), or what is wrong with it."""
    import pandas as pd

    name, kind = cells.name, pd.api.types
    met = cells.dropna()
    if not len(met):
        return f"column '{name}' is empty: left out", None
    if met.nunique() == 1:
        return f"column '{name}' holds nothing but {str(met.iloc[0])[:40]!r}: left out", None
    if kind.is_datetime64_any_dtype(cells) or kind.is_timedelta64_dtype(cells):
        return f"column '{name}' holds dates; give numbers, such as days since the first"
    if _is_number(cells):
        values = cells.astype(float).to_numpy(dtype=float, na_value=np.nan)
        if kind.is_integer_dtype(cells) and len(values) > 2 and (np.diff(values) == 1).all():
            return f"column '{name}' numbers the rows: left out", None
        return Column(name), values
    return _text_column(cells, met)


def _text_column(cells: Any, met: Any) -> tuple[Column, Array] | tuple[str, None] | str:
    import pandas as pd

    name, texts = cells.name, met.astype(str)
    many = texts.nunique() > MOST_CATEGORIES
    numbers = pd.to_numeric(texts, errors="coerce").notna()
    if numbers.any() and not numbers.all() and (not many or numbers.mean() >= MOSTLY_NUMBERS):
        row, text = texts.index[~numbers][0], texts[~numbers].iloc[0]
        return (
            f"column '{name}' mixes numbers and texts, such as {text[:40]!r} in row {row}; "
            "write all of them as numbers, or none, or leave the column out"
        )
    if many:
        return (
            f"column '{name}' holds {texts.nunique()} different texts, more than {MOST_CATEGORIES}: left out",
            None,
        )
    column = Column(name, tuple(sorted(texts.unique())))
    return column, encode(cells.to_frame(), (column,))[:, 0]


def _target_faults(cells: Any, task: Task) -> Iterator[str]:
    import pandas as pd

    head = f"target '{cells.name}'"
    if task not in ("regression", "binary", "multiclass"):
        yield f"task {task!r} does not go with a table; there are: regression, binary, multiclass"
        return
    if empty := int(cells.isna().sum()):
        yield f"{head} has {empty} empty cells, the first in row {np.flatnonzero(cells.isna())[0]}; drop these rows"
        return
    different = cells.nunique()
    numeric = pd.api.types.is_numeric_dtype(cells)
    if different == 1:
        yield f"{head} is constant: every row has {str(cells.iloc[0])[:40]!r}, there is nothing to learn"
    elif task == "regression" and not numeric:
        fitting = "binary" if different == 2 else "multiclass"
        yield f"{head} holds texts such as {str(cells.iloc[0])[:40]!r}; a regression needs numbers, fitting: {fitting}"
    elif task == "binary" and different != 2:
        fitting = "regression or multiclass" if numeric else "multiclass"
        yield f"{head} holds {different} different values, a binary target has two; fitting: {fitting}"
    elif task == "multiclass" and numeric and not np.equal(np.mod(cells.astype(float), 1), 0).all():
        yield f"{head} holds fractions; fitting: regression"


def _target(cells: Any, task: Task) -> tuple[Array, tuple[str, ...]]:
    if task == "regression":
        return cells.to_numpy(dtype=float), ()
    classes, numbers = np.unique(cells.to_numpy(), return_inverse=True)
    return numbers.reshape(-1), tuple(str(name) for name in classes.tolist())
