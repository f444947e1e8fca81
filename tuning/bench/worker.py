"""What workers do for a benchmark: look at a study before anything is trained, and do one whole
search each.

A search has engine, loop and trainer in one process: nothing but its own work is between its
trials, and as many run at once as there are slots. Its files are an ordinary ledger, so that a
search that lost its worker goes on.
"""

from __future__ import annotations

import pkgutil
import queue
import time
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tuning.bench.budget import Budget, Meter
from tuning.bench.plan import CheckedStudy, CheckRequest, Search, folder_of, overrides_of
from tuning.bench.runs import BenchRun, anytime, best_of, counted
from tuning.data.dataset import Dataset
from tuning.engines.base import Engine
from tuning.engines.remote import prepare
from tuning.errors import SearchFailed, StudyError, TuningError
from tuning.executors.base import Job, Slot
from tuning.executors.inprocess import InProcessExecutor
from tuning.ledger.search import SearchFiles, begin
from tuning.reports.progress import SilentProgress
from tuning.search.header import search_header
from tuning.search.loop import SearchLoop
from tuning.search.open_trials import function_of, trial_job
from tuning.search.stop_request import StopRequest
from tuning.study.info import StudyInfo, pin
from tuning.study.study import Study
from tuning.trial import Context, EpochReport, Pause, Proposal, TrialResult
from tuning.trials.folds import trained_by_earlier_attempts
from tuning.trials.jobs import TrialJob
from tuning.trials.worker_study import load_source


def look(question: CheckRequest, context: Context) -> CheckedStudy:
    """Load and check a study under every engine; nothing is trained.

    Raises:
        StudyError: The study is wrong, or an engine cannot search it; all faults at once.
        MissingError: Data or a package is not there.
    """
    study = load_source(question.source, question.changes)
    root = question.home / study.name / question.budget.text
    searches, notices, faults = [], {}, []
    overrides = overrides_of(study, question.choices[0], 0, question.budget)
    engine, record = prepare(question.source, {**question.changes, **overrides})
    engine.close()
    dataset = study.data()
    for choice in question.choices:
        mine = study.with_(**overrides_of(study, choice, 0, question.budget))
        try:
            notices[choice.name] = _remarks(mine, dataset)
        except StudyError as error:
            faults += [f"{choice.name}: {fault}" for fault in error.faults]
    if faults:
        raise StudyError(faults, where=f"study '{study.name}'")
    for seed in range(question.seeds):
        for choice in question.choices:
            overrides = {**question.changes, **overrides_of(study, choice, seed, question.budget)}
            pinned = pin(study.with_(**overrides).hash, record.data.digest)
            folder = folder_of(root, choice, seed)
            searches.append(
                Search(study.name, question.source, overrides, choice, seed, folder, pinned)
            )
    return CheckedStudy(record, tuple(searches), notices)


def _remarks(study: Study, dataset: Dataset) -> tuple[str, ...]:
    """Make a study's engine, only to hear what it says."""
    from tuning.data.parts import split
    from tuning.engines.catalog import make_engine

    parts = split(
        dataset, seed=study.seed, test_size=study.test_size, validation_size=study.validation_size
    )
    engine = make_engine(study, lambda: parts)
    engine.close()
    return engine.notices


def run_search(search: Search, budget: Budget, context: Context) -> BenchRun | None:
    """Do one search until its budget is used up, or go on with it; keep how it went in its folder.

    Returns:
        None where the driver has said "stop": the same search goes on another time.

    Raises:
        TuningError: The study, its data or the disk.
    """
    context.retire()  # the next search begins as this one did: nothing compiled, nothing remembered
    engine, record = prepare(search.source, search.overrides)
    files = begin(search.folder, search_header(record, {}), fresh=False, allow_change=False)
    meter = Meter(budget)
    metered = _MeteredEngine(engine, meter)
    trials: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
    executor = InProcessExecutor((Slot(context.slot),), start=trials.put)
    loop = SearchLoop(
        record,
        metered,
        executor,
        files,
        make_job=_JobMaker(record, search, files, meter, context),
        progress=SilentProgress(),
        in_order=1,
        stop_request=StopRequest(lambda: meter.enough),
    )
    with ThreadPoolExecutor(1, "loop") as pool:
        ended = pool.submit(_drive, loop)
        ended.add_done_callback(lambda _: trials.put(None))
        while (
            trial := trials.get()
        ) is not None:  # trained here, in the main thread, where the study was imported
            trial()
        error = ended.result()
        pool.submit(engine.close).result()
    if meter.halted:
        return None
    curve = anytime(
        record,
        loop.trial_index,
        files,
        meter,
        choice=search.choice.name,
        seed=search.seed,
        asked_s=metered.asked_s,
    )
    how = "failed" if error else "exhausted" if loop.exhausted else "budget"
    run = BenchRun(
        curve,
        files.require_header().id,
        search.pinned,
        how,
        error,
        counted(loop.trial_index),
        best_of(loop.trial_index, files),
        time.time(),
    )
    run.keep(search.folder)
    return run


def _drive(loop: SearchLoop) -> str:
    """Search; return what went wrong with this search alone, "" where nothing did."""
    try:
        loop.replay()
        loop.run()
    except SearchFailed as error:
        return str(error)
    except TuningError:
        raise
    except Exception as error:  # an engine's own bug: it is that engine's result, the others go on
        traceback.print_exc()
        return f"{type(error).__name__}: {error}"
    return ""


@dataclass(frozen=True, eq=False)
class _JobMaker:
    """Makes the job of a trial, counted by the meter and told to the driver."""

    record: StudyInfo
    search: Search
    files: SearchFiles
    meter: Meter
    context: Context

    def __call__(self, proposal: Proposal, attempt: int) -> Job:
        record, search = self.record, self.search
        job = trial_job(
            record,
            search.source,
            search.overrides,
            self.files,
            proposal=proposal,
            attempt=attempt,
            score_test=True,
        )
        return Job(
            f"{proposal.number}-{attempt}",
            f"{__name__}:run_counted",
            (function_of(record), job, _Counting(self.meter, self.context)),
            wants_answer=record.pruner != "none",
        )


def run_counted(function: str, job: TrialJob, counting: _Counting, context: Context) -> TrialResult:
    """Train one trial with its epochs counted; the function of a trial's `Job`, within the search's
    own process.
    """
    counting.begin(context, *trained_by_earlier_attempts(job.folder))
    result: TrialResult = pkgutil.resolve_name(function)(job, counting)
    return result


class _Counting:
    """The `Context` of a trial: counts its epochs and stops it where the budget or the driver says
    so.
    """

    def __init__(self, meter: Meter, driver: Context) -> None:
        self.slot = driver.slot
        self._meter, self._driver = meter, driver
        self._inner: Context | None = None

    def begin(self, inner: Context, epochs: int, seconds: float) -> None:
        """A trial begins, or goes on, as `Meter.begin` says; `inner` asks the engine's pruner."""
        self._inner = inner
        self._meter.begin(epochs, seconds)

    def report(self, report: EpochReport) -> str:
        """Pass an epoch on; return "continue", "prune" or "stop"."""
        assert self._inner is not None  # noqa: S101 - `begin` is called before anything is trained
        if self._driver.report(report) == "stop":
            self._meter.halted = True
        if self._meter.epoch(report.fits) or self._meter.halted:
            return "stop"
        return self._inner.report(report)

    def retire(self) -> None:
        """The worker is replaced after each search anyway."""


class _MeteredEngine:
    """An engine whose own time is measured, and whose trials are counted as it is told of them,
    copies included.

    Attributes:
        asked_s: Seconds spent in the engine for each proposal: the ask, and what it was told since
            the one before.
    """

    def __init__(self, engine: Engine, meter: Meter) -> None:
        self.notices = engine.notices
        self.asked_s: list[float] = []
        self._engine, self._meter = engine, meter
        self._spent = 0.0

    def ask(self, number: int) -> Proposal | Pause:
        """As the engine's."""
        began = time.perf_counter()
        asked = self._engine.ask(number)
        self._spent += time.perf_counter() - began
        if isinstance(asked, Proposal):
            self.asked_s.append(self._spent)
            self._spent = 0.0
        return asked

    def adopt(self, proposal: Proposal) -> bool:
        """As the engine's."""
        return self._engine.adopt(proposal)

    def report(self, report: EpochReport) -> bool:
        """As the engine's."""
        return self._engine.report(report)

    def tell(self, result: TrialResult) -> None:
        """As the engine's."""
        began = time.perf_counter()
        self._engine.tell(result)
        self._spent += time.perf_counter() - began
        self._meter.end(result)

    def artifacts(self) -> Mapping[str, str]:
        """As the engine's."""
        return self._engine.artifacts()

    def close(self) -> None:
        """As the engine's."""
        self._engine.close()
