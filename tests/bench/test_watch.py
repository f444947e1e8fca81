"""What a benchmark says while it works."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from tuning.bench.runs import BenchRun, Incumbent, TrialCounts
from tuning.bench.statistics.records import AnytimeRun
from tuning.bench.watch import Watch, outcome

CURVE = AnytimeRun(
    study="toy",
    engine="optuna:tpe",
    seed=0,
    direction="minimize",
    metric="val_loss",
    epochs=(4, 8),
    seconds=(1.0, 2.0),
    values=(2.0, 1.5),
    tests=(2.1, 1.6),
)


def run(ended, **fields):
    counts = TrialCounts(completed=2)
    return BenchRun(curve=CURVE, search="a", pinned="p", ended=ended, counts=counts, **fields)


@pytest.mark.parametrize(("ended", "end"), [("budget", ""), ("exhausted", ", no more to propose")])
def test_a_search_that_has_ended_tells_its_best_trial_and_its_cost(ended, end):
    best = Incumbent(number=1, params={}, value=1.5, test=1.6)
    line = outcome(run(ended, best=best))
    assert line == f"val_loss 1.500, test 1.600; 2 trials, 8 epochs, 2.0 s{end}"


def test_a_search_that_failed_tells_why_in_a_line():
    line = outcome(run("failed", error="ValueError: no\nmore of it"))
    assert line.startswith("failed, ValueError: no; 2 trials, 8 epochs, ")


def test_searches_done_before_count_in_what_is_printed():
    output = io.StringIO()
    watch = Watch(Console(file=output))
    searches = [SimpleNamespace(title=f"search {i}") for i in range(3)]
    watch.begin(searches, {"search 0": run("budget")})
    watch.ended(searches[1], run("failed", error="x"))
    first, second = output.getvalue().splitlines()
    assert first == "3 searches, 1 done before"
    assert second.startswith("[2/3] search 1: failed, x")
