"""Where a parameter's value stands on its axis, for the plots: log where log, choices in their own
order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tuning.reports.style import escaped
from tuning.reports.texts import shown
from tuning.study.domains import Choice, Domain, Int

MOST_TICKS = 6


def place(domain: Domain, value: Any) -> float | None:
    """Return where `value` stands, 0 (low, or the first choice) to 1; None where it is not in the
    domain.
    """
    if not domain.contains(value):
        return None
    if isinstance(domain, Choice):
        return domain.labels.index(domain.label_of(value)) / max(1, len(domain.values) - 1)
    low, high, at = (math.log(v) if domain.log else v for v in (domain.low, domain.high, value))
    return 0.5 if low == high else (at - low) / (high - low)


def ticks(domain: Domain) -> list[tuple[Any, str]]:
    """Return the values to mark on an axis with their labels (escaped).

    All choices and all of a few whole numbers; else both ends, the middle, or powers of ten where
    log.
    """
    if isinstance(domain, Choice):
        return [
            (value, escaped(_short(label)))
            for value, label in zip(domain.values, domain.labels, strict=True)
        ]
    if isinstance(domain, Int) and not domain.log and len(domain.cut(None)) <= MOST_TICKS:
        return [(value, str(value)) for value in domain.cut(None)]
    between = _powers(domain.low, domain.high) if domain.log else [(domain.low + domain.high) / 2]
    if isinstance(domain, Int):
        between = [int(mark) for mark in between]
    marks = [domain.low, *(mark for mark in between if domain.contains(mark)), domain.high]
    return [(mark, shown(mark)) for mark in dict.fromkeys(marks)]


def describe(domain: Domain) -> str:
    """Return a domain in words: `1 … 100`, `0.0003 … 0.03, log`, `one of 16, 32, 64`, with its
    conditions.
    """
    if isinstance(domain, Choice):
        text = f"one of {', '.join(domain.labels)}"
    else:
        step = f", step {domain.step}" if isinstance(domain, Int) and domain.step != 1 else ""
        text = f"{shown(domain.low)} … {shown(domain.high)}{step}{', log' if domain.log else ''}"
    names = (f"{name} is {' or '.join(map(str, values))}" for name, values in domain.conditions)
    return text + (f", where {' and '.join(names)}" if domain.conditions else "")


def padded(values: Sequence[float]) -> list[float]:
    """Return a range a little wider than `values`."""
    low, high = min(values), max(values)
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    return [low - margin, high + margin]


def log_ticks(low: float, high: float) -> list[float]:
    """Return round values for a logarithmic axis: 1, 2, 5 × 10^k, every digit where the ends are
    near.
    """
    digits = (1, 2, 3, 4, 5, 6, 8) if high < 20 * low else (1, 2, 5) if high < 1000 * low else (1,)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [digit * 10.0**power for power in powers for digit in digits]


def _short(label: str, most: int = 14) -> str:
    return label if len(label) <= most else label[: most - 1] + "…"


def _powers(low: float, high: float) -> list[float]:
    """Return the powers of ten between the ends, none so near to one that their labels would touch."""
    span = math.log10(high / low)
    found = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
    clear = 0.12 * span
    return [10.0**p for p in found if p - math.log10(low) > clear and math.log10(high) - p > clear]
