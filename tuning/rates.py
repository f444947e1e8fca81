"""Range tests for a study, done in a worker process; the intervals they give a search, remembered in its folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tuning.attempts import as_error
from tuning.durable import read_json, write_json
from tuning.errors import TuningError
from tuning.executors.base import Died, Event, Executor, Finished, Job, Raised, Reported
from tuning.executors.forkserver import ForkServer
from tuning.executors.opening import open_local
from tuning.record import StudyRecord
from tuning.study import Study
from tuning.training.jobs import Source
from tuning.training.lr_record import LRRange, LRRangeJob, hull

STRUCTURES = ("low", "middle", "high")
"""Points of the space at which a search's rates are measured: what suits the smallest model may harm the largest."""

_FUNCTION = "tuning.training.lr_jobs:run_lr_range"
_TICK_S = 0.25
_NAME = "lr_range_{}.json"


@dataclass(frozen=True)
class Rates:
    """Bounds of a search's learning rates.

    Attributes:
        intervals: (low, high) by parameter; the study's field of that name, and an entry of `search.json`.
        tests: The tests that were done now, by parameter; none where the intervals were remembered.
    """

    intervals: Mapping[str, Sequence[float]] = field(default_factory=dict)
    tests: Mapping[str, Sequence[LRRange]] = field(default_factory=dict)

    def keep(self, folder: Path) -> None:
        """Write tests and pictures into the search's artifacts, from where they go to MLflow; call it after `begin`."""
        from tuning.reports.lr_plot import write_html, write_png

        for name, tests in self.tests.items():
            file = folder / "artifacts" / _NAME.format(name)
            write_json(file, [test.to_json() for test in tests])
            write_html(tests, file.with_suffix(".html"), f"{tests[0].study}: bounds of {name}")
            write_png(tests, file.with_suffix(".png"))


def rates_for(
    study: StudyRecord | Study,
    source: Source,
    overrides: Mapping[str, Any],
    folder: Path,
    *,
    fresh: bool = False,
    devices: str = "auto",
    forkserver: ForkServer | None = None,
    on_test: Callable[[str], None] = lambda text: None,
) -> Rates:
    """Return the bounds of the learning rates a study takes from a range test; measured once for each search.

    Args:
        study: With its wide bounds.
        source, overrides: The same, for the worker.
        folder: Of the search; its lock is held.
        fresh: Do not look at what is remembered there.
        devices: As for `--devices`.
        forkserver: One that runs; it is left running.
        on_test: Told in words what is done.

    Raises:
        StudyError: A parameter does not set the optimizer's learning rate.
        TuningError: A builder failed, or the worker died.
    """
    wanted = study.space.measured
    if not wanted:
        return Rates()
    stored = {} if fresh else (read_json(folder / "search.json") or {}).get("intervals", {})
    known = {name: list(map(float, stored[name])) for name in wanted if name in stored}
    jobs = {
        name: LRRangeJob(source, overrides, STRUCTURES, name, lr_min=domain.low, lr_max=domain.high)
        for name, domain in wanted.items()
        if name not in known and domain.within is None
    }
    tests: dict[str, Sequence[LRRange]] = {}
    if jobs:
        on_test(f"learning-rate range test of {', '.join(jobs)}")
        with open_local(devices, forkserver=forkserver, label=study.name, on_wait=on_test) as executor:
            tests = {name: run_tests(executor, job) for name, job in jobs.items()}
    measured = {name: list(hull(done)) for name, done in tests.items()}
    for name, (low, high) in measured.items():
        on_test(f"{name} is searched from {low:.3g} to {high:.3g}")
    return Rates({**known, **measured}, tests)


def kept_tests(folder: Path) -> list[LRRange]:
    """Return the tests that lie in a search's folder, for its report."""
    files = sorted((folder / "artifacts").glob(_NAME.format("*")))
    return [LRRange.from_json(test) for file in files for test in read_json(file) or ()]


def run_tests(executor: Executor, job: LRRangeJob) -> list[LRRange]:
    """Have a worker do the tests of one job.

    Raises:
        TuningError: Whatever the worker raised, with its exit code, or that it died.
    """
    name = f"lr-range-{job.parameter}"
    executor.submit(Job(name, _FUNCTION, (job,)))
    while True:
        for event in executor.events(_TICK_S):
            if not isinstance(event, Reported) and event.job == name:
                ended = _ended(event)
                if ended is not None:
                    return ended


def _ended(event: Event) -> list[LRRange] | None:
    if isinstance(event, Finished):
        tests: list[LRRange] = event.value
        return tests
    if isinstance(event, Raised):
        raise as_error(event) or TuningError(f"the range test failed: {event.error}\n{event.traceback}".rstrip())
    if isinstance(event, Died):
        raise TuningError(f"the range test's worker {event.cause}: {event.detail}")
    return None
