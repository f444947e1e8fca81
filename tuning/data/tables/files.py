"""A table's file as a pandas DataFrame: compression, encoding, separator, lines before the header.

What Excel, databases and R write is recognised; each guess is said, and can be overruled.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from tuning.data.tables.options import Notices, TableOptions
from tuning.errors import StudyError

Frame: TypeAlias = Any
"""A `pandas.DataFrame`; pandas is imported when a table is read."""
Cells: TypeAlias = Any
"""A `pandas.Series`: one column of a frame."""

SUFFIXES = (".csv", ".csv.gz", ".csv.zip", ".tsv", ".tsv.gz", ".tsv.zip", ".parquet")
SEPARATORS = (",", ";", "\t", "|")
_SEPARATOR_WORDS = {"\t": "tabs", ";": "semicolons", "|": "bars", ",": "commas"}

_SAMPLE_CHARACTERS = 200_000
"""Of the file's beginning, by which the separator is judged."""
_ROWS_LOOKED_AT = 1000
"""First rows in which codes with leading zeros are looked for."""

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SEP_LINE = re.compile(r"sep=(.)\r?[\n\r]", re.IGNORECASE)
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
        return _read_csv(_csv_text(path, options, notices), options, notices)
    except StudyError as error:
        raise StudyError(error.faults, where=where) from error


def _read_parquet(path: Path) -> Frame:
    import pandas as pd

    try:
        return pd.read_parquet(path)
    except (ValueError, OSError) as error:  # of pandas and pyarrow
        first_line = str(error).splitlines()[0]
        raise StudyError(f"this is no Parquet file that can be read: {first_line}") from error


@dataclass(frozen=True)
class _CSVText:
    """The text of a CSV file, from its header on.

    Attributes:
        text: Without a byte order mark.
        separator: As a line `sep=;` says it, or as the file's name does; "" where nothing does.
        skipped: Lines before the header.
    """

    text: str
    separator: str
    skipped: int


def _csv_text(path: Path, options: TableOptions, notices: Notices) -> _CSVText:
    """Return the decoded text of a file.

    Raises:
        StudyError: It is not compressed as its name says, has no text, or another encoding than
            was given.
    """
    text = _decoded(_unpacked(path), options.encoding, notices)
    separator = "\t" if ".tsv" in path.name.lower() else ""
    skipped = 0

    sep_line = _SEP_LINE.match(text)
    if sep_line is not None:  # Excel's own way of saying it
        separator = sep_line[1]
        text = text[sep_line.end() :]
        skipped = 1

    comments = 0
    while text.startswith("#") and "\n" in text:
        text = text.partition("\n")[2]
        comments += 1
    if comments:
        notices.add(f"{comments} lines of comments before the header: skipped")

    if not text.strip():
        raise StudyError("the file is empty; a header and rows are needed")
    return _CSVText(text, separator, skipped + comments)


def _unpacked(path: Path) -> bytes:
    ending = path.suffix.lower()
    try:
        if ending == ".gz":
            return gzip.decompress(path.read_bytes())
        if ending == ".zip":
            return _only_member(path)
    except (OSError, EOFError, zipfile.BadZipFile) as error:
        raise StudyError(f"cannot be unpacked as {ending}: {error}") from error
    return path.read_bytes()


def _only_member(path: Path) -> bytes:
    with zipfile.ZipFile(path) as archive:
        members = [item for item in archive.namelist() if not item.endswith("/")]
        if len(members) != 1:
            listed = ", ".join(members[:5]) or "nothing"
            raise StudyError(f"a zipped table must hold one file, this one holds {listed}")
        return archive.read(members[0])


def _decoded(content: bytes, encoding: str | None, notices: Notices) -> str:
    if encoding is not None:
        return _decoded_as_told(content, encoding)

    for mark, of_mark in _BYTE_ORDER_MARKS:
        if content.startswith(mark):
            if of_mark != "utf-8-sig":
                notices.add(f"read as {of_mark.upper()}")
            return content.decode(of_mark, errors="replace")

    # Text has no zero bytes, but every second byte of a western UTF-16 file is one.
    beginning = content[:1000]
    if beginning.count(0) > len(beginning) // 4:
        of_zeros = "utf-16-be" if beginning[:1] == b"\0" else "utf-16-le"
        notices.add(f"read as {of_zeros.upper()}; encoding= says otherwise")
        return content.decode(of_zeros, errors="replace")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        pass
    try:
        text = content.decode("cp1252")
        name = "Windows-1252"
    except UnicodeDecodeError:
        text = content.decode("latin-1")
        name = "Latin-1"
    notices.add(f"not UTF-8: read as {name}; encoding= says otherwise")
    return text


def _decoded_as_told(content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding).removeprefix("\ufeff")
    except LookupError as error:
        raise StudyError(
            f"encoding {encoding!r} is unknown; e.g. utf-8, utf-16, cp1252, latin-1"
        ) from error
    except UnicodeDecodeError as error:
        raise StudyError(
            f"the text is not {encoding}: byte {error.start} cannot be read; leave encoding out, "
            "or try cp1252"
        ) from error


def _read_csv(csv_text: _CSVText, options: TableOptions, notices: Notices) -> Frame:
    import pandas as pd

    sample = csv_text.text[:_SAMPLE_CHARACTERS]
    separator = options.sep or csv_text.separator or _separator(sample)
    if separator != "," and options.sep is None:
        words = _SEPARATOR_WORDS.get(separator, repr(separator))
        notices.add(f"columns are separated by {words}")
    _check_header(sample, separator, notices)
    content = csv_text.text.encode("utf-8", errors="replace")

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
        raise StudyError(_in_words(str(error), csv_text.skipped)) from error
    _put_texts_in(frame, read, options, notices)
    frame.columns = [str(name).strip() for name in frame.columns]
    return frame


def _in_words(message: str, skipped: int) -> str:
    """Return pandas' complaint in words."""
    uneven = _FIELDS_ERROR.search(message)
    if uneven is None:
        return f"cannot be read: {message.splitlines()[0]}"
    expected, line, seen = (int(number) for number in uneven.groups())
    return (
        f"line {line + skipped} has {seen} fields, the header has {expected}; mend the line, or "
        "put a text that holds the separator into quotes"
    )


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
    names = [str(name).strip() for name in frame.columns]
    as_told = [i for i, name in enumerate(names) if name in options.keep_text]
    codes = [i for i in _leading_zeros(frame, read) if i not in as_told]
    for i in codes:
        notices.add(f"column '{names[i]}' holds codes with leading zeros: read as texts")
    no_words = {"keep_default_na": False, "na_values": ["", *options.na_values]}
    _fill_in(
        frame, [*as_told, *codes], lambda columns: read(usecols=columns, dtype=str, **no_words)
    )

    # Among texts "None" is a value (a roof of the kind "None"), not an empty cell.
    texts = [i for i in range(frame.shape[1]) if not is_number(frame.iloc[:, i])]
    rest = [i for i in texts if i not in as_told and i not in codes]
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
    from pandas.api.types import is_integer_dtype

    whole = [i for i in range(frame.shape[1]) if is_integer_dtype(frame.iloc[:, i])]
    if not whole:
        return []
    written = read(usecols=whole, dtype=str, nrows=_ROWS_LOOKED_AT)
    return [
        i
        for position, i in enumerate(whole)
        if written.iloc[:, position].str.match(r"0\d").fillna(False).any()
    ]


def is_number(cells: Cells) -> bool:
    """Whether a column holds numbers, or True and False with empty cells between."""
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    return bool(is_numeric_dtype(cells) or is_bool_dtype(cells.dropna().infer_objects()))
