"""`run_study`: one search from its definition to its winner. With `loop` and `finals` it alone
knows every room.
"""

from __future__ import annotations

import os
import platform
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from tuning.errors import SearchFailed, StorageError, TuningError
from tuning.executors.base import Executor, Job, Slot
from tuning.executors.devices import parse_devices
from tuning.executors.executor_spec import executor_spec
from tuning.executors.forkserver import ForkServer
from tuning.ledger.records import SearchHeader, SearchStatus, WinnerRecord
from tuning.ledger.search import SearchFiles, begin, counts, search_key
from tuning.lr_range.plot import cards
from tuning.reports.html import load_libraries, write_report
from tuning.reports.progress import Progress, SilentProgress
from tuning.reports.summary import Summary, Winner
from tuning.search.finals import Finals, kept_winner
from tuning.search.header import search_header
from tuning.search.loop import SearchLoop
from tuning.search.lr_bounds import LRBounds, kept_tests, measure_lr_bounds
from tuning.search.open_trials import function_of, trial_job
from tuning.search.options import RunOptions
from tuning.search.processes import SearchProcesses, source_of
from tuning.search.stop_request import StopRequest
from tuning.search.trial_index import Pair
from tuning.storage.durable import raise_on_full_disk, write_bytes
from tuning.storage.home import tuning_home
from tuning.storage.locks import search_locked
from tuning.study.info import StudyInfo
from tuning.study.study import Study
from tuning.tracking.mlflow_store import tracking_uri
from tuning.tracking.writer import Writer
from tuning.trial import Proposal
from tuning.trials.jobs import Source

_WRITER_S, _HURRIED_WRITER_S = (
    30.0,
    20.0,
)  # what MLflow may take at the end; what is missing then, `sync` writes


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
        StorageError: The disk is full (75); everything finished is kept.
        SearchFailed: No trial was completed, or too many failed in a row (1).
    """
    began = time.monotonic()
    source = source_of(study)
    # A fault is told before anything costs time.
    parse_devices(options.devices)
    executor_spec(options.executor)
    home = tuning_home(options.home)
    stopping = StopRequest()
    with ExitStack() as stack, _umask(), raise_on_full_disk(), stopping.handled():
        shown = stack.enter_context(progress or SilentProgress())
        shown.phase("starting TensorFlow")
        processes = stack.enter_context(SearchProcesses(source, options.overrides, forkserver))
        writer = stack.enter_context(Writer.start(home))
        record = processes.engine.describe()
        variant = options.variant_of(record.engine)
        folder = home / "ledger" / record.name / search_key(record.engine, record.pruner, variant)
        stack.enter_context(search_locked(folder, f"process {os.getpid()} on {platform.node()}"))
        rates = measure_lr_bounds(
            record,
            source,
            options.overrides,
            folder,
            fresh=options.fresh,
            again=options.allow_change,
            devices=options.devices,
            forkserver=processes.forkserver,
            notice=shown.notice,
        )
        if rates.intervals:
            options = replace(options, intervals=rates.intervals)
            processes.begin_engine(options.overrides)
            record = processes.engine.describe()
        header = replace(search_header(record, variant), intervals=dict(rates.intervals))
        files = begin(folder, header, fresh=options.fresh, allow_change=options.allow_change)
        slots = parse_devices(options.devices, record.gpus_per_trial)
        executor = processes.executor(
            slots,
            name=options.executor,
            label=record.name,
            log_folder=folder / "logs",
            notice=shown.notice,
            stop_request=stopping,
        )
        run = _Run(
            record,
            source,
            options,
            slots,
            processes,
            executor,
            files,
            header,
            rates,
            writer,
            shown,
            home,
            began,
            stopping,
        )
        stack.callback(run.catch_up)
        return run.whole()


@dataclass(eq=False)
class _Run:
    """One run, with everything it needs open."""

    record: StudyInfo
    source: Source
    options: RunOptions
    slots: list[Slot]
    processes: SearchProcesses
    executor: Executor
    files: SearchFiles
    header: SearchHeader
    rates: LRBounds
    writer: Writer
    progress: Progress
    home: Path
    began: float
    stopping: StopRequest
    warnings: list[str] = field(default_factory=list)
    caught_up: bool = False
    libraries: threading.Thread | None = None

    @property
    def _in_order(self) -> int | None:
        if not self.options.deterministic:
            return None
        # A pruner compares with what others have reported by then, so nothing may run beside a
        # trial.
        return len(self.slots) if self.record.pruner == "none" else 1

    def whole(self) -> Summary:
        """Search, choose the winner, write the report, bring the projections up to date."""
        loop = SearchLoop(
            self.record,
            self.processes.engine,
            self.executor,
            self.files,
            make_job=self._job,
            progress=self.progress,
            on_result=self.writer.notify,
            in_order=self._in_order,
            stop_request=self.stopping,
        )
        # one that is refused has changed nothing, and leaves the status of the run before
        loop.replay()
        try:
            self.files.add_version(self.header)
            self.rates.keep(self.files.folder)
            self.writer.begin(
                self.files.folder
            )  # only now: the stores are given the definition that holds
            self._announce(loop)
            self._status("running", loop)
            with self.stopping.flags_only():
                self.stopping.deadline = (
                    None if self.record.timeout is None else self.began + self.record.timeout
                )
                return self._searched(loop)
        except SearchFailed:  # its status is written
            raise
        except BaseException as error:  # whatever it is: the files say that the run is over
            with suppress(StorageError, OSError):
                status = self.stopping.reason if self.stopping.by_signal else "failed"
                self._status(status, loop, str(error))
            raise

    def _searched(self, loop: SearchLoop) -> Summary:
        winner, failure = None, None
        try:
            winner = self._search(loop)
        except SearchFailed as error:
            failure = error
        if winner is None and self.stopping.by_signal:
            winner = kept_winner(self.files)
            if winner is not None:
                self.progress.notice(
                    "stopped before its finals: the winner shown is that of an earlier run"
                )
        status = (
            self.stopping.reason if self.stopping.by_signal else "failed" if failure else loop.ended
        )
        self._close_processes()
        trials = None if self.stopping.hurried else loop.trial_index.trials
        report = None if trials is None else self._report(trials, winner)
        self._status(status, loop, str(failure or ""))
        self.catch_up()
        self.progress.stop()
        summary = self._summary(
            loop, trials or loop.trial_index.trials, winner=winner, status=status, report=report
        )
        if failure is not None:
            failure.summary = summary
            raise failure
        return summary

    def _search(self, loop: SearchLoop) -> WinnerRecord | None:
        try:
            loop.run()
            finals = Finals(
                study=self.record,
                source=self.source,
                overrides=self.options.overrides,
                executor=self.executor,
                files=self.files,
                progress=self.progress,
                stop_request=self.stopping,
            )
            if self.stopping.by_signal:
                return None
            self.libraries = load_libraries(
                counts(loop.trial_index.statuses)["completed"]
            )  # while the finalists train
            winner = finals.run(loop.trial_index)
            if (
                winner is not None and loop.exhausted
            ):  # else a larger budget may still continue a trial
                finals.tidy()
            return winner
        except SearchFailed:
            raise
        except TuningError:
            if (
                self.stopping.by_signal_soon()
            ):  # the engine or the workers were told to end as we were
                return None
            raise
        except (KeyboardInterrupt, SystemExit):  # while a device was waited for
            return None

    def catch_up(self) -> None:
        """Have the writer bring MLflow and Optuna's storage up to date; also on the way out of an
        error.
        """
        if not self.caught_up and self.writer.folder is not None:
            self.caught_up = True
            self.progress.phase("writing to MLflow")
            self.warnings += self.writer.finish(
                _HURRIED_WRITER_S if self.stopping.hurried else _WRITER_S
            )
            for warning in self.warnings:
                self.progress.notice(warning)

    def _close_processes(self) -> None:
        """Give the devices back before the report is written; in a hurry the engine is not asked
        for its files.
        """
        self.executor.close()
        if not self.stopping.by_signal:
            for name, text in self.processes.engine.artifacts().items():
                write_bytes(self.files.folder / "artifacts" / name, text.encode())
        self.processes.close(at_once=self.stopping.by_signal)

    def _job(self, proposal: Proposal, attempt: int) -> Job:
        record = self.record
        return Job(
            f"{proposal.number}-{attempt}",
            function_of(record),
            (
                trial_job(
                    record,
                    self.source,
                    self.options.overrides,
                    self.files,
                    proposal=proposal,
                    attempt=attempt,
                ),
            ),
            wants_answer=record.pruner != "none",
            timeout_s=record.trial_timeout,
            no_progress_timeout_s=record.no_progress_timeout,
        )

    def _announce(self, loop: SearchLoop) -> None:
        title = f"{self.record.name} · {self.record.engine}"
        self.progress.start(
            title,
            self.record.trials,
            metric=self.record.objective.metric,
            earlier=list(loop.trial_index.results.values()),
            best=loop.trial_index.best,
        )
        for notice in self.record.notices:
            self.progress.notice(notice)
        self.progress.phase("searching")

    def _status(self, status: str, loop: SearchLoop, error: str = "") -> None:
        self.files.write_status(
            SearchStatus(
                status=status,
                counts=counts(loop.trial_index.statuses),
                error=error,
                at=time.time(),
            )
        )
        self.writer.notify()

    def _report(self, trials: list[Pair], winner: WinnerRecord | None) -> Path | None:
        if not trials:
            return None
        if self.libraries is not None:
            # plotly looks for pandas among the loaded modules, and would take half of it
            self.libraries.join()
        return write_report(
            self.home / "reports",
            header=self.files.require_header(),
            trials=trials,
            winner=winner,
            space=self.record.space,
            objective=self.record.objective,
            range_tests=cards(kept_tests(self.files.folder)),
        )

    def _summary(
        self,
        loop: SearchLoop,
        trials: list[Pair],
        *,
        winner: WinnerRecord | None,
        status: str,
        report: Path | None,
    ) -> Summary:
        record = self.record
        evaluation = None if winner is None else winner.evaluation
        baseline = {} if evaluation is None else evaluation.baseline
        margin = None if evaluation is None else evaluation.margin
        written = self.writer.progress()
        first = loop.first_trial_at or self.began
        return Summary(
            study=record.name,
            engine=record.engine,
            search=self.files.require_header().id,
            status=status,
            objective=record.objective,
            trials=[(proposal, replace(result, folds=())) for proposal, result in trials],
            winner=None
            if winner is None
            else Winner.of(winner.standing, record.space.decode_known(winner.params)),
            test={} if evaluation is None else evaluation.test,
            dummy=baseline.get("dummy", {}),
            linear=baseline.get("linear", {}),
            margin=margin,
            unit=record.data.unit,
            total_s=time.monotonic() - self.began,
            startup_s=first - self.began,
            training_s=loop.trial_index.training_s,
            tracking_uri=tracking_uri(self.home) if written.run_id else "",
            experiment_id=written.experiment_id,
            run_id=written.run_id,
            report=None if report is None else str(report),
            model=None if evaluation is None else evaluation.model,
            warnings=tuple(self.warnings),
        )


@contextmanager
def _umask() -> Iterator[None]:
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)
