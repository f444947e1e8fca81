"""The space of the capacity engine: what grows in which steps, what is kept at which value, what is
refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tuning.study.domains import Choice, Domain, Float, Int
from tuning.study.space import Space

DEPTH, WIDTH, RATE = "n_hidden", "n_neurons", "lr"

TOLERANCE = 0.01
"""Share of the error by which a score must be better, where the noise does not ask for more."""

RATE_STEP = math.sqrt(10)
"""Ratio of neighbouring learning rates in a sweep."""


def middle(domain: Domain) -> Any:
    """Return the value a parameter keeps: the middle of its range, the geometric one of a log
    range; a first choice.
    """
    if isinstance(domain, Choice):
        return domain.values[0]
    mean = math.sqrt(domain.low * domain.high) if domain.log else (domain.low + domain.high) / 2
    return mean if isinstance(domain, Float) else _on_step(domain, mean)


def _on_step(domain: Int, value: float) -> int:
    steps = (domain.high - domain.low) // domain.step
    return domain.low + domain.step * min(max(round((value - domain.low) / domain.step), 0), steps)


def ladders_of(space: Space) -> dict[str, list[Any]]:
    """Return the values of what is changed, the smallest first; a rate that cannot be swept has
    none.
    """
    makers: dict[str, Callable[[Domain], list[Any]]] = {
        DEPTH: lambda d: sorted(d.cut(None)),
        WIDTH: _doubled,
        RATE: _rate_ladder,
    }
    ladders = {name: make(space[name]) for name, make in makers.items() if name in space}
    return {name: ladder for name, ladder in ladders.items() if ladder}


def _doubled(domain: Domain) -> list[Any]:
    if not isinstance(domain, Int):
        return sorted(domain.cut(None))
    values, value = [domain.low], max(domain.low, 1)
    while 2 * value < domain.high:
        value *= 2
        values.append(_on_step(domain, value))
    return sorted({*values, _on_step(domain, domain.high)})


def _rate_ladder(domain: Domain) -> list[Any]:
    if isinstance(domain, Choice):
        return sorted(domain.values) if _numbers(domain) else []
    if not isinstance(domain, Float) or domain.low <= 0:
        return []
    value, found = middle(domain), [middle(domain)]
    for ratio, end in ((RATE_STEP, domain.high), (1 / RATE_STEP, domain.low)):
        steps = round(
            abs(math.log(end / value)) / math.log(RATE_STEP), 6
        )  # a whole number must not miss the end
        found += [
            min(max(value * ratio**i, domain.low), domain.high) for i in range(1, int(steps) + 1)
        ]
    return sorted(found)


def _numbers(domain: Choice) -> bool:
    return all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in domain.values
    )


def faults_of(space: Space) -> Iterator[str]:
    """Yield one sentence for each reason why this space cannot be grown in."""
    named = [name for name in (DEPTH, WIDTH) if name in space]
    if not named:
        yield (
            f"it grows '{DEPTH}' and '{WIDTH}', and the space has neither ({', '.join(space)}); call the builder's "
            "arguments so, or take another engine"
        )
    exists = space.active({name: middle(domain) for name, domain in space.domains.items()})
    for name in named:
        domain = space[name]
        if isinstance(domain, Float) or (isinstance(domain, Choice) and not _numbers(domain)):
            yield f"'{name}' is {domain}, which has no order of size; use Int, or a Choice of numbers"
        others = [parent for parent, _ in domain.conditions if parent not in (DEPTH, WIDTH)]
        if name not in exists and others:
            yield (
                f"'{name}' does not exist at the values kept ({', '.join(f'{p}={exists.get(p)!r}' for p in others)}); "
                "make the first choice one under which it does"
            )


def notices_on(
    space: Space, ladders: Mapping[str, list[Any]], kept: Mapping[str, Any]
) -> tuple[str, ...]:
    """Return what the user should know before a search begins: what grows, what is kept at which
    value.
    """
    grown = [
        f"{name} {', '.join(map(str, ladders[name]))}" for name in (DEPTH, WIDTH) if name in ladders
    ]
    held = [f"{name} = {_shown(kept[name])}" for name in space if name not in ladders]
    improving = f"while the validation score improves by more than its noise and {TOLERANCE:.0%} of the error"
    lines = [f"capacity: begins small and grows {' and '.join(grown)}, {improving}"]
    if RATE in ladders:
        near = (
            "a rate a factor of √10 away"
            if isinstance(space[RATE], Float)
            else "the value on either side"
        )
        lines.append(
            f"capacity: lr begins at {_shown(kept[RATE])}; when growth has ended, {near} is tried"
        )
    if held:
        lines.append(f"capacity: not searched, kept at {', '.join(held)}")
    return tuple(lines)


def _shown(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else repr(value)
