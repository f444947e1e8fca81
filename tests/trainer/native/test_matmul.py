import itertools

import numpy as np
import pytest

from tuning.trainer.native.matmul import LANES, ROWS, multiply, transpose

SIZES = [1, 2, ROWS - 1, ROWS, ROWS + 1, LANES, LANES + 3, 2 * LANES, 5 * LANES + 5]


def random(*shape):
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("inner", [1, 5, 100])
@pytest.mark.parametrize("turned", [False, True])
def test_a_product_is_numpys_and_nothing_beside_it_is_written(inner, turned):
    for rows, columns in itertools.product(SIZES, SIZES):
        a, b = random(inner, rows).T if turned else random(rows, inner), random(inner, columns)
        around = np.full((rows + 2) * columns, 7, np.float32)
        out = around[columns:-columns].reshape(rows, columns)

        multiply(a, b, out)

        np.testing.assert_allclose(out, a.astype(float) @ b, rtol=1e-5, atol=1e-5)
        assert np.all(around[:columns] == 7)
        assert np.all(around[-columns:] == 7)


def test_the_right_factor_may_have_more_columns_than_are_asked_for():
    a, b, out = random(9, 4), random(4, LANES + 8), np.empty((9, LANES + 1), np.float32)

    multiply(a, b, out)

    np.testing.assert_allclose(out, a @ b[:, : LANES + 1], rtol=1e-5, atol=1e-5)


def test_what_is_not_a_number_stays_in_its_row_and_column():
    a, b, out = (
        random(ROWS + 1, 3),
        random(3, LANES + 1),
        np.empty((ROWS + 1, LANES + 1), np.float32),
    )
    a[2, 1] = np.nan
    b[0, LANES] = np.inf

    multiply(a, b, out)

    assert np.isnan(out[2]).all()
    assert np.isinf(np.delete(out[:, LANES], 2)).all()
    assert np.isfinite(np.delete(out[:, :LANES], 2, axis=0)).all()


def test_a_matrix_is_transposed_into_the_room_it_is_given():
    for rows, columns in itertools.product(SIZES, SIZES):
        a, out = random(rows, columns), np.full((columns, rows + 3), 7, np.float32)

        transpose(a, out)

        np.testing.assert_array_equal(out[:, :rows], a.T)
        assert np.all(out[:, rows:] == 7)
