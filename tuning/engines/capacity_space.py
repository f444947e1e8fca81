"""The space of the capacity engine: what grows in which steps, what is kept, what is refused."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from tuning.space.domains import Choice, Domain, Float, Int, is_number
from tuning.space.space import Space
from tuning.trial import Params

DEPTH = "n_hidden"
WIDTH = "n_neurons"
RATE = "lr"

TOLERANCE = 0.01
"""Share of the error by which a score must be better, where the noise does not ask for more."""

RATE_STEP = math.sqrt(10)
"""Ratio of neighbouring learning rates in a sweep."""


def middle(domain: Domain) -> Any:
    """Return the value a parameter keeps: the middle of its range, of a `Choice` the first.

    The middle of a log range is the geometric one.
    """
    if isinstance(domain, Choice):
        return domain.values[0]
    arithmetic = (domain.low + domain.high) / 2
    mean = math.sqrt(domain.low * domain.high) if domain.log else arithmetic
    return domain.on_step(mean) if isinstance(domain, Float) else _on_step(domain, mean)


def _on_step(domain: Int, value: float) -> int:
    """Return the nearest value of the domain."""
    highest = (domain.high - domain.low) // domain.step
    step = round((value - domain.low) / domain.step)
    return domain.low + domain.step * min(max(step, 0), highest)


def ladders_of(space: Space) -> dict[str, list[Any]]:
    """Return the values of what is changed, the smallest first.

    A rate that cannot be swept has no ladder.
    """
    ladders: dict[str, list[Any]] = {}
    if DEPTH in space:
        ladders[DEPTH] = sorted(space[DEPTH].cut(None))
    if WIDTH in space:
        ladders[WIDTH] = _doubled(space[WIDTH])
    if RATE in space:
        ladders[RATE] = _rate_ladder(space[RATE])
    return {name: ladder for name, ladder in ladders.items() if ladder}


def _doubled(domain: Domain) -> list[Any]:
    if not isinstance(domain, Int):
        return sorted(domain.cut(None))
    values = [domain.low]
    value = max(domain.low, 1)
    while 2 * value < domain.high:
        value *= 2
        values.append(_on_step(domain, value))
    return sorted({*values, _on_step(domain, domain.high)})


def _rate_ladder(domain: Domain) -> list[Any]:
    if isinstance(domain, Choice):
        return sorted(domain.values) if _numbers(domain) else []
    if not isinstance(domain, Float) or domain.low <= 0:
        return []
    start = middle(domain)
    rates = [start]
    for ratio, end in ((RATE_STEP, domain.high), (1 / RATE_STEP, domain.low)):
        distance = abs(math.log(end / start)) / math.log(RATE_STEP)
        n_steps = int(round(distance, 6))  # rounded: a whole number must not miss the end
        for step in range(1, n_steps + 1):
            rate = start * ratio**step
            rates.append(domain.on_step(rate))
    return sorted(set(rates))


def _numbers(domain: Choice) -> bool:
    return all(map(is_number, domain.values))


def faults_of(space: Space) -> Iterator[str]:
    """Yield one sentence for each reason why this space cannot be grown in."""
    named = [name for name in (DEPTH, WIDTH) if name in space]
    if not named:
        yield (
            f"it grows '{DEPTH}' and '{WIDTH}', and the space has neither ({', '.join(space)}); "
            "call the builder's arguments so, or take another engine"
        )
    kept = space.active({name: middle(domain) for name, domain in space.domains.items()})
    for name in named:
        domain = space[name]
        labels = isinstance(domain, Choice) and not _numbers(domain)
        if isinstance(domain, Float) or labels:
            yield (
                f"'{name}' is {domain}, which has no order of size; use Int, or a Choice of numbers"
            )
        others = [parent for parent, _ in domain.conditions if parent not in (DEPTH, WIDTH)]
        if name not in kept and others:
            values = ", ".join(f"{parent}={kept.get(parent)!r}" for parent in others)
            yield (
                f"'{name}' does not exist at the values kept ({values}); "
                "make the first choice one under which it does"
            )


def notices_on(space: Space, ladders: Mapping[str, list[Any]], kept: Params) -> tuple[str, ...]:
    """Return what the user should know first: what grows, what is kept at which value.

    Args:
        space: Searched.
        ladders: `ladders_of` it.
        kept: The value of each parameter that is not changed.
    """
    grown = [
        f"{name} {', '.join(map(str, ladders[name]))}" for name in (DEPTH, WIDTH) if name in ladders
    ]
    lines = [
        f"capacity: begins small and grows {' and '.join(grown)}, while the validation score "
        f"improves by more than its noise and {TOLERANCE:.0%} of the error"
    ]
    if RATE in ladders:
        near = "the value on either side"
        if isinstance(space[RATE], Float):
            near = "a rate a factor of √10 away"
        lines.append(
            f"capacity: lr begins at {_in_words(kept[RATE])}; "
            f"when growth has ended, {near} is tried"
        )
    held = [f"{name} = {_in_words(kept[name])}" for name in space if name not in ladders]
    if held:
        lines.append(f"capacity: not searched, kept at {', '.join(held)}")
    return tuple(lines)


def _in_words(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else repr(value)
