"""`TrialIndex`: what the loop knows of a search's trials by heart.

All else is read from the files, which are the truth.
"""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Self, TypeAlias, TypeVar

from tuning.ledger.search import SearchFiles
from tuning.ledger.usage import Usage
from tuning.scoring.pareto import Scale, front, ranking, scale_of
from tuning.space.space import Space
from tuning.study.info import StudyInfo
from tuning.study.objective import KNEE, Objective
from tuning.trial import Proposal, Status, TrialResult

Pair: TypeAlias = tuple[Proposal, TrialResult]
_T = TypeVar("_T")
_STATUSES = tuple(Status)


class TrialIndex:
    """What has been asked and what has come of it.

    It holds some 200 bytes a trial: 10,000 results would be 20 MB, their curves 100.

    Attributes:
        proposals: By number, from the files.
        results: By number, from the files.
        best: The completed trial with the best value, the earliest of equals; without its folds.
        training_s: Seconds spent in training, over all trials.
        usage: What all trials that have ended have used.
        gpu_mb: The most that one of them has needed of a GPU's memory, in MiB; 0: not known.
        n_gpu_mb: Of how many that is known.
        tells: Numbers of the results told since the last ask, in order; the next spec keeps them.
        never_trained: Trials that broke a constraint before they were trained.
        refused_in_a_row: Of these those that ended after the last trial that was trained.

    Args:
        objective: What one figure is judged by.
        files: Of the search.
        space: Of the study.
        objectives: Where there are several.
        winner_by: Which trial of their front comes first among the finalists.
    """

    def __init__(
        self,
        objective: Objective,
        files: SearchFiles,
        space: Space,
        *,
        objectives: Sequence[Objective] = (),
        winner_by: str = KNEE,
    ) -> None:
        self.never_trained = 0
        self.refused_in_a_row = 0
        self.best: TrialResult | None = None
        self.tells: list[int] = []
        self.training_s = 0.0
        self.usage = Usage()
        self.gpu_mb = 0.0
        self.n_gpu_mb = 0

        self.proposals: Mapping[int, Proposal] = _InFiles(
            self._numbers_asked,
            lambda number: files.proposal(number, space),
            lambda: len(self._ends),
        )
        self.results: Mapping[int, TrialResult] = _InFiles(
            self._numbers_ended,
            files.result,
            lambda: len(self._ends) - self._ends.count(0),
        )

        self._objective = objective
        self._objectives = objectives
        self._winner_by = winner_by
        # By number the values of completed trials, of several objectives.
        self._values: dict[int, tuple[float, ...]] = {}
        self._files = files
        self._space = space
        # By number what sorts the best first; NaN without a rank.
        self._keys = array("d")
        # By number 0 while a trial is open, then one more than the place of its status.
        self._ends = bytearray()
        # By digest of a proposal the trial that trains it.
        self._first: dict[bytes, int] = {}

    @classmethod
    def of(cls, study: StudyInfo, files: SearchFiles, trials: Iterable[Pair] = ()) -> Self:
        """Return the index of a study's search.

        Args:
            study: What is searched.
            files: Of the search.
            trials: Those that are known to have ended, by number, in the files as they are here.
        """
        index = cls(
            study.objective,
            files,
            study.space,
            objectives=study.objectives,
            winner_by=study.winner_by,
        )
        for proposal, result in trials:
            index.take(proposal)
            index.enter(result)
        return index

    @property
    def trials(self) -> list[Pair]:
        """Every finished trial with its curves, by number.

        One whose files were damaged meanwhile is left out.
        """
        pairs = (self._pair(number) for number in self.results)
        return [pair for pair in pairs if pair is not None]

    def _pair(self, number: int) -> Pair | None:
        proposal = self._files.proposal(number, self._space)
        if proposal is None:
            return None
        result = self._files.result(number, proposal.digest)
        return None if result is None else (proposal, result)

    def take(self, proposal: Proposal) -> None:
        """Enter a proposal that is in the files."""
        missing = proposal.number + 1 - len(self._ends)
        self._ends.extend(bytes(missing))
        self._keys.extend([math.nan] * missing)
        if not continues(proposal):
            self._first.setdefault(digest_of(proposal), proposal.number)

    def enter(self, result: TrialResult) -> None:
        """Enter how a trial ended; the files have it."""
        number = result.number
        self._ends[number] = 1 + _STATUSES.index(result.status)
        self.training_s += result.training_s
        self.usage = self.usage.plus(Usage(cpu_s=result.cpu_s, gpu_s=result.gpu_s))
        if result.gpu_mb:
            self.gpu_mb = max(self.gpu_mb, result.gpu_mb)
            self.n_gpu_mb += 1
        self.never_trained += result.never_trained
        self.refused_in_a_row = self.refused_in_a_row + 1 if result.never_trained else 0
        if result.status is not Status.COMPLETED or result.value is None:
            return

        key = self._objective.key(result.value)
        self._keys[number] = key
        if result.values is not None:
            self._values[number] = result.values
        best = self.best
        if best is None or (key, number) < (self._keys[best.number], best.number):
            self.best = replace(result, folds=())

    def duplicate_of(self, proposal: Proposal) -> int | None:
        """Return the earlier trial that trains, or has trained, the same.

        None where this one is the first. It is trained all the same where the earlier trial failed,
        for that may have been bad luck, or is of an earlier version of the study, and where it
        continues another trial, for then it starts from that one's weights.
        """
        if continues(proposal):
            return None
        digest = digest_of(proposal)
        first = self._first[digest]
        if first == proposal.number:
            return None

        header = self._files.header
        version_begins = 0 if header is None else header.begins[-1]
        is_outdated = first < version_begins <= proposal.number
        if is_outdated or self._status(first) is Status.FAILED:
            self._first[digest] = proposal.number
            return None
        return first

    def finalists(self, top_k: int) -> list[Pair]:
        """Return the best completed trials, the best first, of different parameters.

        Of several objectives those of the Pareto front come first, then the fronts behind it; see
        `tuning.scoring.pareto.ranking`.
        """
        distinct: dict[bytes, Pair] = {}
        for number in self._ranked():
            if len(distinct) == top_k:
                break
            pair = self._pair(number)
            if pair is not None:
                # Rungs of one configuration differ in their epochs alone.
                configuration = digest_of(replace(pair[0], epochs=0))
                distinct.setdefault(configuration, pair)
        return list(distinct.values())

    def _ranked(self) -> Iterator[int]:
        if self._objectives:
            numbers = sorted(self._values)
            rows = [self._values[number] for number in numbers]
            for i in ranking(rows, self._objectives, self._winner_by):
                yield numbers[i]
            return

        completed = (number for number, key in enumerate(self._keys) if not math.isnan(key))
        yield from sorted(completed, key=lambda number: (self._keys[number], number))

    @property
    def front_scale(self) -> Scale | None:
        """Best and worst values on the Pareto front of several objectives; None before the first.

        Standings on fresh seeds are compared on it.
        """
        rows = [self._values[number] for number in sorted(self._values)]
        if not rows:
            return None
        return scale_of([rows[i] for i in front(rows, self._objectives)], self._objectives)

    @property
    def statuses(self) -> list[Status]:
        """How each trial that has ended did, by number."""
        return [_STATUSES[end - 1] for end in self._ends if end]

    def _status(self, number: int) -> Status | None:
        end = self._ends[number]
        return _STATUSES[end - 1] if end else None

    def _numbers_asked(self) -> Iterable[int]:
        return range(len(self._ends))

    def _numbers_ended(self) -> Iterable[int]:
        return (number for number, end in enumerate(self._ends) if end)


class _InFiles(Mapping[int, _T]):
    """Records in files, by number."""

    def __init__(
        self,
        numbers: Callable[[], Iterable[int]],
        read: Callable[[int], _T | None],
        count: Callable[[], int],
    ) -> None:
        self._numbers = numbers
        self._read = read
        self._count = count

    def __getitem__(self, number: int) -> _T:
        record = self._read(number)
        if record is None:
            raise KeyError(number)
        return record

    def __iter__(self) -> Iterator[int]:
        return iter(self._numbers())

    def __len__(self) -> int:
        return self._count()


def copy_of(result: TrialResult, number: int) -> TrialResult:
    """Return a result as that of another trial of equal parameters: nothing was trained."""
    return replace(
        result,
        number=number,
        copied_from=result.number if result.copied_from is None else result.copied_from,
        epochs=0,
        seconds=0.0,
        training_s=0.0,
        attempt=1,
        cpu_s=0.0,
        gpu_s=0.0,
        gpu_mb=0.0,
        samples=(),
    )


def continues(proposal: Proposal) -> bool:
    """Whether a trial starts from the weights of another one."""
    return proposal.parent is not None and proposal.continued


def digest_of(proposal: Proposal) -> bytes:
    """Return equal digests for proposals of equal parameters and epochs."""
    text = json.dumps([dict(proposal.params), proposal.epochs], sort_keys=True, default=repr)
    return blake2b(text.encode(), digest_size=16).digest()
