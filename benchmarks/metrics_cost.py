"""What it costs to measure a trial while it trains, on housing.

`python -m benchmarks.metrics_cost --pairs 9`: the same trial with and without the meter, in turns,
in one process; a line a pair, then medians of the ratio within a pair and one JSON object. Then the
looks alone, far more often than a trial has them: what the whole comes to is too little to be seen
in a pair on a machine that does other things, too.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from unittest import mock

from benchmarks.kinds import processor
from tuning.ledger.usage import Usage
from tuning.trial import Answer, EpochReport, Metrics, Proposal
from tuning.trials.jobs import TrialJob
from tuning.trials.trial import run_trial
from tuning.trials.usage.meter import INTERVAL_S, Meter

STUDY = Path(__file__).parents[1] / "studies" / "housing.py"
PARAMS = {"n_hidden": 2, "n_neurons": 100, "lr": 1e-3, "batch_size": 32}
"""A trial of a middling network of the study's space."""
_LOOKS = 500


@dataclass(frozen=True)
class Cost:
    """What one trial took.

    Attributes:
        cpu_s: Processor time of the process.
        wall_s: By the clock.
    """

    cpu_s: float
    wall_s: float


class NoMeter:
    """Stands for the meter, and looks at nothing."""

    samples: tuple[Metrics, ...] = ()
    usage = Usage()

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        pass


class _Context:
    """A worker's, of whom nobody wants to hear."""

    slot = "cpu:0"

    def report(self, report: EpochReport) -> Answer:
        return Answer.CONTINUE

    def retire(self) -> None:
        pass


def train(epochs: int, *, metered: bool) -> Cost:
    """Train the trial anew and return what that took."""
    meter = Meter if metered else NoMeter
    with mock.patch("tuning.trials.trial.Meter", meter):
        return _train(epochs)


def _train(epochs: int) -> Cost:
    with tempfile.TemporaryDirectory() as folder:
        job = TrialJob(
            source=str(STUDY),
            overrides={"patience": None},  # equal work, whatever it comes to
            proposal=Proposal(0, PARAMS, epochs),
            folder=Path(folder),
        )
        cpu_s = time.process_time()
        wall_s = time.perf_counter()
        result = run_trial(job, _Context())
        cost = Cost(time.process_time() - cpu_s, time.perf_counter() - wall_s)
    if result.error:
        raise RuntimeError(result.error)
    return cost


def look_s() -> float:
    """Return the seconds that one look of the meter takes, its file included."""
    with tempfile.TemporaryDirectory() as folder, Meter(Path(folder), 1, "cpu:0") as meter:
        began = time.perf_counter()
        for _ in range(_LOOKS):
            meter._sample()
            meter._keep()
        return (time.perf_counter() - began) / _LOOKS


def main() -> int:
    """Measure, print, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--epochs", type=int, default=300)
    arguments = parser.parse_args()
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

    train(2, metered=True)  # what the first trial of a process does for all
    pairs: list[Mapping[bool, Cost]] = []
    for number in range(arguments.pairs):
        order = (True, False) if number % 2 else (False, True)
        pairs.append({metered: train(arguments.epochs, metered=metered) for metered in order})
        with_it, without = pairs[-1][True], pairs[-1][False]
        print(
            f"with {with_it.cpu_s:.2f} s of processor time, {with_it.wall_s:.2f} s; "
            f"without {without.cpu_s:.2f} s, {without.wall_s:.2f} s",
            flush=True,
        )

    one_look_s = look_s()
    figures = {
        "processor": processor(),
        "cores": os.cpu_count(),
        "pairs": len(pairs),
        "cpu_ratio": statistics.median(pair[True].cpu_s / pair[False].cpu_s for pair in pairs),
        "wall_ratio": statistics.median(pair[True].wall_s / pair[False].wall_s for pair in pairs),
        "trial_s": statistics.median(pair[False].wall_s for pair in pairs),
        "look_ms": 1e3 * one_look_s,
        "share_of_looks": one_look_s / INTERVAL_S,
    }
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
