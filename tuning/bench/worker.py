"""What workers do for a benchmark: check a study before anything is trained, and do one search.

A search has engine, loop and trainer in one process: nothing but its own work is between its
trials, and as many run at once as there are slots. Its files are an ordinary ledger, so that a
search that lost its worker goes on.
"""

from __future__ import annotations

import math
import pkgutil
import queue
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias

from tuning.bench.budget import Budget
from tuning.bench.curve import anytime_run, count_trials, incumbent_of
from tuning.bench.engine_limit import EngineLimit
from tuning.bench.meter import Meter
from tuning.bench.metered import MeteredContext, MeteredEngine
from tuning.bench.plan import CheckedStudy, CheckRequest, Search, folder_of, overrides_of
from tuning.bench.runs import BenchRun
from tuning.data.dataset import Dataset
from tuning.engines.remote import prepare
from tuning.errors import SearchFailed, StudyError, TuningError
from tuning.executors.base import Job
from tuning.executors.devices.slot import Slot
from tuning.executors.inprocess import InProcessExecutor
from tuning.executors.supervision.parts import ENGINE
from tuning.ledger.begin import begin
from tuning.ledger.damage import SetAside
from tuning.ledger.header import search_header
from tuning.ledger.search import SearchFiles
from tuning.reports.progress import SilentProgress
from tuning.search.loop import SearchLoop
from tuning.search.stop_request import StopRequest
from tuning.search.trial_jobs import function_of, trial_job
from tuning.study.info import StudyInfo, pin
from tuning.study.source import load_source
from tuning.study.study import Study
from tuning.study.study_data import load_dataset, split_dataset
from tuning.trial import Context, Proposal, TrialResult
from tuning.trials.earlier_attempts import trained_by_earlier_attempts
from tuning.trials.jobs import TrialJob

_Trials: TypeAlias = queue.SimpleQueue[Callable[[], None] | None]


def check_study(request: CheckRequest, context: Context) -> CheckedStudy:
    """Load and check a study under every engine; nothing is trained.

    Raises:
        StudyError: The study is wrong, or an engine cannot search it; all faults at once.
        MissingError: Data or a package is not there.
    """
    study = load_source(request.source, request.changes)

    # Data and builder are the same under every engine: they are checked with the first.
    first = overrides_of(study, request.choices[0], 0, request.budget)
    engine, info = prepare(request.source, {**request.changes, **first})
    engine.close()

    notices = _notices_of_engines(study, request)
    searches = _searches_of(study, request, info.data.digest)
    folder = request.home / study.name / request.budget.text
    return CheckedStudy(info=info, searches=searches, notices=notices, folder=folder)


def _notices_of_engines(study: Study, request: CheckRequest) -> dict[str, tuple[str, ...]]:
    """Make every engine, only to hear what it says of the study; return that by the engine's name.

    Raises:
        StudyError: Engines cannot search the study; what each of them says.
    """
    dataset = load_dataset(study)
    notices = {}
    faults = []

    for choice in request.choices:
        changed = study.with_(**overrides_of(study, choice, 0, request.budget))
        try:
            notices[choice.name] = _engine_notices(changed, dataset)
        except StudyError as error:
            faults += [f"{choice.name}: {fault}" for fault in error.faults]

    if faults:
        raise StudyError(faults, where=f"study '{study.name}'")
    return notices


def _engine_notices(study: Study, dataset: Dataset) -> tuple[str, ...]:
    from tuning.engines.catalog import make_engine

    parts = split_dataset(study, dataset)
    engine = make_engine(study, lambda: parts)
    engine.close()
    return engine.notices


def _searches_of(study: Study, request: CheckRequest, digest: str) -> tuple[Search, ...]:
    """Return all searches, those of one seed together; `digest` is that of the data."""
    root = request.home / study.name / request.budget.text
    searches = []

    for seed in range(request.seeds):
        for choice in request.choices:
            changes = overrides_of(study, choice, seed, request.budget)
            overrides = {**request.changes, **changes}
            searches.append(
                Search(
                    study=study.name,
                    source=request.source,
                    overrides=overrides,
                    choice=choice,
                    seed=seed,
                    folder=folder_of(root, choice, seed),
                    pinned=pin(study.with_(**overrides).hash, digest),
                )
            )
    return tuple(searches)


def run_search(search: Search, budget: Budget, context: Context) -> BenchRun | None:
    """Do one search until its budget is used up, or go on with it; record how it went.

    An engine that takes too long for an answer ends this process: its search has failed.

    Returns:
        None where the driver has said "stop": the same search goes on another time.

    Raises:
        TuningError: The study, its data or the disk.
    """
    context.retire()  # the next search begins as this one did: nothing compiled, nothing remembered
    under_way: list[_UnderWay] = []

    def keep_failure(reason: str) -> None:
        for each in under_way:  # none while the study is still loaded
            each.record(reason)

    with EngineLimit(ENGINE.answer_s or math.inf, on_late=keep_failure) as limit:
        search_under_way = _begin(search, budget, context, limit)
        under_way.append(search_under_way)
        return search_under_way.record(search_under_way.carry_out())


def _begin(search: Search, budget: Budget, context: Context, limit: EngineLimit) -> _UnderWay:
    """Load the study, open the search's files, and put its loop together."""
    with limit.answering("check the study"):
        engine, info = prepare(search.source, search.overrides)
    files = begin(
        search.folder,
        search_header(info, {}),
        fresh=False,
        allow_change=False,
        on_damage=SetAside(print),  # into the worker's log
    )
    meter = Meter(budget)
    metered = MeteredEngine(engine, meter, limit.answering)
    trials: _Trials = queue.SimpleQueue()
    loop = SearchLoop(
        info,
        metered,
        InProcessExecutor((Slot(context.slot),), start=trials.put),
        files,
        make_job=_JobMaker(info, search, files, meter, context),
        progress=SilentProgress(),
        in_order=1,  # the meter counts trials that follow one another
        stop_request=StopRequest(lambda: meter.enough),
    )
    return _UnderWay(
        search=search,
        info=info,
        files=files,
        meter=meter,
        engine=metered,
        loop=loop,
        trials=trials,
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class _UnderWay:
    """A search that is being done, and what its record is made of.

    Attributes:
        trials: What the main thread is to train; None: nothing is to come.
    """

    search: Search
    info: StudyInfo
    files: SearchFiles
    meter: Meter
    engine: MeteredEngine
    loop: SearchLoop
    trials: _Trials

    def carry_out(self) -> str:
        """Search until there is an end; return what went wrong, "" where nothing did.

        The loop has a thread of its own. Trials are trained here, in the main thread, where the
        study was imported.
        """
        with ThreadPoolExecutor(1, "loop") as pool:
            driven = pool.submit(_drive, self.loop)
            driven.add_done_callback(lambda _: self.trials.put(None))
            while True:
                train = self.trials.get()
                if train is None:
                    break
                train()
            error = driven.result()
            pool.submit(self.engine.close).result()  # by the thread that has used it
        return error

    def record(self, error: str) -> BenchRun | None:
        """Write how the search went, and return it; None where it was stopped, and goes on.

        Args:
            error: Why it failed; "": it has not.
        """
        if self.meter.halted:
            return None
        run = BenchRun(
            curve=anytime_run(
                self.info,
                self.loop.trial_index,
                self.files,
                self.meter,
                engine=self.search.choice.name,
                seed=self.search.seed,
                asked_s=self.engine.asked_s,
            ),
            search=self.files.require_header().id,
            pinned=self.search.pinned,
            ended=_how_it_ended(error, self.loop),
            error=error,
            counts=count_trials(self.loop.trial_index),
            best=incumbent_of(self.loop.trial_index, self.files),
            at=time.time(),
        )
        run.write(self.search.folder)
        return run


def _how_it_ended(error: str, loop: SearchLoop) -> str:
    if error:
        return "failed"
    return "exhausted" if loop.exhausted else "budget"


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
    """Makes the job of a trial, whose epochs the meter counts and the driver hears of."""

    info: StudyInfo
    search: Search
    files: SearchFiles
    meter: Meter
    context: Context

    def __call__(self, proposal: Proposal, attempt: int) -> Job:
        job = trial_job(
            self.info,
            self.search.source,
            self.search.overrides,
            self.files,
            proposal=proposal,
            attempt=attempt,
            score_test=True,
        )
        context = MeteredContext(self.meter, self.context)
        return Job(
            id=f"{proposal.number}-{attempt}",
            function=f"{__name__}:run_metered",
            args=(function_of(self.info), job, context),
            wants_answer=self.info.pruner != "none",
        )


def run_metered(
    function: str, job: TrialJob, metered: MeteredContext, context: Context
) -> TrialResult:
    """Train one trial with its epochs counted.

    It is the function of a trial's `Job`, within the search's own process.
    """
    metered.begin(context, *trained_by_earlier_attempts(job.folder))
    result: TrialResult = pkgutil.resolve_name(function)(job, metered)
    return result
