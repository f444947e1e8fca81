"""A table's file as a pandas DataFrame: separator, header, what of its columns is text.

What Excel, databases and R write is recognised; each guess is said, and can be overruled.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tuning.data.tables.cells import Cells, Frame, is_number
from tuning.data.tables.numbers import decimal_of
from tuning.data.tables.options import Notices, TableOptions
from tuning.data.tables.text import CSVText, csv_text
from tuning.errors import StudyError

SUFFIXES = (".csv", ".csv.gz", ".csv.zip", ".tsv", ".tsv.gz", ".tsv.zip", ".parquet")
SEPARATORS = (",", ";", "\t", "|")
_SEPARATOR_WORDS = {"\t": "tabs", ";": "semicolons", "|": "bars", ",": "commas"}

_SAMPLE_CHARACTERS = 200_000
"""Of the file's beginning, by which the separator is judged."""
_ROWS_LOOKED_AT = 1000
"""First rows in which codes with leading zeros are looked for."""

_BY_POINTS = r"[-+]?\d{1,3}(?:\.\d{3})*"
_FIELDS_ERROR = re.compile(r"Expected (\d+) fields in line (\d+), saw (\d+)")


def is_table(text: str) -> bool:
    """Whether a path names a table by its ending."""
    return text.lower().endswith(SUFFIXES)


def stem(path: str) -> str:
    """Return the file's name without its folder and ending."""
    name = Path(path).name
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


def read_table(path: Path, options: TableOptions, notices: Notices) -> Frame:
    """Return a pandas DataFrame.

    In CSV "NA", "nan" and "None" are empty cells among numbers, and texts among texts.

    Raises:
        StudyError: There is no such file, or it cannot be read as what its name says.
    """
    where = f"table '{path}'"
    if not is_table(path.name):
        hint = ""
        if path.suffix.lower() in (".xls", ".xlsx", ".ods"):
            hint = "; save the sheet as CSV"
        raise StudyError(f"a table's name must end in {', '.join(SUFFIXES)}{hint}", where=where)
    if not path.is_file():
        raise StudyError("there is no such file", where=where)

    try:
        if path.suffix.lower() == ".parquet":
            return _read_parquet(path)
        return _read_csv(csv_text(path, options.encoding, notices), options, notices)
    except StudyError as error:
        raise StudyError(error.faults, where=where) from error


def _read_parquet(path: Path) -> Frame:
    import pandas as pd

    try:
        return pd.read_parquet(path)
    except (ValueError, OSError) as error:  # of pandas and pyarrow
        first_line = str(error).splitlines()[0]
        raise StudyError(f"this is no Parquet file that can be read: {first_line}") from error


def _read_csv(table: CSVText, options: TableOptions, notices: Notices) -> Frame:
    import pandas as pd

    sample = table.text[:_SAMPLE_CHARACTERS]
    separator = options.sep or table.separator or _separator(sample)
    if separator != "," and options.sep is None:
        words = _SEPARATOR_WORDS.get(separator, repr(separator))
        notices.add(f"columns are separated by {words}")
    _check_header(sample, separator, notices)
    text = _with_whole_header(table, separator, notices)
    content = text.encode("utf-8", errors="replace")

    def read(**how: Any) -> Frame:
        settings = {"na_values": list(options.na_values) or None, **how}
        return pd.read_csv(
            io.BytesIO(content),
            sep=separator,
            # It would guess types block by block, and mix them within a column.
            low_memory=False,
            decimal=options.decimal or ".",
            thousands=options.thousands,
            **settings,
        )

    try:
        frame = read()
    except ValueError as error:
        raise StudyError(_in_words(str(error), table.skipped)) from error
    frame.columns = _different(frame.columns)
    _put_texts_in(frame, read, options, notices)
    return frame


def _in_words(message: str, skipped: int) -> str:
    """Return pandas' complaint in words."""
    uneven = _FIELDS_ERROR.search(message)
    if uneven is None:
        return f"cannot be read: {message.splitlines()[0]}"
    expected, line, seen = (int(number) for number in uneven.groups())
    return _too_many_fields(line + skipped, seen, expected)


def _too_many_fields(line: int, seen: int, expected: int) -> str:
    return (
        f"line {line} has {seen} fields, the header has {expected}; mend the line, or "
        "put a text that holds the separator into quotes"
    )


def _with_whole_header(table: CSVText, separator: str, notices: Notices) -> str:
    """Return the text of a table whose header has a name for every field of a row.

    R writes rows with a name in front, some programs end them with a separator. pandas would take
    the first field for an index in both cases, and give each column the values of the next.

    Raises:
        StudyError: The first row has more fields than the header, others have not.
    """
    header, *rows = _rows(table.text[:_SAMPLE_CHARACTERS], separator)
    n_names = len(header)
    if not rows or len(rows[0]) <= n_names:
        return table.text  # of a later row with too many fields pandas itself complains
    if any(len(row) != n_names + 1 for row in rows):
        raise StudyError(_too_many_fields(2 + table.skipped, len(rows[0]), n_names))

    text = table.text.lstrip("\r\n")
    if any(row[-1].strip() for row in rows):
        notices.add(
            f"rows have {n_names + 1} fields, the header has {n_names}: the first field is taken "
            "for the name of the row"
        )
        return separator + text
    stream = io.StringIO(text, newline="")
    next(csv.reader(stream, delimiter=separator))
    end = stream.tell()
    names = text[:end].rstrip("\r\n")
    return names + separator + text[len(names) :]


def _different(names: Sequence[object]) -> list[str]:
    """Return names without the spaces around them, later ones of a name numbered as pandas does."""
    different: list[str] = []
    for name in names:
        plain = str(name).strip()
        numbered = plain
        number = 0
        while numbered in different:
            number += 1
            numbered = f"{plain}.{number}"
        different.append(numbered)
    return different


def _separator(sample: str) -> str:
    """Return the separator by which most lines have as many fields as the header."""

    def evenness(separator: str) -> tuple[float, int]:
        rows = _rows(sample, separator)
        width = len(rows[0])
        if width < 2:
            return (0.0, width)
        even = sum(len(row) == width for row in rows) / len(rows)
        return (even, width)

    return max(SEPARATORS, key=evenness)


def _rows(sample: str, separator: str) -> list[list[str]]:
    """Return the first rows of a text, without the last, which may be cut."""
    reader = csv.reader(io.StringIO(sample, newline=""), delimiter=separator)
    rows = []
    try:
        for row in reader:
            if row:
                rows.append(row)
            if len(rows) > 200:
                break
    except csv.Error:  # e.g. a field longer than the module takes
        pass
    whole = rows[:-1] if len(rows) > 2 else rows
    return whole or [[""]]


def _check_header(sample: str, separator: str, notices: Notices) -> None:
    header = [name.strip() for name in _rows(sample, separator)[0]]
    for name, count in Counter(header).items():
        if count > 1 and name:
            notices.add(f"{count} columns are called '{name}': the later ones '{name}.1', …")


def _put_texts_in(frame: Frame, read: Any, options: TableOptions, notices: Notices) -> None:
    """Give the columns that hold texts their cells as they stand in the file."""
    names = list(frame.columns)
    as_told = [i for i, name in enumerate(names) if name in options.keep_text]
    codes = [i for i in _leading_zeros(frame, read) if i not in as_told]
    for i in codes:
        notices.add(f"column '{names[i]}' holds codes with leading zeros: read as texts")
    grouped = [i for i in _grouped_by_points(frame, read, options) if i not in (*as_told, *codes)]
    as_written = [*as_told, *codes, *grouped]
    no_words = {"keep_default_na": False, "na_values": ["", *options.na_values]}
    _fill_in(frame, as_written, lambda columns: read(usecols=columns, dtype=str, **no_words))

    # Among texts "None" is a value (a roof of the kind "None"), not an empty cell.
    texts = [i for i in range(frame.shape[1]) if not is_number(frame.iloc[:, i])]
    rest = [i for i in texts if i not in as_written]
    _fill_in(frame, rest, lambda columns: read(usecols=columns, **no_words))


def _fill_in(frame: Frame, columns: list[int], read: Callable[[list[int]], Frame]) -> None:
    """Replace these columns by what `read` gives for them, which is in the file's order."""
    if not columns:
        return
    again = read(columns)
    for position, i in enumerate(sorted(columns)):
        frame.isetitem(i, again.iloc[:, position])


def _leading_zeros(frame: Frame, read: Any) -> list[int]:
    """Return the columns of whole numbers that are written with leading zeros."""
    whole = [i for i in range(frame.shape[1]) if _is_whole(frame.iloc[:, i])]
    if not whole:
        return []
    written = read(usecols=whole, dtype=str, nrows=_ROWS_LOOKED_AT)
    return [
        i
        for position, i in enumerate(whole)
        if written.iloc[:, position].str.match(r"0\d").fillna(False).any()
    ]


def _is_whole(cells: Cells) -> bool:
    """Whether a column holds whole numbers; beside empty cells pandas has them as floats."""
    from pandas.api.types import is_float_dtype, is_integer_dtype

    if is_integer_dtype(cells):
        return True
    return bool(is_float_dtype(cells) and len(cells.dropna()) and (cells.dropna() % 1 == 0).all())


def _grouped_by_points(frame: Frame, read: Any, options: TableOptions) -> list[int]:
    """Return the columns of a table with decimal commas whose points stand between thousands.

    pandas has read 12.345 people as twelve.
    """
    from pandas.api.types import is_float_dtype

    is_told = options.decimal is not None or options.thousands is not None
    floats = [i for i in range(frame.shape[1]) if is_float_dtype(frame.iloc[:, i])]
    if is_told or not floats or decimal_of(frame) != ",":
        return []
    written = read(usecols=floats, dtype=str)
    grouped = []
    for position, i in enumerate(floats):
        texts = written.iloc[:, position].dropna().str.strip()
        if texts.str.fullmatch(_BY_POINTS).all() and texts.str.contains(".", regex=False).any():
            grouped.append(i)
    return grouped
