"""`run_study`: one search from its definition to its winner.

With `loop` and `finals` it alone knows every room.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tuning.engines.remote import EngineLost
from tuning.errors import SearchFailed, StorageError, TuningError
from tuning.executors.base import Executor, Job, Slot
from tuning.executors.devices import parse_devices
from tuning.executors.executor_spec import executor_spec
from tuning.executors.forkserver import ForkServer
from tuning.ledger.catalog import find
from tuning.ledger.records import SearchHeader, SearchStatus, counts
from tuning.ledger.search import PARETO_FILE, SearchFiles
from tuning.ledger.trial_cache import keep_trials
from tuning.ledger.winner import Evaluation, WinnerRecord
from tuning.lr_range.plot import cards
from tuning.reports.html import load_libraries, write_report
from tuning.reports.progress import Progress, SilentProgress
from tuning.reports.summary import Summary, Winner, pareto_front
from tuning.reports.verdict import verdict
from tuning.search.ended.kept_report import kept_report, remember_report
from tuning.search.ended.likely import ENDS, has_likely_ended
from tuning.search.ended.patient_writer import PatientWriter
from tuning.search.ended.trials import trials_of_ended
from tuning.search.finals import Finals, kept_winner
from tuning.search.known_trials import KnownTrials
from tuning.search.loop import SearchLoop
from tuning.search.lr_bounds import LRBounds, kept_tests
from tuning.search.opening import open_search
from tuning.search.options import RunOptions
from tuning.search.processes import SearchProcesses, source_of, study_facts
from tuning.search.stop_request import StopRequest
from tuning.search.trial_index import Pair
from tuning.search.trial_jobs import function_of, trial_job
from tuning.storage.durable import raise_on_full_disk, write_bytes, write_json
from tuning.storage.home import tuning_home
from tuning.storage.space import SpaceEstimate, SpaceWatch
from tuning.study.info import StudyInfo
from tuning.study.study import Study
from tuning.tracking.mlflow_store import tracking_uri
from tuning.tracking.store_drivers import require_drivers
from tuning.tracking.writer import Writer
from tuning.trial import Proposal, TrialResult
from tuning.trials.jobs import Source

# What MLflow may take at the end; what is missing then, `tuning sync` writes.
_WRITER_S = 30.0
_HURRIED_WRITER_S = 5.0  # the writer itself goes on


def run_study(
    study: Study | str | Path,
    options: RunOptions = RunOptions(),
    progress: Progress | None = None,
    forkserver: ForkServer | None = None,
) -> Summary:
    """Search a study with its engine, or go on with its search, and return how it ended.

    Args:
        study: A `Study`, the name of one in `studies/`, or the path of a study file.
        options: Devices, budgets, resumption.
        progress: Told what happens; None: nobody.
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
    parse_devices(options.devices)
    executor_spec(options.executor)

    require_drivers()
    home = tuning_home(options.home)
    may_have_ended = options.goes_on and has_likely_ended(
        study, home, variant=options.variant, budget=options.budget
    )
    other = None if options.source is None else find(home, options.source)
    stop_request = StopRequest()
    with ExitStack() as stack, _private_files(), raise_on_full_disk(), stop_request.handled():
        view = stack.enter_context(progress or SilentProgress())
        space = SpaceWatch(home, options.quota)
        space.check()
        facts = _facts(source, options, stop_request, view) if may_have_ended else None
        view.phase("starting TensorFlow" if facts is None else "looking at the trials")
        # Both are started at once: each takes seconds, beside the other.
        processes = stack.enter_context(
            SearchProcesses(
                source,
                options.overrides,
                forkserver,
                stop_request=stop_request,
                notice=view.notice,
                answer_s=options.engine_timeout,
                info=facts,
            )
        )
        writer = _writer(home, at_once=facts is None)
        stack.enter_context(writer)
        search = open_search(
            stack, processes, source, options, home=home, other=other, notice=view.notice
        )

        slots = parse_devices(options.devices, search.study.gpus_per_trial)
        executor = processes.executor(
            slots,
            name=options.executor,
            label=search.study.name,
            log_folder=search.files.folder / "logs",
            memory_per_slot=options.memory_per_slot,
            notice=view.notice,
            stop_request=stop_request,
        )

        run = _Run(
            study=search.study,
            source=source,
            options=search.options,
            slots=slots,
            processes=processes,
            executor=executor,
            files=search.files,
            header=search.header,
            lr_bounds=search.lr_bounds,
            known=search.known,
            writer=writer,
            progress=view,
            home=home,
            space=space,
            began=began,
            stop_request=stop_request,
        )
        # Closed in reverse order: also after an error the writer is waited for before it is left.
        stack.callback(run.catch_up)
        return run.carry_out()


def _facts(
    source: Source, options: RunOptions, stop_request: StopRequest, view: Progress
) -> StudyInfo | None:
    """Return what an engine would tell of the study, where that is known without one."""
    view.phase("looking at the study")
    return study_facts(
        source,
        options.overrides,
        stop_request=stop_request,
        notice=view.notice,
        answer_s=options.engine_timeout,
    )


def _writer(home: Path, *, at_once: bool) -> Writer | PatientWriter:
    if at_once:
        return Writer.start(home)
    return PatientWriter(home, lambda: Writer.start(home))


@dataclass(eq=False, kw_only=True)
class _Run:
    """One run, with everything it needs open.

    Attributes:
        header: What `search.json` shall say once the engine has gone along with it.
        began: On the monotonic clock.
        warnings: What the writer could not write.
        caught_up: The writer has been waited for.
        libraries: The thread that imports what the report needs.
        ended_trials: Of a search that had ended before this run, without their curves.
        report: The one that is there, where it shows all of them.
    """

    study: StudyInfo
    source: Source
    options: RunOptions
    slots: list[Slot]
    processes: SearchProcesses
    executor: Executor
    files: SearchFiles
    header: SearchHeader
    lr_bounds: LRBounds
    known: KnownTrials
    writer: Writer | PatientWriter
    progress: Progress
    home: Path
    space: SpaceWatch
    began: float
    stop_request: StopRequest
    loop: SearchLoop = field(init=False)
    warnings: list[str] = field(default_factory=list)
    caught_up: bool = False
    libraries: threading.Thread | None = None
    ended_trials: list[Pair] | None = None
    report: Path | None = None

    def __post_init__(self) -> None:
        self._estimate = SpaceEstimate(
            self.space, self.files.folder / "trials", self.progress.notice
        )
        self.loop = SearchLoop(
            self.study,
            self.processes.engine,
            self.executor,
            self.files,
            make_job=self._job,
            progress=self.progress,
            on_result=self._after_result,
            on_tick=self.space.check,
            in_order=self._in_order,
            stop_request=self.stop_request,
            known=self.known.result_of,
        )

    @property
    def _in_order(self) -> int | None:
        if not self.options.deterministic:
            return None
        # A pruner compares with what others have reported by then, so nothing may run beside a
        # trial.
        return len(self.slots) if self.study.pruner == "none" else 1

    def _job(self, proposal: Proposal, attempt: int) -> Job:
        job = trial_job(
            self.study,
            self.source,
            self.study.for_workers(self.options.overrides),
            self.files,
            proposal=proposal,
            attempt=attempt,
        )
        return Job(
            f"{proposal.number}-{attempt}",
            function_of(self.study),
            (job,),
            wants_answer=self.study.pruner != "none",
            timeout_s=self.study.trial_timeout,
            no_progress_timeout_s=self.study.no_progress_timeout,
        )

    def _after_result(self) -> None:
        self.writer.notify()
        self._look_at_space()

    def _look_at_space(self) -> None:
        n_ended = len(self.loop.trial_index.results)
        n_to_come = None if self.study.trials is None else self.study.trials - n_ended
        self._estimate.look(n_ended, n_to_come)

    def carry_out(self) -> Summary:
        """Search, choose the winner, write the report, bring the projections up to date."""
        # A search that is refused here has changed nothing, and leaves the status of the run
        # before.
        self._take_over_or_replay()
        try:
            self.files.add_version(self.header)
            self.lr_bounds.keep(self.files.folder)
            # Only now: the stores are given the definition that holds.
            self.writer.begin(self.files.folder)
            self._announce()
            if self.ended_trials is None:
                self._write_status("running")
            with self.stop_request.flags_only():
                if self.study.timeout is not None:
                    self.stop_request.deadline = self.began + self.study.timeout
                return self._search_and_report()
        except SearchFailed:
            raise  # its status is written
        except BaseException as error:  # whatever it is: the files say that the run is over
            status = self.stop_request.reason if self.stop_request.by_signal else "failed"
            with suppress(StorageError, OSError):
                self._write_status(status, str(error))
            raise

    def _take_over_or_replay(self) -> None:
        """Bring the loop to where the files are; nobody asks the engine of an ended search."""
        if not self.processes.engine.begun:
            self.ended_trials = trials_of_ended(self.files, self.study)
        if self.ended_trials is None:
            self.loop.replay()
            return
        status = self.files.status
        is_exhausted = status is not None and status.status == "exhausted"
        self.loop.take_over(self.ended_trials, exhausted=is_exhausted)

    def _search_and_report(self) -> Summary:
        winner: WinnerRecord | None = None
        failure: SearchFailed | None = None
        try:
            winner = self._search()
        except SearchFailed as error:
            failure = error
        if winner is None and self.stop_request.by_signal:
            winner = self._earlier_winner()
        status = self._ending(failure)

        self._close_processes()
        # In a hurry that comes last.
        trials = None if self.stop_request.hurried else self._read_trials()
        report = self.report
        if trials is not None and report is None:
            self._keep_front(trials)
            report = self._write_report(trials, winner)
        if self.ended_trials is None or status not in ENDS:
            self._write_status(status, str(failure or ""))
        self.catch_up()
        self.progress.stop()

        if trials is None:
            trials = self.loop.trial_index.trials
        summary = self._summary(trials, winner, status=status, report=report)
        if failure is not None:
            failure.summary = summary
            raise failure
        return summary

    def _read_trials(self) -> list[Pair]:
        """Return all trials, without their curves where the report is kept.

        Read once: 10,000 with their curves are 100 MB.
        """
        if self.ended_trials is not None:
            self.report = self._kept_report()
            if self.report is not None:
                return self.ended_trials
        read_at_ns = time.time_ns()
        trials = self.loop.trial_index.trials
        keep_trials(self.files, trials, read_at_ns)
        return trials

    def _kept_report(self) -> Path | None:
        return kept_report(self.files.folder, self.home / "reports")

    def _search(self) -> WinnerRecord | None:
        """Search and choose the winner; None where a signal came before there was one."""
        try:
            self.loop.run()
            if self.stop_request.by_signal:
                return None
            return self._choose_winner()
        except SearchFailed:
            raise
        except TuningError:
            # The engine or the workers may have been told to end as we were.
            if self.stop_request.by_signal_soon():
                return None
            raise
        except (KeyboardInterrupt, SystemExit):  # while a device was waited for
            return None

    def _choose_winner(self) -> WinnerRecord | None:
        n_completed = counts(self.loop.trial_index.statuses)["completed"]
        if self.ended_trials is None or self._kept_report() is None:
            self.libraries = load_libraries(n_completed)  # while the finalists train

        finals = Finals(
            study=self.study,
            source=self.source,
            overrides=self.study.for_workers(self.options.overrides),
            executor=self.executor,
            files=self.files,
            progress=self.progress,
            stop_request=self.stop_request,
        )
        winner = finals.run(self.loop.trial_index)
        if winner is not None and winner.evaluation.file_fault:
            self.progress.notice(winner.evaluation.file_fault)

        # Else a larger budget may still continue a trial from its checkpoint.
        if winner is not None and self.loop.exhausted:
            finals.tidy()
        return winner

    def _earlier_winner(self) -> WinnerRecord | None:
        winner = kept_winner(self.files, self.progress.notice)
        if winner is not None:
            self.progress.notice(
                "stopped before its finals: the winner shown is that of an earlier run"
            )
        return winner

    def _ending(self, failure: SearchFailed | None) -> str:
        if self.stop_request.by_signal:
            return self.stop_request.reason
        return self.loop.ended if failure is None else "failed"

    def _close_processes(self) -> None:
        """Give the devices back before the report is written.

        After a signal the engine is not asked for its files; one that was not begun has none.
        """
        self.executor.close()
        if not self.stop_request.by_signal and self.processes.engine.begun:
            self._keep_artifacts()
        self.processes.close(at_once=self.stop_request.by_signal)

    def _keep_artifacts(self) -> None:
        """Keep the engine's own files; the winner is there, whatever becomes of them."""
        try:
            artifacts = self.processes.engine.artifacts()
        except TuningError as error:
            if not isinstance(error, EngineLost) and not self.stop_request.by_signal:
                raise
            self.warnings.append(f"the engine's own files are missing: {error}")
            return
        for name, text in artifacts.items():
            write_bytes(self.files.folder / "artifacts" / name, text.encode())

    def catch_up(self) -> None:
        """Have the writer bring MLflow and Optuna's storage up to date, once.

        Also on the way out of an error.
        """
        if self.caught_up or self.writer.folder is None:
            return
        self.caught_up = True
        self.progress.phase("writing to MLflow")
        timeout_s = _HURRIED_WRITER_S if self.stop_request.hurried else _WRITER_S
        self.warnings += self.writer.finish(timeout_s, hurried=lambda: self.stop_request.hurried)
        for warning in self.warnings:
            self.progress.notice(warning)

    def _announce(self) -> None:
        self.progress.start(
            f"{self.study.name} · {self.study.engine}",
            self.study.trials,
            metric=self.study.objective.metric,
            earlier=self._earlier_results(),
            best=self.loop.trial_index.best,
        )

        for notice in (*self.study.notices, *self.known.notices):
            self.progress.notice(notice)
        self._look_at_space()
        self.progress.phase("searching")

    def _earlier_results(self) -> list[TrialResult]:
        if self.ended_trials is not None:
            return [result for _, result in self.ended_trials]
        return list(self.loop.trial_index.results.values())

    def _write_status(self, status: str, error: str = "") -> None:
        self.files.write_status(
            SearchStatus(
                status=status,
                counts=counts(self.loop.trial_index.statuses),
                error=error,
                at=time.time(),
            )
        )
        self.writer.notify()

    def _keep_front(self, trials: list[Pair]) -> None:
        """Keep the Pareto front among the files that MLflow is given, where there is one."""
        front = pareto_front(trials, self.study.objectives)
        if front is not None:
            write_json(self.files.folder / "artifacts" / PARETO_FILE, front.to_json())

    def _write_report(self, trials: list[Pair], winner: WinnerRecord | None) -> Path | None:
        if not trials:
            return None
        if self.libraries is not None:
            # Plotly looks for pandas among the loaded modules, and would take half of it.
            self.libraries.join()

        report = write_report(
            self.home / "reports",
            header=self.files.require_header(),
            trials=trials,
            winner=winner,
            space=self.study.space,
            objective=self.study.objective,
            range_tests=cards(kept_tests(self.files.folder)),
        )
        remember_report(self.files.folder, report)
        return report

    def _summary(
        self,
        trials: list[Pair],
        winner: WinnerRecord | None,
        *,
        status: str,
        report: Path | None,
    ) -> Summary:
        front = pareto_front(trials, self.study.objectives)
        evaluation = Evaluation(test={}) if winner is None else winner.evaluation
        written = self.writer.progress()
        # Where no trial ran, nothing has been waited for.
        first_trial_at = self.loop.first_trial_at or self.began

        return Summary(
            study=self.study.name,
            engine=self.study.engine,
            search=self.files.require_header().id,
            status=status,
            objective=self.study.objective,
            objectives=self.study.objectives,
            pareto={} if front is None else front.to_json(),
            trials=[(proposal, result.without_curves()) for proposal, result in trials],
            winner=self._summary_winner(winner),
            test=evaluation.test,
            not_scored=evaluation.not_scored,
            dummy=evaluation.baseline.get("dummy", {}),
            linear=evaluation.baseline.get("linear", {}),
            margin=evaluation.margin,
            verdict=verdict(evaluation.no_better),
            threshold=evaluation.threshold,
            prepared=evaluation.prepared,
            imports=evaluation.imports,
            unit=self.study.data.unit,
            total_s=time.monotonic() - self.began,
            startup_s=first_trial_at - self.began,
            training_s=self.loop.trial_index.training_s,
            tracking_uri=tracking_uri(self.home) if written.run_id else "",
            experiment_id=written.experiment_id,
            run_id=written.run_id,
            report=None if report is None else str(report),
            model=evaluation.model,
            warnings=tuple(self.warnings),
        )

    def _summary_winner(self, winner: WinnerRecord | None) -> Winner | None:
        if winner is None:
            return None
        return Winner.of(winner.standing, self.study.space.decode_known(winner.params))


@contextmanager
def _private_files() -> Iterator[None]:
    """Files made in this block are their user's alone."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)
