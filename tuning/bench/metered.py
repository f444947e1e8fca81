"""The context and the engine of a benchmark's search, with every epoch and result metered."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext

from tuning.bench.meter import Meter
from tuning.engines.base import Engine
from tuning.trial import Answer, Context, EpochReport, Pause, Proposal, TrialResult
from tuning.trials.jobs import Stopped


class MeteredContext:
    """The `Context` of a trial: stops it where the budget or the driver says so.

    Args:
        meter: Counts the search's epochs.
        driver: The context of the whole search.
    """

    def __init__(self, meter: Meter, driver: Context) -> None:
        self.slot = driver.slot
        self._meter = meter
        self._driver = driver
        self._trial: Context | None = None

    def begin(self, trial: Context, epochs: int, seconds: float) -> None:
        """Begin a trial, or go on with it, as `Meter.begin`; `trial` leads to the pruner."""
        self._trial = trial
        self._meter.begin(epochs, seconds)

    def report(self, report: EpochReport) -> Answer:
        """Pass an epoch on; return what shall become of the trial.

        Raises:
            Stopped: The budget ends before this epoch; the trial has no result, even where this
                was its last one.
        """
        assert self._trial is not None  # noqa: S101 - `begin` is called before anything is trained
        if self._driver.report(report) == Answer.STOP:
            self._meter.halted = True
        if self._meter.epoch(report.fits):
            raise Stopped(f"trial {report.number}")
        if self._meter.halted:
            return Answer.STOP
        return self._trial.report(report)

    def retire(self) -> None:
        """Do nothing: the worker is replaced after each search anyway."""


def _without_limit(name: str) -> AbstractContextManager[None]:
    return nullcontext()


class MeteredEngine:
    """An engine whose own time is measured, and whose trials are counted as it is told of them.

    Copied results are told too, and count.

    Attributes:
        asked_s: Seconds spent in the engine for each proposal: the ask, and what it was told since
            the one before.

    Args:
        engine: What is asked.
        meter: Counts the search's epochs.
        answering: Around each call, with its name: see `EngineLimit`.
    """

    def __init__(
        self,
        engine: Engine,
        meter: Meter,
        answering: Callable[[str], AbstractContextManager[None]] = _without_limit,
    ) -> None:
        self.notices = engine.notices
        self.asked_s: list[float] = []
        self._engine = engine
        self._meter = meter
        self._answering = answering
        self._spent_s = 0.0

    def ask(self, number: int) -> Proposal | Pause:
        """As the engine's."""
        with self._timed("ask"):
            proposal = self._engine.ask(number)
        if isinstance(proposal, Proposal):
            self.asked_s.append(self._spent_s)
            self._spent_s = 0.0
        return proposal

    def adopt(self, proposal: Proposal) -> bool:
        """As the engine's."""
        with self._answering("adopt"):
            return self._engine.adopt(proposal)

    def report(self, report: EpochReport) -> bool:
        """As the engine's."""
        with self._answering("report"):
            return self._engine.report(report)

    def tell(self, result: TrialResult) -> None:
        """As the engine's."""
        with self._timed("tell"):
            self._engine.tell(result)
        self._meter.end(result)

    def artifacts(self) -> Mapping[str, str]:
        """As the engine's."""
        with self._answering("artifacts"):
            return self._engine.artifacts()

    def close(self) -> None:
        """As the engine's."""
        with self._answering("close"):
            self._engine.close()

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        """Count the time of this block as the engine's; not where it raises: that ends it."""
        with self._answering(name):
            began_at = time.perf_counter()
            yield
            self._spent_s += time.perf_counter() - began_at
