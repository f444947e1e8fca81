"""`make lr-value`: what a search gains by taking its learning rate from a range test.

Two searches of one study that differ in the bounds of the rate alone: wide, and as the range test
suggests. Each is run once for every seed, which sets split, engine and training alike. What the
range test costs is printed beside it.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import click

from tuning.executors.forkserver import ForkServer
from tuning.lr_range.result import hull
from tuning.reports.summary import Summary
from tuning.search.lr_bounds import measure_lr_bounds
from tuning.search.options import RunOptions
from tuning.search.processes import source_of
from tuning.search.run import run_study
from tuning.search.stop_request import go_on_after
from tuning.space.domains import Domain, Float, FromRangeTest
from tuning.study.study import Study, load_study
from tuning.trial import Status

RATE = "lr"


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Both searches with one seed.

    Attributes:
        seed: Of split, engine and training.
        interval: What the range test suggested: low and high.
        wide: The wide search's best objective after each trial; NaN before the first that was
            completed.
        narrow: The same of the search within the interval.
        test_s: Wall time of the range test, which the wide search does without.
        wide_s: Time the wide search spent in training, summed over trials.
        narrow_s: The same of the other.
    """

    seed: int
    interval: tuple[float, float]
    wide: tuple[float, ...]
    narrow: tuple[float, ...]
    test_s: float = 0.0
    wide_s: float = 0.0
    narrow_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Medians over the seeds.

    Attributes:
        wide: The wide search's best objective at the end.
        narrow: The narrow search's.
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
    wide = _arm(study, "wide", seed, Float(rate.low, rate.high, log=True))
    narrow = _arm(study, "narrow", seed, rate)

    began = time.perf_counter()
    bounds = measure_lr_bounds(
        narrow,
        source_of(narrow),
        {},
        Path(),
        fresh=True,
        devices=options.devices,
        forkserver=forkserver,
    )
    test_s = time.perf_counter() - began

    wide_summary = _search(wide, options, forkserver)
    narrow_summary = _search(narrow.with_(intervals=bounds.intervals), options, forkserver)
    return Pair(
        seed=seed,
        interval=hull(bounds.tests[RATE]),
        wide=_best_so_far(study, wide_summary),
        narrow=_best_so_far(study, narrow_summary),
        test_s=test_s,
        wide_s=wide_summary.training_s,
        narrow_s=narrow_summary.training_s,
    )


def _arm(study: Study, name: str, seed: int, rate: Domain) -> Study:
    """Return the study with another rate, under a name of its own."""
    return study.with_(
        name=f"{study.name}-{name}-{seed}", seed=seed, space={**study.space.domains, RATE: rate}
    )


def _search(study: Study, options: RunOptions, forkserver: ForkServer) -> Summary:
    summary = run_study(study, options, forkserver=forkserver)
    go_on_after(summary.status)
    return summary


def judge(pairs: Sequence[Pair], direction: str) -> Verdict:
    """Return the medians; a search that has completed nothing yet counts as the worst."""
    sign = 1.0 if direction == "minimize" else -1.0
    wide = _median_curve([pair.wide for pair in pairs], worst=sign * math.inf)
    narrow = _median_curve([pair.narrow for pair in pairs], worst=sign * math.inf)

    reached_after = None
    for trials, value in enumerate(narrow, start=1):
        if sign * value <= sign * wide[-1]:
            reached_after = trials
            break
    return Verdict(
        wide=wide[-1],
        narrow=narrow[-1],
        reached_after=reached_after,
        narrow_better=sum(sign * pair.narrow[-1] < sign * pair.wide[-1] for pair in pairs),
    )


def _median_curve(curves: Sequence[Sequence[float]], *, worst: float) -> list[float]:
    """Return the median after each trial, as far as the shortest curve goes; `worst` is for NaN."""
    return [
        median(worst if math.isnan(value) else value for value in values)
        for values in zip(*curves, strict=False)
    ]


def _best_so_far(study: Study, summary: Summary) -> tuple[float, ...]:
    """Return the best objective after each trial; NaN before the first that was completed."""
    best = math.nan
    curve = []
    for _, result in sorted(summary.trials, key=lambda pair: pair[1].number):
        value = result.value if result.status is Status.COMPLETED else None
        if value is not None and (math.isnan(best) or study.objective.better(value, best)):
            best = value
        curve.append(best)
    return tuple(curve)


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
    trials: int,
    epochs: int,
) -> int:
    """Measure with several seeds, print one line for each, and the medians."""
    study = load_study(name).with_(trials=trials, epochs=epochs, top_k=1, seeds=1)
    rate = Float.from_range_test(lr_min, lr_max, per_structure=per_structure)
    pairs: list[Pair] = []
    with TemporaryDirectory(prefix="tuning-lr-value-") as home, ForkServer() as forkserver:
        options = RunOptions(home=home, devices=devices)
        for seed in range(seeds):
            pair = compare(study, rate, seed, options, forkserver)
            pairs.append(pair)
            click.echo(line(pair))

    verdict = judge(pairs, study.objective.direction)
    for text in conclusion(pairs, verdict, study.objective.metric):
        click.echo(text)
    click.echo(json.dumps({"pairs": [asdict(pair) for pair in pairs], **asdict(verdict)}))
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
    seeds = len(pairs)
    trials = len(pairs[0].wide)
    better = verdict.narrow_better
    after = "never" if verdict.reached_after is None else f"after {verdict.reached_after}"
    yield f"median {metric} of {seeds} seeds, {trials} trials each: wide {verdict.wide:.4f}"
    yield f"from the range test: {verdict.narrow:.4f}, better with {better} of {seeds} seeds"
    yield f"no worse than wide's {trials} trials {after}"
    yield f"the range test takes {median(pair.test_s for pair in pairs):.1f} s"


if __name__ == "__main__":
    sys.exit(lr_value(standalone_mode=False))
