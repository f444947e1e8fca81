"""What builders check of their arguments; each function yields one sentence a fault."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from tuning.errors import did_you_mean


def whole(name: str, value: Any, least: int) -> Iterator[str]:
    """Fault unless `value` is a whole number of at least `least`."""
    if not (_is_whole(value) and value >= least):
        yield f"{name} must be a whole number, at least {least}, got {value!r}"


def above_zero(name: str, value: Any) -> Iterator[str]:
    """Fault unless `value` is a finite number above 0."""
    if not (_is_number(value) and value > 0):
        yield f"{name} must be a number above 0, got {value!r}"


def share(name: str, value: Any) -> Iterator[str]:
    """Fault unless 0 <= `value` < 1."""
    if not (_is_number(value) and 0 <= value < 1):
        yield f"{name} must be at least 0 and below 1, got {value!r}"


def not_negative(name: str, value: Any) -> Iterator[str]:
    """Fault unless `value` is a finite number of at least 0."""
    if not (_is_number(value) and value >= 0):
        yield f"{name} must be a number, at least 0, got {value!r}"


def yes_or_no(name: str, value: Any) -> Iterator[str]:
    """Fault unless `value` is True or False."""
    if not isinstance(value, bool | np.bool_):
        yield f"{name} must be True or False, got {value!r}"


def one_of(name: str, value: Any, known: Iterable[str | None]) -> Iterator[str]:
    """Fault unless `value` is one of `known`; names the nearest."""
    choices = list(known)
    if value in choices:
        return

    words = [choice for choice in choices if choice is not None]
    guess = did_you_mean(str(value), words)
    listed = ", ".join(str(choice) for choice in choices)
    yield f"{name} {value!r} is unknown.{guess} There are: {listed}"


def sample_shape(name: str, value: Any) -> Iterator[str]:
    """Fault unless `value` is a tuple or list of sizes, each at least 1."""
    is_list = isinstance(value, tuple | list) and len(value) > 0
    has_sizes = is_list and all(_is_whole(size) and size >= 1 for size in value)
    if not has_sizes:
        yield f"{name} must be one sample's shape, such as (8,) or (28, 28), got {value!r}"


# To Python True is the number 1: a flag in the place of a number is a mistake all the same.


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    if not isinstance(value, int | float | np.number) or isinstance(value, bool):
        return False
    return math.isfinite(value)
