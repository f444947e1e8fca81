"""`CapacityEngine`: begin small, add neurons or layers while the score improves, then stop."""

from __future__ import annotations

import csv
import io
import math
import statistics
from collections.abc import Generator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from tuning.engines.capacity_space import (
    DEPTH,
    RATE,
    TOLERANCE,
    WIDTH,
    faults_of,
    ladders_of,
    middle,
    notices_on,
)
from tuning.errors import StudyError
from tuning.study.objective import Objective
from tuning.study.study import Study
from tuning.trial import EpochReport, FoldResult, Params, Pause, Proposal, Status, TrialResult

LOOK_AHEAD = 2
"""Steps up without improvement that end a growth.

One step may be a bottleneck, as a first layer of one neuron is.
"""

_SHARES = ("accuracy", "auc", "r2")  # at most 1: their error is what is missing to it
_TAIL = 6  # epochs at the end of a curve that show its noise
_MEDIAN = 0.6745  # of the size of a normal deviate, in standard deviations

Point: TypeAlias = tuple[int, ...]  # a position on each ladder, in their order
Rounds: TypeAlias = Generator[list[Point], None, Point]


class _Decision(NamedTuple):
    """A row of `capacity.csv`; a gain over a trial without a score is empty."""

    from_trial: int
    to_trial: int
    gain: str
    needed: str
    decision: str


class Gain(NamedTuple):
    """How much better one trial is than another, and what that must exceed to count."""

    value: float
    needed: float


class CapacityEngine:
    """The courses' capacity workflow on the study's own space; it ends by itself.

    Nothing is drawn at random.

    Capacity is `n_hidden` (one layer more a step) and `n_neurons` (twice as many a step, up to the
    high end); at least one of them must be in the space. Every other parameter keeps one value: the
    middle of its range (the geometric one of a log range), a `Choice` its first. `lr` alone is
    improved as well, since a larger network wants another one: when growth has ended, its
    neighbours a factor of √10 away are tried, and so on while that improves; then growth is tried
    again with the new rate. The search ends when neither changes anything.

    Source: "begin small, add neurons or layers until the validation score stops improving" is the
    courses' advice; that a step doubles the neurons, the sweep of the learning rate and the rule
    for an improvement are our own.

    A score counts as improved where it is better by more than the noise and by more than 1 % of the
    error (of the value itself; of 1 − value for accuracy, auc and r2). The noise is, with `--cv`,
    the standard error of the difference fold by fold; else the scatter of the validation score over
    the last six epochs, its trend taken out. Two steps up in a row without improvement end a
    growth.

    Both directions of a step, and the point they start from, may train at once. A round is judged
    when all of its trials have ended, so the proposals depend neither on the number of slots nor on
    the order of their ends.

    Raises:
        StudyError: The space has no capacity, or only one that does not exist at the values kept.
    """

    def __init__(self, study: Study) -> None:
        self._space = study.space
        self._objective = study.objective
        self._epochs_of = study.epochs_of
        faults = list(faults_of(study.space))
        if faults:
            raise StudyError(faults, where=study.engine)
        self._kept = {name: middle(domain) for name, domain in study.space.domains.items()}
        self._ladders = ladders_of(study.space)
        self.notices = notices_on(study.space, self._ladders, self._kept)
        self._numbers: dict[str, int] = {}  # parameters as text → the trial that has them
        self._ended: dict[int, TrialResult] = {}
        self._decisions: dict[tuple[int, int], _Decision] = {}
        self._rounds = self._search()
        self._round: list[Point] | None = next(self._rounds)

    def ask(self, number: int) -> Proposal | Pause:
        """Return the round's next trial, `WAIT` until its trials have ended, or `EXHAUSTED`."""
        while self._round is not None:
            for point in self._round:
                params = self._params(point)
                if repr(params) not in self._numbers:
                    self._numbers[repr(params)] = number
                    return Proposal(number, params, self._epochs_of(params))
            if any(self._number(point) not in self._ended for point in self._round):
                return Pause.WAIT
            self._round = next(self._rounds, None)
        return Pause.EXHAUSTED

    def adopt(self, proposal: Proposal) -> bool:
        """Nothing: what is proposed here does not depend on the machine."""
        return False

    def report(self, report: EpochReport) -> bool:
        """Nothing is stopped early."""
        return False

    def tell(self, result: TrialResult) -> None:
        """Take how a trial ended; one that did not complete has no score: nothing grows from it."""
        self._ended[result.number] = result

    def artifacts(self) -> Mapping[str, str]:
        """Return `capacity.csv`: each comparison, the gain, what it had to exceed, the decision."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_Decision._fields)
        writer.writerows(self._decisions.values())
        return {"capacity.csv": text.getvalue()}

    def close(self) -> None:
        """Nothing to end."""

    def _search(self) -> Generator[list[Point], None, None]:
        """Yield the points of one round after another; their results are known when it goes on."""
        point = tuple(
            0 if name != RATE else ladder.index(self._kept[RATE])
            for name, ladder in self._ladders.items()
        )
        while True:
            grown = yield from self._grow(point)
            point = yield from self._sweep(grown)
            if point == grown:
                return

    def _grow(self, point: Point) -> Rounds:
        """Go up from `point` while that improves; return where it ended."""
        front = point
        steps_in_vain = 0
        while steps_in_vain < LOOK_AHEAD:
            larger = self._larger(front)
            yield [front, *larger]
            best = self._best(larger)
            if best is None:
                break
            front = best
            if self._improves(point, best):
                point = best
                steps_in_vain = 0
            else:
                steps_in_vain += 1
        return point

    def _sweep(self, point: Point) -> Rounds:
        """Go to a better learning rate while there is one; return where it ended.

        While nothing has a score, the rates farther and farther away are tried: it may be the rate
        that diverges.
        """
        distance = 1
        while True:
            near = self._rates(point, distance)
            if not near:
                return point
            yield [point, *near]
            best = self._best(near)
            if best is not None and self._improves(point, best):
                point = best
                distance = 1
            elif best is None and self._value(point) is None:
                distance += 1
            else:
                return point

    def _larger(self, point: Point) -> list[Point]:
        """Return the points one step up."""
        n_hidden = self._params(point).get(DEPTH)
        points = []
        for axis, name in enumerate(self._ladders):
            idle = name == WIDTH and n_hidden == 0  # without a hidden layer none has neurons
            if name != RATE and not idle:
                points += self._moved(point, axis, 1)
        return points

    def _rates(self, point: Point, distance: int) -> list[Point]:
        """Return the points with a learning rate so many steps below and above."""
        if RATE not in self._ladders:
            return []
        axis = list(self._ladders).index(RATE)
        return [*self._moved(point, axis, -distance), *self._moved(point, axis, distance)]

    def _moved(self, point: Point, axis: int, step: int) -> list[Point]:
        """Return the point so many steps away; nothing where the ladder ends or all stays equal."""
        ladder = list(self._ladders.values())[axis]
        position = point[axis] + step
        if not 0 <= position < len(ladder):
            return []
        moved = (*point[:axis], position, *point[axis + 1 :])
        return [moved] if self._params(moved) != self._params(point) else []

    def _params(self, point: Point) -> Params:
        params = dict(self._kept)
        for (name, ladder), position in zip(self._ladders.items(), point, strict=True):
            params[name] = ladder[position]
        return self._space.active(params)

    def _number(self, point: Point) -> int:
        return self._numbers[repr(self._params(point))]

    def _value(self, point: Point) -> float | None:
        result = self._ended[self._number(point)]
        return result.value if result.status is Status.COMPLETED else None

    def _best(self, points: Sequence[Point]) -> Point | None:
        """Return the best point that has a score, of equal ones the smallest; None: none has."""
        scored = []
        for point in points:
            value = self._value(point)
            if value is not None:
                scored.append((self._objective.key(value), point))
        return min(scored)[1] if scored else None

    def _improves(self, old: Point, new: Point) -> bool:
        """Whether `new`, which has a score, is better than `old` by more than chance."""
        before = self._ended[self._number(old)]
        after = self._ended[self._number(new)]
        better = True
        gain = needed = ""
        if self._value(old) is not None:
            compared = compare(before, after, self._objective)
            better = compared.value > compared.needed
            gain = f"{compared.value:.6g}"
            needed = f"{compared.needed:.6g}"

        words = "taken" if better else "no improvement"
        decision = _Decision(before.number, after.number, gain, needed, words)
        self._decisions.setdefault((before.number, after.number), decision)
        return better


def compare(before: TrialResult, after: TrialResult, objective: Objective) -> Gain:
    """Return how much better `after` is than `before`; both trials have values."""
    assert before.value is not None and after.value is not None  # noqa: S101, PT018
    gain = objective.key(before.value) - objective.key(after.value)
    error = 1 - before.value if objective.name in _SHARES else before.value
    noise = _noise(before.folds, after.folds, objective.metric)
    return Gain(gain, max(TOLERANCE * abs(error), noise))


def _noise(before: Sequence[FoldResult], after: Sequence[FoldResult], metric: str) -> float:
    """Return by how much two trials may differ by chance."""
    if len(before) == len(after) > 1:
        gains = [a.value - b.value for a, b in zip(after, before, strict=True)]
        return statistics.stdev(gains) / math.sqrt(len(gains))

    scatters = []
    for fold in (*before, *after):
        curve = [row[metric] for row in fold.curve if metric in row]
        scatters.append(_scatter(curve))
    return math.hypot(*scatters)


def _scatter(curve: list[float]) -> float:
    """Return the standard deviation of the last epochs about their trend.

    It is taken from the median of second differences. They have six times the variance, hold no
    straight trend, and their median ignores one epoch
    thrown off.
    """
    tail = curve[-_TAIL:]
    bends = [abs(a - 2 * b + c) for a, b, c in zip(tail, tail[1:], tail[2:], strict=False)]
    return statistics.median(bends) / (_MEDIAN * math.sqrt(6)) if bends else 0.0
