"""A search without libraries and processes: an engine that shows what it was told, an executor that
obeys a script.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from tuning.executors.base import Died, Event, Finished, Job, Raised, Reported, Started
from tuning.executors.devices.slot import Slot
from tuning.ledger.begin import begin
from tuning.ledger.records import SearchHeader
from tuning.ledger.search import SearchFiles
from tuning.reports.progress import SilentProgress
from tuning.search.loop import SearchLoop
from tuning.space.space import Int, Space
from tuning.study.info import DatasetFacts, StudyInfo
from tuning.study.objective import Minimize
from tuning.trial import EpochReport, FoldResult, Pause, Proposal, Status, TrialResult

RECORD = StudyInfo(
    name="scripted",
    engine="scripted",
    pruner="none",
    objective=Minimize("val_loss"),
    space=Space({"x": Int(0, 9999)}),
    trials=6,
    epochs=2,
    batch_size=1,
    patience=None,
    cv=None,
    seed=0,
    top_k=2,
    seeds=2,
    timeout=None,
    trial_timeout=None,
    no_progress_timeout=60.0,
    attempts=3,
    max_failures=3,
    gpus_per_trial=1,
    definition={"space": {}},
    hash="0" * 16,
    data=DatasetFacts(name="scripted"),
)


class ScriptedEngine:
    """Each proposal is a digest of all that was told before it, unless `points` gives them.

    Args:
        points: Values of x, in order; then the space is exhausted.
        wait_until: Number of an ask -> how many tells it waits for.
        prune: Which reports are pruned, as (number, epoch).
    """

    def __init__(
        self,
        points: Sequence[int] | None = None,
        wait_until: dict[int, int] | None = None,
        prune: Sequence[tuple[int, int]] = (),
    ) -> None:
        self.notices: tuple[str, ...] = ()
        self.calls: list[tuple[str, int]] = []
        self.reports: list[tuple[int, int]] = []
        self._told: list[tuple[int, str, float | None]] = []
        self._points = points
        self._wait = wait_until or {}
        self._prune = set(prune)

    def ask(self, number: int) -> Proposal | Pause:
        if len(self._told) < self._wait.get(number, 0):
            return Pause.WAIT
        if self._points is not None and number >= len(self._points):
            return Pause.EXHAUSTED
        self.calls.append(("ask", number))
        digest = int(hashlib.sha256(repr((number, self._told)).encode()).hexdigest(), 16) % 10_000
        return Proposal(number, {"x": digest if self._points is None else self._points[number]}, 2)

    def adopt(self, proposal: Proposal) -> bool:
        return False

    def report(self, report: EpochReport) -> bool:
        self.reports.append((report.number, report.epoch))
        return (report.number, report.epoch) in self._prune

    def tell(self, result: TrialResult) -> None:
        self.calls.append(("tell", result.number))
        self._told.append((result.number, result.status.value, result.value))

    def artifacts(self) -> dict[str, str]:
        return {}

    def close(self) -> None:
        pass


class ScriptedExecutor:
    """Ends one running job at each look, in an order drawn from `seed`.

    Args:
        files: Where results are kept, as a worker does it.
        script: (number, attempt) -> what happens instead of success: a cause of `Died`, "kept"
            (killed after the result was written), a `Raised` or a `Status`.
        on_look: Called at each look for events, with the executor.
    """

    def __init__(
        self,
        files: SearchFiles,
        slots: int = 1,
        seed: int = 0,
        script: dict[tuple[int, int], object] | None = None,
        on_look: Callable[[ScriptedExecutor], None] = lambda executor: None,
    ) -> None:
        self.files = files
        self.script = script or {}
        self.on_look = on_look
        self.slots = tuple(Slot(f"cpu:{i}") for i in range(slots))
        self.room = slots
        self.trained: list[tuple[int, int]] = []
        self.answers: dict[str, list[str]] = {}
        self.cancelled: list[str] = []
        self.most_at_once = 0
        self.most_submitted = 0

        self._chance = random.Random(seed)
        self._waiting: list[Job] = []
        self._running: dict[str, Job] = {}

    def submit(self, job: Job) -> None:
        self._waiting.append(job)
        self.most_submitted = max(self.most_submitted, len(self._waiting) + len(self._running))

    def events(self, timeout_s: float) -> list[Event]:
        self.on_look(self)
        happened: list[Event] = []
        while self._waiting and len(self._running) < len(self.slots):
            job = self._waiting.pop(0)
            self._running[job.id] = job
            happened.append(Started(job.id, self.slots[len(self._running) - 1].name, 1))

        self.most_at_once = max(self.most_at_once, len(self._running))
        if self._running and not happened:
            happened += self._go_on(self._running[self._chance.choice(sorted(self._running))])
        return happened

    def answer(self, job: str, verdict: str) -> None:
        self.answers.setdefault(job, []).append(verdict)

    def cancel(self, job: str) -> None:
        self.cancelled.append(job)
        if job in {waiting.id for waiting in self._waiting}:
            self._waiting = [waiting for waiting in self._waiting if waiting.id != job]
            self.script[("cancelled", job)] = True
            self._running[job] = Job(job, "cancelled")

    def close(self) -> None:
        pass

    def _go_on(self, job: Job) -> list[Event]:
        answers = self.answers.get(job.id, [])
        if job.function == "cancelled":
            del self._running[job.id]
            return [Died(job.id, "cancelled", "cancelled")]
        if "stop" in answers:
            del self._running[job.id]
            return [Raised(job.id, "Stopped: trial", "")]

        proposal, attempt = job.args
        if job.wants_answer and len(answers) < proposal.epochs and "prune" not in answers:
            epoch = len(answers) + 1
            report = EpochReport(proposal.number, epoch, 1.0, {"val_loss": 1.0}, 0.0)
            return [Reported(job.id, report)]

        del self._running[job.id]
        return [self._end(job.id, proposal, attempt, pruned="prune" in answers)]

    def _end(self, job: str, proposal: Proposal, attempt: int, pruned: bool) -> Event:
        self.trained.append((proposal.number, attempt))
        default = Status.PRUNED if pruned else Status.COMPLETED
        end = self.script.get((proposal.number, attempt), default)
        if isinstance(end, Raised):
            return replace(end, job=job)
        if end == "kept":
            self.files.write_result(result_of(proposal, attempt=attempt))
            return Died(job, "killed", "killed by the test")
        if not isinstance(end, Status):
            return Died(job, end, "killed by the test")

        result = result_of(proposal, end, attempt)
        self.files.write_result(result)
        return Finished(job, result)


def result_of(
    proposal: Proposal, status: Status = Status.COMPLETED, attempt: int = 1
) -> TrialResult:
    """Return what training gives: the value is x."""
    has_value = status in (Status.COMPLETED, Status.PRUNED)
    value = float(proposal.params["x"]) if has_value else None
    curve = tuple({"epoch": float(e), "val_loss": 1.0} for e in range(1, proposal.epochs + 1))

    folds = ()
    if value is not None:
        fold = FoldResult(0, value, {}, curve, best_epoch=proposal.epochs, seconds=0.1, seed=0)
        folds = (fold,)
    return TrialResult(
        proposal.number,
        status,
        value,
        {},
        folds,
        epochs=proposal.epochs,
        attempt=attempt,
        error="" if has_value else "ValueError: no",
    )


def files_in(folder: Path) -> SearchFiles:
    """Begin a search, or open the one that is there."""
    header = SearchHeader(
        study="scripted",
        engine="scripted",
        objective=Minimize("val_loss"),
        versions=({"space": {}},),
    )
    return begin(folder / "search", header, fresh=False, allow_change=False)


def make_loop(engine, executor, record=RECORD, **options) -> SearchLoop:
    """Return a loop over `executor.files`; its jobs carry proposal and attempt."""

    def make_job(proposal: Proposal, attempt: int) -> Job:
        return Job(
            f"{proposal.number}-{attempt}",
            "",
            (proposal, attempt),
            wants_answer=record.pruner != "none",
        )

    options.setdefault("progress", SilentProgress())
    return SearchLoop(record, engine, executor, executor.files, make_job=make_job, **options)


def search(
    folder: Path, engine=None, record=RECORD, slots=1, seed=0, script=None, on_look=None, **options
):
    """Replay and run one search; return its loop."""
    on_look = on_look or (lambda executor: None)
    executor = ScriptedExecutor(files_in(folder), slots, seed, script, on_look)
    loop = make_loop(engine or ScriptedEngine(), executor, record, **options)
    loop.replay()
    loop.run()
    return loop
