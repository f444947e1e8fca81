"""Bounds of learning rates from range tests, remembered in the folder of their search."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

from tuning.errors import DamagedFileError
from tuning.executors.base import Executor, Job
from tuning.executors.executor_spec import LOCAL, ExecutorChoice, open_executor
from tuning.executors.forkserver import ForkServer
from tuning.executors.supervision.parts import QUESTION
from tuning.executors.worker import Limits
from tuning.ledger.damage import leave_out
from tuning.ledger.digests import range_tests_digest
from tuning.ledger.records import (
    Definition,
    LRIntervals,
    SearchHeader,
    read_record,
    write_record,
)
from tuning.lr_range.plot import write_html, write_png
from tuning.lr_range.result import LRRange, LRRangeJob, hull
from tuning.schema import check_schema, check_types, refuse_damaged
from tuning.search.questions.answers import answers
from tuning.space.domains import FromRangeTest
from tuning.space.positions import Varied, diagonal, one_by_one, rows_of
from tuning.space.space import Space
from tuning.storage.durable import load_json, write_json
from tuning.study.info import StudyInfo
from tuning.study.study import Study
from tuning.trial import Params
from tuning.trials.jobs import Overrides, Source

_FUNCTION = "tuning.lr_range.jobs:run_lr_range"
_TESTS = "lr_range_{}.json"
_INTERVALS = "intervals.json"

Interval: TypeAlias = Sequence[Any]
"""(low, high), or rows of `tuning.space.positions` for an interval of each structure."""
Notice: TypeAlias = Callable[[str], None]


@dataclass(frozen=True)
class LRBounds:
    """Bounds of a search's learning rates.

    Attributes:
        intervals: By parameter; the study's field of that name, and an entry of `search.json`.
        tests: The tests that were done now, by parameter; none where the intervals were remembered.
    """

    intervals: Mapping[str, Interval] = field(default_factory=dict)
    tests: Mapping[str, Sequence[LRRange]] = field(default_factory=dict)

    def remember(self, folder: Path, definition: Definition) -> None:
        """Write the intervals and their definition, where no search's header keeps them."""
        intervals = LRIntervals(intervals=dict(self.intervals), definition=dict(definition))
        write_record(folder / _INTERVALS, intervals)
        self.keep(folder)

    def keep(self, folder: Path) -> None:
        """Write tests and pictures into the search's artifacts, from where they go to MLflow.

        Call it after `begin`: a folder that is set aside takes its artifacts along.
        """
        for name, tests in self.tests.items():
            file = folder / "artifacts" / _TESTS.format(name)
            digest = _digests(folder, name)[-1]
            write_json(file, [replace(test, digest=digest).to_json() for test in tests])
            write_html(tests, file.with_suffix(".html"), f"{tests[0].study}: bounds of {name}")
            write_png(tests, file.with_suffix(".png"))


def measure_lr_bounds(
    study: StudyInfo | Study,
    source: Source,
    overrides: Overrides,
    folder: Path,
    *,
    fresh: bool = False,
    again: bool = True,
    devices: str = "auto",
    executor: ExecutorChoice = LOCAL,
    memory_per_slot: int | None = None,
    forkserver: ForkServer | None = None,
    notice: Notice = lambda text: None,
) -> LRBounds:
    """Return the bounds of the learning rates a study takes from a range test.

    They are measured once for each search.

    Args:
        study: With its wide bounds.
        source, overrides: The same, for the worker.
        folder: Of the search; its lock is held.
        fresh: Do not look at what is remembered there.
        again: Measure where what is remembered is of another range; else return none, for `begin`
            to refuse.
        devices: As for `--devices`.
        executor: On which the tests run.
        memory_per_slot: Bytes that a test may use; None: what there is.
        forkserver: One that runs; it is left running.
        notice: Told in words what is done.

    Raises:
        StudyError: A parameter does not set the optimizer's learning rate.
        TuningError: A builder failed, or the worker died.
    """
    wanted = study.space.measured
    if not wanted:
        return LRBounds()

    remembered = LRIntervals(intervals={}, definition={}) if fresh else _remembered(folder)
    definition = study.definition() if isinstance(study, Study) else study.definition

    intervals = remembered.intervals
    if _is_of_another_range(remembered, definition):
        if not again:
            return LRBounds()
        intervals = {}
    elif _is_of_another_builder(remembered, definition):
        notice(
            "the learning rates' bounds are those of the builder as it was; --fresh measures them "
            "anew"
        )

    known = {name: list(intervals[name]) for name in wanted if name in intervals}
    # With `within` the study itself has the measured bounds, in its `intervals`.
    missing = {
        name: rate for name, rate in wanted.items() if name not in known and rate.within is None
    }
    if not missing:
        return LRBounds(known)

    notice(f"learning-rate range test of {', '.join(missing)}")
    tests: dict[str, Sequence[LRRange]] = {}
    measured: dict[str, Interval] = {}
    with open_executor(
        executor,
        devices,
        forkserver=forkserver,
        limits=Limits(memory_bytes=memory_per_slot),
        label=study.name,
        notice=notice,
        sources=[source],
    ) as opened:
        for name, rate in missing.items():
            structures = _structures(study.space, name, rate)
            jobs = _jobs(source, overrides, name, rate, structures.values())
            tests[name] = run_tests(opened, jobs)
            measured[name] = _interval(rate, list(structures), tests[name])
            notice(_in_words(name, rate, tests[name]))
    return LRBounds({**known, **measured}, tests)


def _jobs(
    source: Source,
    overrides: Overrides,
    name: str,
    rate: FromRangeTest,
    structures: Iterable[Params],
) -> list[LRRangeJob]:
    """Return one range test of a rate for each structure."""
    return [
        LRRangeJob(
            source=source,
            overrides=overrides,
            structure=params,
            parameter=name,
            lr_min=rate.low,
            lr_max=rate.high,
        )
        for params in structures
    ]


def _remembered(folder: Path) -> LRIntervals:
    """Return the intervals kept in a folder, and the definition they were measured under.

    A search keeps both in its header, a benchmark in a file of its own. Benchmarks of release 0.1
    wrote the intervals alone, as a `search.json` without a definition: theirs is empty, and the
    intervals hold.
    """
    own = read_record(LRIntervals, folder / _INTERVALS)
    if own is not None:
        return own
    path = folder / "search.json"
    try:
        stored = load_json(path) or {}
        with refuse_damaged(path):
            check_schema(stored, path)
            versions = stored.get("versions") or [{}]
            remembered = LRIntervals(intervals=stored.get("intervals", {}), definition=versions[-1])
            check_types(remembered)
    except DamagedFileError:  # `begin` sets it aside; they are measured again
        return LRIntervals(intervals={}, definition={})
    return remembered


def _is_of_another_range(remembered: LRIntervals, definition: Definition) -> bool:
    if _differs("from_range_test", remembered, definition):
        return True
    # Not every caller knows the data.
    is_known = "data_digest" in remembered.definition and "data_digest" in definition
    return is_known and _differs("data_digest", remembered, definition)


def _is_of_another_builder(remembered: LRIntervals, definition: Definition) -> bool:
    return _differs("builder", remembered, definition)


def _differs(name: str, remembered: LRIntervals, definition: Definition) -> bool:
    # Without a definition nothing is known, and the intervals hold.
    if not remembered.intervals or not remembered.definition:
        return False
    return bool(remembered.definition.get(name) != definition.get(name))


def _structures(space: Space, name: str, rate: FromRangeTest) -> Mapping[Varied, Params]:
    """Return the structures a rate is measured at."""
    if rate.per_structure:
        return one_by_one(space, name)
    # Small, middling and large: what suits the smallest model may harm the largest.
    return {("", i): params for i, params in enumerate(diagonal(space, name))}


def _interval(rate: FromRangeTest, varied: Sequence[Varied], tests: Sequence[LRRange]) -> Interval:
    """Return what the tests at some structures say of a rate."""
    if not rate.per_structure:
        return list(hull(tests))
    # Where the steepest slope could not be read, the structure has no interval of its own.
    intervals = [None if "steepest" in test.reasons else test.interval for test in tests]
    return rows_of(list(zip(varied, intervals, strict=True)), (rate.low, rate.high))


def _in_words(name: str, rate: FromRangeTest, tests: Sequence[LRRange]) -> str:
    low, high = hull(tests)
    if rate.per_structure:
        return (
            f"{name} is searched in an interval for each structure, from {low:.3g} to {high:.3g} "
            "in all measured"
        )
    return f"{name} is searched from {low:.3g} to {high:.3g}"


def kept_tests(folder: Path) -> list[LRRange]:
    """Return the tests that lie in a search's folder, for its report."""
    files = sorted((folder / "artifacts").glob(_TESTS.format("*")))
    return [test for file in files for test in _read_tests(folder, file)]


def _digests(folder: Path, name: str) -> list[str]:
    """Return `range_tests_digest` of each version of the search in `folder`; [""]: none is known.

    Bounds stay as they are where a search is gone on with under another definition.
    """
    header = read_record(SearchHeader, folder / "search.json")
    if header is None:
        return [""]
    return [range_tests_digest(header.study, each, name) for each in header.versions]


def _read_tests(folder: Path, file: Path) -> list[LRRange]:
    """Return the tests of one file; none where it is damaged or foreign: they are only shown."""
    known = _digests(folder, file.stem.removeprefix("lr_range_"))
    try:
        stored = load_json(file)
        with refuse_damaged(file):
            tests = [LRRange.from_json(each) for each in stored or ()]
            for test in tests:
                check_types(test)
        if known != [""] and any(test.digest not in ("", *known) for test in tests):
            raise DamagedFileError(file, "it is of another study or rate", foreign=True)
    except DamagedFileError as error:
        leave_out(error)
        return []
    return tests


def run_tests(
    executor: Executor, jobs: Sequence[LRRangeJob], on_tick: Callable[[], None] = lambda: None
) -> list[LRRange]:
    """Have workers do range tests, as many at a time as there are slots.

    Args:
        executor: Where they run.
        jobs: The tests.
        on_tick: Called several times a second; what it raises ends them.

    Returns:
        The tests in the order of `jobs`.

    Raises:
        TuningError: Whatever a worker raised, with its exit code, or that it died.
    """
    names = [f"lr-range-{job.parameter}-{i}" for i, job in enumerate(jobs)]
    questions = [
        Job(name, _FUNCTION, (job,), timeout_s=QUESTION.answer_s)
        for name, job in zip(names, jobs, strict=True)
    ]
    tests = answers(executor, questions, "the range test", on_tick=on_tick)
    return [tests[name] for name in names]
