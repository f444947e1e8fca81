"""What a simulated trial gives and how long it takes: from a recording, or from a function of the
parameters.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from tuning.builders.functions import MINIMA
from tuning.data.dataset import Array
from tuning.errors import StudyError
from tuning.simulation.recording import Recording
from tuning.study.objective import Objective
from tuning.study.study import Study, derive_seed
from tuning.study.unit_cube import coordinates
from tuning.trial import FoldResult, Proposal, Status, TrialResult
from tuning.trials.functions import evaluate

NEIGHBOURS = 5
EPOCH_S = 1.0
"""Simulated seconds an epoch of a function, for which nothing is trained, is said to take."""


@dataclass(eq=False)
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
    _made: dict[tuple[int, int, bool], TrialResult] = field(default_factory=dict)

    def fails_at(self, epoch: int) -> bool:
        """Whether training to this epoch ends badly: the last fold that was begun is the one that
        did.
        """
        return self.status is not Status.COMPLETED and epoch >= (
            self.lengths[-1] if self.lengths else 0
        )

    def epochs(self, first: int, last: int) -> int:
        """Return how many epochs the folds train together after epoch `first` up to `last`."""
        return sum(max(0, min(last, length) - first) for length in self.lengths)

    def result(
        self, proposal: Proposal, first: int, last: int, *, pruned: bool = False
    ) -> TrialResult:
        """Return what a trial that has trained the epochs after `first` up to `last` gives."""
        key = (first, last, pruned)
        known = self._made.get(key)
        if known is not None:
            return replace(known, number=proposal.number)
        made = self._made[key] = self._make(proposal.number, first, last, pruned=pruned)
        return made

    def _make(self, number: int, first: int, last: int, *, pruned: bool) -> TrialResult:
        seconds = (
            self.overhead_s
            + (self.ends[last - 1] if last else 0.0)
            - (self.ends[first - 1] if first else 0.0)
        )
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
            number,
            Status.PRUNED if pruned else Status.COMPLETED,
            value,
            {self.objective.metric: value},
            folds,
            epochs=sum(len(fold.curve) for fold in folds),
            seconds=seconds,
            training_s=seconds - self.overhead_s,
        )

    def _fold(self, index: int, first: int, last: int, *, pruned: bool) -> FoldResult:
        metric, values = self.objective.metric, self.folds[index]
        last = min(last, self.lengths[index])
        curve = tuple(
            {"epoch": float(e), metric: float(values[e - 1])} for e in range(first + 1, last + 1)
        )
        epoch = last if pruned else self._kept(index, last)
        value = float(values[epoch - 1])
        return FoldResult(
            index, value, {metric: value}, curve, best_epoch=epoch, seconds=0.0, seed=0
        )

    def _kept(self, index: int, last: int) -> int:
        """Return the epoch whose weights are kept; before the recorded end the best so far by the
        objective.
        """
        if last == self.lengths[index]:
            return self.best[index]
        if not self.keeps_best:
            return last
        return 1 + min(range(last), key=lambda epoch: self.objective.key(self.folds[index][epoch]))


class Outcomes(Protocol):
    """Where simulated trials take their curves from."""

    words: str
    """How points that were not recorded are answered, for the reader."""

    best: float | None
    """The best expected value there is; None: not known."""

    between: int
    """Trainings so far at points that were not recorded."""

    def training(self, params: Mapping[str, Any], seed: int) -> Training:
        """Return what training at a point on seed number `seed` gives."""

    def expected(self, params: Mapping[str, Any]) -> float:
        """Return what a point is worth at full epochs, without the luck of one training seed;
        infinite: nothing.
        """


class RecordedOutcomes:
    """Curves of a recording; a point between recorded ones is a weighted mean of its nearest.

    Args:
        recording: Replayed.
        exact: Refuse points that were not recorded.
    """

    def __init__(self, recording: Recording, *, exact: bool = False) -> None:
        from scipy.spatial import KDTree

        self._recording, self._exact = recording, exact
        self._space, self._objective = recording.space, recording.objective
        self._names = tuple(self._space)
        self._index = {self._key(point): i for i, point in enumerate(recording.points)}
        self._tree = KDTree(
            np.stack([coordinates(self._space, point) for point in recording.points])
        )
        self._neighbours = min(NEIGHBOURS, len(recording.points))
        self._keeps_best = recording.manifest.patience is not None
        self._values = _carried(recording.values)
        self._seconds = np.nan_to_num(_carried(recording.seconds))
        self._known: dict[tuple[int, int], Training] = {}
        self._expected = _expected(recording)
        self._usable = (recording.status == Status.COMPLETED.value).any(axis=1)
        best = float(min(self._expected, key=self._objective.key))
        self.best: float | None = best if math.isfinite(best) else None
        self.words = (
            "points that were not recorded are refused"
            if exact
            else f"points between recorded ones: mean of the {self._neighbours} nearest in the unit cube of the space, "
            "weighted by 1 / distance; they fail as the nearest does"
        )
        self.between = 0

    @property
    def seeds(self) -> int:
        """Training seeds there are."""
        return int(self._values.shape[1])

    def training(self, params: Mapping[str, Any], seed: int) -> Training:
        """Return the recorded training, or the surrogate's.

        Raises:
            StudyError: The point was not recorded and `exact` is set.
        """
        seed %= self.seeds
        index = self._index.get(self._key(params))
        if index is None:
            self._refuse(params)
            self.between += 1
            near, weights = self._near(params)
            return self._made(near, weights, seed)
        if (index, seed) not in self._known:
            self._known[index, seed] = self._made(np.array([index]), np.ones(1), seed)
        return self._known[index, seed]

    def expected(self, params: Mapping[str, Any]) -> float:
        """Return the mean over the training seeds; infinitely bad where the point, or its nearest,
        fails on one.
        """
        index = self._index.get(self._key(params))
        if index is not None:
            return float(self._expected[index])
        near, weights = self._near(params)
        known = np.isfinite(self._expected[near])
        if not known[0] or not weights[known].sum():
            return self._objective.key(math.inf)
        return float(np.average(self._expected[near][known], weights=weights[known]))

    def _key(self, params: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple([(name, params[name]) for name in self._names if name in params])

    def _refuse(self, params: Mapping[str, Any]) -> None:
        if self._exact:
            shown = ", ".join(f"{name}={value!r}" for name, value in params.items())
            raise StudyError(
                f"{shown} was not recorded ({len(self._index)} points are); leave --exact out, take an engine that "
                "proposes grid points, or record more points",
                where=self._recording.manifest.study,
            )

    def _near(self, params: Mapping[str, Any]) -> tuple[Array, Array]:
        distances, near = self._tree.query(coordinates(self._space, params), k=self._neighbours)
        distances, near = np.atleast_1d(distances), np.atleast_1d(near)
        usable = self._usable[near]  # of two points with equal coordinates the first
        weights = np.where(usable, 1.0 / np.maximum(distances, 1e-9), 0.0)
        return near, weights / weights.sum() if weights.sum() else np.full(len(near), 1 / len(near))

    def _made(self, near: Array, weights: Array, seed: int) -> Training:
        """Return the weighted mean of recorded trainings on one seed; how it ends is the nearest's."""
        recording = self._recording
        status = Status(recording.status[near[0], seed])
        if status is not Status.COMPLETED:
            near, weights = near[:1], np.ones(1)
        else:
            good = recording.status[near, seed] == Status.COMPLETED.value
            near, weights = near[good], weights[good] / max(weights[good].sum(), 1e-12)
            if not weights.sum():
                near, weights = near[:1], np.ones(1)
        lengths = np.rint(weights @ recording.lengths[near, seed]).astype(int)
        begun = lengths > 0  # when a fold has diverged, those after it are not begun
        lengths = lengths[begun]
        folds = np.tensordot(weights, self._values[near, seed], 1)[begun]
        clock = np.tensordot(weights, self._seconds[near, seed], 1).sum(axis=0)
        longest = int(lengths.max(initial=0))
        best = np.rint(weights @ recording.best[near, seed]).astype(int)[begun]
        if len(near) > 1 and self._keeps_best:
            keys = folds if self._objective.direction == "minimize" else -folds
            best = np.array([1 + int(np.argmin(k[:n])) for k, n in zip(keys, lengths, strict=True)])
        elif not self._keeps_best:
            best = lengths
        return Training(
            self._objective,
            clock[:longest].tolist(),
            _mean(folds)[:longest].tolist(),
            folds.tolist(),
            lengths.tolist(),
            best.tolist(),
            float(weights @ recording.overhead_s[near, seed]),
            status,
            self._keeps_best,
        )


def _mean(folds: Array) -> Array:
    """Return the mean over folds, of which there may be none."""
    return folds.mean(axis=0) if len(folds) else np.zeros(folds.shape[-1])


def _carried(curves: Array) -> Array:
    """Return curves in which what has ended keeps its last value; not finite ones stay so."""
    last = np.where(np.isnan(curves), 0, np.arange(curves.shape[-1]))
    return np.take_along_axis(curves, np.maximum.accumulate(last, axis=-1), axis=-1)


def _expected(recording: Recording) -> Array:
    """Return each point's mean value over folds and seeds; infinitely bad where finals would drop
    it: one failed.
    """
    cells = np.maximum(recording.best, 1)[..., None] - 1
    kept = np.take_along_axis(recording.values, cells, axis=-1)[..., 0].mean(axis=-1)
    good = (recording.status == Status.COMPLETED.value) & np.isfinite(kept)
    return np.where(
        good.all(axis=1), np.where(good, kept, 0.0).mean(axis=1), recording.objective.key(math.inf)
    )


class FunctionOutcomes:
    """Values of a study with `trainer="function"`; an epoch takes a simulated second."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self.words = f"values are computed; an epoch takes {EPOCH_S:g} simulated second"
        self.best = MINIMA.get(getattr(study.builder, "__name__", ""))
        self.between = 0
        self._trained: dict[int, int] = {}

    def training(self, params: Mapping[str, Any], seed: int) -> Training:
        """Return the function's values, one an epoch."""
        study = self._study
        if seed not in self._trained:
            self._trained[seed] = derive_seed(study.seed + seed, "training")
        trained = self._trained[seed]
        epochs = range(1, study.epochs + 1)
        values = [evaluate(study, params, epoch=epoch, seed=trained) for epoch in epochs]
        bad = next((epoch for epoch in epochs if not math.isfinite(values[epoch - 1])), None)
        length, status = (study.epochs, Status.COMPLETED) if bad is None else (bad, Status.DIVERGED)
        ends = [EPOCH_S * epoch for epoch in epochs][:length]
        return Training(
            study.objective, ends, values[:length], [values], [length], [length], status=status
        )

    def expected(self, params: Mapping[str, Any]) -> float:
        """Return the value without noise."""
        return evaluate(self._study, params, epoch=self._study.epochs, seed=None)
