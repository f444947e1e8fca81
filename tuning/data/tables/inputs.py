"""What each column of a table becomes: inputs, nothing with the reason, or a fault of the user's.

Numbers stay numbers, texts become numbers or dates where every cell is one, else categories.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from tuning.data.dataset import Array, Column
from tuning.data.tables.cells import Cells, is_hashable, is_number
from tuning.data.tables.dates import date_columns, written_dates
from tuning.data.tables.numbers import WrittenNumbers, written_numbers
from tuning.data.tables.options import TableOptions, advice

MOST_CATEGORIES = 50
"""Different texts above which a column is taken for names or numbers of things, and left out."""
MOSTLY_NUMBERS = 0.9
"""Share of numbers above which a column's texts are taken for mistakes, however many there are."""
LARGEST = float(np.finfo(np.float32).max)
"""Above this a number is infinite to a network."""
LONGEST_QUOTE = 40
"""Characters of a cell that a message quotes."""
_LEAST_ROWS = 20
"""Below it all values of a quantity may be different by accident."""

_IDENTIFIER = re.compile(
    r"(^|[_\s-])(id|nr|no|number|nummer|key|code|uuid|guid|plz|zip|zipcode|postcode|postal)"
    r"($|[_\s-])",
    re.IGNORECASE,
)
_PLACEHOLDERS = frozenset({-1.0, -9.0, -99.0, -999.0, -9999.0, -99999.0, 999.0, 9999.0, 99999.0})

Value: TypeAlias = tuple[Column, Array]
"""An input, and its values as `Dataset.X` holds them: float64 `(rows,)`."""


@dataclass(frozen=True)
class ReadColumn:
    """What a column became.

    Attributes:
        values: The inputs made of it; empty where it is left out.
        notices: What the user should know, one sentence each.
        fault: What the user has to change; "": nothing.
    """

    values: tuple[Value, ...] = ()
    notices: tuple[str, ...] = ()
    fault: str = ""


@dataclass(frozen=True)
class ColumnReader:
    """Reads the columns of one table.

    Attributes:
        options: What the user said of it.
        decimal: The sign before fractions that one of its columns must have; None: not known.
    """

    options: TableOptions
    decimal: str | None = None

    def read(self, cells: Cells) -> ReadColumn:
        """Return what a column becomes."""
        from pandas.api import types

        name = cells.name
        values_there = cells.dropna()
        if not len(values_there):
            return ReadColumn(notices=(f"column '{name}' is empty: left out",))
        if not is_hashable(values_there):
            return ReadColumn(fault=_of_what_kind(name, values_there))
        first = values_there.iloc[0]
        if (values_there == first).all() and not _is_infinite(first):
            value = _quoted(first)
            return ReadColumn(notices=(f"column '{name}' holds nothing but {value}: left out",))

        told = name in self.options.parse_dates
        if told or types.is_datetime64_any_dtype(cells):
            return self._dates(cells, told=told)
        if types.is_timedelta64_dtype(cells):
            seconds = cells.dt.total_seconds()
            return ReadColumn(
                ((Column(name), seconds.to_numpy(dtype=float)),),
                (f"column '{name}' holds spans of time: read in seconds",),
            )
        if name in self.options.keep_text:
            return self._categories(cells.where(cells.isna(), cells.astype(str)), as_told=True)
        if is_number(cells):
            return _numbers(cells)
        return self._texts(cells)

    def _dates(self, cells: Cells, *, told: bool) -> ReadColumn:
        name = cells.name
        written = written_dates(cells, self.options.date_format(name) if told else None)
        if written is None:
            first = _quoted(cells.dropna().iloc[0])
            return ReadColumn(
                fault=f"column '{name}' is said to hold dates, but they are in no known format, "
                f"such as {first}; give it: parse_dates={{'{name}': '%d.%m.%Y'}}"
            )
        values = date_columns(name, written)
        parts = ", ".join(column.reading.part for column, _ in values if column.reading)
        text = f"column '{name}' holds dates: its inputs are {parts}"
        if written.other and not told:
            text += f"; read as {written.format}, parse_dates= can say {written.other}"
        return ReadColumn(tuple(values), (text,))

    def _texts(self, cells: Cells) -> ReadColumn:
        name = cells.name
        dates = written_dates(cells)
        if dates is not None:
            return self._dates(cells, told=False)

        numbers = written_numbers(cells, self.decimal)
        if numbers is not None and (numbers.empty or not _is_all_plain(numbers)):
            column = Column(name, reading=numbers.reading)
            read = _numbers_of(column, numbers.values)
            return ReadColumn(read.values, (_as_read(name, numbers), *read.notices), read.fault)
        return self._categories(cells)

    def _categories(self, cells: Cells, *, as_told: bool = False) -> ReadColumn:
        import pandas as pd

        name = cells.name
        texts = cells.dropna().astype(str)
        n_different = texts.nunique()
        has_too_many = n_different > MOST_CATEGORIES

        is_number_text = pd.to_numeric(texts, errors="coerce").notna()
        is_mixed = is_number_text.any() and not is_number_text.all()
        # With many different texts among few numbers the column is one of names, and is left out.
        is_mistake = not has_too_many or is_number_text.mean() >= MOSTLY_NUMBERS
        if is_mixed and is_mistake and not as_told:
            return ReadColumn(fault=_mixture(name, texts, is_number_text))
        if has_too_many:
            return ReadColumn(
                notices=(
                    f"column '{name}' holds {n_different} different texts, "
                    f"more than {MOST_CATEGORIES}: left out",
                )
            )
        column = Column(name, tuple(sorted(texts.unique())))
        return ReadColumn(((column, encode_categories(cells, column)),))


def encode_categories(cells: Cells, column: Column) -> Array:
    """Return the number of each cell's category; NaN of an empty cell, -1 of an unknown one."""
    import pandas as pd

    numbers = {text: float(number) for number, text in enumerate(column.categories)}
    return np.array(
        [np.nan if pd.isna(cell) else numbers.get(str(cell), -1.0) for cell in cells], float
    )


def as_floats(cells: Cells) -> Array:
    """Return float64 `(rows,)`, NaN for empty cells."""
    values: Array = cells.astype(float).to_numpy(dtype=float, na_value=np.nan)
    return values


def _of_what_kind(name: str, cells: Cells) -> str:
    cell = cells.iloc[0]
    kind = "lists" if isinstance(cell, list | np.ndarray) else f"{type(cell).__name__}s"
    return (
        f"column '{name}' holds {kind}, such as {_quoted(cell)}; "
        f"an input is one number or text: give each part a column, or leave it out "
        f"({advice('drop', name)})"
    )


def _numbers(cells: Cells) -> ReadColumn:
    from pandas.api import types

    name = cells.name
    is_whole = types.is_integer_dtype(cells)
    if is_whole and not cells.isna().any() and len(cells) > 2:
        # Exactly, not as floats, which cannot tell large numbers of customers apart.
        how = _numbers_rows(np.asarray(cells, dtype=np.int64))
        if how:
            return ReadColumn(notices=(f"column '{name}' {how}: left out",))
        is_unique = cells.nunique() == len(cells) >= _LEAST_ROWS
        if is_unique and _IDENTIFIER.search(name):
            text = f"column '{name}' holds another whole number in every row, as an identifier does"
            return ReadColumn(notices=(f"{text}: left out",))

    read = _numbers_of(Column(name), as_floats(cells))
    if is_whole and _IDENTIFIER.search(name) and not read.fault:
        text = (
            f"column '{name}' is read as a quantity, though its name says that it is an identifier "
            f"or a code; otherwise {advice('drop', name)}, {advice('keep_text', name)}"
        )
        return ReadColumn(read.values, (*read.notices, text))
    return read


def _numbers_rows(values: Array) -> str:
    """Say how whole numbers number the rows; "" where they do not."""
    # A model would learn the order of the file from it. Two rows are too few to tell.
    if (np.diff(values) == 1).all():
        return "numbers the rows"
    if len(values) >= _LEAST_ROWS and (np.diff(np.sort(values)) == 1).all():
        return "numbers the rows, in another order"
    return ""


def _numbers_of(column: Column, values: Array) -> ReadColumn:
    name = column.name
    there = values[~np.isnan(values)]
    if np.isinf(there).any():
        row = int(np.flatnonzero(np.isinf(values))[0])
        n_infinite = int(np.isinf(there).sum())
        return ReadColumn(
            fault=f"column '{name}' holds {n_infinite} infinite values, the first in row {row}; "
            "make them empty cells or finite numbers, or drop the column"
        )
    largest = float(np.abs(there).max()) if len(there) else 0.0
    if largest > LARGEST:
        return ReadColumn(
            fault=f"column '{name}' holds values up to {largest:.3g}, more than a network's "
            f"numbers can be ({LARGEST:.2g}); give its logarithm, or drop the column"
        )
    return ReadColumn(((column, values),), tuple(_placeholders(name, there)))


def _placeholders(name: str, there: Array) -> Iterator[str]:
    """Yield a remark on numbers that often stand for an empty cell."""
    if len(there) < _LEAST_ROWS:
        return
    # It lies at an end, where it is far from all other values.
    for number in {float(there.min()), float(there.max())} & _PLACEHOLDERS:
        is_it = there == number
        rest = there[~is_it]
        if is_it.sum() < 2 or not len(rest):
            continue
        # Far outside of all others, on its own side.
        span = float(rest.max() - rest.min())
        distance = float(rest.min() - number if number < 0 else number - rest.max())
        if distance > 0 and (distance > span or (number < 0 <= rest.min() and number <= -99)):
            yield (
                f"column '{name}' holds {number:g} {int(is_it.sum())} times, far from all other "
                f"values; where it stands for an empty cell: {advice('na_values', f'{number:g}')}"
            )


def _as_read(name: str, numbers: WrittenNumbers) -> str:
    """Say how the numbers of a column were read."""
    reading = numbers.reading
    details = []
    if reading.unit:
        details.append(f"in {reading.unit}")
    if reading.decimal == ",":
        details.append("with decimal commas")
    if reading.thousands:
        details.append(f"with {reading.thousands!r} between thousands")
    if numbers.empty:
        listed = ", ".join(repr(word) for word in numbers.empty)
        details.append(f"with {listed} for empty cells")
    text = f"column '{name}' read as numbers {', '.join(details)}".rstrip()
    return f"{text}; decimal= says otherwise" if numbers.ambiguous else text


def _is_all_plain(numbers: WrittenNumbers) -> bool:
    """Whether the texts are plain figures, which somebody has made texts on purpose."""
    reading = numbers.reading
    return reading.decimal == "." and not reading.thousands and not reading.unit


def _mixture(name: str, texts: Cells, is_number_text: Cells) -> str:
    row = texts.index[~is_number_text][0]
    text = texts[~is_number_text].iloc[0][:LONGEST_QUOTE]
    return (
        f"column '{name}' mixes numbers and texts, such as {text!r} in row {row}; "
        "write all of them as numbers, or none, or leave the column out; "
        f"where it stands for an empty cell: {advice('na_values', text)}"
    )


def _is_infinite(value: object) -> bool:
    return isinstance(value, float | np.floating) and bool(np.isinf(value))


def _quoted(value: object) -> str:
    return repr(str(value)[:LONGEST_QUOTE])
