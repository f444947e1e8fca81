"""What a simulated trial gives and how long it takes: from a recording, or from a function."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol

import numpy as np

from tuning.builders.functions import MINIMA
from tuning.data.dataset import Array
from tuning.errors import StudyError
from tuning.simulation.recording import Recording
from tuning.study.objective import Objective
from tuning.study.study import Study, derive_seed
from tuning.study.unit_cube import coordinates
from tuning.trial import FoldResult, Params, Proposal, Status, TrialResult
from tuning.trials.functions import evaluate

NEIGHBOURS = 5
EPOCH_S = 1.0
"""Simulated seconds an epoch of a function, for which nothing is trained, is said to take."""


@dataclass(eq=False, kw_only=True)
class Training:
    """A point trained to its end.

    Attributes:
        ends: Seconds from the trial's beginning, without `overhead_s`, to the end of each epoch,
            over all folds.
        values: The objective after each epoch, the mean over folds; those that have ended count
            with their last.
        folds: The objective after each epoch of each fold.
        lengths: Epochs of each fold.
        best: The epoch (from 1) kept of each fold when it was trained to its end.
        overhead_s: Seconds of the trial besides.
        status: How it ended.
        keeps_best: Whether weights of the best epoch are kept rather than those of the last.
    """

    objective: Objective
    ends: Sequence[float]
    values: Sequence[float]
    folds: Sequence[Sequence[float]]
    lengths: Sequence[int]
    best: Sequence[int]
    overhead_s: float = 0.0
    status: Status = Status.COMPLETED
    keeps_best: bool = False
    _results: dict[tuple[int, int, bool], TrialResult] = field(default_factory=dict)

    def fails_at(self, epoch: int) -> bool:
        """Whether training to this epoch ends badly."""
        if self.status is Status.COMPLETED:
            return False
        # The last fold that was begun is the one that did.
        return not self.lengths or epoch >= self.lengths[-1]

    def epochs(self, first: int, last: int) -> int:
        """Return how many epochs the folds train together after epoch `first` up to `last`."""
        return sum(max(0, min(last, length) - first) for length in self.lengths)

    def result(
        self, proposal: Proposal, first: int, last: int, *, pruned: bool = False
    ) -> TrialResult:
        """Return what a trial that has trained the epochs after `first` up to `last` gives."""
        key = (first, last, pruned)
        if key not in self._results:
            self._results[key] = self._result(proposal.number, first, last, pruned=pruned)
        return replace(self._results[key], number=proposal.number)

    def end_of(self, epoch: int) -> float:
        """When an epoch ends; 0 before the first."""
        return self.ends[epoch - 1] if epoch else 0.0

    def _result(self, number: int, first: int, last: int, *, pruned: bool) -> TrialResult:
        seconds = self.overhead_s + self.end_of(last) - self.end_of(first)
        if not pruned and self.fails_at(last):
            return TrialResult(
                number,
                self.status,
                epochs=last - first,
                error=f"recorded as {self.status}",
                seconds=seconds,
            )
        folds = tuple(
            self._fold(index, first, last, pruned=pruned) for index in range(len(self.folds))
        )
        value = sum(fold.value for fold in folds) / len(folds)
        return TrialResult(
            number=number,
            status=Status.PRUNED if pruned else Status.COMPLETED,
            value=value,
            metrics={self.objective.metric: value},
            folds=folds,
            epochs=sum(len(fold.curve) for fold in folds),
            seconds=seconds,
            training_s=seconds - self.overhead_s,
        )

    def _fold(self, index: int, first: int, last: int, *, pruned: bool) -> FoldResult:
        metric = self.objective.metric
        values = self.folds[index]
        last = min(last, self.lengths[index])
        curve = tuple(
            {"epoch": float(epoch), metric: float(values[epoch - 1])}
            for epoch in range(first + 1, last + 1)
        )
        best_epoch = last if pruned else self._best_epoch(index, last)
        value = float(values[best_epoch - 1])
        return FoldResult(
            index, value, {metric: value}, curve, best_epoch=best_epoch, seconds=0.0, seed=0
        )

    def _best_epoch(self, index: int, last: int) -> int:
        """Return the epoch whose weights are kept of a fold that is trained up to `last`."""
        if last == self.lengths[index]:
            return self.best[index]
        if not self.keeps_best:
            return last
        # Before the recorded end it is the best so far by the objective.
        keys = [self.objective.key(value) for value in self.folds[index][:last]]
        return 1 + keys.index(min(keys))


class Outcomes(Protocol):
    """Where simulated trials take their curves from."""

    words: str
    """How points that were not recorded are answered, for the reader."""

    best: float | None
    """The best expected value there is; None: not known."""

    between: int
    """Trainings so far at points that were not recorded."""

    def training(self, params: Params, seed: int) -> Training:
        """Return what training at a point on seed number `seed` gives."""

    def expected(self, params: Params) -> float:
        """Return what a point is worth at full epochs, without the luck of one training seed.

        Infinitely bad: it is worth nothing.
        """


class _Near(NamedTuple):
    """The recorded points nearest to one that was not recorded.

    Attributes:
        points: Their indices, the nearest first.
        weights: Of each, 1 in sum.
    """

    points: Array
    weights: Array


class RecordedOutcomes:
    """Curves of a recording; a point between recorded ones is a weighted mean of its nearest.

    Args:
        recording: Replayed.
        exact: Refuse points that were not recorded.
    """

    def __init__(self, recording: Recording, *, exact: bool = False) -> None:
        from scipy.spatial import KDTree

        self._recording = recording
        self._exact = exact
        self._space = recording.space
        self._objective = recording.objective
        self._names = tuple(self._space)
        self._index = {self._key(point): i for i, point in enumerate(recording.points)}
        places = [coordinates(self._space, point) for point in recording.points]
        self._tree = KDTree(np.stack(places))
        self._neighbours = min(NEIGHBOURS, len(recording.points))
        self._keeps_best = recording.manifest.patience is not None
        self._values = _carried(recording.values)
        self._seconds = np.nan_to_num(_carried(recording.seconds))
        self._known: dict[tuple[int, int], Training] = {}
        self._expected = _expected(recording)
        self._usable = (recording.status == Status.COMPLETED.value).any(axis=1)
        best = float(min(self._expected, key=self._objective.key))
        self.best: float | None = best if math.isfinite(best) else None
        self.between = 0
        if exact:
            self.words = "points that were not recorded are refused"
        else:
            self.words = (
                f"points between recorded ones: mean of the {self._neighbours} nearest in the unit "
                "cube of the space, weighted by 1 / distance; they fail as the nearest does"
            )

    @property
    def seeds(self) -> int:
        """Training seeds there are."""
        return int(self._values.shape[1])

    def training(self, params: Params, seed: int) -> Training:
        """Return the recorded training, or the surrogate's.

        Raises:
            StudyError: The point was not recorded and `exact` is set.
        """
        seed %= self.seeds
        index = self._index.get(self._key(params))
        if index is None:
            self._refuse(params)
            self.between += 1
            return self._mean_training(self._near(params), seed)
        if (index, seed) not in self._known:
            alone = _Near(np.array([index]), np.ones(1))
            self._known[index, seed] = self._mean_training(alone, seed)
        return self._known[index, seed]

    def expected(self, params: Params) -> float:
        """Return the mean over the training seeds.

        Infinitely bad where the point, or the nearest that was recorded, fails on one.
        """
        index = self._index.get(self._key(params))
        if index is not None:
            return float(self._expected[index])

        points, weights = self._near(params)
        sound = np.isfinite(self._expected[points])
        if not sound[0] or not weights[sound].sum():
            return self._objective.key(math.inf)
        return float(np.average(self._expected[points][sound], weights=weights[sound]))

    def _key(self, params: Params) -> tuple[Any, ...]:
        return tuple([(name, params[name]) for name in self._names if name in params])

    def _refuse(self, params: Params) -> None:
        if self._exact:
            point = ", ".join(f"{name}={value!r}" for name, value in params.items())
            raise StudyError(
                f"{point} was not recorded ({len(self._index)} points are); leave --exact out, "
                "take an engine that proposes grid points, or record more points",
                where=self._recording.manifest.study,
            )

    def _near(self, params: Params) -> _Near:
        place = coordinates(self._space, params)
        distances, points = self._tree.query(place, k=self._neighbours)
        distances, points = np.atleast_1d(distances), np.atleast_1d(points)

        usable = self._usable[points]  # of two points with equal coordinates the first
        weights = np.where(usable, 1.0 / np.maximum(distances, 1e-9), 0.0)
        if not weights.sum():
            return _Near(points, np.full(len(points), 1 / len(points)))
        return _Near(points, weights / weights.sum())

    def _completed_on(self, seed: int, near: _Near) -> _Near:
        """Return those of the points that ended as the nearest did on this seed."""
        points, weights = near
        nearest = _Near(points[:1], np.ones(1))
        completed = self._recording.status[points, seed] == Status.COMPLETED.value
        if not completed[0]:
            return nearest

        weights = weights[completed] / max(weights[completed].sum(), 1e-12)
        if not weights.sum():
            return nearest
        return _Near(points[completed], weights)

    def _mean_training(self, near: _Near, seed: int) -> Training:
        """Return the weighted mean of trainings on one seed; it ends as the nearest does."""
        recording = self._recording
        status = Status(recording.status[near.points[0], seed])
        points, weights = self._completed_on(seed, near)

        lengths = np.rint(weights @ recording.lengths[points, seed]).astype(int)
        begun = lengths > 0  # when a fold has diverged, those after it are not begun
        lengths = lengths[begun]
        longest = int(lengths.max(initial=0))
        folds = np.tensordot(weights, self._values[points, seed], 1)[begun]
        ends = np.tensordot(weights, self._seconds[points, seed], 1).sum(axis=0)

        if not self._keeps_best:
            best = lengths
        elif len(points) == 1:
            best = np.rint(weights @ recording.best[points, seed]).astype(int)[begun]
        else:
            keys = folds if self._objective.direction == "minimize" else -folds
            curves = zip(keys, lengths, strict=True)
            best = np.array([1 + int(np.argmin(curve[:length])) for curve, length in curves])

        return Training(
            objective=self._objective,
            ends=ends[:longest].tolist(),
            values=_mean(folds)[:longest].tolist(),
            folds=folds.tolist(),
            lengths=lengths.tolist(),
            best=best.tolist(),
            overhead_s=float(weights @ recording.overhead_s[points, seed]),
            status=status,
            keeps_best=self._keeps_best,
        )


def _mean(folds: Array) -> Array:
    """Return the mean over folds, of which there may be none."""
    return folds.mean(axis=0) if len(folds) else np.zeros(folds.shape[-1])


def _carried(curves: Array) -> Array:
    """Return curves in which what has ended keeps its last value; not finite ones stay so."""
    last = np.where(np.isnan(curves), 0, np.arange(curves.shape[-1]))
    return np.take_along_axis(curves, np.maximum.accumulate(last, axis=-1), axis=-1)


def _expected(recording: Recording) -> Array:
    """Return each point's mean value over folds and seeds.

    Infinitely bad where one training failed: finals would drop such a point.
    """
    epochs = np.maximum(recording.best, 1)[..., None] - 1
    values = np.take_along_axis(recording.values, epochs, axis=-1)[..., 0].mean(axis=-1)
    sound = (recording.status == Status.COMPLETED.value) & np.isfinite(values)
    means = np.where(sound, values, 0.0).mean(axis=1)
    return np.where(sound.all(axis=1), means, recording.objective.key(math.inf))


class FunctionOutcomes:
    """Values of a study with `trainer="function"`; an epoch takes a simulated second."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self.words = f"values are computed; an epoch takes {EPOCH_S:g} simulated second"
        self.best = MINIMA.get(getattr(study.builder, "__name__", ""))
        self.between = 0
        self._trained: dict[int, int] = {}

    def training(self, params: Params, seed: int) -> Training:
        """Return the function's values, one an epoch."""
        study = self._study
        if seed not in self._trained:
            self._trained[seed] = derive_seed(study.seed + seed, "training")
        trained = self._trained[seed]

        epochs = range(1, study.epochs + 1)
        values = [evaluate(study, params, epoch=epoch, seed=trained) for epoch in epochs]
        length = study.epochs
        status = Status.COMPLETED
        for epoch, value in zip(epochs, values, strict=True):
            if not math.isfinite(value):
                length = epoch
                status = Status.DIVERGED
                break
        return Training(
            objective=study.objective,
            ends=[EPOCH_S * epoch for epoch in range(1, length + 1)],
            values=values[:length],
            folds=[values],
            lengths=[length],
            best=[length],
            status=status,
        )

    def expected(self, params: Params) -> float:
        """Return the value without noise."""
        return evaluate(self._study, params, epoch=self._study.epochs, seed=None)
