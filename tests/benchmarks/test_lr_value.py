"""How two series of searches are compared."""

from __future__ import annotations

import json
from math import nan

from click.testing import CliRunner

from benchmarks import lr_value as room
from benchmarks.lr_value import Pair, conclusion, judge, line

IGNORED = (0.0, 0.0)


def test_the_narrow_search_has_reached_the_wide_one_when_its_median_is_no_worse_than_the_wide_end():
    pairs = [
        Pair(seed=i, interval=IGNORED, wide=(5.0, 3.0, 2.0), narrow=narrow)
        for i, narrow in enumerate([(4, 2, 1), (3, 2, 2), (9, 9, 9)])
    ]
    verdict = judge(pairs, "minimize")
    assert (verdict.wide, verdict.narrow, verdict.reached_after) == (2.0, 2, 2)


def test_a_search_that_has_completed_nothing_counts_as_the_worst():
    verdict = judge(
        [Pair(seed=0, interval=IGNORED, wide=(0.5, 0.6), narrow=(nan, 0.6))], "maximize"
    )
    assert verdict.reached_after == 2


def test_one_that_never_gets_there_says_so():
    pair = Pair(seed=0, interval=IGNORED, wide=(1.0,), narrow=(2.0,))
    assert judge([pair], "minimize").reached_after is None


def test_the_end_tells_medians_seeds_won_and_what_the_range_test_costs():
    pairs = [
        Pair(
            seed=i,
            interval=(0.01, 0.1),
            wide=(5.0, 3.0),
            narrow=(3.0, 2.0 + 2 * i),
            test_s=4.0 + i,
        )
        for i in range(2)
    ]
    assert (
        line(pairs[0])
        == "seed 0: wide 3.0000, 0.01 … 0.1 2.0000 (range test 4.0 s, training 0 and 0 s)"
    )
    assert list(conclusion(pairs, judge(pairs, "minimize"), "val_rmse")) == [
        "median val_rmse of 2 seeds, 2 trials each: wide 3.0000",
        "from the range test: 3.0000, better with 1 of 2 seeds",
        "no worse than wide's 2 trials after 1",
        "the range test takes 4.5 s",
    ]


class NoServer:
    """Stands in for a forkserver that nobody asks for anything."""

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None


def test_each_seed_is_measured_once_with_the_bounds_and_the_budget_calls_for(monkeypatch):
    calls = []

    def compare(study, rate, seed, options, forkserver):
        calls.append((seed, rate.low, rate.high, rate.per_structure, study.trials, study.epochs))
        return Pair(seed=seed, interval=(0.01, 0.1), wide=(5.0, 3.0), narrow=(4.0, 3.0))

    monkeypatch.setattr(room, "compare", compare)
    monkeypatch.setattr(room, "ForkServer", NoServer)
    options = [
        "--seeds",
        "2",
        "--trials",
        "7",
        "--epochs",
        "4",
        "--lr-min",
        "0.001",
        "--per-structure",
    ]
    done = CliRunner().invoke(room.lr_value, options)
    assert calls == [(seed, 0.001, 1.0, True, 7, 4) for seed in range(2)]
    printed = json.loads(done.output.splitlines()[-1])
    assert (
        printed["wide"],
        printed["narrow"],
        printed["reached_after"],
        printed["narrow_better"],
    ) == (
        3.0,
        3.0,
        2,
        0,
    )
    assert len(printed["pairs"]) == 2
