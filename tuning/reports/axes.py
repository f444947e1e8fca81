"""Where a parameter's value stands on its axis: log where the domain is, choices in their order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tuning.reports.style import escaped
from tuning.reports.texts import value_text
from tuning.space.domains import Choice, Domain, Float, Int

MOST_TICKS = 6
MOST_LABEL_CHARACTERS = 14
_LABEL_CLEARANCE = 0.12  # of the axis: nearer than this, two labels would touch


def place(domain: Domain, value: Any) -> float | None:
    """Return where `value` stands: 0 (low, or the first choice) to 1; None outside the domain."""
    if not domain.contains(value):
        return None

    if isinstance(domain, Choice):
        index = domain.labels.index(domain.label_of(value))
        last = len(domain.values) - 1  # 0 where there is a single choice
        return index / max(1, last)

    if domain.log:
        return _fraction(math.log(value), math.log(domain.low), math.log(domain.high))
    return _fraction(value, domain.low, domain.high)


def ticks(domain: Domain) -> list[tuple[Any, str]]:
    """Return the values to mark on an axis with their labels, escaped.

    All choices and all of a few whole numbers; else both ends, and between them the middle, or
    powers of ten where the axis is logarithmic.
    """
    if isinstance(domain, Choice):
        labels = [escaped(_shortened(label)) for label in domain.labels]
        return list(zip(domain.values, labels, strict=True))

    if isinstance(domain, Int) and not domain.log:
        every = domain.cut(None)
        if len(every) <= MOST_TICKS:
            return [(value, str(value)) for value in every]

    # The middle of a narrow `Int` may be one of its ends.
    marks = [domain.low, *_inner_marks(domain), domain.high]
    return [(mark, value_text(mark)) for mark in dict.fromkeys(marks)]


def describe(domain: Domain) -> str:
    """Return a domain and its conditions in words.

    `1 … 100`; `0.0003 … 0.03, log`; `one of 16, 32, where optimizer is sgd or adam`.
    """
    if isinstance(domain, Choice):
        text = f"one of {', '.join(domain.labels)}"
    else:
        text = f"{value_text(domain.low)} … {value_text(domain.high)}"
        if isinstance(domain, Int) and domain.step != 1:
            text += f", step {domain.step}"
        if domain.log:
            text += ", log"

    conditions = []
    for name, values in domain.conditions:
        alternatives = " or ".join(str(value) for value in values)
        conditions.append(f"{name} is {alternatives}")
    if conditions:
        text += f", where {' and '.join(conditions)}"
    return text


def padded(values: Sequence[float]) -> list[float]:
    """Return a range a little wider than `values`, wider than nothing where all are equal."""
    low = min(values)
    high = max(values)
    # Where all are equal, a twentieth of them; where all are 0, one unit.
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    return [low - margin, high + margin]


def log_ticks(low: float, high: float) -> list[float]:
    """Return round values for a logarithmic axis: fewer a decade the more decades there are."""
    if high < 20 * low:
        digits = [1, 2, 3, 4, 5, 6, 8]
    elif high < 1000 * low:
        digits = [1, 2, 5]
    else:
        digits = [1]

    first = math.floor(math.log10(low))
    last = math.ceil(math.log10(high))
    marks = []
    for power in range(first, last + 1):
        marks += [digit * 10.0**power for digit in digits]
    return marks


def _fraction(value: float, low: float, high: float) -> float:
    """Return where `value` stands between the ends, the middle where they are equal."""
    if low == high:
        return 0.5
    return (value - low) / (high - low)


def _shortened(label: str) -> str:
    if len(label) <= MOST_LABEL_CHARACTERS:
        return label
    return label[: MOST_LABEL_CHARACTERS - 1] + "…"


def _inner_marks(domain: Int | Float) -> list[float]:
    """Return what is marked between the two ends."""
    if domain.log:
        marks = _powers_of_ten(domain.low, domain.high)
    else:
        marks = [(domain.low + domain.high) / 2]

    if isinstance(domain, Int):
        marks = [int(mark) for mark in marks]
    return [mark for mark in marks if domain.contains(mark)]


def _powers_of_ten(low: float, high: float) -> list[float]:
    """Return the powers of ten between the ends whose labels would not touch theirs."""
    start = math.log10(low)
    end = math.log10(high)
    clearance = _LABEL_CLEARANCE * (end - start)

    powers = range(math.ceil(start), math.floor(end) + 1)
    return [10.0**power for power in powers if min(power - start, end - power) > clearance]
