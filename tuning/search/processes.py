"""The processes of one run but the writer: forkserver, engine, workers."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Self

from tuning.engines.remote import RemoteEngine
from tuning.errors import TuningError
from tuning.executors.base import Executor
from tuning.executors.devices.slot import Slot
from tuning.executors.executor_spec import Workplace, executor_spec
from tuning.executors.forkserver import ForkServer
from tuning.executors.lazy import LazyExecutor
from tuning.executors.placement.policy import Placement
from tuning.executors.supervision.parts import ENGINE
from tuning.executors.worker import Limits
from tuning.search.engine_link import EngineLink
from tuning.search.engine_process import SupervisedEngine
from tuning.search.stop_request import StopRequest
from tuning.study.info import StudyInfo
from tuning.study.study import Study
from tuning.study.study_file import find_study
from tuning.trials.jobs import Overrides, Source

_FACTS = "tuning.search.ended.facts:serve"
_LIMITS = Limits(jobs=200, growth_mb=300)  # a fork costs 0.4 s and its first traces 1-2 s


class SearchProcesses:
    """Starts the engine process at once, the workers when they are needed; closing ends them all.

    Args:
        source: The study.
        overrides: Changes of its fields.
        forkserver: One that runs, and is left running; None: an own one.
        stop_request: Once the run is to end at once, the engine is not waited for.
        notice: Told in words what is waited for, and what is begun anew.
        answer_s: So long one answer of the engine may take; None: as the table of parts says.
        info: What is known of the study already: an engine is begun where one is needed.
    """

    def __init__(
        self,
        source: Source,
        overrides: Overrides,
        forkserver: ForkServer | None = None,
        *,
        stop_request: StopRequest,
        notice: Callable[[str], None] = lambda text: None,
        answer_s: float | None = None,
        info: StudyInfo | None = None,
    ) -> None:
        self._stack = ExitStack()
        self._closed = False
        self._server = forkserver or ForkServer()
        if forkserver is None:
            self._stack.callback(self._server.close)
            if info is None:
                self._server.start()
        self._source = source
        self._stop_request = stop_request
        self._notice = notice
        self._answer_s = answer_s or ENGINE.answer_s or math.inf
        # The engine may be started anew, so what ends it is looked up when the end comes.
        self._engine_end = ExitStack()
        self._stack.callback(lambda: self._engine_end.close())
        self.begin_engine(overrides, info)

    @property
    def forkserver(self) -> ForkServer:
        """What workers and engine are forked from."""
        return self._server

    def begin_engine(self, overrides: Overrides, info: StudyInfo | None = None) -> None:
        """Start the engine process, in place of the one there is: the study has changed.

        Args:
            overrides: Changes of the study's fields.
            info: See the class.
        """
        self._engine_end.close()
        self._engine_end = ExitStack()
        self.engine = SupervisedEngine(
            self._server,
            self._source,
            overrides,
            answer_s=self._answer_s,
            stop_request=self._stop_request,
            notice=self._notice,
            info=info,
        )
        self._engine_end.callback(self.engine.close)

    def executor(
        self,
        slots: Sequence[Slot],
        *,
        name: str = "local",
        address: str | None = None,
        home: Path | None = None,
        label: str,
        log_folder: Path,
        memory_per_slot: int | None = None,
        notice: Callable[[str], None],
        stop_request: StopRequest,
        placement: Placement | None = None,
    ) -> LazyExecutor:
        """Return the executor on `slots`.

        It takes its devices, and may wait for one, with the first job.

        Args:
            name: Which executor, see `executor_spec`.
            address: Of its cluster, see `Workplace`.
            home: The state folder.
            label: Who holds the devices, as told to others.
            log_folder: Gets what the workers print.
            memory_per_slot: Bytes that the trial of a slot may use; None: what there is.
            notice: Told what is waited for.
            stop_request: A signal while it waits raises, and at its deadline so does the executor.
            placement: Says which trial goes to which slot; None: any.
        """
        spec = executor_spec(name)

        def make() -> Executor:
            workplace = Workplace(
                slots=slots,
                forkserver=self._server,
                log_folder=log_folder,
                limits=replace(_LIMITS, memory_bytes=memory_per_slot),
                label=label,
                until=stop_request.gives_up_at,
                notice=notice,
                address=address,
                home=home,
                sources=[self._source],
                placement=placement,
            )
            with stop_request.may_raise():
                executor = spec.make(workplace)
                # Whatever ends the run, the devices are given back.
                self._stack.callback(executor.close)
                return executor

        return LazyExecutor(make)

    def close(self, *, at_once: bool = False) -> None:
        """End all processes and give the devices back; may be called twice.

        Args:
            at_once: The engine is not waited for.
        """
        if at_once and not self._closed:
            self.engine.close(at_once=True)
        self._closed = True
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close(at_once=error is not None)


def study_facts(
    source: Source,
    overrides: Overrides,
    *,
    stop_request: StopRequest,
    notice: Callable[[str], None],
    answer_s: float | None = None,
) -> StudyInfo | None:
    """Return what an engine's process would tell of a study, but for what the engine adds to it.

    None where the study, its data or the process is at fault: an engine's process says it better.

    Args:
        source, overrides: The study.
        stop_request: Once the run is to end at once, nothing is waited for.
        notice: Told what is waited for.
        answer_s: So long it may take; None: as an engine may.
    """
    # It imports nothing before its fork; what the study starts ends with it.
    with ForkServer(()) as server:
        child = server.spawn(_FACTS, (source, overrides), name=ENGINE.name)
        link = EngineLink(
            server,
            child,
            answer_s=answer_s or ENGINE.answer_s or math.inf,
            stop_request=stop_request,
            notice=notice,
        )
        try:
            return RemoteEngine(link).describe()
        except TuningError:
            return None
        finally:
            link.closing = True
            link.kill()
            link.close()
            child.close()


def source_of(study: Study | str | Path) -> Source:
    """Return what other processes load a study from: its file, else its pickle.

    Raises:
        StudyError: There is no such file.
    """
    if not isinstance(study, Study):
        return str(find_study(str(study)))
    study_files = _study_files(study)
    for module in study_files:
        if getattr(module, "STUDY", None) is study:
            return str(module.__file__)
    return _pickled(study, study_files)


def _study_files(study: Study) -> list[ModuleType]:
    """Return the loaded study files in which a study's functions are defined."""
    homes = [getattr(function, "__module__", None) for function in (study.builder, study.data)]
    modules = [sys.modules.get(home or "") for home in homes]
    return [
        module
        for module in modules
        if module is not None and module.__name__.startswith("tuning_study_")
    ]


def _pickled(study: Study, by_value: Sequence[ModuleType]) -> bytes:
    """Pickle a study with the functions of a notebook, a script or a study file.

    No other process can import those, so they travel in the pickle.
    """
    import cloudpickle

    for module in by_value:
        cloudpickle.register_pickle_by_value(module)
    try:
        pickled: bytes = cloudpickle.dumps(study)
    finally:
        for module in by_value:
            if module.__name__ in cloudpickle.list_registry_pickle_by_value():
                cloudpickle.unregister_pickle_by_value(module)
    return pickled
