"""Numbers that are written as texts: `1.234,56 €`, `$42,000`, `12,5 %`, `n/a` among figures."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from tuning.data.dataset import Array, Reading
from tuning.data.tables.cells import Cells, Frame, is_hashable, is_number

EMPTY_WORDS = frozenset(
    {"?", "-", "--", "–", ".", "*", "/", "na", "n/a", "#n/a", "nan", "n/v", "n.v.", "k.a.", "k. a."}
    | {"none", "null", "nil", "unknown", "unbekannt", "missing", "fehlt", "leer", "empty"}
)
"""What people write into an empty cell, in lower case; only among numbers."""

_UNITS = ("€", "$", "£", "¥", "EUR", "USD", "GBP", "CHF", "JPY", "Euro", "Fr.", "%", "‰")
_MEASURES = ("kg", "g", "t", "km", "m", "cm", "mm", "l", "ml", "h", "min", "s", "°C", "°F", "kWh")

_STYLES: tuple[tuple[str, str], ...] = (
    (".", ""),
    (",", ""),
    (".", ","),
    (",", "."),
    (".", "'"),
    (".", " "),
    (",", " "),
)
"""(decimal, thousands), the plainest first."""


@dataclass(frozen=True)
class WrittenNumbers:
    """The numbers of a column of texts.

    Attributes:
        reading: How they are written.
        values: float64 `(rows,)`, NaN where a cell is empty.
        empty: The words that stand for an empty cell, as they are written.
        ambiguous: Whether the other decimal sign would do as well.
    """

    reading: Reading
    values: Array
    empty: tuple[str, ...]
    ambiguous: bool = False


def written_numbers(cells: Cells, decimal: str | None = None) -> WrittenNumbers | None:
    """Return what the texts of a column say as numbers; None where one of them is none.

    Args:
        cells: Texts and empty cells.
        decimal: The sign before fractions that the rest of the table has, where that is known.
    """
    texts = cells.dropna().astype(str).str.strip()
    lower = texts.str.lower()
    is_word = lower.isin(EMPTY_WORDS)
    numbers = texts[~is_word]
    if not len(numbers):
        return None

    unit = _unit_of(numbers)
    bare = _without_unit(numbers, unit)
    fitting = [style for style in _STYLES if bare.str.fullmatch(_pattern(*style)).all()]
    if not fitting:
        return None
    style = next((one for one in fitting if one[0] == decimal), fitting[0])
    # 1,234: with nothing but three digits after each comma it hardly stands before a fraction.
    if decimal is None and style == (",", "") and (".", ",") in fitting:
        style = (".", ",")

    empty = tuple(sorted(texts[is_word].unique()))
    reading = Reading(decimal=style[0], thousands=style[1], unit=unit, empty=empty)
    return WrittenNumbers(
        reading=reading,
        values=read_numbers(cells, reading),
        empty=empty,
        ambiguous=len({one[0] for one in fitting}) > 1 and not _is_plain(bare),
    )


def decimal_of(frame: Frame) -> str | None:
    """Return the sign before fractions that one of the texts of a table leaves no doubt about."""
    for i in range(frame.shape[1]):
        cells = frame.iloc[:, i]
        if is_number(cells) or not is_hashable(cells.dropna()[:100]):
            continue
        numbers = written_numbers(cells[:1000])
        if numbers is not None and not numbers.ambiguous and numbers.reading.decimal == ",":
            return ","
    return None


def read_numbers(cells: Cells, reading: Reading) -> Array:
    """Return float64 `(rows,)` of cells that are numbers, or texts as `reading` says.

    What is neither is NaN.
    """
    import pandas as pd
    from pandas.api.types import is_numeric_dtype

    if is_numeric_dtype(cells):
        return _floats(cells)
    texts = cells.astype("string").str.strip()
    texts = texts.mask(texts.isin(list(reading.empty)))
    bare = _without_unit(texts, reading.unit)
    if reading.thousands:
        bare = bare.str.replace(reading.thousands, "", regex=False)
        if reading.thousands == " ":
            bare = bare.str.replace(r"\s", "", regex=True)
    if reading.decimal != ".":
        bare = bare.str.replace(reading.decimal, ".", regex=False)
    return _floats(pd.to_numeric(bare, errors="coerce"))


def _floats(cells: Cells) -> Array:
    values: Array = cells.astype("Float64").to_numpy(dtype=float, na_value=float("nan"))
    return values


def _unit_of(numbers: Cells) -> str:
    """Return the unit that every number has before or after it; "" for none."""
    first = str(numbers.iloc[0])
    for unit in (*_UNITS, *_MEASURES):
        if unit in first and _has_unit(numbers, unit).all():
            return unit
    return ""


def _has_unit(numbers: Cells, unit: str) -> Any:
    quoted = re.escape(unit)
    before = (
        r"" if unit in _MEASURES else rf"{quoted}\s*[-+]?\d[^A-Za-z]*|[-+]{quoted}\s*\d[^A-Za-z]*|"
    )
    return numbers.str.fullmatch(rf"(?:{before}[-+]?[\d.,'\s]*\d\s*{quoted})")


def _without_unit(texts: Cells, unit: str) -> Cells:
    if not unit:
        return texts
    return texts.str.replace(unit, "", regex=False).str.strip()


def _pattern(decimal: str, thousands: str) -> str:
    """Return what a whole cell looks like in a style."""
    point = re.escape(decimal)
    if not thousands:
        return rf"[-+]?(?:\d+{point}?\d*|{point}\d+)(?:[eE][-+]?\d+)?"
    group = r"\s" if thousands == " " else re.escape(thousands)
    return rf"[-+]?\d{{1,3}}(?:{group}\d{{3}})*(?:{point}\d+)?"


def _is_plain(bare: Cells) -> bool:
    """Whether no cell has a sign that could be read in two ways."""
    return not bare.str.contains(r"[.,]").any()
