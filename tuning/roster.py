"""`Roster`: the trials of a search in memory, as the loop needs them; the files stay the truth."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace

from tuning.study import Objective
from tuning.trial import Proposal, Status, TrialResult

Pair = tuple[Proposal, TrialResult]


@dataclass(eq=False)
class Roster:
    """What has been asked and what has come of it.

    Attributes:
        proposals: By number.
        results: By number, without their folds and curves, which the files keep: 10,000 of them are 100 MB.
        best: The completed trial with the best value, the earliest of equals.
        told: Numbers whose results the engine has been told, ever.
        tells: Those told since the last ask, in order; the next spec keeps them.
    """

    objective: Objective
    proposals: dict[int, Proposal] = field(default_factory=dict)
    results: dict[int, TrialResult] = field(default_factory=dict)
    told: set[int] = field(default_factory=set)
    tells: list[int] = field(default_factory=list)
    best: TrialResult | None = None
    _first: dict[str, int] = field(default_factory=dict)

    @property
    def trials(self) -> list[Pair]:
        """Every finished trial, by number."""
        return [(self.proposals[number], self.results[number]) for number in sorted(self.results)]

    def take(self, proposal: Proposal) -> None:
        """Enter a proposal."""
        self.proposals[proposal.number] = proposal
        if not _continues(proposal):
            self._first.setdefault(_text(proposal), proposal.number)

    def enter(self, result: TrialResult) -> None:
        """Enter how a trial ended."""
        kept = self.results[result.number] = replace(result, folds=())
        if _has_rank(kept) and (self.best is None or self._rank(kept) < self._rank(self.best)):
            self.best = kept

    def mark_told(self, number: int) -> None:
        """Note that the engine knows a result."""
        self.told.add(number)
        self.tells.append(number)

    def twin(self, proposal: Proposal) -> int | None:
        """Return the earlier trial that trains, or has trained, the same; None where this one is the first.

        A failed trial is no twin: what fails may be a matter of luck, and is tried again. Nor is one that continues
        another, nor can it be copied: it starts from that one's weights.
        """
        if _continues(proposal):
            return None
        first = self._first[_text(proposal)]
        if first == proposal.number:
            return None
        known = self.results.get(first)
        if known is not None and known.status is Status.FAILED:
            self._first[_text(proposal)] = proposal.number
            return None
        return first

    def finalists(self, top_k: int) -> list[Pair]:
        """Return the best completed trials of different parameters, the best first, `top_k` at most."""
        distinct: dict[str, Pair] = {}
        for proposal, result in sorted(self._completed(), key=lambda pair: self._rank(pair[1])):
            distinct.setdefault(_text(replace(proposal, epochs=0)), (proposal, result))
        return list(distinct.values())[:top_k]

    def _completed(self) -> list[Pair]:
        return [pair for pair in self.trials if _has_rank(pair[1])]

    def _rank(self, result: TrialResult) -> tuple[float, int]:
        assert result.value is not None  # noqa: S101 - `_has_rank` has seen to it
        return (self.objective.key(result.value), result.number)


def copy_of(result: TrialResult, number: int) -> TrialResult:
    """Return a result as that of another trial of equal parameters: nothing was trained."""
    source = result.number if result.copied_from is None else result.copied_from
    return replace(result, number=number, copied_from=source, epochs=0, seconds=0.0, training_s=0.0, attempt=1)


def _has_rank(result: TrialResult) -> bool:
    return result.status is Status.COMPLETED and result.value is not None


def _continues(proposal: Proposal) -> bool:
    return proposal.parent is not None and proposal.continued


def _text(proposal: Proposal) -> str:
    """Return equal texts for proposals of equal parameters and epochs."""
    return json.dumps([dict(proposal.params), proposal.epochs], sort_keys=True, default=repr)
