"""Equal trials on one and on two slots, by each executor: how time falls, and what a trial costs.

`python -m benchmarks.slots --executors local,ray --repeats 5`: searches of the same trials, in
turns; a line each, then medians and ratios taken within a repeat, and one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from tuning import Float, Minimize, Study
from tuning.builders.mlp import build_model
from tuning.data.california import california_housing
from tuning.executors.forkserver import ForkServer
from tuning.reports.progress import SilentProgress
from tuning.search.options import RunOptions
from tuning.search.run import run_study
from tuning.trial import Params, TrialResult

WARM_UP = 4
"""Trials before the clock starts: each slot has a worker then, which has its data."""


@dataclass(frozen=True)
class Figures:
    """Of one search.

    Attributes:
        start_s: From the call to the first trial's begin: TensorFlow's import, Ray's start.
        trials_s: From the end of the `WARM_UP`-th trial to that of the last.
        driver_ms: Processor time of the driver a trial, over the same span: engine, files and
            executor.
    """

    start_s: float
    trials_s: float
    driver_ms: float


class Clock(SilentProgress):
    """Notes when trials begin and end."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._first_at = 0.0
        self._ends: list[tuple[float, float]] = []

    def running(self, slot: str, number: int, params: Params, epochs: int | None = None) -> None:
        """Note the first trial's begin."""
        self._first_at = self._first_at or time.monotonic()

    def finished(self, result: TrialResult, best: TrialResult | None) -> None:
        """Note a trial's end."""
        self._ends.append((time.monotonic(), time.process_time()))

    def figures(self) -> Figures:
        """Return what was measured."""
        (from_s, from_cpu_s), (to_s, to_cpu_s) = self._ends[WARM_UP - 1], self._ends[-1]
        n_trials = len(self._ends) - WARM_UP
        return Figures(
            start_s=self._first_at - self._began,
            trials_s=to_s - from_s,
            driver_ms=1000 * (to_cpu_s - from_cpu_s) / n_trials,
        )


def study(trials: int, epochs: int) -> Study:
    """Return a search whose trials take equally long: they differ in their learning rate alone."""
    return Study(
        name="equal_trials",
        builder=build_model,
        data=california_housing,
        objective=Minimize("val_rmse"),
        space={"lr": Float(1e-3, 2e-3, log=True)},
        fixed={"n_hidden": 3, "n_neurons": 300},
        engine="optuna:random",
        trials=trials + WARM_UP,
        epochs=epochs,
        top_k=1,
        seeds=1,
        seed=42,
    )


def measured(searched: Study, executor: str, slots: int, forkserver: ForkServer) -> Figures:
    """Search on so many CPU slots, in a home of its own."""
    with tempfile.TemporaryDirectory() as home:
        clock = Clock()
        options = RunOptions(home=home, devices=f"cpu:{slots}", executor=executor)
        run_study(searched, options, clock, forkserver)
        return clock.figures()


def sides_of(executors: Sequence[str]) -> list[tuple[str, int]]:
    """Return what is compared: each executor on one slot and on two."""
    return [(executor, slots) for executor in executors for slots in (1, 2)]


def ratios(repeat: Mapping[str, Figures]) -> dict[str, float]:
    """Return the ratios of one repeat's times: two slots against one, each against local."""
    times = {side: figures.trials_s for side, figures in repeat.items()}
    found = {}
    for side, seconds in times.items():
        executor, _, slots = side.partition(":")
        if slots == "2":
            found[f"{side} / {executor}:1"] = seconds / times[f"{executor}:1"]
        local = f"local:{slots}"
        if executor != "local" and local in times:
            found[f"{side} / {local}"] = seconds / times[local]
    return found


def main(argv: list[str] | None = None) -> None:
    """Measure in turns, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--executors", default="local")
    parser.add_argument("--trials", type=int, default=20, help="beside those of the warm-up")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args(argv)

    searched = study(options.trials, options.epochs)
    sides = sides_of(options.executors.split(","))
    repeats: list[dict[str, Figures]] = []
    with ForkServer() as forkserver:
        for _ in range(options.repeats):
            repeat = {}
            for executor, slots in sides:
                figures = measured(searched, executor, slots, forkserver)
                repeat[f"{executor}:{slots}"] = figures
                print(f"{executor}:{slots}  {_words(figures)}", flush=True)
            repeats.append(repeat)

    pairs = [ratios(repeat) for repeat in repeats]
    medians = {name: statistics.median(each[name] for each in pairs) for name in pairs[0]}
    for name, ratio in medians.items():
        print(f"{name} = {ratio:.3f}, the median of {len(pairs)}")
    raw = [{side: asdict(figures) for side, figures in repeat.items()} for repeat in repeats]
    print(json.dumps({"ratios": medians, "repeats": raw}))


def _words(figures: Figures) -> str:
    return (
        f"start {figures.start_s:5.1f} s   trials {figures.trials_s:6.2f} s   "
        f"driver {figures.driver_ms:5.2f} ms a trial"
    )


if __name__ == "__main__":
    main()
