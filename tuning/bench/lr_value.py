"""`python -m tuning.bench.lr_value`: what a search gains by taking its learning rate from a range test.

Two searches of one study that differ in the bounds of the rate alone: wide, and as the range test suggests. Each is
run once for every seed, which sets split, engine and training alike.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from tuning.domains import Float
from tuning.executors.forkserver import ForkServer
from tuning.options import RunOptions
from tuning.rates import rates_for
from tuning.run import run_study
from tuning.study import Study, load_study
from tuning.trial import Status
from tuning.workshop import source_of

WIDE = (1e-5, 1.0)


@dataclass(frozen=True)
class Pair:
    """Both searches with one seed.

    Attributes:
        interval: What the range test suggested.
        wide, narrow: The best objective after each trial; NaN before the first that was completed.
    """

    seed: int
    interval: tuple[float, float]
    wide: tuple[float, ...]
    narrow: tuple[float, ...]


@dataclass(frozen=True)
class Verdict:
    """Medians over the seeds.

    Attributes:
        wide, narrow: The best objective at the end.
        reached_after: Trials after which the narrow search's median best is no worse than the wide search's at the
            end; None: never.
    """

    wide: float
    narrow: float
    reached_after: int | None


def compare(study: Study, parameter: str, seed: int, options: RunOptions, forkserver: ForkServer) -> Pair:
    """Run both searches of one seed."""
    domains = dict(study.space.domains)
    arms = {
        "wide": study.with_(name=f"{study.name}-wide-{seed}", seed=seed, space={**domains, parameter: _wide()}),
        "narrow": study.with_(
            name=f"{study.name}-narrow-{seed}", seed=seed, space={**domains, parameter: Float.from_range_test(*WIDE)}
        ),
    }
    narrow = arms["narrow"]
    rates = rates_for(
        narrow, source_of(narrow), {}, Path(), fresh=True, devices=options.devices, forkserver=forkserver
    )  # fmt: skip
    arms["narrow"] = narrow.with_(intervals=rates.intervals)
    best = {name: _best_so_far(arm, options, forkserver) for name, arm in arms.items()}
    low, high = rates.intervals[parameter]
    return Pair(seed, (low, high), best["wide"], best["narrow"])


def judge(pairs: Sequence[Pair], direction: str) -> Verdict:
    """Return the medians; a search that has completed nothing yet counts as the worst."""
    worst = math.inf if direction == "minimize" else -math.inf
    curves: dict[str, list[float]] = {}
    for arm in ("wide", "narrow"):
        by_trial = zip(*(getattr(pair, arm) for pair in pairs), strict=False)
        curves[arm] = [median(worst if math.isnan(v) else v for v in values) for values in by_trial]
    goal = curves["wide"][-1]
    reached = (i for i, v in enumerate(curves["narrow"], 1) if (v <= goal if direction == "minimize" else v >= goal))
    return Verdict(goal, curves["narrow"][-1], next(reached, None))


def _wide() -> Float:
    return Float(*WIDE, log=True)


def _best_so_far(study: Study, options: RunOptions, forkserver: ForkServer) -> tuple[float, ...]:
    summary = run_study(study, options, forkserver=forkserver)
    best, found = math.nan, []
    for _, result in sorted(summary.trials, key=lambda pair: pair[1].number):
        value = result.value if result.status is Status.COMPLETED and result.value is not None else math.nan
        if math.isnan(best) or (not math.isnan(value) and study.objective.better(value, best)):
            best = value
        found.append(best)
    return tuple(found)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print one line a seed and the medians; return 0."""
    asked = _parser().parse_args(arguments)
    study = load_study(asked.study).with_(trials=asked.trials, epochs=asked.epochs, top_k=1, seeds=1)
    pairs: list[Pair] = []
    with TemporaryDirectory(prefix="tuning-lr-value-") as home, ForkServer() as forkserver:
        options = RunOptions(home=home, devices=asked.devices)
        for seed in range(asked.seeds):
            pairs.append(compare(study, asked.parameter, seed, options, forkserver))
            _print_pair(pairs[-1])
    verdict = judge(pairs, study.objective.direction)
    print(f"median of {asked.seeds}: wide {verdict.wide:.4f}, from the range test {verdict.narrow:.4f}", end=", ")
    print(f"which is no worse than wide's {asked.trials} trials after {verdict.reached_after}")
    told: Mapping[str, Any] = {"pairs": [asdict(pair) for pair in pairs], **asdict(verdict)}
    print(json.dumps(told))
    return 0


def _print_pair(pair: Pair) -> None:
    low, high = pair.interval
    print(f"seed {pair.seed}: wide {pair.wide[-1]:.4f}, {low:.2g} … {high:.2g} {pair.narrow[-1]:.4f}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tuning.bench.lr_value", description=__doc__)
    parser.add_argument("--study", default="housing")
    parser.add_argument("--parameter", default="lr", help="the learning rate")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--devices", default="auto")
    return parser


if __name__ == "__main__":
    sys.exit(main())
