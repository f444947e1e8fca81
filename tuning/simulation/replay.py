"""What stands in for parts of a real search: files in memory, a timed engine, a curve."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from tuning.bench.statistics.records import AnytimeRun
from tuning.engines.base import Engine
from tuning.ledger.records import Death, SearchHeader
from tuning.ledger.search import SearchFiles
from tuning.ledger.usage import Usage
from tuning.search.loop import SearchLoop
from tuning.simulation.outcomes import Outcomes
from tuning.simulation.simulator import SimulatedExecutor
from tuning.space.space import Space
from tuning.study.study import Study
from tuning.trial import EpochReport, Pause, Proposal, Status, TrialResult


class TimedEngine:
    """An engine whose own time is taken."""

    def __init__(self, engine: Engine, on_work: Callable[[float], None] | None) -> None:
        self.notices = engine.notices
        self.seconds = 0.0
        self.asked_s: list[float] = []
        self._engine = engine
        self._on_work = on_work

    def ask(self, number: int) -> Proposal | Pause:
        """Ask, and note what it took."""
        began = time.perf_counter()
        answer = self._engine.ask(number)
        took = self._took(began)
        if isinstance(answer, Proposal):
            self.asked_s.append(took)
        return answer

    def adopt(self, proposal: Proposal) -> bool:
        """Pass it on."""
        return self._engine.adopt(proposal)

    def report(self, report: EpochReport) -> bool:
        """Report."""
        began = time.perf_counter()
        verdict = self._engine.report(report)
        self._took(began)
        return verdict

    def tell(self, result: TrialResult) -> None:
        """Tell."""
        began = time.perf_counter()
        self._engine.tell(result)
        self._took(began)

    def artifacts(self) -> Mapping[str, str]:
        """Return the engine's files."""
        return self._engine.artifacts()

    def close(self) -> None:
        """Close the engine."""
        self._engine.close()

    def _took(self, began: float) -> float:
        took = time.perf_counter() - began
        self.seconds += took
        if self._on_work is not None:
            self._on_work(took)
        return took


class MemoryFiles(SearchFiles):
    """A search's files without files.

    Attributes:
        newest: The trial that ended last; -1: none has.
    """

    def __init__(self) -> None:
        super().__init__(Path())
        self._proposals: dict[int, Proposal] = {}
        self._results: dict[int, TrialResult] = {}
        self._attempts: dict[int, int] = {}
        self._deaths: dict[int, list[str]] = {}
        self.newest = -1

    @property
    def header(self) -> SearchHeader | None:
        """Nothing."""
        return None

    def write_spec(self, proposal: Proposal) -> Proposal:
        """Keep an ask, and return it."""
        self._proposals[proposal.number] = proposal
        return proposal

    def proposal(self, number: int, space: Space) -> Proposal | None:
        """Return an ask."""
        return self._proposals.get(number)

    def write_result(self, result: TrialResult) -> TrialResult:
        """Keep how a trial ended, once."""
        self.newest = result.number
        return self._results.setdefault(result.number, result)

    def result(self, number: int, digest: str | None = None) -> TrialResult | None:
        """Return how a trial ended; nothing is mixed up in memory."""
        return self._results.get(number)

    def proposals(self, space: Space) -> Iterator[Proposal]:
        """Nothing: no simulated search is resumed."""
        return iter(())

    def begin_attempt(self, number: int) -> tuple[int, Path]:
        """Return the rank (from 1) of the next go at a trial."""
        self._attempts[number] = self._attempts.get(number, 0) + 1
        return self._attempts[number], self.folder

    def write_death(self, number: int, attempt: int, death: Death) -> None:
        """Count a lost attempt."""
        self._deaths.setdefault(number, []).append(death.cause)

    def used(self, number: int, attempt: int) -> Usage:
        """Nothing: no simulated trial uses a device."""
        return Usage()

    def deaths(self, number: int, cause: str = "") -> int:
        """How many attempts were lost."""
        causes = self._deaths.get(number, [])
        return len(causes) if not cause else causes.count(cause)


class IncumbentCurve:
    """The incumbent after each trial, and what the one is worth that finals would choose."""

    def __init__(
        self, executor: SimulatedExecutor, outcomes: Outcomes, files: MemoryFiles, study: Study
    ) -> None:
        self.epochs: list[int] = []
        self.seconds: list[float] = []
        self.values: list[float | None] = []
        self.tests: list[float | None] = []
        self._executor = executor
        self._outcomes = outcomes
        self._files = files
        self._study = study
        self._sound: float | None = None  # the best value of a point that ends well on every seed
        self._worth: float | None = None

    def add(self, loop: SearchLoop) -> None:
        """Take the state after a trial."""
        best = loop.trial_index.best
        self._look_at(self._files.result(self._files.newest))
        self.epochs.append(self._executor.epochs)
        self.seconds.append(self._executor.now)
        self.values.append(None if best is None else best.value)
        self.tests.append(self._worth)

    def _look_at(self, result: TrialResult | None) -> None:
        """Take the trial that has ended for the one to choose, where it is the best of all."""
        if result is None or result.status is not Status.COMPLETED or result.value is None:
            return
        if self._sound is not None and not self._study.objective.better(result.value, self._sound):
            return
        proposal = self._files.proposal(result.number, self._study.space)
        worth = math.nan if proposal is None else self._outcomes.expected(proposal.params)
        if math.isfinite(worth):
            self._sound = result.value
            self._worth = worth

    def run(self, choice: str, seed: int, asked_s: Sequence[float]) -> AnytimeRun:
        """Return the whole."""
        study = self._study
        return AnytimeRun(
            study=study.name,
            engine=choice,
            seed=seed,
            direction=study.objective.direction,
            metric=study.objective.metric,
            epochs=tuple(self.epochs),
            seconds=tuple(self.seconds),
            values=tuple(self.values),
            tests=tuple(self.tests),
            asked_s=tuple(asked_s),
        )
