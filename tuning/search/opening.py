"""`Opener`: from a command to a run that has everything open.

Its processes are started first; then it comes from a checked study to a locked folder that knows
its definition.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from tuning.executors.devices.slot import Slot
from tuning.executors.executor_spec import ExecutorChoice, executor_spec
from tuning.executors.forkserver import ForkServer
from tuning.executors.lazy import LazyExecutor
from tuning.executors.placement.policy import Placement
from tuning.ledger.begin import begin, search_key
from tuning.ledger.damage import SetAside
from tuning.ledger.header import changed_libraries, search_header
from tuning.ledger.records import SearchHeader
from tuning.ledger.search import SearchFiles
from tuning.reports.progress import Progress
from tuning.search.ended.patient_writer import PatientWriter
from tuning.search.known_trials import KnownTrials, known_trials
from tuning.search.lr_bounds import LRBounds, measure_lr_bounds
from tuning.search.options import RunOptions
from tuning.search.outcome.projections import Projections
from tuning.search.placed.planning import Planning, placement_of, planned_devices
from tuning.search.processes import SearchProcesses, study_facts
from tuning.search.slots.resizer import Resizer
from tuning.search.slots.yielding import Yielding
from tuning.search.stop_request import StopRequest
from tuning.storage.locks import search_locked
from tuning.storage.space import SpaceWatch
from tuning.study.info import StudyInfo
from tuning.tracking.writer import Writer
from tuning.trial import Params
from tuning.trials.jobs import Source


@dataclass(frozen=True, kw_only=True)
class OpenSearch:
    """A search that may begin, or go on.

    Attributes:
        study: With the bounds and first points below.
        options: The run's, with the same.
        files: Its folder.
        header: What `search.json` shall say once the engine has gone along with it.
        lr_bounds: Of a range test.
        known: What another search gives.
    """

    study: StudyInfo
    options: RunOptions
    files: SearchFiles
    header: SearchHeader
    lr_bounds: LRBounds
    known: KnownTrials


@dataclass(frozen=True, kw_only=True)
class OpenRun:
    """Everything that a run has open.

    Attributes:
        search: Study, options and files.
        source: What workers load the study from.
        slots: The devices that trials may have.
        processes: Forkserver and engine.
        executor: On these slots.
        planning: Where its trials run, on a box with cores and GPUs.
        resizer: Has it work on others where that is asked for.
        projections: The stores, behind the writer.
        progress: Told what happens.
        home: The state folder.
        space: Watches what is left of it.
        began: On the monotonic clock.
        stop_request: Signals and the deadline.
    """

    search: OpenSearch
    source: Source
    slots: Sequence[Slot]
    processes: SearchProcesses
    executor: LazyExecutor
    planning: Planning
    resizer: Resizer
    projections: Projections
    progress: Progress
    home: Path
    space: SpaceWatch
    began: float
    stop_request: StopRequest

    def tick(self) -> None:
        """Do what is done several times a second while jobs run.

        Raises:
            StorageError: The disk or its quota is full.
        """
        self.space.check()
        self.resizer.look(self.stop_request.n_looks)


@dataclass(frozen=True, kw_only=True)
class Opener:
    """Opens what a run needs, in an order in which each part's start hides another's.

    Attributes:
        stack: Closes all of it, in reverse order.
        source: The study.
        options: Of the run.
        progress: Told what happens.
        forkserver: One that runs, and is left running; None: an own one.
        start_writer: Starts the writer's process.
        home: The state folder.
        began: On the monotonic clock.
        stop_request: Signals and the deadline.
    """

    stack: ExitStack
    source: Source
    options: RunOptions
    progress: Progress
    forkserver: ForkServer | None
    start_writer: Callable[[], Writer]
    home: Path
    began: float
    stop_request: StopRequest

    def open(self, other: SearchFiles | None, *, may_have_ended: bool) -> OpenRun:
        """Return the run, its search locked.

        Args:
            other: The search that `options.source` names; None: there is none.
            may_have_ended: Whether the files look as if the search had nothing left to do: then
                neither TensorFlow nor MLflow is started before it is known that they are needed.

        Raises:
            TuningError: As `run_study`.
        """
        space = SpaceWatch(self.home, self.options.quota)
        space.check()
        facts = self._facts() if may_have_ended else None
        self.progress.phase("starting TensorFlow" if facts is None else "looking at the trials")

        # Both are started at once: each takes seconds, beside the other.
        processes = self.stack.enter_context(self._processes(facts))
        writer = self._writer(at_once=facts is None)
        self.stack.enter_context(writer)
        search = self._search(processes, other)

        projections = Projections(writer, self.progress, lambda: self.stop_request.hurried)
        # Closed in reverse order: also after an error the writer is waited for before it is left.
        self.stack.callback(projections.catch_up)
        devices = planned_devices(
            self.options.devices,
            search.study,
            executor=self.options.executor,
            deterministic=self.options.deterministic,
            notice=self.progress.notice,
        )
        slots = self._slots_of(devices, search.study)
        placement = placement_of(slots, search.study, search.files.folder)
        executor = self._executor(processes, search, slots, placement)
        return OpenRun(
            search=search,
            source=self.source,
            slots=slots,
            processes=processes,
            executor=executor,
            planning=Planning(placement, search.files.folder, self.progress.notice),
            resizer=self._resizer(executor, search, slots),
            projections=projections,
            progress=self.progress,
            home=self.home,
            space=space,
            began=self.began,
            stop_request=self.stop_request,
        )

    def _facts(self) -> StudyInfo | None:
        """Return what an engine would tell of the study, where that is known without one."""
        self.progress.phase("looking at the study")
        return study_facts(
            self.source,
            self.options.overrides,
            stop_request=self.stop_request,
            notice=self.progress.notice,
            answer_s=self.options.engine_timeout,
        )

    def _processes(self, facts: StudyInfo | None) -> SearchProcesses:
        return SearchProcesses(
            self.source,
            self.options.overrides,
            self.forkserver,
            stop_request=self.stop_request,
            notice=self.progress.notice,
            answer_s=self.options.engine_timeout,
            info=facts,
        )

    def _writer(self, *, at_once: bool) -> Writer | PatientWriter:
        if at_once:
            return self.start_writer()
        return PatientWriter(self.home, self.start_writer)

    def _slots_of(self, devices: str, study: StudyInfo) -> Sequence[Slot]:
        return executor_spec(self.options.executor).parse(devices, study.gpus_per_trial)

    def _resizer(
        self, executor: LazyExecutor, search: OpenSearch, slots: Sequence[Slot]
    ) -> Resizer:
        if self.options.yields and not any(slot.kind == "gpu" for slot in slots):
            self.progress.notice("--yield is for GPUs, and this search has none: nothing is left")
        run_s = time.monotonic() - self.began
        resizer = Resizer(
            executor,
            folder=search.files.folder,
            devices=self.options.devices,
            slots=slots,
            parse=lambda devices: self._slots_of(devices, search.study),
            begun_ns=int((time.time() - run_s) * 1e9),
            notice=self.progress.notice,
            yielding=Yielding() if self.options.yields else None,
        )
        return self.stack.enter_context(resizer)

    def _executor(
        self,
        processes: SearchProcesses,
        search: OpenSearch,
        slots: Sequence[Slot],
        placement: Placement | None,
    ) -> LazyExecutor:
        return processes.executor(
            slots,
            name=self.options.executor,
            address=self.options.ray_address,
            home=self.home,
            label=search.study.name,
            log_folder=search.files.folder / "logs",
            memory_per_slot=self.options.memory_per_slot,
            notice=self.progress.notice,
            stop_request=self.stop_request,
            placement=placement,
        )

    def _search(self, processes: SearchProcesses, other: SearchFiles | None) -> OpenSearch:
        """Wait for the study's check; lock its folder; find its bounds and first points."""
        info = processes.engine.describe()
        variant = self.options.variant_of(info.engine)
        folder = self._locked_folder(info, variant, other)
        # Behind the lock: both are kept in the folder, and are not to be measured by two.
        lr_bounds = self._lr_bounds(info, folder, processes.forkserver)
        space = info.space.narrowed(lr_bounds.intervals)
        known = known_trials(info, space, other, folder, fresh=self.options.fresh)

        options = self.options
        if lr_bounds.intervals or known.points:
            # The study is another one now: the engine is started on that.
            options = replace(options, intervals=lr_bounds.intervals, initial=list(known.points))
            processes.begin_engine(options.overrides)
            info = processes.engine.describe()

        header = replace(
            search_header(info, variant),
            intervals=dict(lr_bounds.intervals),
            source=known.search,
        )
        files = self._begin(folder, header)
        # Only now: a folder that `--fresh` sets aside takes along what lies in it.
        known.keep()
        processes.engine.replays_from(files)
        return OpenSearch(
            study=info,
            options=options,
            files=files,
            header=header,
            lr_bounds=lr_bounds,
            known=known,
        )

    def _locked_folder(self, info: StudyInfo, variant: Params, other: SearchFiles | None) -> Path:
        """Return the folder of the search, which is this process's until the stack is closed."""
        # Begun with another search it is a search of its own.
        begun_with = {} if other is None else {"from": other.require_header().id}
        key = search_key(info.engine, info.pruner, {**variant, **begun_with})
        folder = self.home / "ledger" / info.name / key
        owner = f"process {os.getpid()} on {platform.node()}"
        self.stack.enter_context(search_locked(folder, owner))
        return folder

    def _lr_bounds(self, info: StudyInfo, folder: Path, forkserver: ForkServer) -> LRBounds:
        return measure_lr_bounds(
            info,
            self.source,
            info.for_workers(self.options.overrides),
            folder,
            fresh=self.options.fresh,
            again=self.options.allow_change,
            devices=self.options.devices,
            executor=ExecutorChoice(self.options.executor, self.options.ray_address),
            memory_per_slot=self.options.memory_per_slot,
            forkserver=forkserver,
            notice=self.progress.notice,
        )

    def _begin(self, folder: Path, header: SearchHeader) -> SearchFiles:
        """Begin the search, or go on with it; say which libraries are other ones than before."""
        files = begin(
            folder,
            header,
            fresh=self.options.fresh,
            allow_change=self.options.allow_change,
            on_damage=SetAside(self.progress.notice),
        )
        libraries = changed_libraries(files.require_header(), header)
        if libraries:
            self.progress.notice(libraries)
        return files
