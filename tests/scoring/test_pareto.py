"""Fronts, knees and hypervolumes, against definitions that are slow and plain."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tuning import Maximize, Minimize
from tuning.scoring.pareto import front, hypervolume, knee, ranking, scale_of, share_of_box

TWO = (Minimize("val_a"), Minimize("val_b"))
THREE = (*TWO, Maximize("val_c"))


def small_rows(seed: int, columns: int, n: int = 40) -> list[tuple[float, ...]]:
    """Whole numbers from 0 to 5: many ties, some equal rows."""
    rows = np.random.default_rng(seed).integers(0, 6, size=(n, columns))
    return [tuple(map(float, row)) for row in rows]


def dominates(a, b, objectives) -> bool:
    keys = [(o.key(x), o.key(y)) for o, x, y in zip(objectives, a, b, strict=True)]
    return all(x <= y for x, y in keys) and any(x < y for x, y in keys)


@pytest.mark.parametrize("objectives", [TWO, THREE])
@pytest.mark.parametrize("seed", range(5))
def test_the_front_is_what_no_row_dominates(objectives, seed):
    rows = small_rows(seed, len(objectives))
    best = [row for row in rows if not any(dominates(other, row, objectives) for other in rows)]
    found = [rows[i] for i in front(rows, objectives)]
    assert sorted(found) == sorted(set(best))


@pytest.mark.parametrize("objectives", [TWO, THREE])
@pytest.mark.parametrize("seed", range(3))
def test_the_hypervolume_is_the_number_of_unit_cubes_that_are_dominated(objectives, seed):
    rows = small_rows(seed, len(objectives), n=8)
    reference = [6.0 if o.direction == "minimize" else -1.0 for o in objectives]
    cubes = 0
    for corner in itertools.product(range(6), repeat=len(objectives)):
        # A cube by its better corner, which a row must reach.
        cell = [
            c if o.direction == "minimize" else 5 - c
            for c, o in zip(corner, objectives, strict=True)
        ]
        cubes += any(row == tuple(cell) or dominates(row, cell, objectives) for row in rows)
    assert hypervolume(rows, objectives, reference) == cubes


def test_rows_beyond_the_reference_add_nothing():
    assert hypervolume([(0.0, 3.0), (1.0, 1.0)], TWO, (2.0, 2.0)) == 1.0
    assert hypervolume([(2.0, 0.0)], TWO, (2.0, 2.0)) == 0.0


def test_the_knee_is_farthest_from_the_line_between_the_extremes():
    rows = [(0.0, 10.0), (1.0, 3.0), (4.0, 2.0), (10.0, 0.0)]
    # The line is a + b = 10; all rows between its ends lie below it.
    distances = [(10.0 - a - b) / np.sqrt(2) for a, b in rows]
    assert knee(rows, TWO) == int(np.argmax(distances)) == 1


def test_units_do_not_move_the_knee():
    rows = [(0.0, 10.0), (1.0, 3.0), (4.0, 2.0), (10.0, 0.0)]
    assert knee([(a, 1e6 * b) for a, b in rows], TWO) == knee(rows, TWO)
    up = (Minimize("val_a"), Maximize("val_b"))
    assert knee([(a, -b) for a, b in rows], up) == knee(rows, TWO)


def test_a_front_that_bends_the_other_way_has_its_knee_at_the_first_extreme():
    assert knee([(10.0, 0.0), (9.0, 9.0), (0.0, 10.0)], TWO) == 2


def test_the_ranking_is_front_after_front_and_holds_every_row_once():
    rows = small_rows(3, 3)
    order = list(ranking(rows, THREE))
    assert sorted(order) == list(range(len(rows)))
    for place, i in enumerate(order):
        assert not any(dominates(rows[j], rows[i], THREE) for j in order[place + 1 :])


def test_a_front_is_ranked_from_its_knee_over_its_extremes():
    rows = [(0.0, 10.0), (1.0, 3.0), (4.0, 2.0), (10.0, 0.0), (11.0, 11.0)]
    assert list(ranking(rows, TWO)) == [1, 0, 3, 2, 4]
    assert next(ranking(rows, TWO, "val_b")) == 3


def test_another_scale_decides_between_few():
    rows = [(1.0, 3.0), (4.0, 2.0)]
    whole = scale_of([(0.0, 100.0), (100.0, 0.0)], TWO)
    assert next(ranking(rows, TWO, scale=whole)) == 0


def test_the_share_of_the_box_is_1_where_one_row_is_best_in_all():
    assert share_of_box([(0.0, 0.0), (1.0, 1.0)], TWO) == 1.0
    assert share_of_box([(0.0, 1.0), (1.0, 0.0)], TWO) == 0.0
    assert share_of_box([(0.5, 0.5), (0.0, 1.0), (1.0, 0.0)], TWO) == 0.25
    assert share_of_box([(1.0, 0.0), (1.0, 2.0)], TWO) == 1.0
