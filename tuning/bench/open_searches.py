"""`OpenSearches`: the searches of a benchmark that are under way, each one job of an executor."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tuning.bench.budget import Budget
from tuning.bench.lost import Attempt, LastReport, attempt_in, record_lost_trial, running_in
from tuning.bench.plan import Search
from tuning.bench.runs import BenchRun
from tuning.bench.watch import Watch
from tuning.errors import TuningError
from tuning.executors.base import Died, Event, Executor, Finished, Job, Raised, Reported, Started
from tuning.ledger.search import SearchFiles
from tuning.search.loop import TICK_S
from tuning.search.questions.errors import as_error
from tuning.search.stop_request import StopRequest
from tuning.study.info import StudyInfo
from tuning.trial import Answer, EpochReport

_RUN_SEARCH = "tuning.bench.worker:run_search"
_MOST_LOST = 3  # workers of one search that ended without a trial being at fault
_LOOKS = 8  # at the files within the time that a trial may take without an epoch


@dataclass(eq=False)
class _OpenSearch:
    """A search that is under way.

    Attributes:
        last_report: The trial that this worker has reported of last; None: it has not reported yet.
        late: Why a trial's worker is being ended, in words; "": it is not.
        lost: Workers of the search that ended, without a report and a trial being at fault.
        earlier: The attempt that its files had open before this worker, which has first to load the
            study and to ask its engine again.
        attempt: The one that was open when the files were looked at last; None: none was.
        silent_since: No epoch of that attempt has ended since then, on the monotonic clock; None:
            the search still waits for a slot.
        look_at: When to look at the files again.
    """

    search: Search
    last_report: LastReport | None = None
    late: str = ""
    lost: int = 0
    earlier: Attempt | None = None
    attempt: Attempt | None = None
    silent_since: float | None = None
    look_at: float = 0.0

    def note_report(self, report: EpochReport) -> None:
        """Note an epoch's report, with those before it of the same trial."""
        self.lost = 0
        self.silent_since = time.monotonic()
        epochs = report.fits
        if self.last_report is not None and self.last_report.number == report.number:
            epochs += self.last_report.epochs
        began_at = time.monotonic() - report.seconds
        self.last_report = LastReport(report.number, began_at, epochs)


class OpenSearches:
    """Runs searches to their end, as many at a time as there are slots.

    Args:
        executor: Where they run.
        budget: Of each.
        studies: By name.
        stopping: Looked at between events.
        watch: Told what happens.
        on_end: Called with each search that has ended, and how it went.
        on_tick: Called several times a second; what it raises ends the benchmark.
    """

    def __init__(
        self,
        executor: Executor,
        budget: Budget,
        studies: Mapping[str, StudyInfo],
        *,
        stopping: StopRequest,
        watch: Watch,
        on_end: Callable[[Search, BenchRun], None],
        on_tick: Callable[[], None] = lambda: None,
    ) -> None:
        self._executor = executor
        self._budget = budget
        self._studies = studies
        self._stopping = stopping
        self._watch = watch
        self._on_end = on_end
        self._on_tick = on_tick
        self._open: dict[str, _OpenSearch] = {}  # by the search's id, which is its job's too

    def run(self, searches: Sequence[Search]) -> None:
        """Do them all, or those that end before the user stops it.

        Raises:
            TuningError: A study, its data, the disk, or a worker that is lost again and again.
        """
        for search in searches:
            self._submit(search)

        is_stopping = False
        while self._open and not self._stopping.abandoned:
            if self._stopping.reason and not is_stopping:
                is_stopping = True
                self._watch.notice(
                    "stopping: searches are kept as they are, the same command goes on"
                )
                self._stop()
            self._on_tick()
            for event in self._executor.events(TICK_S):
                self._handle(event)
            self._end_late_trials()
            self._end_silent_trials()

    def _submit(self, search: Search, *, lost: int = 0, alone: bool = False) -> None:
        earlier = attempt_in(SearchFiles(search.folder))
        self._open[search.id] = _OpenSearch(search, lost=lost, earlier=earlier)
        self._executor.submit(
            Job(id=search.id, function=_RUN_SEARCH, args=(search, self._budget), alone=alone)
        )

    def _stop(self) -> None:
        for job, open_search in self._open.items():
            if open_search.last_report is None:
                self._executor.cancel(job)
            else:  # it trains, and hears the answer at the end of its epoch
                self._executor.answer(job, Answer.STOP)

    def _handle(self, event: Event) -> None:
        open_search = self._open.get(event.job)
        if open_search is None:
            return

        search = open_search.search
        if isinstance(event, Started):
            open_search.silent_since = time.monotonic()
        elif isinstance(event, Reported):
            open_search.note_report(event.report)
            if self._stopping.reason:  # it may not have reported yet when all were stopped
                self._executor.answer(event.job, Answer.STOP)
            self._watch.epoch(search)
        elif isinstance(event, Finished):
            del self._open[event.job]
            if event.value is not None:  # None: it was stopped, and goes on another time
                self._on_end(search, event.value)
        elif isinstance(event, Raised):
            raise as_error(event) or TuningError(
                f"{search.title}: {event.error}\n{event.traceback}".rstrip()
            )
        elif isinstance(event, Died):
            self._died(open_search, event)

    def _end_late_trials(self) -> None:
        """Keep `trial_timeout`, which an executor keeps for whole jobs only."""
        for job, open_search in self._open.items():
            report = open_search.last_report
            limit_s = self._studies[open_search.search.study].trial_timeout
            if report is None or limit_s is None or open_search.late:
                continue
            if report.seconds <= limit_s:
                continue

            # The report may be of a trial that has ended since: only the files know.
            running = running_in(SearchFiles(open_search.search.folder))
            if running == report.number:
                open_search.late = "stopped after the trial's limit"
                self._executor.cancel(job)
            elif running is None:
                open_search.last_report = None
            else:  # the next trial, which has not reported yet: its time begins now
                open_search.last_report = LastReport(running, time.monotonic(), 0)

    def _end_silent_trials(self) -> None:
        """Keep `no_progress_timeout` for trials: in between the engine has a limit of its own."""
        for job, open_search in self._open.items():
            now = time.monotonic()
            silent_since = open_search.silent_since
            if open_search.late or silent_since is None or now < open_search.look_at:
                continue
            limit_s = self._studies[open_search.search.study].no_progress_timeout
            open_search.look_at = now + limit_s / _LOOKS

            attempt = attempt_in(SearchFiles(open_search.search.folder))
            if attempt in (None, open_search.earlier) or attempt != open_search.attempt:
                open_search.attempt = attempt
                open_search.silent_since = now
            elif now - silent_since >= limit_s:
                open_search.late = f"stopped after {limit_s:g} s without a finished epoch"
                self._executor.cancel(job)

    def _died(self, open_search: _OpenSearch, event: Died) -> None:
        """Begin a search whose worker is lost again; it goes on where it was.

        A trial that takes its worker along too often has failed.
        """
        search = open_search.search
        del self._open[search.id]
        run = BenchRun.read(search.folder)
        if run is not None and run.pinned == search.pinned:  # it was over: its engine hung, maybe
            self._on_end(search, run)
            return
        was_cancelled = event.cause == "cancelled" and not open_search.late
        if self._stopping.reason or was_cancelled:
            return

        is_lost_with_a_trial = event.cause != "lost" and record_lost_trial(
            search.folder,
            _how_it_died(open_search, event),
            self._studies[search.study].attempts,
            final=bool(open_search.late),
            cause="host_oom" if event.cause == "host_oom" else "lost",
            last_report=open_search.last_report,
        )
        lost = open_search.lost
        if not is_lost_with_a_trial:
            lost += 1
            if lost >= _MOST_LOST:
                raise TuningError(
                    f"{search.title}: its worker was lost {_MOST_LOST} times, "
                    f"the last {event.detail}"
                )

        # After all others, with nothing beside it: it then has the memory of all slots.
        alone = event.cause == "host_oom"
        when = " when the others have ended, alone" if alone else ""
        self._watch.notice(f"{search.title}: worker {event.cause}; it goes on{when}")
        self._submit(search, lost=lost, alone=alone)


def _how_it_died(open_search: _OpenSearch, event: Died) -> str:
    return f"worker {event.cause}: {open_search.late or event.detail}"
