"""What builders check of their arguments; each function yields one sentence a fault."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from tuning.errors import did_you_mean


def whole(name: str, value: Any, least: int) -> Iterator[str]:
    """Fault unless `value` is a whole number of at least `least`."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
        yield f"{name} must be a whole number, at least {least}, got {value!r}"


def above_zero(name: str, value: Any) -> Iterator[str]:
    """Fault unless `value` is a finite number above 0."""
    if not _is_number(value) or not value > 0:
        yield f"{name} must be a number above 0, got {value!r}"


def share(name: str, value: Any) -> Iterator[str]:
    """Fault unless 0 <= `value` < 1."""
    if not _is_number(value) or not 0 <= value < 1:
        yield f"{name} must be at least 0 and below 1, got {value!r}"


def not_negative(name: str, value: Any) -> Iterator[str]:
    """Fault unless `value` is a finite number of at least 0."""
    if not _is_number(value) or value < 0:
        yield f"{name} must be a number, at least 0, got {value!r}"


def yes_or_no(name: str, value: Any) -> Iterator[str]:
    """Fault unless `value` is True or False."""
    if not isinstance(value, bool | np.bool_):
        yield f"{name} must be True or False, got {value!r}"


def one_of(name: str, value: Any, known: Iterable[str | None]) -> Iterator[str]:
    """Fault unless `value` is one of `known`; names the nearest."""
    listed = list(known)
    if value not in listed:
        words = [word for word in listed if word is not None]
        yield f"{name} {value!r} is unknown.{did_you_mean(str(value), words)} There are: {', '.join(map(str, listed))}"


def sample_shape(name: str, value: Any) -> Iterator[str]:
    """Fault unless `value` is a tuple or list of sizes, each at least 1."""
    fits = isinstance(value, tuple | list) and len(value) > 0
    if not fits or not all(
        isinstance(n, int | np.integer) and not isinstance(n, bool) and n >= 1 for n in value
    ):
        yield f"{name} must be one sample's shape, such as (8,) or (28, 28), got {value!r}"


def _is_number(value: Any) -> bool:
    return (
        isinstance(value, int | float | np.number)
        and not isinstance(value, bool)
        and math.isfinite(value)
    )
