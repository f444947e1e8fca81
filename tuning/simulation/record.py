"""`record_study`: train a grid or a Sobol sample of a study fully, on several seeds, and keep it as
a recording.

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
from typing import Any

from tuning.errors import StudyError
from tuning.executors.base import Executor, Job
from tuning.executors.devices import parse_devices
from tuning.executors.forkserver import ForkServer
from tuning.ledger.search import SearchFiles, begin, search_key
from tuning.reports.progress import Progress, SilentProgress
from tuning.search.header import search_header
from tuning.search.loop import SearchLoop
from tuning.search.lr_bounds import measure_lr_bounds
from tuning.search.processes import SearchProcesses, source_of
from tuning.search.stop_request import StopRequest
from tuning.simulation.manifest import RecordingManifest
from tuning.simulation.recording import TrainedPoints, write_recording
from tuning.storage.durable import raise_on_full_disk
from tuning.storage.home import tuning_home
from tuning.storage.locks import search_locked
from tuning.study.info import StudyInfo
from tuning.study.space import Space
from tuning.study.study import Study, derive_seed
from tuning.study.unit_cube import sobol_points
from tuning.trial import EpochReport, Pause, Proposal, TrialResult
from tuning.trials.jobs import RecordJob, Source, training_seed

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
        devices, home, fresh: As for a run.
        variant: Changes of the study's fields.
    """

    points: int | None = None
    sobol: bool = False
    seeds: int = 3
    out: Path | None = None
    devices: str = "auto"
    home: str | None = None
    fresh: bool = False
    variant: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Recorded:
    """How a recording ended.

    Attributes:
        manifest: Its path; None where it was stopped before the end: the same call goes on.
        status: "completed", "interrupted" or "terminated".
    """

    manifest: Path | None
    status: str


class PointsEngine:
    """Proposes given points, in their order, and hears nothing."""

    notices: tuple[str, ...] = ()

    def __init__(self, points: Sequence[Mapping[str, Any]], epochs: int) -> None:
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


def recorded_points(
    space: Space, seed: int, points: int | None, *, sobol: bool
) -> tuple[list[dict[str, Any]], str]:
    """Return the points of a recording, and in words what they are.

    A grid where every axis is a `Choice` or stepped, else a Sobol sample.
    """
    import numpy as np

    point_seed = derive_seed(seed, "recording", "points")
    if sobol or space.cut_axes():
        sample = sobol_points(space, points or SOBOL_POINTS, point_seed)
        return sample, f"sobol sample of {len(sample)} points"

    grid = space.grid()
    if points is None or points >= len(grid):
        return grid, f"whole grid of {len(grid)} points"
    rng = np.random.default_rng(point_seed)
    chosen = sorted(rng.choice(len(grid), points, replace=False))
    return [grid[i] for i in chosen], f"sample of {points} of the grid's {len(grid)} points"


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
    parse_devices(options.devices)
    home = tuning_home(options.home)
    stopping = StopRequest()
    with ExitStack() as stack, raise_on_full_disk(), stopping.handled():
        shown = stack.enter_context(progress or SilentProgress())
        shown.phase("starting TensorFlow")
        overrides = {**options.variant, "pruner": "none"}
        processes = stack.enter_context(SearchProcesses(source, overrides, forkserver))
        record = processes.engine.describe()
        _check(record)
        label = f"{options.points or 'all'}{'-sobol' if options.sobol else ''}"
        folder = (
            home
            / "recordings"
            / record.name
            / search_key(_ENGINE, "none", {**options.variant, "points": label})
        )
        stack.enter_context(search_locked(folder, f"process {os.getpid()} on {platform.node()}"))
        rates = measure_lr_bounds(
            record,
            source,
            overrides,
            folder / "seed-0",
            fresh=options.fresh,
            devices=options.devices,
            forkserver=processes.forkserver,
            notice=shown.notice,
        )
        if rates.intervals:
            overrides = {**overrides, "intervals": dict(rates.intervals)}
            processes.begin_engine(overrides)
            record = processes.engine.describe()
        points, words = recorded_points(
            record.space, record.seed, options.points, sobol=options.sobol
        )
        shown.notice(
            f"{record.name}: {words}, {options.seeds} seeds of training, "
            f"{record.epochs} epochs each"
        )
        executor = processes.executor(
            parse_devices(options.devices, record.gpus_per_trial),
            label=record.name,
            log_folder=folder / "logs",
            notice=shown.notice,
            stop_request=stopping,
        )
        work = _Work(record, source, overrides, points, executor, shown, stopping)
        results = []
        for index in range(options.seeds):
            header = replace(
                search_header(record, options.variant),
                engine=_ENGINE,
                intervals=dict(rates.intervals),
            )
            files = begin(folder / f"seed-{index}", header, fresh=options.fresh, allow_change=False)
            results.append(work.search(files, index))
            if stopping.reason:
                return Recorded(None, stopping.reason)
        out = options.out or home / "recordings" / record.name
        manifest = _manifest(record, options, words, len(executor.slots))
        return Recorded(write_recording(out, manifest, results), "completed")


@dataclass(eq=False)
class _Work:
    """What the searches of a recording share."""

    record: StudyInfo
    source: Source
    overrides: Mapping[str, Any]
    points: Sequence[Mapping[str, Any]]
    executor: Executor
    progress: Progress
    stopping: StopRequest

    def search(self, files: SearchFiles, index: int) -> TrainedPoints:
        """Train all points on one seed; return what is there when it ends."""
        record = replace(
            self.record,
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
                pinned=self.record.pinned,
                index=index,
            )
            return Job(
                f"{proposal.number}-{attempt}",
                _FUNCTION,
                (job,),
                timeout_s=record.trial_timeout,
                no_progress_timeout_s=record.no_progress_timeout,
            )

        loop = SearchLoop(
            record,
            PointsEngine(self.points, record.epochs),
            self.executor,
            files,
            make_job=make_job,
            progress=self.progress,
            stop_request=self.stopping,
        )
        loop.replay()
        title = f"{record.name} · recording, seed {index}"
        self.progress.start(
            title,
            len(self.points),
            metric=record.objective.metric,
            earlier=[result for _, result in loop.trial_index.trials],
            best=loop.trial_index.best,
        )
        with self.stopping.flags_only():
            loop.run()
        return [(proposal.params, result) for proposal, result in loop.trial_index.trials]


def _check(record: StudyInfo) -> None:
    if record.definition["trainer"] == "function":
        raise StudyError(
            "nothing is trained in it: tuning simulate needs no recording", where=record.name
        )
    if any(rate.per_structure for rate in record.space.measured.values()):
        raise StudyError(
            "an interval for each structure cannot be recorded, the points would not be those "
            "of a search; use "
            "Float.from_range_test() without per_structure",
            where=record.name,
        )


def _manifest(
    record: StudyInfo, options: RecordOptions, design: str, slots: int
) -> RecordingManifest:
    """Return what is known of a recording before its table is written."""
    header = search_header(record, options.variant)
    return RecordingManifest(
        study=record.name,
        definition=header.definition,
        space_json=record.space.to_json(),
        objective=record.objective,
        data=record.data,
        seeds=tuple(training_seed(record.seed, index) for index in range(options.seeds)),
        epochs=record.epochs,
        patience=record.patience,
        cv=record.cv,
        seed=record.seed,
        batch_size=record.batch_size,
        engine=record.engine,
        trials=record.trials,
        attempts=record.attempts,
        max_failures=record.max_failures,
        design=design,
        variant=dict(options.variant),
        study_hash=record.hash,
        git_commit=header.git_commit,
        versions_of=header.versions_of,
        platform=f"{platform.system()} {platform.machine()}",
        cores=os.cpu_count(),
        slots=slots,
        created_at=time.time(),
    )
