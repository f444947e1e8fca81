"""How one of the best trials did on its fresh seeds; `test_records` has the files."""

from __future__ import annotations

from tuning.ledger.winner import Standing


def test_a_standing_with_a_seed_that_failed_is_out():
    out = Standing(
        number=0, params={}, epochs=1, seeds=(1, None), weights=(None, None), values=(0.5, None)
    )
    assert (out.mean, out.std) == (None, None)


def test_one_seed_has_no_spread():
    one = Standing(number=0, params={}, epochs=1, seeds=(1,), weights=(None,), values=(0.5,))
    assert (one.mean, one.std) == (0.5, 0.0)


def test_the_spread_over_seeds_is_that_of_a_sample():
    three = Standing(
        number=3,
        params={},
        epochs=9,
        seeds=(11, 12, 13),
        weights=("0.npz", None, "2.npz"),
        values=(0.5, 0.25, 0.75),
    )
    assert (three.mean, three.std) == (0.5, 0.25)
