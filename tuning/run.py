"""`run_study`: one search from its definition to its winner. With `loop` and `finals` it alone knows every room."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tuning.durable import write_bytes, write_json
from tuning.engines.remote import RemoteEngine
from tuning.errors import SearchFailed
from tuning.executors.base import Executor, Job
from tuning.executors.devices import parse_devices
from tuning.executors.forkserver import ForkServer
from tuning.executors.leases import Leases
from tuning.executors.local import LocalExecutor
from tuning.executors.worker import Limits
from tuning.finals import Finals
from tuning.home import locked, tuning_home
from tuning.ledger.search import SearchFiles, begin, counts, search_key
from tuning.loop import SearchLoop
from tuning.record import StudyRecord
from tuning.reports.html import write_report
from tuning.reports.progress import Progress, SilentProgress
from tuning.reports.summary import Summary, Winner
from tuning.study import SCIKIT_ENGINES, Study, find_study
from tuning.tracking.mlflow_store import tracking_uri
from tuning.training.jobs import Source, TrialJob
from tuning.trial import Proposal
from tuning.writer import Writer

_TRIAL = "tuning.training.trials:run_trial"
_SCIKIT_TRIAL = "tuning.engines.scikit_fit:run_call"
_LIBRARIES = ("tensorflow-cpu", "tensorflow", "keras", "scikit-learn", "optuna", "keras-tuner", "scikeras", "mlflow")
_WORKER_LIMITS = Limits(jobs=200, rss_mb=4096)


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What a run is told besides its study.

    Attributes:
        home: State folder; None: TUNING_HOME or ./mlruns.
        devices: `auto`, `cpu`, `cpu:2`, `gpu`, `0,1`.
        fresh: Set an earlier search aside and begin anew.
        allow_change: Go on although the study changed.
        deterministic: Tell results in the order of their numbers.
        variant: What was changed of the study file by the command line, for the search's key and for the study.
        trials, timeout: Budgets, which are no part of the key; 0: as the study says.
    """

    home: str | None = None
    devices: str = "auto"
    fresh: bool = False
    allow_change: bool = False
    deterministic: bool = False
    variant: Mapping[str, Any] = field(default_factory=dict)
    budget: Mapping[str, Any] = field(default_factory=dict)

    @property
    def overrides(self) -> dict[str, Any]:
        """All changes of the study's fields."""
        return {**self.variant, **self.budget}


def run_study(
    study: Study | str | Path, options: RunOptions = RunOptions(), progress: Progress | None = None
) -> Summary:
    """Search a study with its engine, or go on with its search, and return how it ended.

    Args:
        study: A `Study`, the name of one in `studies/`, or the path of a study file.
        options: Devices, budgets, resumption.
        progress: Told what happens; None: nobody.

    Raises:
        StudyError: The study or the options are wrong (exit code 2).
        MissingError: A device, data set or extra is missing (3).
        BusyError: Another process runs this search (75).
        SearchFailed: No trial was completed, or too many failed in a row (1).
    """
    began = time.monotonic()
    slots = parse_devices(options.devices)  # before anything costs time
    home = tuning_home(options.home)
    source = _source(study)
    with ExitStack() as stack, _umask():
        shown = stack.enter_context(progress or SilentProgress())
        forkserver = stack.enter_context(ForkServer())
        shown.phase("starting TensorFlow")
        engine, record = _start_engine(forkserver, source, options, stack)
        if record.gpus_per_trial > 1:
            slots = parse_devices(options.devices, record.gpus_per_trial)
        folder = home / "ledger" / record.name / search_key(record.engine, record.pruner, options.variant)
        stack.enter_context(locked(folder, f"process {os.getpid()} on {platform.node()}"))
        files = begin(folder, _header(record, options), fresh=options.fresh, allow_change=options.allow_change)
        writer = Writer.start(folder, home)
        executor = LocalExecutor(
            slots, forkserver=forkserver, leases=Leases(), log_folder=folder / "logs", limits=_WORKER_LIMITS,
            label=record.name, on_wait=shown.remark,
        )  # fmt: skip
        stack.callback(executor.close)
        run = _Run(record, source, options, engine, executor, files, writer, shown, home, began)
        stack.callback(run.catch_up)
        return run.whole()


@dataclass(eq=False)
class _Run:
    """One run, with everything it needs open."""

    record: StudyRecord
    source: Source
    options: RunOptions
    engine: RemoteEngine
    executor: Executor
    files: SearchFiles
    writer: Writer
    progress: Progress
    home: Path
    began: float
    caught_up: bool = False

    def whole(self) -> Summary:
        """Search, choose the winner, write the report, bring the projections up to date."""
        loop = SearchLoop(
            self.record, self.engine, self.executor, self.files, make_job=self._job, progress=self.progress,
            on_result=self.writer.notify, deterministic=self.options.deterministic,
        )  # fmt: skip
        loop.replay()
        self._announce(loop)
        self._status("running", loop)
        winner, status, failure = None, "failed", None
        with _signals(loop, self.record.timeout, self.began):
            try:
                loop.run()
                finals = self._finals(loop)
                winner = finals.run(loop.roster) if loop.draining in ("", "timeout") else None
                status = loop.draining or ("exhausted" if loop.exhausted else "completed")
            except SearchFailed as error:
                failure = error
        self._keep_artifacts()
        report = self._report(loop, winner)
        self._status(status, loop)
        self.catch_up()
        self.progress.stop()
        summary = self._summary(loop, winner, status, report)
        if failure is not None:
            failure.summary = summary
            raise failure
        return summary

    def catch_up(self) -> None:
        """Have the writer bring MLflow and Optuna's storage up to date; also on the way out of an error."""
        if not self.caught_up:
            self.caught_up = True
            self.progress.phase("writing to MLflow")
            for warning in self.writer.finish():
                self.progress.remark(warning)

    def _finals(self, loop: SearchLoop) -> Finals:
        return Finals(
            self.record, self.source, self.options.overrides, self.executor, self.files, self.progress,
            lambda: loop.draining if loop.draining != "timeout" else "",
        )  # fmt: skip

    def _job(self, proposal: Proposal, attempt: int) -> Job:
        record = self.record
        continues = proposal.parent is not None and proposal.continued
        job = TrialJob(
            self.source, self.options.overrides, proposal, self.files.trial_folder(proposal.number), attempt,
            parent=self.files.trial_folder(proposal.parent) if continues and proposal.parent is not None else None,
            keep_end=record.engine == "keras-tuner:hyperband",
            lockstep=record.cv is not None and record.pruner != "none",
        )  # fmt: skip
        return Job(
            f"{proposal.number}-{attempt}",
            _SCIKIT_TRIAL if record.engine in SCIKIT_ENGINES else _TRIAL,
            (job,),
            wants_verdict=record.pruner != "none",
            timeout_s=record.trial_timeout,
            no_progress_timeout_s=record.no_progress_timeout,
        )

    def _announce(self, loop: SearchLoop) -> None:
        earlier = list(loop.roster.results.values())
        title = f"{self.record.name} · {self.record.engine}"
        self.progress.start(
            title, self.record.trials, metric=self.record.objective.metric, earlier=earlier, best=loop.roster.best
        )
        for remark in self.record.remarks:
            self.progress.remark(remark)
        self.progress.phase("searching")

    def _status(self, status: str, loop: SearchLoop) -> None:
        stored = {"status": status, "counts": counts(list(loop.roster.results.values())), "at": time.time()}
        write_json(self.files.folder / "status.json", stored)
        self.writer.notify()

    def _keep_artifacts(self) -> None:
        for name, text in self.engine.artifacts().items():
            write_bytes(self.files.folder / "artifacts" / name, text.encode())

    def _report(self, loop: SearchLoop, winner: Mapping[str, Any] | None) -> Path | None:
        if not loop.roster.results:
            return None
        return write_report(
            self.home / "reports", header=self.files.header, trials=loop.roster.trials, winner=winner,
            space=self.record.space, objective=self.record.objective,
        )  # fmt: skip

    def _summary(
        self, loop: SearchLoop, winner: Mapping[str, Any] | None, status: str, report: Path | None
    ) -> Summary:
        record, found = self.record, winner or {}
        baseline = found.get("baseline", {})
        written = self.writer.progress()
        first = loop.first_trial_at or self.began
        return Summary(
            study=record.name, engine=record.engine, search=self.files.header["id"], status=status,
            objective=record.objective, trials=loop.roster.trials,
            winner=None if winner is None else Winner.from_json(winner, record.space.decode(winner["params"])),
            test=found.get("test", {}), dummy=baseline.get("dummy", {}), linear=baseline.get("linear", {}),
            unit=record.data["unit"], total_s=time.monotonic() - self.began, startup_s=first - self.began,
            training_s=sum(result.training_s for result in loop.roster.results.values()),
            tracking_uri=tracking_uri(self.home), experiment_id=written.experiment_id, run_id=written.run_id,
            report=None if report is None else str(report), model=found.get("model"),
        )  # fmt: skip


def _start_engine(
    forkserver: ForkServer, source: Source, options: RunOptions, stack: ExitStack
) -> tuple[RemoteEngine, StudyRecord]:
    child = forkserver.spawn("tuning.engines.remote:serve", (source, options.overrides))
    stack.callback(child.close)
    engine = RemoteEngine(child.wire)
    stack.callback(engine.close)
    return engine, engine.describe()


def _source(study: Study | str | Path) -> Source:
    if isinstance(study, Study):
        import cloudpickle

        pickled: bytes = cloudpickle.dumps(study)
        return pickled
    return str(find_study(str(study)))


def _header(record: StudyRecord, options: RunOptions) -> dict[str, Any]:
    return {
        "study": record.name, "engine": record.engine, "pruner": record.pruner, "variant": dict(options.variant),
        "definition": dict(record.definition), "study_hash": record.hash, "data": dict(record.data),
        "objective": {"metric": record.objective.metric, "direction": record.objective.direction},
        "seed": record.seed, "trials": record.trials, "study_file": record.study_file, "git_commit": _git_commit(),
        "versions_of": {name: found for name in _LIBRARIES if (found := _version(name))},
    }  # fmt: skip


def _git_commit() -> str:
    asked = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return asked.stdout.strip() if asked.returncode == 0 else ""


def _version(library: str) -> str:
    try:
        return version(library)
    except ModuleNotFoundError:
        return ""


@contextmanager
def _umask() -> Iterator[None]:
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def _signals(loop: SearchLoop, timeout: float | None, began: float) -> Iterator[None]:
    """Ctrl-C once drains, twice aborts; SIGTERM lets go at the next epoch; the deadline does too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        if loop.draining:
            raise KeyboardInterrupt
        loop.drain("interrupted", at_once=False)

    def terminate(*_: object) -> None:
        loop.drain("terminated", at_once=True)

    def alarm(*_: object) -> None:
        loop.drain("timeout", at_once=True)

    before = {number: signal.signal(number, handler) for number, handler in (
        (signal.SIGINT, interrupt), (signal.SIGTERM, terminate), (signal.SIGALRM, alarm))}  # fmt: skip
    if timeout is not None:
        signal.setitimer(signal.ITIMER_REAL, max(0.01, timeout - (time.monotonic() - began)))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
