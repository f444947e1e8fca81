"""An engine that searches a rate's position in the interval of each structure, not the rate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from tuning.engines.base import Engine
from tuning.engines.memory.memory import Entries, memory_of, restore
from tuning.space.domains import Float
from tuning.space.positions import Intervals
from tuning.space.space import Space
from tuning.study.study import Study
from tuning.trial import EpochReport, Pause, Proposal, TrialResult


class PositionEngine:
    """Any engine, on a space in which these learning rates are positions from 0 to 1.

    It proposes true rates. So what suits one structure helps the next: a rate at 0.7 of the way
    is a high one for both. Ledger, MLflow and report know nothing of positions.

    Args:
        study: Its space has rates with rows.
        make: Makes the engine of a study.
    """

    def __init__(self, study: Study, make: Callable[[Study], Engine]) -> None:
        names = study.space.positioned
        self._intervals = [Intervals(study.space, name) for name in names]
        positions = {
            name: Float(0.0, 1.0, conditions=study.space[name].conditions) for name in names
        }
        self._engine = make(
            study.with_(space=Space({**study.space.domains, **positions}), intervals={})
        )
        notice = f"{', '.join(names)}: searched as a position in the interval of each structure"
        self.notices = (notice, *self._engine.notices)

    def ask(self, number: int) -> Proposal | Pause:
        """Return the engine's proposal, with rates in the place of positions."""
        proposal = self._engine.ask(number)
        if isinstance(proposal, Pause):
            return proposal
        rates = {
            intervals.parameter: intervals.rate(proposal.params)
            for intervals in self._intervals
            if intervals.parameter in proposal.params
        }
        return replace(proposal, params={**proposal.params, **rates})

    def adopt(self, proposal: Proposal) -> bool:
        """Nothing: the position of a rate is not told by the rate."""
        return False

    def report(self, report: EpochReport) -> bool:
        """Pass one epoch on."""
        return self._engine.report(report)

    def tell(self, result: TrialResult) -> None:
        """Pass a result on."""
        self._engine.tell(result)

    def memory(self) -> Entries | None:
        """Return the engine's own memory: there is nothing else to know."""
        return memory_of(self._engine)

    def restore(self, entries: Entries) -> None:
        """Have the engine know what an earlier process knew."""
        restore(self._engine, entries)

    def artifacts(self) -> Mapping[str, str]:
        """Return the engine's own files."""
        return self._engine.artifacts()

    def close(self) -> None:
        """End the engine."""
        self._engine.close()
