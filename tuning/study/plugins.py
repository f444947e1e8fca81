"""Rows that packages offer through entry points: how engines and executors come in, ours too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from tuning.errors import MissingError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Row = TypeVar("Row", bound=DataclassInstance)
else:
    Row = TypeVar("Row")

OWN_PACKAGE = __name__.partition(".")[0]


def load_rows(group: str, row_type: type[Row], noun: str) -> Mapping[str, Row]:
    """Return the rows of all installed packages by name, this package's own first.

    Args:
        group: Of entry points; each loads to rows.
        row_type: A frozen dataclass with `name` and `package`; the latter is filled in here.
        noun: What a row is, for errors: "engine".

    Raises:
        MissingError: An entry point cannot be loaded, two packages offer the same name, or this
            package is not installed.
    """
    rows: dict[str, Any] = {}
    for entry_point in _in_order(entry_points(group=group)):
        for row in _rows_of(entry_point, row_type, noun):
            other = rows.setdefault(row.name, row)
            if other is not row:
                article = "an" if noun[0] in "aeiou" else "a"
                raise MissingError(
                    f"the packages '{other.package}' and '{row.package}' both have {article} "
                    f"{noun} '{row.name}'; uninstall one of them"
                )
    if not rows:
        raise MissingError(f"the package {OWN_PACKAGE} is not installed; run: pip install -e .")
    return MappingProxyType(rows)


def _in_order(points: Iterable[EntryPoint]) -> list[EntryPoint]:
    """Return our own first, the others by package: the same order on every machine."""
    return sorted(points, key=lambda p: (_package_of(p) != OWN_PACKAGE, _package_of(p), p.name))


def _rows_of(entry_point: EntryPoint, row_type: type[Row], noun: str) -> list[Any]:
    """Return the rows of one entry point, each with its package."""
    package = _package_of(entry_point)
    try:
        rows: list[Any] = list(entry_point.load())
    except Exception as error:  # whatever somebody else's code raises, the user reads whose it is
        reason = f"{type(error).__name__}: {error}"
        raise _unusable(package, entry_point, noun, reason) from error

    if not all(isinstance(row, row_type) for row in rows):
        raise _unusable(package, entry_point, noun, f"it is no sequence of {row_type.__name__}")
    return [replace(row, package=package) for row in rows]


def _unusable(package: str, entry_point: EntryPoint, noun: str, reason: str) -> MissingError:
    return MissingError(
        f"the {noun}s of the package '{package}' ({entry_point.value}) cannot be used: {reason}. "
        "Repair or uninstall it."
    )


def _package_of(entry_point: EntryPoint) -> str:
    return "" if entry_point.dist is None else entry_point.dist.name
