"""Several objectives at once: the Pareto front, its knee, its hypervolume.

A row holds one value an objective, in their order. Inside, smaller is always better
(`Objective.key`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeAlias

from tuning.study.objective import KNEE, Objective

Row: TypeAlias = Sequence[float]
Losses: TypeAlias = tuple[float, ...]


class Scale(NamedTuple):
    """What 0 and 1 are of each objective: the best and the worst value on a front, as losses."""

    best: Losses
    worst: Losses

    def of(self, losses: Losses) -> Losses:
        """Return losses on this scale; 0 where all are equal."""
        triples = zip(losses, self.best, self.worst, strict=True)
        return tuple((loss - low) / (high - low or 1.0) for loss, low, high in triples)


def front(rows: Sequence[Row], objectives: Sequence[Objective]) -> list[int]:
    """Return which rows no other dominates, in their order; of equal rows the first."""
    return sorted(_front(_losses(rows, objectives), range(len(rows))))


def scale_of(rows: Sequence[Row], objectives: Sequence[Objective]) -> Scale:
    """Return the scale of a front, which has one row at least."""
    columns = list(zip(*_losses(rows, objectives), strict=True))
    return Scale(tuple(map(min, columns)), tuple(map(max, columns)))


def knee(rows: Sequence[Row], objectives: Sequence[Objective], scale: Scale | None = None) -> int:
    """Return which row of a front gives up least of one objective for the others.

    Each objective is scaled to 0 (the best on the front) … 1 (the worst). Of two objectives the
    knee is the row that is farthest from the line between the two extremes, on the better side; of
    more the line is the plane in which the scaled values have the sum 1. Where no row is on that
    side, an extreme is taken, that of the first objective before others.

    Source: Das 1999, "On characterizing the 'knee' of the Pareto curve based on Normal-Boundary
    Intersection", Structural Optimization 18; equal intercepts for more than two objectives are
    ours.

    Args:
        rows: Of a front, one at least.
        objectives: What each value of a row is.
        scale: Of another front, e.g. that of the whole search; None: their own.
    """
    scale = scale or scale_of(rows, objectives)
    scaled = [scale.of(losses) for losses in _losses(rows, objectives)]
    # The distance to the plane falls as the sum rises; rounding must not decide between equals.
    return min(range(len(rows)), key=lambda i: (round(sum(scaled[i]), 12), scaled[i], i))


def ranking(
    rows: Sequence[Row],
    objectives: Sequence[Objective],
    winner_by: str = KNEE,
    scale: Scale | None = None,
) -> Iterator[int]:
    """Yield all rows, front after front, where each begins with those worth another look.

    Args:
        rows: Any.
        objectives: What each value of a row is.
        winner_by: What comes first of each front: its knee, or the best in the objective of this
            name. Then the knee, the best in each objective, and the others by their distance from
            the plane of the knee.
        scale: Of another front; None: that of the first.
    """
    losses = _losses(rows, objectives)
    left = set(range(len(rows)))
    while left:
        members = sorted(_front(losses, sorted(left)))
        of_front = [rows[i] for i in members]
        scale = scale or scale_of(of_front, objectives)
        order = _order(of_front, objectives, winner_by, scale)
        yield from (members[i] for i in order)

        # Equal rows are none of them better: they follow theirs at once.
        known = {losses[i] for i in members}
        yield from sorted(i for i in left if losses[i] in known and i not in members)
        left = {i for i in left if losses[i] not in known}


def hypervolume(rows: Sequence[Row], objectives: Sequence[Objective], reference: Row) -> float:
    """Return the volume that rows dominate up to a reference, the product of the units.

    Rows beyond the reference in any objective add nothing. The time grows with the number of rows
    to the power of the objectives less one: meant for two or three.
    """
    limit = _losses([reference], objectives)[0]
    inside = [
        losses
        for losses in _losses(rows, objectives)
        if all(loss < most for loss, most in zip(losses, limit, strict=True))
    ]
    return _volume(inside, limit)


def share_of_box(rows: Sequence[Row], objectives: Sequence[Objective]) -> float:
    """Return the hypervolume as a share of the box from the best to the worst values of all rows.

    1 where an objective is the same in all of them.
    """
    scale = scale_of(rows, objectives)
    if not all(low < high for low, high in zip(*scale, strict=True)):
        return 1.0
    scaled = [scale.of(losses) for losses in _losses(rows, objectives)]
    best = _front(scaled, range(len(scaled)))
    return _volume([scaled[i] for i in best], (1.0,) * len(objectives))


def _losses(rows: Sequence[Row], objectives: Sequence[Objective]) -> list[Losses]:
    return [
        tuple(objective.key(value) for objective, value in zip(objectives, row, strict=True))
        for row in rows
    ]


def _front(losses: Sequence[Losses], numbers: Sequence[int]) -> list[int]:
    """Return which of these numbers are not dominated, those of small first losses first."""
    members: list[int] = []
    # What dominates a row comes before it.
    for i in sorted(numbers, key=lambda i: (losses[i], i)):
        if not any(_covers(losses[j], losses[i]) for j in members):
            members.append(i)
    return members


def _covers(a: Losses, b: Losses) -> bool:
    """Whether `a` is at least as good as `b` in everything."""
    return all(x <= y for x, y in zip(a, b, strict=True))


def _order(
    rows: Sequence[Row], objectives: Sequence[Objective], winner_by: str, scale: Scale
) -> list[int]:
    losses = _losses(rows, objectives)
    extremes = {
        objective.metric: min(range(len(rows)), key=lambda i: (losses[i][k], losses[i]))
        for k, objective in enumerate(objectives)
    }
    middle = knee(rows, objectives, scale)
    first = extremes.get(winner_by, middle)
    others = sorted(range(len(rows)), key=lambda i: sum(scale.of(losses[i])))
    return list(dict.fromkeys([first, middle, *extremes.values(), *others]))


def _volume(losses: Sequence[Losses], limit: Losses) -> float:
    """Return the volume between losses and a limit, slice by slice along the last of them.

    Source: Knowles 2002, hypervolume by slicing objectives.
    """
    if not losses:
        return 0.0
    if len(limit) == 1:
        return limit[0] - min(loss[0] for loss in losses)

    ordered = sorted(losses, key=lambda loss: loss[-1])
    ends = [*(loss[-1] for loss in ordered[1:]), limit[-1]]
    volume = 0.0
    below: list[Losses] = []
    for loss, end in zip(ordered, ends, strict=True):
        below = _with(below, loss[:-1])
        depth = end - loss[-1]
        if depth > 0:
            volume += depth * _volume(below, limit[:-1])
    return volume if math.isfinite(volume) else math.inf


def _with(members: Sequence[Losses], new: Losses) -> list[Losses]:
    """Return a front with one more point."""
    if any(_covers(member, new) for member in members):
        return list(members)
    return [*(member for member in members if not _covers(new, member)), new]
