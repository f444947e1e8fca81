"""`run_bench`: every engine on the same studies, splits, seeds and budget; a search at a time on
each slot.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tuning.bench.lost import LastReport, record_lost_trial, running_in
from tuning.bench.plan import BenchPlan, CheckedStudy, CheckRequest, Search
from tuning.bench.runs import BenchRun
from tuning.bench.watch import Watch
from tuning.errors import ChangedError, StudyError, TuningError
from tuning.executors.base import Died, Event, Executor, Finished, Job, Raised, Reported
from tuning.executors.devices import parse_devices
from tuning.executors.forkserver import ForkServer
from tuning.executors.local import open_local
from tuning.ledger.search import SearchFiles
from tuning.search.loop import TICK_S
from tuning.search.lr_bounds import LRBounds, measure_lr_bounds
from tuning.search.open_trials import as_error
from tuning.search.stop_request import StopRequest
from tuning.storage.durable import raise_on_full_disk
from tuning.storage.home import tuning_home
from tuning.storage.locks import search_locked
from tuning.study.info import StudyInfo
from tuning.trial import Answer

_LOOK, _SEARCH = "tuning.bench.worker:look", "tuning.bench.worker:run_search"
_MOST_LOST = 3  # workers of one search that ended without a trial being at fault


@dataclass(frozen=True)
class Benched:
    """What came of one study.

    Attributes:
        looked: The study and its searches.
        runs: Of the searches that have ended, in their order.
        folder: Of this study and budget.
    """

    looked: CheckedStudy
    runs: tuple[BenchRun, ...]
    folder: Path


def run_bench(
    plan: BenchPlan, watch: Watch, forkserver: ForkServer | None = None
) -> tuple[list[Benched], str]:
    """Do all searches that have not been done yet.

    Args:
        plan: What is compared.
        watch: Told what happens.
        forkserver: One that runs, and is left running; None: an own one.

    Returns:
        What came of each study, and how it ended: "completed", "interrupted" or "terminated". The
            same call goes on.

    Raises:
        StudyError: A study is wrong or there twice, or an engine cannot search it.
        ChangedError: Earlier searches of this benchmark were done with another definition or other
            data.
        BusyError: Another process does this benchmark.
        TuningError: A device, the disk, or a worker that is lost again and again.
    """
    home = tuning_home(plan.home)
    stopping = StopRequest()
    parse_devices(plan.devices)  # a fault is told before anything costs time
    with ExitStack() as stack, raise_on_full_disk(), stopping.handled():
        watch.notice("starting TensorFlow")
        server = forkserver or stack.enter_context(ForkServer())
        looked: list[CheckedStudy] = []
        for source in plan.sources:
            each, rates = _looked(source, plan, home, server, watch)
            if any(each.record.name == other.record.name for other in looked):
                raise StudyError(
                    f"'{each.record.name}' is there twice; name each study once", where="bench"
                )
            looked.append(each)
            _open(stack, each, rates, fresh=plan.fresh)
        known = {
            search.id: run
            for each in looked
            for search in each.searches
            if (run := _kept(search)) is not None
        }
        searches = [search for each in looked for search in each.searches]
        watch.begin(searches, known)
        missing = [search for search in searches if search.id not in known]
        if missing:
            records = {each.record.name: each.record for each in looked}
            executor = stack.enter_context(
                open_local(
                    plan.devices,
                    gpus_per_trial=max(record.gpus_per_trial for record in records.values()),
                    forkserver=server,
                    log_folder=home / "bench" / "logs",
                    label="bench",
                    notice=watch.notice,
                )
            )
            with stopping.flags_only():
                _Round(plan, executor, watch, stopping, records, known).run(missing)
        return [_benched(each, known) for each in looked], stopping.reason or "completed"


def _looked(
    source: Any, plan: BenchPlan, home: Path, server: ForkServer, watch: Watch
) -> tuple[CheckedStudy, LRBounds]:
    question = CheckRequest(source, {}, plan.choices, plan.seeds, plan.budget, home / "bench")
    with open_local(
        plan.devices, forkserver=server, label="bench", notice=watch.notice
    ) as executor:
        found = _answer(executor, question)
    folder = found.searches[0].folder.parent
    rates = measure_lr_bounds(
        found.record,
        source,
        {},
        folder,
        fresh=plan.fresh,
        devices=plan.devices,
        forkserver=server,
        notice=watch.notice,
    )
    if not rates.intervals:
        return found, rates
    question = CheckRequest(
        source,
        {"intervals": dict(rates.intervals)},
        plan.choices,
        plan.seeds,
        plan.budget,
        home / "bench",
    )
    with open_local(
        plan.devices, forkserver=server, label="bench", notice=watch.notice
    ) as executor:
        return _answer(executor, question), rates


def _answer(executor: Executor, question: CheckRequest) -> CheckedStudy:
    executor.submit(Job("look", _LOOK, (question,)))
    while True:
        for event in executor.events(TICK_S):
            if isinstance(event, Finished):
                found: CheckedStudy = event.value
                return found
            if isinstance(event, Raised):
                raise as_error(event) or TuningError(
                    f"the study cannot be looked at: {event.error}\n{event.traceback}"
                )
            if isinstance(event, Died):
                raise TuningError(
                    f"the worker that looked at the study {event.cause}: {event.detail}"
                )


def _open(stack: ExitStack, looked: CheckedStudy, rates: LRBounds, *, fresh: bool) -> None:
    """Take the lock of a study and budget; with `fresh` set aside what is there. Keep what rates
    were measured.
    """
    folder = looked.searches[0].folder.parent
    stack.enter_context(search_locked(folder, f"process {os.getpid()} on {platform.node()}"))
    if fresh and folder.exists():
        folder.rename(folder.with_name(f"{folder.name}~{time.strftime('%Y%m%d-%H%M%S')}"))
    if rates.intervals:
        rates.remember(folder, looked.record.definition)


def _kept(search: Search) -> BenchRun | None:
    run = BenchRun.kept(search.folder)
    if run is not None and run.pinned != search.pinned:
        raise ChangedError(
            f"{search.title} was done with another definition of the study, or other data; put them back, or use "
            "--fresh to begin anew (what was done is kept)",
            where="bench",
        )
    return run


def _benched(looked: CheckedStudy, known: dict[str, BenchRun]) -> Benched:
    runs = [known[search.id] for search in looked.searches if search.id in known]
    return Benched(looked, tuple(runs), looked.searches[0].folder.parent)


@dataclass(eq=False)
class _Round:
    """The searches that are still to be done, each one job.

    Attributes:
        records: Of the studies, by name.
        known: Gets what came of each search that has ended, by its id.
    """

    plan: BenchPlan
    executor: Executor
    watch: Watch
    stopping: StopRequest
    records: dict[str, StudyInfo]
    known: dict[str, BenchRun]
    _open: dict[str, Search] = field(default_factory=dict)
    _trial: dict[str, LastReport] = field(default_factory=dict)
    _lost: dict[str, int] = field(default_factory=dict)
    _late: set[str] = field(default_factory=set)

    def run(self, searches: Sequence[Search]) -> None:
        """Do them all, or those that end before the user stops it."""
        for search in searches:
            self._submit(search)
        told = False
        while self._open and not self.stopping.abandoned:
            if self.stopping.reason and not told:
                told = True
                self.watch.notice(
                    "stopping: searches are kept as they are, the same command goes on"
                )
                self._stop()
            for event in self.executor.events(TICK_S):
                self._handle(event)
            self._end_late_trials()

    def _submit(self, search: Search) -> None:
        record = self.records[search.study]
        self._open[search.id] = search
        self.executor.submit(
            Job(
                search.id,
                _SEARCH,
                (search, self.plan.budget),
                no_progress_timeout_s=record.no_progress_timeout,
            )
        )

    def _stop(self) -> None:
        for name in list(self._open):
            if name in self._trial:
                self.executor.answer(name, Answer.STOP)
            else:
                self.executor.cancel(name)

    def _handle(self, event: Event) -> None:
        search = self._open.get(event.job)
        if search is None:
            return
        if isinstance(event, Reported):
            self._reported(search, event)
        elif isinstance(event, Finished):
            self._forget(search)
            if event.value is not None:
                self.known[search.id] = event.value
                self.watch.ended(search, event.value)
        elif isinstance(event, Raised):
            raise as_error(event) or TuningError(
                f"{search.title}: {event.error}\n{event.traceback}".rstrip()
            )
        elif isinstance(event, Died):
            self._died(search, event)

    def _reported(self, search: Search, event: Reported) -> None:
        report, before = event.report, self._trial.get(search.id)
        epochs = before.epochs if before is not None and before.number == report.number else 0
        self._trial[search.id] = LastReport(
            report.number, time.monotonic() - report.seconds, epochs + report.fits
        )
        if self.stopping.reason:
            self.executor.answer(search.id, Answer.STOP)
        self.watch.epoch(search)

    def _end_late_trials(self) -> None:
        """Keep `trial_timeout`, which an executor keeps for whole jobs only."""
        for name, trial in list(self._trial.items()):
            search = self._open[name]
            limit = self.records[search.study].trial_timeout
            if limit is None or trial.seconds <= limit or name in self._late:
                continue
            running = running_in(SearchFiles(search.folder))
            if running == trial.number:
                self._late.add(name)
                self.executor.cancel(name)
            elif running is None:
                del self._trial[name]
            else:  # the next one, which has not reported yet
                self._trial[name] = LastReport(running, time.monotonic(), 0)

    def _forget(self, search: Search) -> None:
        self._open.pop(search.id, None)
        self._trial.pop(search.id, None)
        self._late.discard(search.id)

    def _died(self, search: Search, event: Died) -> None:
        """Begin a search whose worker is lost again; it goes on where it was. A trial that does so
        too often failed.
        """
        late, trial = search.id in self._late, self._trial.get(search.id)
        self._forget(search)
        if self.stopping.reason or (event.cause == "cancelled" and not late):
            return
        final = late or event.cause in ("timeout", "no_progress")
        detail = "stopped after the trial's limit" if late else event.detail
        attempts = self.records[search.study].attempts
        if not record_lost_trial(
            search.folder, f"worker {event.cause}: {detail}", attempts, final=final, heard=trial
        ):
            self._lost[search.id] = self._lost.get(search.id, 0) + 1
            if self._lost[search.id] >= _MOST_LOST:
                raise TuningError(
                    f"{search.title}: its worker was lost {_MOST_LOST} times, the last {event.detail}"
                )
        self.watch.notice(f"{search.title}: worker {event.cause}; it goes on")
        self._submit(search)
