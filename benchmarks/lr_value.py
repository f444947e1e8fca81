"""`make lr-value`: what a search gains by taking its learning rate from a range test.

Two searches of one study that differ in the bounds of the rate alone: wide, and as the range test
suggests. Each is run once for every seed, which sets split, engine and training alike. What the
range test costs is told beside it.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import click

from tuning.executors.forkserver import ForkServer
from tuning.lr_range.result import hull
from tuning.reports.summary import Summary
from tuning.search.lr_bounds import measure_lr_bounds
from tuning.search.options import RunOptions
from tuning.search.processes import source_of
from tuning.search.run import run_study
from tuning.search.stop_request import go_on_after
from tuning.study.domains import Float, FromRangeTest
from tuning.study.study import Study, load_study
from tuning.trial import Status

RATE = "lr"


@dataclass(frozen=True)
class Pair:
    """Both searches with one seed.

    Attributes:
        interval: What the range test suggested.
        wide, narrow: The best objective after each trial; NaN before the first that was completed.
        test_s: Wall time of the range test, which the wide search does without.
        wide_s, narrow_s: Time spent in training, summed over trials.
    """

    seed: int
    interval: tuple[float, float]
    wide: tuple[float, ...]
    narrow: tuple[float, ...]
    test_s: float = 0.0
    wide_s: float = 0.0
    narrow_s: float = 0.0


@dataclass(frozen=True)
class Verdict:
    """Medians over the seeds.

    Attributes:
        wide, narrow: The best objective at the end.
        reached_after: Trials after which the narrow search's median best is no worse than the wide
            search's at the end; None: never.
        narrow_better: Seeds with which the narrow search ends better.
    """

    wide: float
    narrow: float
    reached_after: int | None
    narrow_better: int


def compare(
    study: Study, rate: FromRangeTest, seed: int, options: RunOptions, forkserver: ForkServer
) -> Pair:
    """Run both searches of one seed.

    Args:
        study: Its space has the rate under the name "lr".
        rate: Not measured yet; its bounds are the wide ones.
        seed: Of split, engine and training.
        options: Devices and state folder.
        forkserver: One that runs.
    """
    domains = dict(study.space.domains)
    wide = Float(rate.low, rate.high, log=True)
    arms = {
        name: study.with_(
            name=f"{study.name}-{name}-{seed}", seed=seed, space={**domains, RATE: domain}
        )
        for name, domain in (("wide", wide), ("narrow", rate))
    }
    narrow, began = arms["narrow"], time.perf_counter()
    rates = measure_lr_bounds(
        narrow,
        source_of(narrow),
        {},
        Path(),
        fresh=True,
        devices=options.devices,
        forkserver=forkserver,
    )
    test_s = time.perf_counter() - began
    arms["narrow"] = narrow.with_(intervals=rates.intervals)
    summaries: dict[str, Summary] = {}
    for name, arm in arms.items():
        summaries[name] = run_study(arm, options, forkserver=forkserver)
        go_on_after(summaries[name].status)
    best = {name: _best_so_far(study, summary) for name, summary in summaries.items()}
    return Pair(
        seed,
        hull(rates.tests[RATE]),
        best["wide"],
        best["narrow"],
        test_s,
        summaries["wide"].training_s,
        summaries["narrow"].training_s,
    )


def judge(pairs: Sequence[Pair], direction: str) -> Verdict:
    """Return the medians; a search that has completed nothing yet counts as the worst."""
    worst = math.inf if direction == "minimize" else -math.inf
    curves: dict[str, list[float]] = {}
    for arm in ("wide", "narrow"):
        by_trial = zip(*(getattr(pair, arm) for pair in pairs), strict=False)
        curves[arm] = [median(worst if math.isnan(v) else v for v in values) for values in by_trial]
    goal = curves["wide"][-1]
    reached = (
        i
        for i, v in enumerate(curves["narrow"], 1)
        if (v <= goal if direction == "minimize" else v >= goal)
    )
    sign = 1.0 if direction == "minimize" else -1.0
    won = sum(sign * pair.narrow[-1] < sign * pair.wide[-1] for pair in pairs)
    return Verdict(goal, curves["narrow"][-1], next(reached, None), won)


def _best_so_far(study: Study, summary: Summary) -> tuple[float, ...]:
    best, found = math.nan, []
    for _, result in sorted(summary.trials, key=lambda pair: pair[1].number):
        value = (
            result.value
            if result.status is Status.COMPLETED and result.value is not None
            else math.nan
        )
        if math.isnan(best) or (not math.isnan(value) and study.objective.better(value, best)):
            best = value
        found.append(best)
    return tuple(found)


@click.command("lr-value")
@click.option("--study", "name", default="housing", show_default=True, help="One that searches lr.")
@click.option("--seeds", type=click.IntRange(1), default=10, show_default=True)
@click.option(
    "--trials", type=click.IntRange(1), default=10, show_default=True, help="Of each search."
)
@click.option(
    "--epochs", type=click.IntRange(1), default=20, show_default=True, help="Of each trial."
)
@click.option(
    "--lr-min", type=float, default=1e-5, show_default=True, help="Low end of the wide bounds."
)
@click.option(
    "--lr-max", type=float, default=1.0, show_default=True, help="High end of the wide bounds."
)
@click.option("--per-structure", is_flag=True, help="An interval for each structure.")
@click.option("--devices", default="auto", show_default=True, help="As for run.")
def lr_value(
    *,
    name: str,
    seeds: int,
    lr_min: float,
    lr_max: float,
    per_structure: bool,
    devices: str,
    **asked: int,
) -> int:
    """Measure with several seeds, print one line for each, and the medians."""
    study = load_study(name).with_(**asked, top_k=1, seeds=1)
    rate = Float.from_range_test(lr_min, lr_max, per_structure=per_structure)
    pairs: list[Pair] = []
    with TemporaryDirectory(prefix="tuning-lr-value-") as home, ForkServer() as forkserver:
        options = RunOptions(home=home, devices=devices)
        for seed in range(seeds):
            pairs.append(compare(study, rate, seed, options, forkserver))
            click.echo(line(pairs[-1]))
    verdict = judge(pairs, study.objective.direction)
    for text in conclusion(pairs, verdict, study.objective.metric):
        click.echo(text)
    told: Mapping[str, Any] = {"pairs": [asdict(pair) for pair in pairs], **asdict(verdict)}
    click.echo(json.dumps(told))
    return 0


def line(pair: Pair) -> str:
    """Return what is printed of one seed."""
    low, high = pair.interval
    return (
        f"seed {pair.seed}: wide {pair.wide[-1]:.4f}, {low:.2g} … {high:.2g} {pair.narrow[-1]:.4f} "
        f"(range test {pair.test_s:.1f} s, training {pair.wide_s:.0f} and {pair.narrow_s:.0f} s)"
    )


def conclusion(pairs: Sequence[Pair], verdict: Verdict, metric: str) -> Iterator[str]:
    """Yield what is printed at the end."""
    trials, better = len(pairs[0].wide), verdict.narrow_better
    after = "never" if verdict.reached_after is None else f"after {verdict.reached_after}"
    yield f"median {metric} of {len(pairs)} seeds, {trials} trials each: wide {verdict.wide:.4f}"
    yield f"from the range test: {verdict.narrow:.4f}, better with {better} of {len(pairs)} seeds"
    yield f"no worse than wide's {trials} trials {after}"
    yield f"the range test takes {median(pair.test_s for pair in pairs):.1f} s"


if __name__ == "__main__":
    sys.exit(lr_value(standalone_mode=False))
