"""The loop of one search: ask → submit → collect → tell → record, until the budget or the space is used up."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tuning.durable import write_json
from tuning.engines.base import Engine
from tuning.errors import SearchFailed, StudyError, TuningError
from tuning.executors.base import Died, Event, Executor, Finished, Job, Raised, Reported, Started
from tuning.ledger.search import SearchFiles
from tuning.record import StudyRecord
from tuning.reports.progress import Progress
from tuning.roster import Roster
from tuning.trial import EpochReport, Pause, Proposal, Status, TrialResult

TICK_S = 0.25
"""Longest wait for an event: how soon a signal or a deadline is seen."""


@dataclass(eq=False)
class Open:
    """A trial that has been asked for and has not ended."""

    proposal: Proposal
    attempt: int = 0
    slot: str = ""
    twins: list[Proposal] = field(default_factory=list)
    """Equal proposals that wait for this one's result."""


class SearchLoop:
    """Drives one search. Single-threaded; everything durable is in the ledger's files before anybody is told.

    Args:
        record: The study.
        engine: Fresh; `replay` brings it to where the files are.
        executor: Where trials run.
        files: The search's files, locked by this process.
        make_job: Gives the `Job` of a proposal: (proposal, attempt, attempt folder) → Job.
        progress: Told what happens.
        on_result: Called after each result is on disk.
        deterministic: Tell results in the order of their numbers.
    """

    def __init__(
        self,
        record: StudyRecord,
        engine: Engine,
        executor: Executor,
        files: SearchFiles,
        *,
        make_job: Callable[[Proposal, int], Job],
        progress: Progress,
        on_result: Callable[[], None] = lambda: None,
        deterministic: bool = False,
    ) -> None:
        self.record, self.engine, self.executor, self.files = record, engine, executor, files
        self.roster = Roster(record.objective)
        self.open: dict[int, Open] = {}
        self.exhausted = False
        self.draining = ""
        """Why no further trial is begun: "timeout", "interrupted", "terminated"."""
        self.first_trial_at: float | None = None
        self._make_job, self._progress, self._on_result = make_job, progress, on_result
        self._deterministic = deterministic
        self._held: dict[int, TrialResult] = {}  # ended, waiting for lower numbers to be told first
        self._failures = 0
        self._waiting = False

    def replay(self) -> None:
        """Bring a fresh engine to where the files are: the same asks and tells in the same order.

        Raises:
            StudyError: The engine proposes something else than it did; says what would work.
        """
        roster = self.roster
        for entry in self.files.entries(self.record.space):
            roster.tells = []
            for number in entry.tells:
                self._tell_again(number)
            asked = self.engine.ask(entry.proposal.number)
            if not isinstance(asked, Proposal) or asked != entry.proposal:
                raise self._differs(entry.proposal, asked)
            roster.take(asked)
            if entry.result is not None:
                roster.results[asked.number] = entry.result
        roster.tells = []
        for number in sorted(set(roster.results) - roster.told):
            self._tell_again(number)
        for number in sorted(set(roster.proposals) - set(roster.results)):
            self.open[number] = Open(roster.proposals[number])

    def _differs(self, before: Proposal, now: object) -> StudyError:
        return StudyError(
            f"trial {before.number} of this search was {dict(before.params)}, but now {self.record.engine} proposes "
            f"{now}; other versions of the libraries? --fresh begins anew",
            where=f"search {self.files.header.get('id')}",
        )

    def run(self) -> None:
        """Work until the budget is reached, the space is exhausted, or `drain` was called.

        Raises:
            SearchFailed: Too many trials failed in a row.
            TuningError: The study, the data or the disk is at fault.
        """
        for number in sorted(self.open):
            self._begin(self.open[number])
        while True:
            self._fill()
            if not self.open:
                return
            for event in self.executor.events(TICK_S):
                self._handle(event)

    def drain(self, reason: str, *, at_once: bool) -> None:
        """Begin no further trial; `at_once`: let the running ones go at the end of their epoch, to be resumed."""
        self.draining = self.draining or reason
        if at_once:
            for item in list(self.open.values()):
                if item.slot:
                    self.executor.answer(_job_id(item), "stop")
                else:
                    self.executor.cancel(_job_id(item))

    def _fill(self) -> None:
        """Ask until every slot has a trial."""
        while self._may_ask():
            number = len(self.roster.proposals)
            asked = self.engine.ask(number)
            if asked is Pause.EXHAUSTED:
                self.exhausted = not self.open
                self._waiting = True
                return
            if asked is Pause.WAIT:
                if not self.open and not self._held:
                    raise TuningError(f"{self.record.engine} waits for a result, but no trial is open")
                self._waiting = True
                return
            assert isinstance(asked, Proposal)  # noqa: S101 - the two pauses are handled above
            self.files.write_spec(asked, self.roster.tells)
            self.roster.tells = []
            self.roster.take(asked)
            item = self.open[number] = Open(asked)
            self._begin(item)

    def _may_ask(self) -> bool:
        budget = self.record.trials
        running = len(self.open) + len(self._held)
        return (
            not self.draining
            and not self.exhausted
            and not self._waiting
            and running < len(self.executor.slots)
            and (budget is None or len(self.roster.proposals) < budget)
        )

    def _begin(self, item: Open) -> None:
        """Answer a proposal from the ledger where an equal one is there; else submit it."""
        number, twin = item.proposal.number, self.roster.twin(item.proposal)
        if twin is not None and twin in self.roster.results:
            self._end(self.roster.copy(twin, number))
            return
        if twin is not None and twin in self.open:
            self.open[twin].twins.append(item.proposal)
            return
        item.attempt, _ = self.files.begin_attempt(number)
        self.executor.submit(self._make_job(item.proposal, item.attempt))

    def _handle(self, event: Event) -> None:
        number, attempt = map(int, event.job.split("-"))
        item = self.open.get(number)
        if item is None or item.attempt != attempt:  # a late word of an attempt that is over
            return
        if isinstance(event, Started):
            item.slot = event.slot
            self.first_trial_at = self.first_trial_at or time.monotonic()
            self._progress.running(event.slot, number, item.proposal.params, item.proposal.epochs)
        elif isinstance(event, Reported):
            self._reported(item, event.report)
        elif isinstance(event, Finished):
            self._end(event.value)
        elif isinstance(event, Raised):
            self._raised(item, event)
        else:
            self._died(item, event)

    def _reported(self, item: Open, report: EpochReport) -> None:
        self._progress.epoch(item.slot, report)
        if self.record.pruner != "none":
            prune = self.engine.report(report)
            verdict = "stop" if self.draining in ("terminated", "timeout") else "prune" if prune else "continue"
            self.executor.answer(_job_id(item), verdict)

    def _raised(self, item: Open, event: Raised) -> None:
        number = item.proposal.number
        if event.error.startswith("Stopped"):
            self._let_go(item)
        elif event.exit_code is not None:
            raise TuningError(event.error) if event.exit_code == 1 else _with_code(event)
        else:
            failed = TrialResult(number, Status.FAILED, attempt=item.attempt, error=event.error, slot=item.slot)
            self.files.write_result(failed)
            self._end(failed)

    def _died(self, item: Open, event: Died) -> None:
        """Take a result that reached the disk; else try again, unless it was stopped for good or died too often."""
        number = item.proposal.number
        kept = self.files.result(number)
        if kept is not None:
            self._end(kept)
            return
        if event.cause == "cancelled":
            self._let_go(item)
            return
        folder = self.files.trial_folder(number) / f"attempt-{item.attempt}"
        write_json(folder / "died.json", {"cause": event.cause, "detail": event.detail, "slot": item.slot})
        final = event.cause in ("timeout", "no_progress")
        if final or self.files.deaths(number) >= self.record.attempts:
            error = f"worker {event.cause}: {event.detail}"
            failed = TrialResult(number, Status.FAILED, attempt=item.attempt, error=error, slot=item.slot)
            self.files.write_result(failed)
            self._end(failed)
        elif self.draining:
            self._let_go(item)
        else:
            self._progress.idle(item.slot)
            item.slot = ""
            item.attempt, _ = self.files.begin_attempt(number)
            self.executor.submit(self._make_job(item.proposal, item.attempt))

    def _let_go(self, item: Open) -> None:
        """Leave a trial open in the files: the next run begins it again."""
        self._progress.idle(item.slot)
        for twin in item.twins:
            self.open.pop(twin.number, None)
        self.open.pop(item.proposal.number, None)

    def _end(self, result: TrialResult) -> None:
        """Keep a result, tell the engine, and answer the equal proposals that waited for it."""
        if result.copied_from is not None:
            self.files.write_result(result)
        item = self.open.pop(result.number)
        self.roster.results[result.number] = result
        self._on_result()
        self._progress.finished(result, self.roster.best)
        if item.slot:
            self._progress.idle(item.slot)
        self._held[result.number] = result
        self._tell_held()
        self._count_failures(result)
        for twin in item.twins:
            self._begin(self.open[twin.number])

    def _tell_held(self) -> None:
        for number in sorted(self._held):
            if self._deterministic and any(lower < number for lower in self.open):
                return
            self.engine.tell(self._held.pop(number))
            self.roster.mark_told(number)
            self._waiting = False

    def _tell_again(self, number: int) -> None:
        result = self.roster.results.get(number) or self.files.result(number)
        if result is None:
            raise StudyError(
                f"trial {number} was told to the engine, but its result.json is damaged; --fresh begins anew",
                where=f"search {self.files.header.get('id')}",
            )
        if self.record.pruner != "none":
            for row in result.curve:
                value = row.get(self.record.objective.metric, float("nan"))
                self.engine.report(EpochReport(number, int(row["epoch"]), value, row, 0.0))
        self.engine.tell(result)
        self.roster.mark_told(number)

    def _count_failures(self, result: TrialResult) -> None:
        self._failures = self._failures + 1 if result.status is Status.FAILED else 0
        if self._failures >= self.record.max_failures:
            raise SearchFailed(
                f"{self._failures} trials failed in a row, the last with: {result.error}. Mend the builder or the "
                f"space, then run again; max_failures={self.record.max_failures}."
            )


def _job_id(item: Open) -> str:
    return f"{item.proposal.number}-{item.attempt}"


def _with_code(event: Raised) -> TuningError:
    error = TuningError(event.error)
    error.exit_code = event.exit_code or 1
    return error
