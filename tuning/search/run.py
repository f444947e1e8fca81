"""`run_study`: one search from its definition to its winner.

With `loop`, `finals` and `conclusion` it alone knows every room. It opens what a run needs, then
one of two takes over: `_TrainingRun` searches, `_EndedRun` answers from the files.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tuning.executors.base import Job
from tuning.executors.cluster.wishes import require_counted
from tuning.executors.executor_spec import executor_spec
from tuning.executors.forkserver import ForkServer
from tuning.executors.placement.work import Work
from tuning.ledger.catalog import find
from tuning.ledger.winner import WinnerRecord
from tuning.reports.notebook.notebook_progress import default_progress
from tuning.reports.notebook.plottable_summary import PlottableSummary
from tuning.reports.progress import Progress
from tuning.reports.summary import Summary
from tuning.search.budget.compute_budget import ComputeBudget, Limits, require_gpus
from tuning.search.conclusion import Conclusion
from tuning.search.ended.likely import ENDS, has_likely_ended
from tuning.search.ended.search import EndedSearch, ended_search
from tuning.search.loop import SearchLoop
from tuning.search.opening import Opener, OpenRun
from tuning.search.options import RunOptions
from tuning.search.processes import source_of
from tuning.search.slots.sharing import Need, Sharing
from tuning.search.slots.until import Until
from tuning.search.stop_request import StopRequest
from tuning.search.trial_index import TrialIndex
from tuning.search.trial_jobs import function_of, trial_job
from tuning.storage.durable import raise_on_full_disk
from tuning.storage.home import tuning_home
from tuning.storage.space import SpaceEstimate
from tuning.study.study import Study
from tuning.tracking.store_drivers import require_drivers
from tuning.tracking.writer import Writer
from tuning.trial import Proposal


def run_study(
    study: Study | str | Path,
    options: RunOptions = RunOptions(),
    progress: Progress | None = None,
    forkserver: ForkServer | None = None,
) -> PlottableSummary:
    """Search a study with its engine, or go on with its search, and return how it ended.

    Args:
        study: A `Study`, the name of one in `studies/`, or the path of a study file.
        options: Devices, budgets, resumption.
        progress: Told what happens; None: the view in a notebook's cell, elsewhere nobody.
        forkserver: One that runs, and is left running: for several searches from one script, which
            then import TensorFlow once.

    Raises:
        StudyError: The study or the options are wrong (exit code 2).
        MissingError: A device, data set or extra is missing (3).
        BusyError: Another process runs this search (75).
        StorageError: The disk or its quota is full (75); everything finished is kept.
        SearchFailed: No trial was completed, or too many failed in a row (1).
    """
    began = time.monotonic()
    source = source_of(study)
    # A fault is told before anything costs time.
    wanted = executor_spec(options.executor).parse(options.devices, 1)
    if options.deterministic:
        require_counted(wanted)

    require_drivers()
    home = tuning_home(options.home)
    may_have_ended = options.goes_on and has_likely_ended(
        study, home, variant=options.variant, budget=options.budget
    )
    other = None if options.source is None else find(home, options.source)
    stop_request = StopRequest(until=Until.of(options.until))
    with ExitStack() as stack, _private_files(), raise_on_full_disk(), stop_request.handled():
        opener = Opener(
            stack=stack,
            source=source,
            options=options,
            progress=stack.enter_context(progress or default_progress()),
            forkserver=forkserver,
            start_writer=lambda: Writer.start(home),
            home=home,
            began=began,
            stop_request=stop_request,
        )
        summary = _carry_out(opener.open(other, may_have_ended=may_have_ended))
        return PlottableSummary.of(summary)


@contextmanager
def _private_files() -> Iterator[None]:
    """Files made in this block are their user's alone."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def _carry_out(run: OpenRun) -> Summary:
    """Answer from the files where nothing is left to do, else search."""
    # An engine that was begun is one that somebody needed: bounds of a range test, a first point.
    # Before it is, nobody has been asked, and the files may answer in its place.
    begun = run.processes.engine.begun
    ended = None if begun else ended_search(run.search.files, run.search.study)
    if ended is not None:
        return _EndedRun(run, ended).carry_out()
    return _TrainingRun(run).carry_out()


def _budget_of(run: OpenRun) -> ComputeBudget | None:
    """Return what keeps account of `--gpu-hours` and `--cpu-hours`; None where neither is given.

    Raises:
        StudyError: GPU-hours are counted where no trial can use any.
    """
    options = run.search.options
    limits = Limits.of_hours(cpu=options.cpu_hours, gpu=options.gpu_hours)
    if not limits.named:
        return None
    require_gpus(limits, run.slots, options.devices, options.executor)
    return ComputeBudget.of(limits, run.search.files, lambda: max(1, len(run.executor.slots)))


class _TrainingRun:
    """A run that searches: it asks an engine, trains, and chooses the winner.

    Args:
        run: What is open.
    """

    def __init__(self, run: OpenRun) -> None:
        self._run = run
        self._search = run.search
        self._study = run.search.study
        self._estimate = SpaceEstimate(
            run.space, run.search.files.folder / "trials", run.progress.notice
        )
        self._budget = _budget_of(run)
        self._loop = SearchLoop(
            self._study,
            run.processes.engine,
            run.executor,
            run.search.files,
            make_job=self._job,
            progress=run.progress,
            on_result=self._after_result,
            on_tick=run.tick,
            in_order=self._in_order,
            stop_request=run.stop_request,
            known=run.search.known.result_of,
            admits=self._admits,
            ahead=run.planning.ahead,
        )
        index = self._loop.trial_index
        run.resizer.share_by(Sharing(lambda: Need(index.n_gpu_mb, index.gpu_mb)))
        self._conclusion = Conclusion(run, index)
        if self._budget is not None:
            run.stop_request.end_when(self._is_used_up)

    def _admits(self, proposal: Proposal) -> bool:
        if self._budget is None:
            return True
        index = self._loop.trial_index
        self._budget.see(index.results, index.proposals)
        return self._budget.admits(proposal, index.proposals, self._loop.open.values())

    def _is_used_up(self) -> bool:
        return self._budget is not None and self._budget.is_exceeded(self._loop.open.values())

    @property
    def _in_order(self) -> int | None:
        if not self._search.options.deterministic:
            return None
        # A pruner compares with what others have reported by then, so nothing may run beside a
        # trial.
        return len(self._run.slots) if self._study.pruner == "none" else 1

    def carry_out(self) -> Summary:
        """Search, choose the winner, write the report, bring the projections up to date."""
        # A search that is refused here has changed nothing, and leaves the status of the run
        # before.
        self._loop.replay()
        with self._conclusion.errors_in_status():
            self._begin()
            with self._conclusion.stoppable():
                return self._search_and_report()

    def _begin(self) -> None:
        """Enter the definition that holds from now on, and say that the search runs."""
        files = self._search.files
        files.add_version(self._search.header)
        self._search.lr_bounds.keep(files.folder)
        # Only now: the stores are given the definition that holds.
        self._run.projections.begin(files.folder)

        self._conclusion.announce(list(self._loop.trial_index.results.values()))
        self._look_at_space()
        self._run.progress.phase("searching")
        self._conclusion.write_status("running")

    def _search_and_report(self) -> Summary:
        conclusion = self._conclusion
        outcome = conclusion.outcome_of(self._winner)
        status = conclusion.status_of(outcome, self._loop.ended)
        conclusion.close_processes()

        trials = None
        report = None
        if not self._run.stop_request.hurried:  # the next run writes it
            trials = conclusion.read_trials()
            report = conclusion.write_report(trials, outcome)

        # After the report: the stores show it with the status.
        conclusion.write_status(status, str(outcome.failure or ""))
        return conclusion.finish(
            outcome,
            status,
            trials=trials,
            report=report,
            first_trial_at=self._loop.first_trial_at,
        )

    def _winner(self) -> WinnerRecord | None:
        """Search and choose the winner; None where a signal came before there was one."""
        self._loop.run()
        self._run.planning.look(at_end=True)
        if self._budget is not None and self._budget.refused:
            self._run.progress.notice(f"{self._budget.refused}; a larger one goes on from here")
        return self._conclusion.choose_winner(load_libraries=True, exhausted=self._loop.exhausted)

    def _job(self, proposal: Proposal, attempt: int) -> Job:
        job = trial_job(
            self._study,
            self._run.source,
            self._study.for_workers(self._search.options.overrides),
            self._search.files,
            proposal=proposal,
            attempt=attempt,
        )
        return Job(
            f"{proposal.number}-{attempt}",
            function_of(self._study),
            (job,),
            wants_answer=self._study.pruner != "none",
            work=self._work(proposal),
            timeout_s=self._study.trial_timeout,
            no_progress_timeout_s=self._study.no_progress_timeout,
        )

    def _work(self, proposal: Proposal) -> Work | None:
        """Return what its cost is predicted from; None where all slots are of one kind."""
        if self._run.planning.placement is None:
            return None
        trials = self._study.trials
        return Work(
            key=str(proposal.number),
            params=proposal.params,
            epochs=proposal.epochs,
            to_come=None if trials is None else max(0, trials - proposal.number - 1),
        )

    def _after_result(self) -> None:
        self._run.planning.look()
        self._run.projections.notify()
        self._look_at_space()

    def _look_at_space(self) -> None:
        n_ended = len(self._loop.trial_index.results)
        n_to_come = None if self._study.trials is None else self._study.trials - n_ended
        self._estimate.look(n_ended, n_to_come)


class _EndedRun:
    """A run of a search that has nothing left to do: the files answer, and nobody asks its engine.

    Status and report stay as they are. What was lost since is made anew: a winner from its
    finalists, a report from the trials, what a store lacks.

    Args:
        run: What is open; its engine has not been begun.
        ended: What the files say.
    """

    def __init__(self, run: OpenRun, ended: EndedSearch) -> None:
        self._run = run
        self._ended = ended
        trial_index = TrialIndex.of(run.search.study, run.search.files, ended.trials)
        self._conclusion = Conclusion(run, trial_index)

    def carry_out(self) -> Summary:
        """Return what the run that ended the search returned."""
        with self._conclusion.errors_in_status():
            self._run.projections.begin(self._run.search.files.folder)
            self._conclusion.announce(self._ended.results)
            with self._conclusion.stoppable():
                return self._answer()

    def _answer(self) -> Summary:
        conclusion = self._conclusion
        outcome = conclusion.outcome_of(self._winner)
        status = conclusion.status_of(outcome, self._how_it_ended)
        conclusion.close_processes()

        # Looked for once more: a winner that was chosen anew is not in the report that is there.
        hurried = self._run.stop_request.hurried
        report = None if hurried else conclusion.report.kept()
        if report is None and not hurried:
            report = conclusion.write_report(conclusion.read_trials(), outcome)

        # How it ended stands in the files already, with the time when it did.
        if status not in ENDS:
            conclusion.write_status(status, str(outcome.failure or ""))
        return conclusion.finish(outcome, status, trials=self._ended.trials, report=report)

    def _winner(self) -> WinnerRecord | None:
        return self._conclusion.choose_winner(
            load_libraries=self._conclusion.report.kept() is None,
            exhausted=self._ended.exhausted,
        )

    @property
    def _how_it_ended(self) -> str:
        """How a loop would end that is given these trials: as the files say, or by the deadline."""
        if self._ended.exhausted:
            return self._ended.status
        return self._run.stop_request.reason or self._ended.status
