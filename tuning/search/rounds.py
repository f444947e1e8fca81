"""`Round`: some jobs after the search, each run to its end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tuning.executors.base import Died, Event, Executor, Finished, Job, Raised, Reported, Started
from tuning.executors.supervision.parts import EVALUATION
from tuning.reports.progress import Progress
from tuning.search.loop import TICK_S
from tuning.search.questions.errors import as_error
from tuning.search.slots.moves import Moves, kept_of_finalist
from tuning.search.stop_request import STOP_MESSAGES, StopRequest
from tuning.study.info import StudyInfo
from tuning.trials.jobs import EvaluationJob, FinalistJob


@dataclass(eq=False, kw_only=True)
class Round:
    """Some jobs to be run to their ends.

    A lost worker's job is begun again, as often as a trial would be.

    Attributes:
        on_tick: Called several times a second; what it raises ends the round.
        function: What runs each of the jobs, as `module:name`.
        jobs: By name, all of one kind.
        ended: What the jobs returned, by name.
        failed: What went wrong with the others.
        lost: Those of them whose workers were lost, or took too long.
    """

    study: StudyInfo
    executor: Executor
    progress: Progress
    stop_request: StopRequest
    function: str
    jobs: Mapping[str, FinalistJob | EvaluationJob]
    on_tick: Callable[[], None] = lambda: None
    ended: dict[str, Any] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    _waiting: set[str] = field(default_factory=set)
    _n_lost: dict[str, int] = field(default_factory=dict)
    _slots: dict[str, str] = field(default_factory=dict)
    _moves: dict[str, Moves] = field(default_factory=lambda: defaultdict(Moves))
    _reported: set[str] = field(default_factory=set)  # those of which an epoch has ended

    def run(self) -> bool:
        """Run the jobs and return whether all have ended.

        After Ctrl-C the running ones end, the others do not begin.

        Raises:
            TuningError: The study, the data or the disk is at fault.
        """
        if self.stop_request.by_signal:
            return False

        for name in self.jobs:
            self._submit(name)

        while left := self._left:
            if self.stop_request.by_signal:
                self.progress.phase(STOP_MESSAGES[self.stop_request.reason])
                is_over = self.stop_request.hurried or self.stop_request.abandoned
                if is_over or left <= self._waiting:
                    return False
                for name in sorted(self._waiting & left):
                    self.executor.cancel(name)
            elif self._trains:
                self.progress.phase("training finalists on fresh seeds")
                self.progress.finals(len(self.jobs) - len(left), len(self.jobs))

            self.on_tick()
            for event in self.executor.events(TICK_S):
                if event.job in self.jobs:
                    self._handle(event)
        if self._trains:
            self.progress.finals(len(self.jobs), len(self.jobs))
        return True

    @property
    def _left(self) -> set[str]:
        """The jobs that have not ended."""
        return self.jobs.keys() - self.ended.keys() - self.failed.keys()

    @property
    def _trains(self) -> bool:
        return any(isinstance(job, FinalistJob) for job in self.jobs.values())

    def _submit(self, name: str, *, alone: bool = False) -> None:
        job = self.jobs[name]
        trains = isinstance(job, FinalistJob)  # the evaluation has no epochs to report

        self._waiting.add(name)
        self.executor.submit(
            Job(
                name,
                self.function,
                (job,),
                alone=alone,
                leaves=self._moves[name].leaves,
                timeout_s=self.study.trial_timeout if trains else EVALUATION.answer_s,
                no_progress_timeout_s=self.study.no_progress_timeout if trains else None,
            )
        )

    def _handle(self, event: Event) -> None:
        name = event.job
        if isinstance(event, Reported):
            self._reported.add(name)
            self.progress.epoch(self._slots.get(name, ""), event.report)
        elif isinstance(event, Started):
            self._started(event)
        else:
            if name in self._slots:
                self.progress.idle(self._slots.pop(name))
            if isinstance(event, Finished):
                self.ended[name] = event.value
            elif isinstance(event, Raised):
                self._raised(event)
            else:
                self._died(event)

    def _started(self, event: Started) -> None:
        job = self.jobs[event.job]
        self._waiting.discard(event.job)
        if isinstance(job, FinalistJob):
            self._slots[event.job] = event.slot
            self.progress.running(event.slot, job.number, job.params, job.epochs)

    def _raised(self, event: Raised) -> None:
        fatal = as_error(event)
        if fatal is not None:
            raise fatal
        self.failed[event.job] = event.error

    def _note_move(self, name: str) -> None:
        is_finalist = isinstance(self.jobs[name], FinalistJob)
        notice = self._moves[name].note(
            name if is_finalist else "the evaluation of the winner",
            kept_of_finalist(self.jobs[name].file),
            reported=name in self._reported,
            is_function=self.study.definition.get("trainer") == "function",
        )
        self._reported.discard(name)
        if notice:
            self.progress.notice(notice)

    def _died(self, event: Died) -> None:
        if event.cause == "cancelled":
            self._waiting.add(event.job)  # not begun, or not any more
            return
        if event.cause == "moved":
            self._note_move(event.job)
            self._submit(event.job)
            return

        n_lost = self._n_lost.get(event.job, 0) + 1
        self._n_lost[event.job] = n_lost
        most = self.study.attempts
        if not isinstance(self.jobs[event.job], FinalistJob):
            most = 1 + EVALUATION.restarts
        # A job that took too long once would do so again.
        out_of_time = event.cause in ("timeout", "no_progress")
        if out_of_time or n_lost >= most:
            self.lost.add(event.job)
            self.failed[event.job] = f"worker {event.cause}: {event.detail}"
        else:
            self._submit(event.job, alone=event.cause == "host_oom")
