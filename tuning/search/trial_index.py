"""`TrialIndex`: what the loop knows of a search's trials by heart; all else is read from the files,
which are the truth.
"""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from hashlib import blake2b
from typing import TypeVar

from tuning.ledger.search import SearchFiles
from tuning.study.objective import Objective
from tuning.study.space import Space
from tuning.trial import Proposal, Status, TrialResult

Pair = tuple[Proposal, TrialResult]
_T = TypeVar("_T")
_STATUSES = tuple(Status)


class TrialIndex:
    """What has been asked and what has come of it, some 200 bytes a trial: 10,000 results are 20
    MB, their curves 100.

    Attributes:
        proposals: By number, from the files.
        results: By number, from the files.
        best: The completed trial with the best value, the earliest of equals.
        training_s: Seconds spent in training, over all trials.
        tells: Numbers of the results told since the last ask, in order; the next spec keeps them.
    """

    def __init__(self, objective: Objective, files: SearchFiles, space: Space) -> None:
        self.best: TrialResult | None = None
        self.tells: list[int] = []
        self.training_s = 0.0
        self.proposals: Mapping[int, Proposal] = _Kept(
            self._asked, lambda number: files.proposal(number, space), lambda: len(self._ends)
        )
        self.results: Mapping[int, TrialResult] = _Kept(
            self._ended, files.result, lambda: len(self._ends) - self._ends.count(0)
        )
        self._objective, self._files, self._space = objective, files, space
        self._keys = array("d")  # by number: what the best has least of; NaN without a rank
        self._ends = (
            bytearray()
        )  # by number: 0 while it is open, then one more than the place of its status
        self._first: dict[bytes, int] = {}

    @property
    def trials(self) -> list[Pair]:
        """Every finished trial with its curves, by number; one whose files were damaged meanwhile
        is left out.
        """
        pairs = (
            (self._files.proposal(n, self._space), self._files.result(n)) for n in self.results
        )
        return [
            (proposal, result)
            for proposal, result in pairs
            if proposal is not None and result is not None
        ]

    def take(self, proposal: Proposal) -> None:
        """Enter a proposal that is in the files."""
        missing = proposal.number + 1 - len(self._ends)
        self._ends.extend(bytes(missing))
        self._keys.extend([math.nan] * missing)
        if not _continues(proposal):
            self._first.setdefault(_digest(proposal), proposal.number)

    def enter(self, result: TrialResult) -> None:
        """Enter how a trial ended; the files have it."""
        number = result.number
        self._ends[number] = 1 + _STATUSES.index(result.status)
        self.training_s += result.training_s
        if result.status is Status.COMPLETED and result.value is not None:
            key = self._keys[number] = self._objective.key(result.value)
            if self.best is None or (key, number) < (
                self._keys[self.best.number],
                self.best.number,
            ):
                self.best = replace(result, folds=())

    def duplicate_of(self, proposal: Proposal) -> int | None:
        """Return the earlier trial that trains, or has trained, the same; None where this one is
        the first.

        A failed trial is no duplicate_of: what fails may be a matter of luck, and is tried again. Nor is
            one of an earlier
        version of the study; nor one that continues another, nor can it be copied: it starts from
        that one's weights.
        """
        if _continues(proposal):
            return None
        digest = _digest(proposal)
        first = self._first[digest]
        if first == proposal.number:
            return None
        header = self._files.header
        begins = 0 if header is None else header.begins[-1]  # of the study's present version
        if self._status(first) is Status.FAILED or first < begins <= proposal.number:
            self._first[digest] = proposal.number
            return None
        return first

    def finalists(self, top_k: int) -> list[Pair]:
        """Return the best completed trials of different parameters, the best first, `top_k` at
        most.
        """
        distinct: dict[bytes, Pair] = {}
        ranked = (number for number in range(len(self._keys)) if not math.isnan(self._keys[number]))
        for number in sorted(ranked, key=lambda number: (self._keys[number], number)):
            if len(distinct) == top_k:
                break
            proposal, result = self._files.proposal(number, self._space), self._files.result(number)
            if proposal is not None and result is not None:
                distinct.setdefault(_digest(replace(proposal, epochs=0)), (proposal, result))
        return list(distinct.values())

    @property
    def statuses(self) -> list[Status]:
        """How each trial that has ended did, by number."""
        return [_STATUSES[end - 1] for end in self._ends if end]

    def _status(self, number: int) -> Status | None:
        return _STATUSES[self._ends[number] - 1] if self._ends[number] else None

    def _asked(self) -> Iterable[int]:
        return range(len(self._ends))

    def _ended(self) -> Iterable[int]:
        return (number for number, end in enumerate(self._ends) if end)


class _Kept(Mapping[int, _T]):
    """Things in files, by number."""

    def __init__(
        self,
        numbers: Callable[[], Iterable[int]],
        read: Callable[[int], _T | None],
        count: Callable[[], int],
    ) -> None:
        self._numbers, self._read, self._count = numbers, read, count

    def __getitem__(self, number: int) -> _T:
        found = self._read(number)
        if found is None:
            raise KeyError(number)
        return found

    def __iter__(self) -> Iterator[int]:
        return iter(self._numbers())

    def __len__(self) -> int:
        return self._count()


def copy_of(result: TrialResult, number: int) -> TrialResult:
    """Return a result as that of another trial of equal parameters: nothing was trained."""
    source = result.number if result.copied_from is None else result.copied_from
    return replace(
        result, number=number, copied_from=source, epochs=0, seconds=0.0, training_s=0.0, attempt=1
    )


def _continues(proposal: Proposal) -> bool:
    return proposal.parent is not None and proposal.continued


def _digest(proposal: Proposal) -> bytes:
    """Return equal digests for proposals of equal parameters and epochs."""
    text = json.dumps([dict(proposal.params), proposal.epochs], sort_keys=True, default=repr)
    return blake2b(text.encode(), digest_size=16).digest()
