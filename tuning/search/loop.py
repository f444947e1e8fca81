"""The loop of one search: ask, submit, collect, tell, until the budget or the space is used up."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from tuning.engines.base import Engine
from tuning.engines.memory.replay import MOST_STEPS, Step
from tuning.errors import SearchFailed, TuningError
from tuning.executors.base import Died, Event, Executor, Finished, Job, Raised, Reported, Started
from tuning.executors.supervision.parts import WORKER
from tuning.ledger.records import Death
from tuning.ledger.search import SearchFiles
from tuning.reports.progress import Progress
from tuning.search.data_digests import DataDigests
from tuning.search.open_trials import OpenTrial
from tuning.search.questions.errors import as_error
from tuning.search.replay import ask_again, told
from tuning.search.stop_request import STOP_MESSAGES, StopRequest
from tuning.search.trial_index import TrialIndex, copy_of
from tuning.study.info import StudyInfo
from tuning.trial import WARNING, Answer, EpochReport, Pause, Proposal, Status, TrialResult

MOST_REFUSED = 200
"""Proposals in a row that may break a constraint before anything is trained. They cost a model
each, no training, and do not count to `trials`; where one point in forty keeps to the constraints,
200 in a row miss it once in 160 times.
"""

TICK_S = 0.25
"""Longest wait for an event: how soon a signal or a deadline is seen."""


class SearchLoop:
    """Drives one search.

    Single-threaded; everything durable is in the ledger's files before anybody is told. `replay`
    comes first, then `run`.

    Attributes:
        trial_index: What is known of the search's trials.
        open: Trials that were asked for and have not ended, by number.
        exhausted: The engine has nothing left to propose.
        ended: How `run` ended: "completed" (the budget is used up), "exhausted", or the reason it
            was stopped for.
        first_trial_at: When the first trial of this run began, on the monotonic clock.

    Args:
        study: What is searched.
        engine: Fresh; `replay` brings it to where the files are.
        executor: Where trials run.
        files: The search's files, locked by this process.
        make_job: Gives the `Job` of a proposal: (proposal, attempt) → Job.
        progress: Told what happens.
        on_result: Called after each result is on disk.
        on_tick: Called several times a second; what it raises ends the run.
        in_order: Trials open at once if proposals shall not depend on which trial ends first: trial
            n is asked for when exactly the results up to n - `in_order` were told. None: each slot
            gets a trial as soon as it is free.
        stop_request: Looked at between events.
        known: Returns the result of a proposal that another search has trained; it is not trained.
        admits: Whether a proposal may begin now; one that may not is held back until it may.
        ahead: Trials that are asked for beyond those of `StudyInfo.open_per_slot`; none `in_order`.
    """

    def __init__(
        self,
        study: StudyInfo,
        engine: Engine,
        executor: Executor,
        files: SearchFiles,
        *,
        make_job: Callable[[Proposal, int], Job],
        progress: Progress,
        on_result: Callable[[], None] = lambda: None,
        on_tick: Callable[[], None] = lambda: None,
        in_order: int | None = None,
        stop_request: StopRequest | None = None,
        known: Callable[[Proposal], TrialResult | None] = lambda proposal: None,
        admits: Callable[[Proposal], bool] = lambda proposal: True,
        ahead: Callable[[], int] = lambda: 0,
    ) -> None:
        self.study = study
        self.engine = engine
        self.executor = executor
        self.files = files
        self.trial_index = TrialIndex.of(study, files)
        self.open: dict[int, OpenTrial] = {}
        self.exhausted = False
        self.ended = ""
        self.first_trial_at: float | None = None

        self._make_job = make_job
        self._progress = progress
        self._on_result = on_result
        self._on_tick = on_tick
        self._in_order = in_order
        self._known = known
        self._admits = admits
        self._ahead = ahead
        self._held: Proposal | None = None  # asked for, and not admitted yet
        self._stop_request = stop_request or StopRequest()
        self._tick_at = 0.0  # when `on_tick` is called again, on the monotonic clock
        self._applied_stop = ""  # the reason that the open trials have been told of
        self._untold: dict[int, TrialResult] = {}  # ended, and the engine has not been told
        self._unreported: set[int] = set()  # ended, and the engine knows nothing of their epochs
        self._data_digests = DataDigests(study)
        self._failures_in_a_row = 0
        self._warned = False
        self._engine_waits = False  # for a result, before it proposes anything

    def replay(self) -> None:
        """Bring a fresh engine to where the files are: the same asks and tells in the same order.

        A result that was told and is damaged now is trained again, at its place.

        Raises:
            ChangedError: The engine proposes something else than it did; says what would work.
        """
        results: dict[int, TrialResult] = {}
        known_to_engine: set[int] = set()
        steps: list[Step] = []
        n_adopted = 0
        for before in self.files.proposals(self.study.space):
            is_damaged = any(number not in results for number in before.tells)
            # A trial can be trained again where the engine is at its place, and no earlier.
            if is_damaged or len(steps) == MOST_STEPS:
                n_adopted += self._take_steps(steps, results)
                steps = []
            if is_damaged:
                self._tell_again(before.tells, results)
                steps.append(Step((), before))
            else:
                tells = [told(self.study, results[number]) for number in before.tells]
                steps.append(Step(tuple(tells), before))

            known_to_engine.update(before.tells)
            result = self.files.result(before.number, before.digest)
            if result is not None:
                results[before.number] = result
        n_adopted += self._take_steps(steps, results)

        self.trial_index.tells = []
        self._untold = {
            number: result for number, result in results.items() if number not in known_to_engine
        }
        if n_adopted:
            self._progress.notice(
                f"{n_adopted} trials are not what the engine proposes here (another CPU?), and are "
                "kept"
            )

    def _tell_again(self, tells: Sequence[int], results: dict[int, TrialResult]) -> None:
        """Tell results one by one, and train those that are missing where they were told.

        A pruner that listens to such a trial knows what it knew then, as far as that can be.
        """
        for number in tells:
            if number not in results:
                results[number] = self._train_again(number)
            self._tell(results[number])

    def _take_steps(self, steps: Sequence[Step], results: Mapping[int, TrialResult]) -> int:
        """Tell and ask the engine again; enter the trials; return how many it had to be given.

        Args:
            steps: The next ones from the files.
            results: By number, those that are whole.
        """
        n_adopted = 0
        for proposal, adopted in ask_again(self.engine, self.study, self.files.header, steps):
            n_adopted += adopted
            self._enter_again(proposal)
            result = results.get(proposal.number)
            if result is None:
                self.open[proposal.number] = OpenTrial(proposal)
            else:
                self._data_digests.check(proposal, result)
                self.trial_index.enter(result)
                self._unreported.add(proposal.number)
        return n_adopted

    def _enter_again(self, proposal: Proposal) -> None:
        self.trial_index.take(proposal)
        # Which trial is the first of its equals may have changed since: the index finds out when
        # it is asked.
        self.trial_index.duplicate_of(proposal)

    def _train_again(self, number: int) -> TrialResult:
        self._progress.notice(f"the result of trial {number} is damaged: it is trained again")
        self._begin(self.open[number])
        while number in self.open:
            self._take_events()
        return self._untold.pop(number)

    def run(self) -> None:
        """Work until the budget is reached, the space is exhausted, or there is a reason to stop.

        Raises:
            SearchFailed: Too many trials failed in a row.
            TuningError: The study, the data or the disk is at fault.
        """
        self._begin_what_was_open()
        while not self._stop_request.abandoned:
            self._apply_stop()
            self._advance()
            if not self.open:
                break
            self._take_events()

        if self.exhausted or self._all_refused:
            self.ended = "exhausted"
        else:
            self.ended = self._stop_request.reason or "completed"

    def _begin_what_was_open(self) -> None:
        for number in sorted(self.open):
            # A worker may have outlived its driver for a moment.
            result = self.files.result(number)
            if result is None:
                self._begin(self.open[number])
            else:
                self._end(result)

    def _take_events(self) -> None:
        now = time.monotonic()
        if now >= self._tick_at:
            self._tick_at = now + TICK_S / 2
            self._on_tick()
        for event in self.executor.events(TICK_S):
            self._handle(event)

    def _apply_stop(self) -> None:
        """Act on a signal or the deadline, once.

        What has not started does not; what runs is let go, or ends where Ctrl-C was pressed once.
        """
        reason = self._stop_request.reason
        if reason == self._applied_stop:
            return
        self._applied_stop = reason
        self._progress.phase(STOP_MESSAGES[reason])

        for trial in list(self.open.values()):
            if not trial.slot:
                self.executor.cancel(trial.job)
            elif reason != "interrupted":
                self.executor.answer(trial.job, Answer.STOP)

    # Asking and telling.

    def _advance(self) -> None:
        """Tell what may be told, and ask until every slot has a trial."""
        if self._in_order is None:
            while self._tell_next() or self._ask_next():
                pass
        else:
            # An ask after each tell, or the proposals would depend on how many trials end together.
            while self._ask_next() or self._tell_next():
                pass

    def _ask_next(self) -> bool:
        """Ask for one trial and begin it; return whether there was one."""
        if not self._may_ask():
            return False
        number = len(self.trial_index.proposals)
        proposal = self._held or self.engine.ask(number)
        if not isinstance(proposal, Proposal):
            self._pause(proposal)
            return False

        if self._held is None:  # what is told while it is held back has not led to it
            tells = tuple(self.trial_index.tells)
            self._held = replace(proposal, tells=tells, study=self.study.pinned)
            self.trial_index.tells = []
        if not self._admits(self._held):
            self._engine_waits = True
            return False

        # Durable before anything is trained: a killed run asks the same again.
        proposal = self.files.write_spec(self._held)
        self._held = None
        self.trial_index.take(proposal)

        trial = OpenTrial(proposal)
        self.open[number] = trial
        self._begin(trial)
        return True

    def _may_ask(self) -> bool:
        if self._stop_request.reason or self.exhausted or self._engine_waits:
            return False
        if self._all_refused:
            return False
        budget = self.study.trials
        # What broke a constraint before it was trained has cost nothing.
        n_asked = len(self.trial_index.proposals) - self.trial_index.never_trained
        if budget is not None and n_asked >= budget:
            return False

        busy = len(self.open) + len(self._untold)
        # With nothing open the slots are not looked at: there may be nothing left to train, and no
        # device be needed.
        if busy == 0:
            return True
        per_slot = self.study.open_per_slot
        most = self._in_order or per_slot * len(self.executor.slots) + self._ahead()
        return busy < most

    @property
    def _all_refused(self) -> bool:
        """Whether so many proposals broke a constraint that more are not worth it."""
        return self.trial_index.refused_in_a_row >= MOST_REFUSED

    def _pause(self, pause: Pause) -> None:
        """Take it that the engine has no proposal now."""
        nothing_to_come = not self.open and not self._untold
        if pause is Pause.WAIT and nothing_to_come:
            raise TuningError(f"{self.study.engine} waits for a result, but no trial is open")
        self.exhausted = pause is Pause.EXHAUSTED and nothing_to_come
        self._engine_waits = True

    def _tell_next(self) -> bool:
        """Tell the engine the lowest result it has not been told; return whether there was one."""
        lowest = min(self._untold, default=None)
        if lowest is None:
            return False
        if self._in_order is not None and any(number < lowest for number in self.open):
            return False
        self._tell(self._untold.pop(lowest))
        return True

    def _tell(self, result: TrialResult) -> None:
        """Tell a result, and before it the epochs where the engine has not heard of them."""
        if result.number in self._unreported:
            for report in told(self.study, result).reports:
                self.engine.report(report)
        self.engine.tell(result)
        self.trial_index.tells.append(result.number)
        self._engine_waits = False

    # One trial, from its beginning to its end.

    def _begin(self, trial: OpenTrial) -> None:
        """Answer a proposal from the ledger where an equal one is there; else submit it."""
        number = trial.proposal.number
        duplicate_of = self.trial_index.duplicate_of(trial.proposal)
        if duplicate_of is not None:
            result = self.files.result(duplicate_of)
            if result is not None:
                self._end(self.files.write_result(copy_of(result, number)))
                return
            if duplicate_of in self.open:
                self.open[duplicate_of].duplicates.append(trial.proposal)
                return

        known = self._known(trial.proposal)
        if known is not None:
            self._data_digests.check(trial.proposal, known)
            self._end(self.files.write_result(known))
            return

        if self._stop_request.reason:
            self._let_go(trial)
            return

        trial.slot = ""
        trial.attempt, _ = self.files.begin_attempt(number)
        job = replace(self._make_job(trial.proposal, trial.attempt), leaves=trial.moves.leaves)
        # Once more, with all the memory there is; also where that is left to a later run.
        alone = trial.attempt > 1 and self.files.deaths(number, "host_oom") > 0
        self.executor.submit(replace(job, alone=True) if alone else job)

    def _handle(self, event: Event) -> None:
        number, attempt = map(int, event.job.split("-"))
        trial = self.open.get(number)
        if trial is None or trial.attempt != attempt:  # a late word of an attempt that is over
            return

        if isinstance(event, Started):
            self._started(trial, event)
        elif isinstance(event, Reported):
            self._reported(trial, event.report)
        elif isinstance(event, Finished):
            self._data_digests.check(trial.proposal, event.value)
            self._end(self.files.write_result(event.value))
        elif isinstance(event, Raised):
            self._raised(trial, event)
        else:
            self._died(trial, event)

    def _started(self, trial: OpenTrial, event: Started) -> None:
        trial.start(event.slot)
        if self.first_trial_at is None:
            self.first_trial_at = time.monotonic()
        proposal = trial.proposal
        self._progress.running(event.slot, proposal.number, proposal.params, proposal.epochs)

    def _reported(self, trial: OpenTrial, report: EpochReport) -> None:
        trial.count(report)
        self._progress.epoch(trial.slot, report)
        if self.study.pruner == "none":
            return  # nobody waits for an answer

        answer = Answer.PRUNE if self.engine.report(report) else Answer.CONTINUE
        if self._applied_stop not in ("", "interrupted"):
            answer = Answer.STOP
        self.executor.answer(trial.job, answer)

    def _raised(self, trial: OpenTrial, event: Raised) -> None:
        fatal = as_error(event)
        if event.error.startswith("Stopped:"):
            self._let_go(trial)
        elif fatal is not None:
            raise fatal
        else:
            self._fail(trial, event.error)

    def _died(self, trial: OpenTrial, event: Died) -> None:
        """Take a result that reached the disk; else try again.

        Not where the trial was stopped for good, or has died too often.
        """
        number = trial.proposal.number
        result = self.files.result(number)
        if result is not None:
            self._unreported.add(number)  # its last epochs
            self._end(result)

        elif event.cause == "cancelled" or self._died_of_our_signal(event):
            self._let_go(trial)

        elif event.cause == "moved":
            is_function = self.study.definition.get("trainer") == "function"
            notice = trial.left_slot(self.files.trial_folder(number), is_function=is_function)
            if notice:
                self._progress.notice(notice)
            self._try_again(trial)

        elif event.cause == "lost" and trial.n_lost < WORKER.restarts:
            trial.n_lost += 1
            self._try_again(trial)

        else:
            death = Death(
                cause=event.cause,
                detail=event.detail,
                slot=trial.slot,
                seconds=trial.running_s,
            )
            self.files.write_death(number, trial.attempt, death)
            if self._may_try_again(number, event):
                self._try_again(trial)
            else:
                self._fail(trial, f"worker {event.cause}: {event.detail}")

    def _may_try_again(self, number: int, event: Died) -> bool:
        """Whether a trial whose worker has died gets another attempt."""
        if event.cause in ("timeout", "no_progress"):
            return False  # it would take too long again
        if event.cause == "host_oom":  # the second time it was alone
            return self.files.deaths(number, "host_oom") < 2
        return self.files.deaths(number) < self.study.attempts

    def _died_of_our_signal(self, event: Died) -> bool:
        """Whether a worker got the signal that is meant to end us: that is no trial's fault."""
        return event.cause in ("crashed", "killed", "lost") and self._stop_request.by_signal_soon()

    def _try_again(self, trial: OpenTrial) -> None:
        self._progress.idle(trial.slot)
        trial.rest()
        self._begin(trial)

    def _fail(self, trial: OpenTrial, error: str) -> None:
        used = self.files.used(trial.proposal.number, trial.attempt)
        self._end(self.files.write_result(trial.failed(error, self.study.seed, used)))

    def _let_go(self, trial: OpenTrial) -> None:
        """Leave a trial open in the files: the next run begins it again."""
        if trial.slot:
            self._progress.idle(trial.slot)
        for proposal in (trial.proposal, *trial.duplicates):
            self.open.pop(proposal.number, None)

    def _end(self, result: TrialResult) -> None:
        """Take a result that is on disk, and answer the equal proposals that waited for it."""
        trial = self.open.pop(result.number)
        self.trial_index.enter(result)
        self._on_result()
        self._progress.finished(result, self.trial_index.best)

        if trial.slot:
            self._progress.idle(trial.slot)
        else:
            # A copy, or an orphan's: the engine has heard none of its epochs.
            self._unreported.add(result.number)
        self._untold[result.number] = result
        self._count_failures(result)
        for notice in result.notices:
            if notice.startswith(WARNING) and not self._warned:
                self._progress.notice(notice)
                self._warned = True
        if result.never_trained and self.trial_index.refused_in_a_row == MOST_REFUSED:
            self._progress.notice(
                f"{MOST_REFUSED} proposals in a row broke a constraint, the last with: "
                f"{result.error}. The search ends here; widen the constraints or change the space"
            )

        for duplicate in trial.duplicates:
            self._begin(self.open[duplicate.number])

    def _count_failures(self, result: TrialResult) -> None:
        # Without training a builder has shown neither that it works nor that it does not.
        if result.never_trained:
            return
        if result.status is not Status.FAILED:
            self._failures_in_a_row = 0
            return

        self._failures_in_a_row += 1
        if self._failures_in_a_row >= self.study.max_failures:
            raise SearchFailed(
                f"{self._failures_in_a_row} trials failed in a row, the last with: {result.error}. "
                "Fix the builder or the search space, then run again with --fresh; "
                f"max_failures={self.study.max_failures}."
            )
