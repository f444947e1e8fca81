"""Options of `tuning run` for a user's own table, and what they say as fields of `TableOptions`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import click

from tuning.cli import options
from tuning.errors import StudyError

Words: TypeAlias = Mapping[str, Any]
"""Values of options by the names of their fields."""

SUFFIXES = (".csv", ".csv.gz", ".csv.zip", ".tsv", ".tsv.gz", ".tsv.zip", ".parquet")
"""Those of `tuning.data.tables.files`, whose import would make every call wait."""

of_table = options.together(
    click.option("--target", metavar="COLUMN", help="The column of the table to predict."),
    click.option(
        "--task", metavar="TASK", help="The task of the table: regression, binary or multiclass."
    ),
    click.option(
        "--drop", multiple=True, metavar="COLUMN", help="A column of the table to leave out."
    ),
    click.option(
        "--dates",
        "parse_dates",
        multiple=True,
        metavar="COLUMN[=FORMAT]",
        help=(
            "A column of dates in the table, and their format where it must be said: day=%d.%m.%Y."
        ),
    ),
    click.option(
        "--keep-text",
        multiple=True,
        metavar="COLUMN",
        help="A column of the table whose numbers are names, such as zip codes.",
    ),
    click.option(
        "--trust",
        multiple=True,
        metavar="COLUMN",
        help="A column of the table that is an input, although it tells the target.",
    ),
    click.option(
        "--weight", metavar="COLUMN", help="The column of the table with what each row counts."
    ),
    click.option(
        "--group",
        "groups",
        metavar="COLUMN",
        help="The column of the table whose equal values stay on one side of every split.",
    ),
    click.option(
        "--time", metavar="COLUMN", help="The column of the table with when each row was."
    ),
    click.option(
        "--na",
        "na_values",
        multiple=True,
        metavar="WORD",
        help="A text that stands for an empty cell of the table, e.g. -999.",
    ),
    click.option(
        "--decimal", type=click.Choice([".", ","]), help="The sign before fractions in the table."
    ),
    click.option("--thousands", metavar="SIGN", help="The sign between thousands in the table."),
    click.option(
        "--encoding", metavar="NAME", help="The encoding of the table's text: cp1252, utf-16, …"
    ),
    click.option("--sep", metavar="SIGN", help="The sign between the columns of the table."),
)

_NAMES = (
    "drop",
    "parse_dates",
    "keep_text",
    "trust",
    "weight",
    "groups",
    "time",
    "na_values",
    "decimal",
    "thousands",
    "encoding",
    "sep",
)
_WORDS = {"parse_dates": "dates", "groups": "group", "na_values": "na"}


def taken_out(words: dict[str, Any]) -> dict[str, Any]:
    """Take the options of a table out of all options, and return those that were given.

    Raises:
        StudyError: A column of dates is given twice.
    """
    given = {name: words.pop(name, None) for name in _NAMES}
    given = {name: value for name, value in given.items() if value not in (None, ())}
    if "parse_dates" in given:
        given["parse_dates"] = _formats(given["parse_dates"])
    return given


def flags_of(words: Words) -> str:
    """Return options as the user gave them: `--drop, --group`."""
    return ", ".join(f"--{_WORDS.get(name, name).replace('_', '-')}" for name in words)


def _formats(items: tuple[str, ...]) -> tuple[str, ...] | dict[str, str]:
    """Return columns of dates, with their formats where one has one."""
    parts = [item.partition("=") for item in items]
    if not any(equals for _, equals, _ in parts):
        return items
    formats: dict[str, str] = {}
    for column, equals, text in parts:
        if column in formats:
            raise StudyError(f"--dates {column} is given twice")
        formats[column] = text if equals else ""
    return formats
