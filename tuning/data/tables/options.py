"""`TableOptions`: what the user says of a table, where it cannot be seen or was seen wrongly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class TableOptions:
    """How a table is read. What is left out is found out, and said in a notice.

    Attributes:
        decimal: Between whole numbers and fractions: "." or ",".
        thousands: Between groups of three digits: ",", ".", "'" or " ".
        na_values: Cells that are empty, beside the usual ones: `("-999",)`.
        encoding: Of the file's text, e.g. "cp1252".
        sep: Between the columns of a CSV file.
        parse_dates: Columns that hold dates; as a mapping with their format: `{"day": "%d/%m/%Y"}`.
        drop: Columns that are left out.
        keep_text: Columns whose numbers are names, such as zip codes: they become categories.
        trust: Columns that may be inputs although they look like a copy of the target.
        weight: The column that says what each row counts.
        groups: The column whose equal values stay on one side of every split.
        time: The column that says when a row was.
    """

    decimal: str | None = None
    thousands: str | None = None
    na_values: Sequence[str] = ()
    encoding: str | None = None
    sep: str | None = None
    parse_dates: Sequence[str] | Mapping[str, str] = ()
    drop: Sequence[str] = ()
    keep_text: Sequence[str] = ()
    trust: Sequence[str] = ()
    weight: str | None = None
    groups: str | None = None
    time: str | None = None

    def columns_named(self) -> dict[str, tuple[str, ...]]:
        """Return the names of columns by the option that gives them."""
        named = {
            "drop": tuple(self.drop),
            "keep_text": tuple(self.keep_text),
            "parse_dates": tuple(self.parse_dates),
            "trust": tuple(self.trust),
        }
        for option in ("weight", "groups", "time"):
            column = getattr(self, option)
            if column is not None:
                named[option] = (column,)
        return named

    def date_format(self, column: str) -> str | None:
        """Return the format that the user gave for a column of dates."""
        if isinstance(self.parse_dates, Mapping):
            return self.parse_dates.get(column) or None
        return None


NO_OPTIONS = TableOptions()


def advice(option: str, value: str) -> str:
    """Return how an option is given in a study file, and on the command line."""
    flag = {"na_values": "na", "parse_dates": "dates"}.get(option, option).replace("_", "-")
    return f"{option}=[{value!r}], or --{flag} {value}"


@dataclass(eq=False)
class Notices:
    """What was found out about a table, in the order in which it was; each sentence once."""

    texts: list[str] = field(default_factory=list)

    def add(self, text: str) -> None:
        """Keep a sentence."""
        if text not in self.texts:
            self.texts.append(text)
