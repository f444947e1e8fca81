"""Dates as inputs: year, month, day, weekday, hour and the days since the table's first.

The parts are those that fast.ai's `add_datepart` and feature-engine's `DatetimeFeatures` make.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tuning.data.dataset import Array, Column, Reading
from tuning.data.tables.cells import Cells

FORMATS = (
    "ISO8601",
    "%d.%m.%Y",
    "%d.%m.%y",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y %H:%M:%S",
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%m/%d/%y",
    "%d/%m/%y",
    "%m/%d/%Y %H:%M",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M:%S",
    "%Y/%m/%d",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%d-%b-%Y",
    "%d %b %Y",
    "%b %d, %Y",
    "%d %B %Y",
    "%B %d, %Y",
)
"""In which dates are looked for, as `strptime` writes them."""

_LOOKS_LIKE_A_DATE = r"\s*(?:\d{1,4}[-/.]\d{1,2}|\d{1,2}[ -][A-Za-z]{3,9}[ -]\d|[A-Za-z]{3,9} \d)"
_DAY = 86_400.0

_PARTS: dict[str, Callable[[Any], Any]] = {
    "year": lambda dates: dates.dt.year,
    "month": lambda dates: dates.dt.month,
    "day": lambda dates: dates.dt.day,
    "weekday": lambda dates: dates.dt.day_of_week,
    "hour": lambda dates: dates.dt.hour + dates.dt.minute / 60,
}


@dataclass(frozen=True)
class WrittenDates:
    """The dates of a column.

    Attributes:
        dates: datetime64, NaT where a cell is empty.
        format: In which they are written; "" where they are dates already.
        other: Another format that every cell has too; "": none.
    """

    dates: Cells
    format: str
    other: str = ""


def written_dates(cells: Cells, told: str | None = None) -> WrittenDates | None:
    """Return what the texts of a column say as dates; None where one of them says none.

    Args:
        cells: Texts and empty cells, or dates.
        told: The format, where the user gave it.
    """
    from pandas.api import types

    if types.is_datetime64_any_dtype(cells):
        return WrittenDates(parse_dates(cells, ""), "")
    texts = cells.dropna().astype(str).str.strip()
    if told is None and not (len(texts) and texts.str.match(_LOOKS_LIKE_A_DATE).all()):
        return None

    different = texts.drop_duplicates()
    formats = (told,) if told else FORMATS
    fitting = [each for each in formats if _all_have(different, each)]
    if not fitting:
        return None
    others = [each for each in fitting[1:] if _differs(different, fitting[0], each)]
    return WrittenDates(
        parse_dates(cells, fitting[0]), fitting[0], other=others[0] if others else ""
    )


def parse_dates(cells: Cells, written: str) -> Cells:
    """Return datetime64 cells without a time zone; NaT where a cell is empty or no such date."""
    import pandas as pd
    from pandas.api import types

    if types.is_datetime64_any_dtype(cells):
        dates = cells
    else:
        as_told = written or "ISO8601"
        dates = pd.to_datetime(cells, format=as_told, errors="coerce", utc=as_told == "ISO8601")
    return dates.dt.tz_localize(None) if getattr(dates.dt, "tz", None) is not None else dates


def date_columns(name: str, written: WrittenDates) -> list[tuple[Column, Array]]:
    """Return the inputs that a column of dates becomes; parts that never change are left out."""
    since = str(written.dates.min())
    readings = [Reading(source=name, date_format=written.format, part=part) for part in _PARTS]
    readings.append(Reading(source=name, date_format=written.format, part="days", since=since))

    inputs = []
    for reading in readings:
        values = read_date_part(written.dates, reading)
        if len(np.unique(values[~np.isnan(values)])) > 1:
            inputs.append((Column(f"{name} ({reading.part})", reading=reading), values))
    return inputs


def read_date_part(cells: Cells, reading: Reading) -> Array:
    """Return float64 `(rows,)`: one part of dates, NaN where there is none."""
    import pandas as pd

    dates = parse_dates(cells, reading.date_format)
    if reading.part == "days":
        seconds = (dates - pd.Timestamp(reading.since)).dt.total_seconds()
        values: Array = (seconds / _DAY).to_numpy(dtype=float)
        return values
    part: Array = _PARTS[reading.part](dates).to_numpy(dtype=float, na_value=np.nan)
    return part


def _all_have(texts: Cells, written: str) -> bool:
    return bool(parse_dates(texts, written).notna().all())


def _differs(texts: Cells, one: str, other: str) -> bool:
    return not parse_dates(texts, one).equals(parse_dates(texts, other))
