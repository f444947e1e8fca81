"""Range tests for a study, done in a worker process; the intervals they give a search, remembered
in its folder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tuning.errors import TuningError
from tuning.executors.base import Died, Executor, Finished, Job, Raised
from tuning.executors.forkserver import ForkServer
from tuning.executors.local import open_local
from tuning.ledger.records import Intervals, read_record, write_record
from tuning.lr_range.result import LRRange, LRRangeJob, hull
from tuning.schema import check_schema
from tuning.search.open_trials import as_error
from tuning.storage.durable import read_json, write_json
from tuning.study.domains import FromRangeTest
from tuning.study.info import StudyInfo
from tuning.study.positions import Varied, diagonal, one_by_one, rows_of
from tuning.study.space import Space
from tuning.study.study import Study
from tuning.trials.jobs import Source

_FUNCTION = "tuning.lr_range.jobs:run_lr_range"
_TICK_S = 0.25
_NAME = "lr_range_{}.json"
_INTERVALS = "intervals.json"


@dataclass(frozen=True)
class LRBounds:
    """Bounds of a search's learning rates.

    Attributes:
        intervals: By parameter (low, high), or rows of `tuning.study.positions`; the study's field
            of that name, and an entry of `search.json`.
        tests: The tests that were done now, by parameter; none where the intervals were remembered.
    """

    intervals: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    tests: Mapping[str, Sequence[LRRange]] = field(default_factory=dict)

    def remember(self, folder: Path, definition: Mapping[str, Any]) -> None:
        """Write the intervals, and the definition that they were measured under, where no search's
        header keeps them.
        """
        write_record(
            folder / _INTERVALS,
            Intervals(intervals=dict(self.intervals), definition=dict(definition)),
        )
        self.keep(folder)

    def keep(self, folder: Path) -> None:
        """Write tests and pictures into the search's artifacts, from where they go to MLflow; call
        it after `begin`.
        """
        from tuning.lr_range.plot import write_html, write_png

        for name, tests in self.tests.items():
            file = folder / "artifacts" / _NAME.format(name)
            write_json(file, [test.to_json() for test in tests])
            write_html(tests, file.with_suffix(".html"), f"{tests[0].study}: bounds of {name}")
            write_png(tests, file.with_suffix(".png"))


def measure_lr_bounds(
    study: StudyInfo | Study,
    source: Source,
    overrides: Mapping[str, Any],
    folder: Path,
    *,
    fresh: bool = False,
    again: bool = True,
    devices: str = "auto",
    forkserver: ForkServer | None = None,
    notice: Callable[[str], None] = lambda text: None,
) -> LRBounds:
    """Return the bounds of the learning rates a study takes from a range test; measured once for
    each search.

    Args:
        study: With its wide bounds.
        source, overrides: The same, for the worker.
        folder: Of the search; its lock is held.
        fresh: Do not look at what is remembered there.
        again: Measure where what is remembered is of another range; else return none, for `begin`
            to refuse.
        devices: As for `--devices`.
        forkserver: One that runs; it is left running.
        notice: Told in words what is done.

    Raises:
        StudyError: A parameter does not set the optimizer's learning rate.
        TuningError: A builder failed, or the worker died.
    """
    wanted = study.space.measured
    if not wanted:
        return LRBounds()
    stored, old = ({}, {}) if fresh else _remembered(folder)
    if stored and old:
        new = study.definition() if isinstance(study, Study) else study.definition
        if old.get("from_range_test") != new.get("from_range_test"):
            if not again:
                return LRBounds()
            stored = {}
        elif old.get("builder") != new.get("builder"):
            notice(
                "the learning rates' bounds are those of the builder as it was; --fresh measures them anew"
            )
    known = {name: list(stored[name]) for name in wanted if name in stored}
    missing = {
        name: rate for name, rate in wanted.items() if name not in known and rate.within is None
    }
    if not missing:
        return LRBounds(known)
    notice(f"learning-rate range test of {', '.join(missing)}")
    tests: dict[str, list[LRRange]] = {}
    measured: dict[str, list[Any]] = {}
    with open_local(devices, forkserver=forkserver, label=study.name, notice=notice) as executor:
        for name, rate in missing.items():
            points = (
                one_by_one(study.space, name)
                if rate.per_structure
                else _diagonal(study.space, name)
            )
            jobs = [
                LRRangeJob(source, overrides, point, name, lr_min=rate.low, lr_max=rate.high)
                for point in points.values()
            ]
            tests[name] = run_tests(executor, jobs)
            measured[name] = _found(rate, list(points), tests[name])
            notice(_told(name, rate, tests[name]))
    return LRBounds({**known, **measured}, tests)


def _remembered(folder: Path) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return the intervals kept in a folder, and the definition they were measured under.

    A search keeps both in its header, a benchmark in a file of its own. Benchmarks of release 0.1
    wrote the intervals alone, as a `search.json` without a definition: theirs is empty, and the
    intervals hold.
    """
    own = read_record(Intervals, folder / _INTERVALS)
    if own is not None:
        return own.intervals, own.definition
    header = read_json(folder / "search.json") or {}
    check_schema(header, folder / "search.json")
    versions = header.get("versions") or [{}]
    return header.get("intervals", {}), versions[-1]


def _diagonal(space: Space, name: str) -> dict[Varied, dict[str, Any]]:
    """Return small, middling and large structures: what suits the smallest model may harm the
    largest.
    """
    return {("", i): point for i, point in enumerate(diagonal(space, name))}


def _found(rate: FromRangeTest, varied: Sequence[Varied], tests: Sequence[LRRange]) -> list[Any]:
    if not rate.per_structure:
        return list(hull(tests))
    told = [None if "steepest" in test.reasons else test.interval for test in tests]
    return rows_of(list(zip(varied, told, strict=True)), (rate.low, rate.high))


def _told(name: str, rate: FromRangeTest, tests: Sequence[LRRange]) -> str:
    low, high = hull(tests)
    if rate.per_structure:
        return f"{name} is searched in an interval for each structure, from {low:.3g} to {high:.3g} in all measured"
    return f"{name} is searched from {low:.3g} to {high:.3g}"


def kept_tests(folder: Path) -> list[LRRange]:
    """Return the tests that lie in a search's folder, for its report."""
    files = sorted((folder / "artifacts").glob(_NAME.format("*")))
    return [LRRange.from_json(test) for file in files for test in read_json(file) or ()]


def run_tests(executor: Executor, jobs: Sequence[LRRangeJob]) -> list[LRRange]:
    """Have workers do range tests, as many at a time as there are slots; return them in the order
    of `jobs`.

    Raises:
        TuningError: Whatever a worker raised, with its exit code, or that it died.
    """
    names = [f"lr-range-{job.parameter}-{i}" for i, job in enumerate(jobs)]
    done: dict[str, LRRange] = {}
    for name, job in zip(names, jobs, strict=True):
        executor.submit(Job(name, _FUNCTION, (job,)))
    while len(done) < len(names):
        for event in executor.events(_TICK_S):
            if event.job in names and isinstance(event, Finished | Raised | Died):
                done[event.job] = _ended(event)
    return [done[name] for name in names]


def _ended(event: Finished | Raised | Died) -> LRRange:
    if isinstance(event, Finished):
        test: LRRange = event.value
        return test
    if isinstance(event, Raised):
        raise as_error(event) or TuningError(
            f"the range test failed: {event.error}\n{event.traceback}".rstrip()
        )
    raise TuningError(f"the range test's worker {event.cause}: {event.detail}")
