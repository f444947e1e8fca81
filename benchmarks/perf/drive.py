"""The real driver over no-op trials, in a process of its own.

`python -m benchmarks.perf.drive TRIALS FOLDER`: its last line is JSON: for each window of trials
the driver's milliseconds a trial by phase, and its memory.
"""

from __future__ import annotations

import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import psutil

from benchmarks.perf.noop import study
from benchmarks.perf.together import running
from tuning.engines.remote import RemoteEngine
from tuning.executors.base import Job
from tuning.executors.devices.leases import Leases
from tuning.executors.devices.slots import parse_devices
from tuning.executors.forkserver import ForkServer
from tuning.executors.local import LocalExecutor
from tuning.ledger.begin import begin
from tuning.ledger.records import SearchHeader
from tuning.ledger.search import SearchFiles
from tuning.reports.progress import SilentProgress
from tuning.search.loop import SearchLoop
from tuning.study.info import StudyInfo
from tuning.trial import Proposal, TrialResult
from tuning.trials.jobs import TrialJob

WINDOW = 100
PHASES = {
    "engine": ("ask", "tell"),
    "files": ("write_spec", "begin_attempt", "result", "write_result"),
    "executor": ("submit", "events"),
}


class Meter:
    """Sums what each phase takes, and closes a window every so many results."""

    def __init__(self, window: int) -> None:
        self.windows: list[dict[str, float]] = []
        self._window = window
        self._sums: dict[str, float] = defaultdict(float)
        self._done = 0
        self._process = psutil.Process()
        self._wall = time.perf_counter()
        self._cpu = time.process_time()
        self._after = 0.0

    def attach(self, owner: Any, names: tuple[str, ...]) -> None:
        """Time these methods of an object, wall clock."""
        for name in names:
            setattr(owner, name, self._timed(name, getattr(owner, name)))

    def _timed(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            wall_began = time.perf_counter()
            cpu_began = time.process_time()
            try:
                return method(*args, **kwargs)
            finally:
                self._sums[name] += time.perf_counter() - wall_began
                self._sums[f"{name}, CPU"] += time.process_time() - cpu_began

        return timed

    def result_is_kept(self) -> None:
        """The loop's `on_result`: next it looks for the best trial, then tells the progress."""
        self._after = time.perf_counter()

    def trial_has_ended(self) -> None:
        """The progress has been told."""
        self._sums["best"] += time.perf_counter() - self._after
        self._done += 1
        if self._done % self._window == 0:
            self._close()

    def _close(self) -> None:
        wall = time.perf_counter()
        cpu = time.process_time()
        sums = self._sums
        # What it waits for in `events` is no work of its own; what it computes there is.
        busy = (wall - self._wall) - sums["events"] + sums["events, CPU"]
        each = {name: 1000 * value / self._window for name, value in sorted(sums.items())}

        self.windows.append(
            {
                "trials": self._done,
                "driver_ms": 1000 * busy / self._window,
                "driver_cpu_ms": 1000 * (cpu - self._cpu) / self._window,
                "wall_ms": 1000 * (wall - self._wall) / self._window,
                "rss_mb": self._process.memory_info().rss / 2**20,
                **each,
            }
        )

        self._wall = wall
        self._cpu = cpu
        self._sums = defaultdict(float)


class _MeterProgress(SilentProgress):
    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def finished(self, result: TrialResult, best: TrialResult | None) -> None:
        """Close the books of a trial."""
        self._meter.trial_has_ended()


def drive(
    trials: int, folder: Path, window: int = WINDOW, forkserver: ForkServer | None = None
) -> list[dict[str, float]]:
    """Search `trials` points with the real loop, engine process, ledger and workers.

    Returns:
        What each window of trials took.
    """
    source = cloudpickle.dumps(study(trials))
    with running(forkserver) as server:
        child = server.spawn("tuning.engines.remote:serve", (source, {}))
        engine = RemoteEngine(child.wire)
        record = engine.describe()
        files = begin(folder / "search", _header(record), fresh=False, allow_change=False)

        leases = Leases()
        try:
            slots = parse_devices("cpu")
            with LocalExecutor(
                slots, forkserver=server, leases=leases, log_folder=folder / "logs"
            ) as executor:
                meter = Meter(window)
                loop = _loop(record, engine, executor, files, source=source, meter=meter)
                loop.run()
        finally:
            engine.close()
            child.close()
            leases.close()
    return meter.windows


def _loop(
    record: StudyInfo,
    engine: RemoteEngine,
    executor: LocalExecutor,
    files: SearchFiles,
    *,
    source: bytes,
    meter: Meter,
) -> SearchLoop:
    def make_job(proposal: Proposal, attempt: int) -> Job:
        job = TrialJob(
            source=source,
            overrides={},
            proposal=proposal,
            folder=files.trial_folder(proposal.number),
            attempt=attempt,
        )
        return Job(f"{proposal.number}-{attempt}", "benchmarks.perf.noop:train_nothing", (job,))

    for name, owner in (("engine", engine), ("files", files), ("executor", executor)):
        meter.attach(owner, PHASES[name])
    return SearchLoop(
        record,
        engine,
        executor,
        files,
        make_job=make_job,
        progress=_MeterProgress(meter),
        on_result=meter.result_is_kept,
    )


def _header(record: StudyInfo) -> SearchHeader:
    return SearchHeader(
        study=record.name,
        engine=record.engine,
        pruner=record.pruner,
        objective=record.objective,
        versions=(dict(record.definition),),
        seed=record.seed,
        trials=record.trials,
    )


if __name__ == "__main__":
    print(json.dumps(drive(int(sys.argv[1]), Path(sys.argv[2]))))
