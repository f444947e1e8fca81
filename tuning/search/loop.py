"""The loop of one search: ask → submit → collect → tell → record, until the budget or the space is
used up.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from tuning.engines.base import Engine
from tuning.errors import SearchFailed, TuningError
from tuning.executors.base import Died, Event, Executor, Finished, Job, Raised, Reported, Started
from tuning.ledger.records import Death
from tuning.ledger.search import SearchFiles
from tuning.reports.progress import Progress
from tuning.search.open_trials import OpenTrial, as_error, asked_again
from tuning.search.stop_request import STOP_MESSAGES, StopRequest
from tuning.search.trial_index import TrialIndex, copy_of
from tuning.study.info import StudyInfo
from tuning.trial import Answer, EpochReport, Pause, Proposal, Status, TrialResult

TICK_S = 0.25
"""Longest wait for an event: how soon a signal or a deadline is seen."""


class SearchLoop:
    """Drives one search. Single-threaded; everything durable is in the ledger's files before
    anybody is told.

    Args:
        record: The study.
        engine: Fresh; `replay` brings it to where the files are.
        executor: Where trials run.
        files: The search's files, locked by this process.
        make_job: Gives the `Job` of a proposal: (proposal, attempt) → Job.
        progress: Told what happens.
        on_result: Called after each result is on disk.
        in_order: Trials open at once if proposals shall not depend on which trial ends first: trial
            n is asked for when exactly the results up to n - `in_order` were told. None: each slot
            gets a trial as soon as it is free.
        stop_request: CheckedStudy at between events.
    """

    def __init__(
        self,
        record: StudyInfo,
        engine: Engine,
        executor: Executor,
        files: SearchFiles,
        *,
        make_job: Callable[[Proposal, int], Job],
        progress: Progress,
        on_result: Callable[[], None] = lambda: None,
        in_order: int | None = None,
        stop_request: StopRequest | None = None,
    ) -> None:
        self.record, self.engine, self.executor, self.files = record, engine, executor, files
        self.trial_index = TrialIndex(record.objective, files, record.space)
        self.open: dict[int, OpenTrial] = {}
        self.exhausted = False
        self.ended = ""
        """How `run` ended: "completed" (the budget is used up), "exhausted", or the reason it was
        stopped for.
        """
        self.first_trial_at: float | None = None
        self._make_job, self._progress, self._on_result = make_job, progress, on_result
        self._in_order = in_order
        self._stop_request = stop_request or StopRequest()
        self._heeded = ""
        self._held: dict[int, TrialResult] = {}  # ended, not told yet
        self._unheard: set[int] = set()  # ended without the engine having heard of their epochs
        self._failures = 0
        self._waiting = False

    def replay(self) -> None:
        """Bring a fresh engine to where the files are: the same asks and tells in the same order.

        A result that was told and is damaged now is trained again, at its place.

        Raises:
            ChangedError: The engine proposes something else than it did; says what would work.
        """
        trial_index = self.trial_index
        known: dict[int, TrialResult] = {}
        told: set[int] = set()
        header, others = self.files.header, 0
        for proposal in self.files.proposals(self.record.space):
            trial_index.tells = []
            told.update(proposal.tells)
            for number in proposal.tells:
                self._tell(known.get(number) or self._train_again(number))
            asked, other = asked_again(self.engine, self.record, header, proposal)
            others += other
            trial_index.take(asked)
            trial_index.duplicate_of(asked)  # the first of its equals may be another by now
            result = self.files.result(asked.number)
            if result is None:
                self.open[asked.number] = OpenTrial(asked)
            else:
                known[asked.number] = result
                trial_index.enter(result)
                self._unheard.add(asked.number)
        trial_index.tells = []
        self._held = {n: result for n, result in known.items() if n not in told}
        if others:
            self._progress.notice(
                f"{others} trials are not what the engine proposes here (another CPU?), and are kept"
            )

    def _train_again(self, number: int) -> TrialResult:
        self._progress.notice(f"the result of trial {number} is damaged: it is trained again")
        self._begin(self.open[number])
        while number in self.open:
            for event in self.executor.events(TICK_S):
                self._handle(event)
        return self._held.pop(number)

    def run(self) -> None:
        """Work until the budget is reached, the space is exhausted, or `stop_request` has a reason.

        Raises:
            SearchFailed: Too many trials failed in a row.
            TuningError: The study, the data or the disk is at fault.
        """
        for number in sorted(self.open):
            kept = self.files.result(number)  # of a worker that outlived its driver for a moment
            if kept is None:
                self._begin(self.open[number])
            else:
                self._end(kept)
        while not self._stop_request.abandoned:
            self._apply_stop()
            self._advance()
            if not self.open:
                break
            for event in self.executor.events(TICK_S):
                self._handle(event)
        self.ended = "exhausted" if self.exhausted else self._stop_request.reason or "completed"

    def _apply_stop(self) -> None:
        """Act on a signal or the deadline, once: what has not started does not, and what runs is
        let go or ends.
        """
        reason = self._stop_request.reason
        if reason == self._heeded:
            return
        self._heeded = reason
        self._progress.phase(STOP_MESSAGES[reason])
        for item in list(self.open.values()):
            if not item.slot:
                self.executor.cancel(item.job)
            elif reason != "interrupted":
                self.executor.answer(item.job, Answer.STOP)

    def _advance(self) -> None:
        """Tell what may be told, and ask until every slot has a trial."""
        if self._in_order is None:
            while self._tell_next() or self._ask_next():
                pass
        # an ask after each tell, or the proposals would depend on how many trials end together
        else:
            while self._ask_next() or self._tell_next():
                pass

    def _ask_next(self) -> bool:
        """Ask for one trial and begin it; return whether there was one."""
        if not self._may_ask():
            return False
        number = len(self.trial_index.proposals)
        asked = self.engine.ask(number)
        if not isinstance(asked, Proposal):
            nothing_to_come = not self.open and not self._held
            if asked is Pause.WAIT and nothing_to_come:
                raise TuningError(f"{self.record.engine} waits for a result, but no trial is open")
            self.exhausted = asked is Pause.EXHAUSTED and nothing_to_come
            self._waiting = True
            return False
        asked = replace(asked, tells=tuple(self.trial_index.tells))
        self.files.write_spec(asked)
        self.trial_index.tells = []
        self.trial_index.take(asked)
        item = self.open[number] = OpenTrial(asked)
        self._begin(item)
        return True

    def _may_ask(self) -> bool:
        if self._stop_request.reason or self.exhausted or self._waiting:
            return False
        budget = self.record.trials
        if budget is not None and len(self.trial_index.proposals) >= budget:
            return False
        busy = len(self.open) + len(self._held)
        # With nothing open the slots are not looked at: there may be nothing left to train, and no
        # device be needed.
        return busy == 0 or busy < (
            self._in_order or self.record.open_per_slot * len(self.executor.slots)
        )

    def _begin(self, item: OpenTrial) -> None:
        """Answer a proposal from the ledger where an equal one is there; else submit it."""
        number, duplicate_of = item.proposal.number, self.trial_index.duplicate_of(item.proposal)
        known = None if duplicate_of is None else self.files.result(duplicate_of)
        if known is not None:
            self._end(self.files.write_result(copy_of(known, number)))
        elif duplicate_of is not None and duplicate_of in self.open:
            self.open[duplicate_of].duplicates.append(item.proposal)
        elif self._stop_request.reason:
            self._let_go(item)
        else:
            item.slot = ""
            item.attempt, _ = self.files.begin_attempt(number)
            self.executor.submit(self._make_job(item.proposal, item.attempt))

    def _handle(self, event: Event) -> None:
        number, attempt = map(int, event.job.split("-"))
        item = self.open.get(number)
        if item is None or item.attempt != attempt:  # a late word of an attempt that is over
            return
        if isinstance(event, Started):
            item.start(event.slot)
            self.first_trial_at = self.first_trial_at or time.monotonic()
            self._progress.running(event.slot, number, item.proposal.params, item.proposal.epochs)
        elif isinstance(event, Reported):
            self._reported(item, event.report)
        elif isinstance(event, Finished):
            self._end(self.files.write_result(event.value))
        elif isinstance(event, Raised):
            self._raised(item, event)
        else:
            self._died(item, event)

    def _reported(self, item: OpenTrial, report: EpochReport) -> None:
        item.hear(report)
        self._progress.epoch(item.slot, report)
        if self.record.pruner != "none":
            prune = self.engine.report(report)
            answer = Answer.PRUNE if prune else Answer.CONTINUE
            if self._heeded not in ("", "interrupted"):
                answer = Answer.STOP
            self.executor.answer(item.job, answer)

    def _raised(self, item: OpenTrial, event: Raised) -> None:
        fatal = as_error(event)
        if event.error.startswith("Stopped:"):
            self._let_go(item)
        elif fatal is not None:
            raise fatal
        else:
            self._fail(item, event.error)

    def _died(self, item: OpenTrial, event: Died) -> None:
        """Take a result that reached the disk; else try again, unless it was stopped for good or
        died too often.
        """
        number = item.proposal.number
        kept = self.files.result(number)
        if kept is not None:
            self._unheard.add(number)  # of its last epochs
            self._end(kept)
            return
        if event.cause == "cancelled" or (
            event.cause in ("crashed", "killed") and self._stop_request.by_signal_soon()
        ):
            self._let_go(item)
            return
        death = Death(cause=event.cause, detail=event.detail, slot=item.slot)
        self.files.write_death(number, item.attempt, death)
        if (
            event.cause in ("timeout", "no_progress")
            or self.files.deaths(number) >= self.record.attempts
        ):
            self._fail(item, f"worker {event.cause}: {event.detail}")
        else:
            self._progress.idle(item.slot)
            item.rest()
            self._begin(item)

    def _fail(self, item: OpenTrial, error: str) -> None:
        self._end(self.files.write_result(item.failed(error, self.record.seed)))

    def _let_go(self, item: OpenTrial) -> None:
        """Leave a trial open in the files: the next run begins it again."""
        if item.slot:
            self._progress.idle(item.slot)
        for proposal in (item.proposal, *item.duplicates):
            self.open.pop(proposal.number, None)

    def _end(self, result: TrialResult) -> None:
        """Take a result that is on disk, and answer the equal proposals that waited for it."""
        item = self.open.pop(result.number)
        self.trial_index.enter(result)
        self._on_result()
        self._progress.finished(result, self.trial_index.best)
        if item.slot:
            self._progress.idle(item.slot)
        else:
            self._unheard.add(result.number)
        self._held[result.number] = result
        self._count_failures(result)
        for duplicate_of in item.duplicates:
            self._begin(self.open[duplicate_of.number])

    def _tell_next(self) -> bool:
        """Tell the engine the lowest result it has not been told; return whether there was one."""
        lowest = min(self._held, default=None)
        if lowest is None or (
            self._in_order is not None and any(number < lowest for number in self.open)
        ):
            return False
        self._tell(self._held.pop(lowest))
        return True

    def _tell(self, result: TrialResult) -> None:
        """Tell a result, and before it the epochs where the engine has not heard of them."""
        if self.record.pruner != "none" and result.number in self._unheard:
            for epoch, value in result.reports_of(self.record.objective.metric):
                self.engine.report(EpochReport(result.number, epoch, value, {}, 0.0))
        self.engine.tell(result)
        self.trial_index.tells.append(result.number)
        self._waiting = False

    def _count_failures(self, result: TrialResult) -> None:
        self._failures = self._failures + 1 if result.status is Status.FAILED else 0
        if self._failures >= self.record.max_failures:
            raise SearchFailed(
                f"{self._failures} trials failed in a row, the last with: {result.error}. Mend the builder or the "
                f"space, then run again with --fresh; max_failures={self.record.max_failures}."
            )
