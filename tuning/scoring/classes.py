"""Metrics of predicted classes and labels, from counts; equal to scikit-learn's, and faster."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tuning.data.dataset import Array
from tuning.scoring.case import Case


def accuracy(case: Case) -> float:
    """Return the share of rows that are right; one of several labels where all of them are."""
    right = np.all(case.truth == case.answers, axis=1)
    return float(np.mean(right) if case.weight is None else np.average(right, weights=case.weight))


def balanced_accuracy(case: Case) -> float:
    """Return the mean recall of the classes that are there."""
    table = _confusion(case)
    members = table.sum(axis=1)
    there = members > 0
    if not there.any():
        return math.nan
    return float(np.mean(np.diag(table)[there] / members[there]))


def mcc(case: Case) -> float:
    """Return Matthews' correlation coefficient; 0 where one class is all that is there."""
    table = _confusion(case)
    truths = table.sum(axis=1)
    answers = table.sum(axis=0)
    total = answers.sum()

    covariance = np.trace(table) * total - truths @ answers
    variances = (total**2 - answers @ answers) * (total**2 - truths @ truths)
    return 0.0 if variances == 0 else float(covariance / np.sqrt(variances))


def cohen_kappa(case: Case) -> float:
    """Return Cohen's kappa; NaN where nothing is left to agree on beyond chance."""
    table = _confusion(case)
    total = table.sum()
    by_chance = table.sum(axis=0) @ table.sum(axis=1) / total
    if by_chance == total:
        return math.nan
    return float((np.trace(table) - by_chance) / (total - by_chance))


def precision(case: Case, average: str) -> float:
    """Return the share of what was predicted that is right."""
    return _averaged(case, average, beta=0.0)


def recall(case: Case, average: str) -> float:
    """Return the share of what is there that was predicted."""
    return _averaged(case, average, beta=math.inf)


def f_score(case: Case, average: str, beta: float) -> float:
    """Return the weighted harmonic mean of precision and recall.

    Args:
        case: Predictions.
        average: As scikit-learn has it: binary, macro, micro, weighted or samples.
        beta: How much more recall counts than precision.
    """
    return _averaged(case, average, beta)


@dataclass(frozen=True, eq=False)
class _Counts:
    """Weighted counts, one a class (or a label, or with "samples" a row)."""

    right: Array
    predicted: Array
    there: Array

    def scores(self, beta: float) -> Array:
        """Return F-beta of each; β = 0 is precision, infinity recall; 0 where there is nothing."""
        if beta == 0:
            below = self.predicted
            above = self.right
        elif math.isinf(beta):
            below = self.there
            above = self.right
        else:
            below = beta**2 * self.there + self.predicted
            above = (1 + beta**2) * self.right
        return np.divide(above, below, out=np.zeros(len(below)), where=below != 0)


def _averaged(case: Case, average: str, beta: float) -> float:
    counts = _counts(case, by_row=average == "samples")
    if average == "binary":
        return float(counts.scores(beta)[1])
    if average == "samples":
        return float(np.average(counts.scores(beta), weights=case.weight))
    if average == "micro":
        sums = [np.array([part.sum()]) for part in (counts.right, counts.predicted, counts.there)]
        return float(_Counts(*sums).scores(beta)[0])

    scores = counts.scores(beta)
    if case.task != "multilabel":
        # As scikit-learn: a class that is neither there nor predicted is none.
        classes = np.union1d(case.truth[:, 0].astype(int), case.answers[:, 0])
        scores = scores[classes]
        counts = _Counts(
            *(part[classes] for part in (counts.right, counts.predicted, counts.there))
        )
    if average == "macro":
        return float(np.mean(scores))
    if counts.there.sum() == 0:
        return 0.0
    return float(np.average(scores, weights=counts.there))


def _counts(case: Case, *, by_row: bool) -> _Counts:
    if case.task != "multilabel":
        table = _confusion(case)
        return _Counts(np.diag(table), table.sum(axis=0), table.sum(axis=1))

    truth = case.truth.astype(bool)
    answers = case.answers.astype(bool)
    parts = (truth & answers, answers, truth)
    if by_row:
        return _Counts(*(part.sum(axis=1).astype(float) for part in parts))
    weight = np.ones(len(truth)) if case.weight is None else case.weight
    return _Counts(*(weight @ part for part in parts))


def _confusion(case: Case) -> Array:
    """Return the weighted counts of (truth, answer), `(classes, classes)`."""
    n_classes = case.n_classes
    pairs = case.truth[:, 0].astype(int) * n_classes + case.answers[:, 0]
    counts = np.bincount(pairs, weights=case.weight, minlength=n_classes**2)
    return counts.reshape(n_classes, n_classes).astype(float)
