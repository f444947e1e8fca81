"""`run_bench`: every engine on the same studies, splits, seeds and budget."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tuning.bench.check import Checked, check_study
from tuning.bench.hours import Hours
from tuning.bench.open_searches import OpenSearches
from tuning.bench.plan import BenchPlan, CheckedStudy, Search
from tuning.bench.runs import BenchRun
from tuning.bench.watch import Watch
from tuning.errors import ChangedError, StudyError
from tuning.executors.executor_spec import executor_spec, open_executor
from tuning.executors.forkserver import ForkServer
from tuning.executors.worker import Limits as WorkerLimits
from tuning.ledger.damage import OnDamage, SetAside
from tuning.search.budget.compute_budget import Limits, require_gpus
from tuning.search.stop_request import StopRequest
from tuning.storage.durable import raise_on_full_disk
from tuning.storage.home import tuning_home
from tuning.storage.locks import search_locked
from tuning.storage.space import SpaceWatch


@dataclass(frozen=True)
class BenchedStudy:
    """What came of one study.

    Attributes:
        study: The study and its searches.
        runs: Of the searches that have ended, in their order.
    """

    study: CheckedStudy
    runs: tuple[BenchRun, ...]

    @property
    def name(self) -> str:
        """Of the study."""
        return self.study.info.name


def run_bench(
    plan: BenchPlan, watch: Watch, forkserver: ForkServer | None = None
) -> tuple[list[BenchedStudy], str]:
    """Do all searches that have not been done yet.

    Args:
        plan: What is compared.
        watch: Told what happens.
        forkserver: One that runs, and is left running; None: an own one.

    Returns:
        What came of each study, and how it ended: "completed", "interrupted", "terminated" or
        "budget". The same call goes on.

    Raises:
        StudyError: A study is wrong or there twice, or an engine cannot search it.
        ChangedError: Earlier searches of this benchmark were done with another definition or other
            data.
        BusyError: Another process does this benchmark.
        StorageError: The disk or its quota is full; the same call goes on.
        TuningError: A device, or a worker that is lost again and again.
    """
    limits = Limits.of_hours(cpu=plan.cpu_hours, gpu=plan.gpu_hours)
    # A wrong one is refused before anything costs time.
    slots = executor_spec(plan.executor.name).parse(plan.devices, 1)
    require_gpus(limits, slots, plan.devices, plan.executor.name)
    state = tuning_home(plan.home)
    space = SpaceWatch(state, plan.quota)
    stopping = StopRequest()
    with ExitStack() as stack, raise_on_full_disk(), stopping.handled():
        space.check()
        watch.notice("starting TensorFlow")
        server = forkserver or stack.enter_context(ForkServer())
        checked = _checked_studies(plan, state / "bench", stack, server, watch)
        studies = [each.study for each in checked]

        searches = [search for study in studies for search in study.searches]
        runs = _earlier_runs(searches, SetAside(watch.notice))
        # Only now: what is refused leaves the bounds of before, to go on with when it is put back.
        for each in checked:
            _remember_bounds(each)
        watch.begin(searches, runs)

        missing = [search for search in searches if search.id not in runs]
        if missing:
            executor = stack.enter_context(
                open_executor(
                    plan.executor,
                    plan.devices,
                    gpus_per_trial=max(study.info.gpus_per_trial for study in studies),
                    forkserver=server,
                    log_folder=state / "bench" / "logs",
                    limits=WorkerLimits(memory_bytes=plan.memory_per_slot),
                    label="bench",
                    notice=watch.notice,
                    home=state,
                    sources=plan.sources,
                )
            )

            def on_end(search: Search, run: BenchRun) -> None:
                runs[search.id] = run
                watch.ended(search, run)

            hours = Hours(limits, searches)
            stopping.end_when(hours.are_used_up)
            open_searches = OpenSearches(
                executor,
                plan.budget,
                {study.info.name: study.info for study in studies},
                stopping=stopping,
                watch=watch,
                on_end=on_end,
                on_tick=space.check,
            )
            with stopping.flags_only():
                open_searches.run(missing)
            if hours.refused:
                watch.notice(hours.refused)

        benched = [_benched(study, runs) for study in studies]
        return benched, _status(stopping, all(search.id in runs for search in searches))


def _status(stopping: StopRequest, is_done: bool) -> str:
    """Return how a benchmark ended; hours that are used up with its last search end nothing."""
    if stopping.reason == "budget" and is_done:
        return "completed"
    return stopping.reason or "completed"


def _checked_studies(
    plan: BenchPlan, folder: Path, stack: ExitStack, forkserver: ForkServer, watch: Watch
) -> list[Checked]:
    """Check all studies and lock their folders, until the stack is closed.

    Args:
        plan: What is compared.
        folder: Of all benchmarks.
        stack: Holds the locks.
        forkserver: One that runs.
        watch: Told what happens.
    """
    studies: list[Checked] = []
    for source in plan.sources:
        checked = check_study(source, plan, folder, forkserver=forkserver, notice=watch.notice)
        name = checked.study.info.name
        # Both would be searched in one folder.
        if any(name == earlier.study.info.name for earlier in studies):
            raise StudyError(f"'{name}' is there twice; name each study once", where="bench")
        studies.append(checked)
        if checked.study.compared_by:
            watch.notice(f"{name}: compared by {checked.study.compared_by}")
        _open_folder(stack, checked, fresh=plan.fresh)
    return studies


def _open_folder(stack: ExitStack, checked: Checked, *, fresh: bool) -> None:
    """Lock the folder of a study and budget; with `fresh` what is there is set aside."""
    folder = checked.study.folder
    stack.enter_context(search_locked(folder, f"process {os.getpid()} on {platform.node()}"))
    if fresh and folder.exists():
        now = time.strftime("%Y%m%d-%H%M%S")
        folder.rename(folder.with_name(f"{folder.name}~{now}"))


def _remember_bounds(checked: Checked) -> None:
    """Keep the bounds of a study's rates in its folder, where there are any."""
    if checked.bounds.intervals:
        checked.bounds.remember(checked.study.folder, checked.study.info.definition)


def _earlier_runs(searches: Sequence[Search], on_damage: OnDamage) -> dict[str, BenchRun]:
    """Return how the searches went that have ended before, by their id."""
    runs = {}
    for search in searches:
        run = BenchRun.read(search.folder, on_damage=on_damage)
        if run is None:
            continue

        if run.pinned != search.pinned:
            raise ChangedError(
                f"{search.title} was done with another definition of the study, or other data; "
                "put them back, or use --fresh to begin anew (what was done is kept)",
                where="bench",
            )
        runs[search.id] = run
    return runs


def _benched(study: CheckedStudy, runs: Mapping[str, BenchRun]) -> BenchedStudy:
    ended = [runs[search.id] for search in study.searches if search.id in runs]
    return BenchedStudy(study, tuple(ended))
