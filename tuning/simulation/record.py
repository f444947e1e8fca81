"""`record_study`: train a grid or a Sobol sample of a study fully, on several seeds.

Each training seed is an ordinary search under an engine that proposes given points, with files of
its own, so that the same command goes on where it was interrupted.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from tuning.errors import StudyError
from tuning.executors.base import Executor, Job
from tuning.executors.executor_spec import LOCAL, ExecutorChoice, executor_spec
from tuning.executors.forkserver import ForkServer
from tuning.ledger.begin import begin, search_key
from tuning.ledger.catalog import finished
from tuning.ledger.damage import SetAside
from tuning.ledger.header import search_header
from tuning.ledger.search import SearchFiles
from tuning.ledger.usage import Usage, of_results, total_of
from tuning.reports.progress import Progress, SilentProgress
from tuning.search.budget.compute_budget import ComputeBudget, Limits, require_gpus
from tuning.search.loop import SearchLoop
from tuning.search.lr_bounds import Interval, measure_lr_bounds
from tuning.search.processes import SearchProcesses, source_of
from tuning.search.stop_request import StopRequest
from tuning.simulation.fit_faults import fit_faults
from tuning.simulation.manifest import RecordingManifest
from tuning.simulation.recording import TrainedPoints, write_recording
from tuning.space.space import Space
from tuning.storage.durable import raise_on_full_disk
from tuning.storage.home import tuning_home
from tuning.storage.locks import search_locked
from tuning.storage.space import SpaceWatch
from tuning.study.info import StudyInfo
from tuning.study.study import Study, derive_seed
from tuning.study.unit_cube import sobol_points
from tuning.trial import EpochReport, Params, Pause, Proposal, TrialResult
from tuning.trials.jobs import Overrides, RecordJob, Source, training_seed

SOBOL_POINTS = 64
"""Points of a Sobol sample where nobody says how many."""
_FUNCTION = "tuning.trials.recorded:run_recorded"
_ENGINE = "recording"


@dataclass(frozen=True, kw_only=True)
class RecordOptions:
    """What a recording is told besides its study.

    Attributes:
        points: How many points; None: the whole grid, or 64 of a Sobol sequence.
        sobol: Take a Sobol sample also where the space is a grid.
        seeds: Training seeds.
        out: The manifest's path; None: `<home>/recordings/<study>.json`.
        devices, home, fresh, memory_per_slot, quota, gpu_hours, cpu_hours: As for a run; the hours
            are those of all seeds together.
        executor: Who trains.
        variant: Changes of the study's fields.
    """

    points: int | None = None
    sobol: bool = False
    seeds: int = 3
    out: Path | None = None
    devices: str = "auto"
    executor: ExecutorChoice = LOCAL
    home: str | None = None
    fresh: bool = False
    memory_per_slot: int | None = None
    quota: int | None = None
    gpu_hours: float | None = None
    cpu_hours: float | None = None
    variant: Overrides = field(default_factory=dict)


@dataclass(frozen=True)
class Recorded:
    """How a recording ended.

    Attributes:
        manifest: Its path; None where it was stopped before the end: the same call goes on.
        status: "completed", "interrupted", "terminated" or "budget".
    """

    manifest: Path | None
    status: str


class PointsEngine:
    """Proposes given points, in their order, and hears nothing."""

    notices: tuple[str, ...] = ()

    def __init__(self, points: Sequence[Params], epochs: int) -> None:
        self._points = points
        self._epochs = epochs

    def ask(self, number: int) -> Proposal | Pause:
        """Return point `number`."""
        if number >= len(self._points):
            return Pause.EXHAUSTED
        return Proposal(number, self._points[number], self._epochs)

    def adopt(self, proposal: Proposal) -> bool:
        """Nothing: the points are given."""
        return False

    def report(self, report: EpochReport) -> bool:
        """Stop nothing early."""
        return False

    def tell(self, result: TrialResult) -> None:
        """Learn nothing."""

    def artifacts(self) -> Mapping[str, str]:
        """Keep nothing."""
        return {}

    def close(self) -> None:
        """End nothing."""


class Design(NamedTuple):
    """The points of a recording, and in words what they are."""

    points: Sequence[Params]
    words: str


def recorded_points(space: Space, seed: int, points: int | None, *, sobol: bool) -> Design:
    """Return the points of a recording.

    A grid where every axis is a `Choice` or stepped, else a Sobol sample.
    """
    import numpy as np

    point_seed = derive_seed(seed, "recording", "points")
    if sobol or space.cut_axes():
        sample = sobol_points(space, points or SOBOL_POINTS, point_seed)
        return Design(sample, f"sobol sample of {len(sample)} points")

    grid = space.grid()
    if points is None or points >= len(grid):
        return Design(grid, f"whole grid of {len(grid)} points")

    rng = np.random.default_rng(point_seed)
    chosen = sorted(rng.choice(len(grid), points, replace=False))
    words = f"sample of {points} of the grid's {len(grid)} points"
    return Design([grid[i] for i in chosen], words)


def record_study(
    study: Study | str | Path,
    options: RecordOptions = RecordOptions(),
    progress: Progress | None = None,
    forkserver: ForkServer | None = None,
) -> Recorded:
    """Train what is missing of a recording and write it.

    Raises:
        StudyError: The study or the options are wrong.
        MissingError, BusyError, StorageError: As in a run.
    """
    source = source_of(study)
    # A wrong one fails before TensorFlow is started.
    executor_spec(options.executor.name).parse(options.devices, 1)
    stopping = StopRequest()
    # The stack is the outermost: while its processes end, Ctrl-C interrupts as ever.
    with ExitStack() as stack, raise_on_full_disk(), stopping.handled():
        display = stack.enter_context(progress or SilentProgress())
        recording = _prepare(
            stack,
            source=source,
            options=options,
            display=display,
            stopping=stopping,
            forkserver=forkserver,
        )
        return recording.run()


def _prepare(
    stack: ExitStack,
    *,
    source: Source,
    options: RecordOptions,
    display: Progress,
    stopping: StopRequest,
    forkserver: ForkServer | None,
) -> _RecordingRun:
    """Load the study, measure its rates and start its workers; all of it ends with `stack`."""
    home = tuning_home(options.home)
    space = SpaceWatch(home, options.quota)
    space.check()
    display.phase("starting TensorFlow")

    # A pruned trial would have no whole curve to replay.
    overrides = {**options.variant, "pruner": "none"}
    processes = stack.enter_context(
        SearchProcesses(source, overrides, forkserver, stop_request=stopping, notice=display.notice)
    )
    study = processes.engine.describe()
    _check(study)
    folder = home / "recordings" / study.name / _key(options)
    stack.enter_context(search_locked(folder, f"process {os.getpid()} on {platform.node()}"))

    rates = measure_lr_bounds(
        study,
        source,
        study.for_workers(overrides),
        folder / "seed-0",
        fresh=options.fresh,
        devices=options.devices,
        executor=options.executor,
        memory_per_slot=options.memory_per_slot,
        forkserver=processes.forkserver,
        notice=display.notice,
    )
    if rates.intervals:
        # The space has other bounds now: only a new engine process knows them.
        overrides = {**overrides, "intervals": dict(rates.intervals)}
        processes.begin_engine(overrides)
        study = processes.engine.describe()

    design = recorded_points(study.space, study.seed, options.points, sobol=options.sobol)
    display.notice(
        f"{study.name}: {design.words}, {options.seeds} seeds of training, "
        f"{study.epochs} epochs each"
    )
    slots = executor_spec(options.executor.name).parse(options.devices, study.gpus_per_trial)
    require_gpus(limits_of(options), slots, options.devices, options.executor.name)
    executor = processes.executor(
        slots,
        name=options.executor.name,
        address=options.executor.address,
        home=home,
        label=study.name,
        log_folder=folder / "logs",
        memory_per_slot=options.memory_per_slot,
        notice=display.notice,
        stop_request=stopping,
    )
    return _RecordingRun(
        study=study,
        source=source,
        overrides=study.for_workers(overrides),
        options=options,
        intervals=rates.intervals,
        design=design,
        folder=folder,
        out=options.out or home / "recordings" / study.name,
        executor=executor,
        display=display,
        space=space,
        stopping=stopping,
    )


def _key(options: RecordOptions) -> str:
    """Return the name of a recording's folder: other options must not resume its searches."""
    label = f"{options.points or 'all'}{'-sobol' if options.sobol else ''}"
    return search_key(_ENGINE, "none", {**options.variant, "points": label})


@dataclass(frozen=True, eq=False, kw_only=True)
class _RecordingRun:
    """One recording, ready to train: a search for each of its seeds.

    Attributes:
        study: With the bounds of its measured rates.
        source: The same study, for workers.
        overrides: Changes of its fields, for workers.
        intervals: Of the measured rates, by parameter.
        options: As the caller set them.
        design: The points.
        folder: Of the searches, one in it for each seed.
        out: The manifest's path.
        executor: Runs the trainings.
        display: Shows them.
        space: Looked at while they run.
        stopping: Whether the user wants an end.
    """

    study: StudyInfo
    source: Source
    overrides: Overrides
    intervals: Mapping[str, Interval]
    options: RecordOptions
    design: Design
    folder: Path
    out: Path
    executor: Executor
    display: Progress
    space: SpaceWatch
    stopping: StopRequest

    def run(self) -> Recorded:
        """Train on every seed and write the recording, unless the user stops it before."""
        trained = []
        for index in range(self.options.seeds):
            header = replace(
                search_header(self.study, self.options.variant),
                engine=_ENGINE,
                intervals=dict(self.intervals),
            )
            files = begin(
                self.folder / f"seed-{index}",
                header,
                fresh=self.options.fresh,
                allow_change=False,
                on_damage=SetAside(self.display.notice),
            )
            trained.append(self._search(files, index))
            if self.stopping.reason:
                return Recorded(None, self.stopping.reason)

        slots = len(self.executor.slots)
        manifest = _manifest(self.study, self.options, self.design.words, slots)
        return Recorded(write_recording(self.out, manifest, trained), "completed")

    def _search(self, files: SearchFiles, index: int) -> TrainedPoints:
        """Train all points on one seed; return what is there when it ends."""
        # Points end the search, not the study's own limits: one that always fails is recorded too.
        study = replace(
            self.study,
            engine=_ENGINE,
            pruner="none",
            trials=None,
            timeout=None,
            max_failures=10**9,
        )

        def make_job(proposal: Proposal, attempt: int) -> Job:
            job = RecordJob(
                source=self.source,
                overrides=self.overrides,
                proposal=proposal,
                folder=files.trial_folder(proposal.number),
                attempt=attempt,
                pinned=self.study.pinned,
                index=index,
            )
            return Job(
                f"{proposal.number}-{attempt}",
                _FUNCTION,
                (job,),
                timeout_s=study.trial_timeout,
                no_progress_timeout_s=study.no_progress_timeout,
            )

        account = self._account(files, index)

        def admits(proposal: Proposal) -> bool:
            if account is None:
                return True
            trial_index = loop.trial_index
            account.see(trial_index.results, trial_index.proposals)
            return account.admits(proposal, trial_index.proposals, loop.open.values())

        loop = SearchLoop(
            study,
            PointsEngine(self.design.points, study.epochs),
            self.executor,
            files,
            make_job=make_job,
            progress=self.display,
            on_tick=self.space.check,
            stop_request=self.stopping,
            admits=admits,
        )
        if account is not None:
            self.stopping.end_when(lambda: account.is_exceeded(loop.open.values()))
        loop.replay()

        title = f"{study.name} · recording, seed {index}"
        self.display.start(
            title,
            len(self.design.points),
            metric=study.objective.metric,
            earlier=[result for _, result in loop.trial_index.trials],
            best=loop.trial_index.best,
        )
        with self.stopping.flags_only():
            loop.run()
        if account is not None and account.refused:
            self.display.notice(f"{account.refused}; a larger one goes on from here")
        return [(proposal.params, result) for proposal, result in loop.trial_index.trials]

    def _account(self, files: SearchFiles, index: int) -> ComputeBudget | None:
        """Return what keeps account of the hours of a seed; None where they are not limited."""
        limits = limits_of(self.options)
        if not limits.named:
            return None
        others = [
            SearchFiles(self.folder / f"seed-{other}")
            for other in range(self.options.seeds)
            if other != index
        ]
        return ComputeBudget.of(
            limits,
            files,
            lambda: max(1, len(self.executor.slots)),
            already=total_of(_used(each) for each in others if each.header is not None),
        )


def limits_of(options: RecordOptions) -> Limits:
    """Return how much a recording may use."""
    return Limits.of_hours(cpu=options.cpu_hours, gpu=options.gpu_hours)


def _used(files: SearchFiles) -> Usage:
    """Return what the trials of a seed have used."""
    _, trials = finished(files)
    return of_results(result for _, result in trials)


def _check(study: StudyInfo) -> None:
    if study.definition["trainer"] == "function":
        raise StudyError(
            "nothing is trained in it: tuning simulate needs no recording", where=study.name
        )
    faults = list(fit_faults(study))
    if faults:
        raise StudyError(faults, where=study.name)
    if any(rate.per_structure for rate in study.space.measured.values()):
        raise StudyError(
            "an interval for each structure cannot be recorded, the points would not be those "
            "of a search; use Float.from_range_test() without per_structure",
            where=study.name,
        )


def _manifest(
    study: StudyInfo, options: RecordOptions, design: str, slots: int
) -> RecordingManifest:
    """Return what is known of a recording before its table is written."""
    header = search_header(study, options.variant)
    return RecordingManifest(
        study=study.name,
        definition=header.definition,
        space_json=study.space.to_json(),
        objective=study.objective,
        data=study.data,
        seeds=tuple(training_seed(study.seed, index) for index in range(options.seeds)),
        epochs=study.epochs,
        patience=study.patience,
        cv=study.cv,
        seed=study.seed,
        batch_size=study.batch_size,
        engine=study.engine,
        trials=study.trials,
        attempts=study.attempts,
        max_failures=study.max_failures,
        design=design,
        variant=dict(options.variant),
        study_hash=study.hash,
        git_commit=header.git_commit,
        versions_of=header.versions_of,
        platform=f"{platform.system()} {platform.machine()}",
        cores=os.cpu_count(),
        slots=slots,
        created_at=time.time(),
    )
