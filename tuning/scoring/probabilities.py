"""Metrics of probabilities and of the order they put rows into."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from tuning.data.dataset import Array
from tuning.scoring.case import Case


def auc(case: Case) -> float:
    """Return the mean over classes, each against the rest, or over labels.

    A class that is all there is, or not there, has no area and does not count; nor does one whose
    rows all weigh nothing.
    """
    areas = []
    for labels, scores in _one_against_the_rest(case):
        if len(np.unique(labels)) < 2:
            continue
        if case.weight is None:
            areas.append(_area(labels, scores))
        else:
            areas.append(_weighted_area(labels, scores, case.weight))
    return _mean_of_some(areas)


def average_precision(case: Case) -> float:
    """Return the mean over classes (labels) of the precision at each gain of recall.

    A class that is not there, or weighs nothing, has no recall and does not count.
    """
    means = [
        _average_precision(labels, scores, case.weight)
        for labels, scores in _one_against_the_rest(case)
        if labels.any()
    ]
    return _mean_of_some(means)


def log_loss(case: Case) -> float:
    """Return the mean negative logarithm of the probability of the truth, in nats."""
    chances = np.take_along_axis(case.probabilities, case.truth.astype(int), axis=1)[:, 0]
    least = np.finfo(float).eps
    losses = -np.log(np.clip(chances, least, 1 - least))
    return _mean(losses, case.weight)


def brier(case: Case) -> float:
    """Return the mean squared error of the probabilities, of two classes that of the second."""
    chances = case.probabilities
    errors = (case.truth == np.arange(chances.shape[1])) - chances
    squares = np.sum(errors**2, axis=1)
    return _mean(squares, case.weight) * (0.5 if chances.shape[1] == 2 else 1.0)


def top_accuracy(case: Case, k: int) -> float:
    """Return the share of rows whose class is among the `k` most probable ones."""
    # Of equal probabilities the later class comes first, as scikit-learn has it.
    order = np.argsort(case.predicted, axis=1, kind="mergesort")[:, ::-1]
    hits = (order[:, :k] == case.truth).any(axis=1)
    return _mean(hits, case.weight)


def _one_against_the_rest(case: Case) -> Iterator[tuple[Array, Array]]:
    """Yield (labels, scores) of each class or label; of two classes only of the second.

    Of two the second one's area says all: that of the first is the same.
    """
    truth = case.truth
    predicted = case.predicted
    if predicted.shape[1] == 2 and truth.shape[1] == 1:
        predicted = predicted[:, 1:]
    # Class numbers become a column a class.
    if truth.shape[1] != predicted.shape[1]:
        truth = truth == np.arange(predicted.shape[1])
    yield from zip(truth.T, predicted.T, strict=True)


def _area(labels: Array, scores: Array) -> float:
    """Return the area by Mann and Whitney's count of pairs in the right order.

    scikit-learn's `roc_auc_score` takes 20 times as long on few rows.
    """
    from scipy.stats import rankdata

    positive = labels > labels.min()
    n_positive = int(positive.sum())
    n_negative = int((~positive).sum())

    ranks = rankdata(scores)[positive].sum()
    pairs_in_order = ranks - n_positive * (n_positive + 1) / 2
    return float(pairs_in_order / (n_positive * n_negative))


def _weighted_area(labels: Array, scores: Array, weight: Array) -> float:
    """Return the area where a pair counts as much as the product of its weights."""
    positive, negative = _cumulated(labels > labels.min(), scores, weight)
    if positive[-1] == 0 or negative[-1] == 0:
        return math.nan
    area = np.trapezoid(np.append(0, positive), np.append(0, negative))
    return float(area / (positive[-1] * negative[-1]))


def _average_precision(labels: Array, scores: Array, weight: Array | None) -> float:
    weight = np.ones(len(labels)) if weight is None else weight
    positive, negative = _cumulated(labels > 0, scores, weight)
    if positive[-1] == 0:
        return math.nan
    total = positive + negative
    precision = np.divide(positive, total, out=np.zeros(len(total)), where=total != 0)
    return float(np.sum(np.diff(positive, prepend=0) * precision) / positive[-1])


def _cumulated(positive: Array, scores: Array, weight: Array) -> tuple[Array, Array]:
    """Return the weights of positive and negative rows at or above each distinct score, falling."""
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    last_of_its_score = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
    of_positive = np.cumsum((weight * positive)[order])[last_of_its_score]
    of_negative = np.cumsum((weight * ~positive)[order])[last_of_its_score]
    return of_positive, of_negative


def _mean_of_some(values: list[float]) -> float:
    """Return the mean of those that have a value; NaN where none has."""
    there = [value for value in values if not math.isnan(value)]
    return float(np.mean(there)) if there else math.nan


def _mean(values: Array, weight: Array | None) -> float:
    return float(np.mean(values) if weight is None else np.average(values, weights=weight))
