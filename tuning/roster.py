"""`Roster`: what the loop knows of a search's trials by heart; all else is read from the files, which are the truth."""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from hashlib import blake2b
from typing import TypeVar

from tuning.ledger.search import SearchFiles
from tuning.space import Space
from tuning.study import Objective
from tuning.trial import Proposal, Status, TrialResult

Pair = tuple[Proposal, TrialResult]
_T = TypeVar("_T")


class Roster:
    """What has been asked and what has come of it, some 200 bytes a trial: 10,000 results are 20 MB, their curves 100.

    Attributes:
        proposals: By number, from the files.
        results: By number, from the files.
        best: The completed trial with the best value, the earliest of equals.
        tells: Numbers of the results told since the last ask, in order; the next spec keeps them.
    """

    def __init__(self, objective: Objective, files: SearchFiles, space: Space) -> None:
        self.best: TrialResult | None = None
        self.tells: list[int] = []
        self.proposals: Mapping[int, Proposal] = _Kept(
            lambda: range(len(self._over)), lambda number: files.proposal(number, space)
        )
        self.results: Mapping[int, TrialResult] = _Kept(self._ended, files.result)
        self._objective, self._files, self._space = objective, files, space
        self._keys = array("d")  # by number: what the best has least of; NaN without a rank
        self._over = bytearray()  # by number: whether it has ended
        self._failed: set[int] = set()
        self._first: dict[bytes, int] = {}

    @property
    def trials(self) -> list[Pair]:
        """Every finished trial with its curves, by number; one whose files were damaged meanwhile is left out."""
        pairs = ((self._files.proposal(n, self._space), self._files.result(n)) for n in self.results)
        return [(proposal, result) for proposal, result in pairs if proposal is not None and result is not None]

    def take(self, proposal: Proposal) -> None:
        """Enter a proposal that is in the files."""
        missing = proposal.number + 1 - len(self._over)
        self._over.extend(bytes(missing))
        self._keys.extend([math.nan] * missing)
        if not _continues(proposal):
            self._first.setdefault(_digest(proposal), proposal.number)

    def enter(self, result: TrialResult) -> None:
        """Enter how a trial ended; the files have it."""
        number = result.number
        self._over[number] = True
        if result.status is Status.FAILED:
            self._failed.add(number)
        if result.status is Status.COMPLETED and result.value is not None:
            key = self._keys[number] = self._objective.key(result.value)
            if self.best is None or (key, number) < (self._keys[self.best.number], self.best.number):
                self.best = replace(result, folds=())

    def twin(self, proposal: Proposal) -> int | None:
        """Return the earlier trial that trains, or has trained, the same; None where this one is the first.

        A failed trial is no twin: what fails may be a matter of luck, and is tried again. Nor is one that continues
        another, nor can it be copied: it starts from that one's weights.
        """
        if _continues(proposal):
            return None
        digest = _digest(proposal)
        first = self._first[digest]
        if first == proposal.number:
            return None
        if first in self._failed:
            self._first[digest] = proposal.number
            return None
        return first

    def finalists(self, top_k: int) -> list[Pair]:
        """Return the best completed trials of different parameters, the best first, `top_k` at most."""
        distinct: dict[bytes, Pair] = {}
        ranked = (number for number in range(len(self._keys)) if not math.isnan(self._keys[number]))
        for number in sorted(ranked, key=lambda number: (self._keys[number], number)):
            if len(distinct) == top_k:
                break
            proposal = self.proposals[number]
            distinct.setdefault(_digest(replace(proposal, epochs=0)), (proposal, self.results[number]))
        return list(distinct.values())

    def _ended(self) -> Iterator[int]:
        return (number for number, over in enumerate(self._over) if over)


class _Kept(Mapping[int, _T]):
    """Things in files, by number."""

    def __init__(self, numbers: Callable[[], Iterable[int]], read: Callable[[int], _T | None]) -> None:
        self._numbers, self._read = numbers, read

    def __getitem__(self, number: int) -> _T:
        found = self._read(number)
        if found is None:
            raise KeyError(number)
        return found

    def __iter__(self) -> Iterator[int]:
        return iter(self._numbers())

    def __len__(self) -> int:
        return sum(1 for _ in self._numbers())


def copy_of(result: TrialResult, number: int) -> TrialResult:
    """Return a result as that of another trial of equal parameters: nothing was trained."""
    source = result.number if result.copied_from is None else result.copied_from
    return replace(result, number=number, copied_from=source, epochs=0, seconds=0.0, training_s=0.0, attempt=1)


def _continues(proposal: Proposal) -> bool:
    return proposal.parent is not None and proposal.continued


def _digest(proposal: Proposal) -> bytes:
    """Return equal digests for proposals of equal parameters and epochs."""
    text = json.dumps([dict(proposal.params), proposal.epochs], sort_keys=True, default=repr)
    return blake2b(text.encode(), digest_size=16).digest()
