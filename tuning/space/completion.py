"""A point of which some is known, made whole."""

from __future__ import annotations

from typing import Any

import numpy as np

from tuning.errors import StudyError
from tuning.space.space import Space
from tuning.trial import Params

_DRAWS = 20


def completed(space: Space, point: Params, rng: np.random.Generator) -> dict[str, Any]:
    """Return a point with draws for what it leaves out, as far as that exists beside the rest.

    Raises:
        StudyError: What it says is not of the space.
    """
    stated = dict(point)
    for name in point:
        _add_parents(space, name, stated)

    # What is drawn may not fit what is stated where choices depend on each other: drawn again.
    for last in range(_DRAWS - 1, -1, -1):
        drawn = {name: domain.sample(rng) for name, domain in space.domains.items()}
        completed = _combined(space, stated, {**drawn, **space.sample(rng)})
        try:
            space.check(completed)
        except StudyError:
            if not last:
                raise
        else:
            break
    return completed


def _combined(space: Space, stated: Params, drawn: Params) -> dict[str, Any]:
    combined = {name: value for name, value in stated.items() if name not in space}
    for name, domain in space.domains.items():  # parents first
        if name in stated:
            combined[name] = stated[name]
        elif domain.exists_under(combined):
            combined[name] = drawn[name]
    return combined


def _add_parents(space: Space, name: str, stated: dict[str, Any]) -> None:
    """Add the values under which a parameter exists, where nothing is said of its parents."""
    if name not in space:
        return
    for parent, values in space[name].conditions:
        stated.setdefault(parent, values[0])
        _add_parents(space, parent, stated)
