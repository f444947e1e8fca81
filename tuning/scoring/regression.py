"""Metrics of numbers. Each takes a `Case`; several columns are averaged, each as one of its own."""

from __future__ import annotations

import math

import numpy as np

from tuning.data.dataset import Array
from tuning.scoring.case import Case


def rmse(case: Case) -> float:
    """Return the root of the mean squared error over all rows and columns."""
    errors = case.truth - case.predicted
    if case.weight is None:
        return float(np.sqrt(np.mean(errors**2)))
    return math.sqrt(_mean(errors**2, case.weight))


def mse(case: Case) -> float:
    """Return the mean squared error."""
    return _mean((case.truth - case.predicted) ** 2, case.weight)


def mae(case: Case) -> float:
    """Return the mean absolute error."""
    return _mean(np.abs(case.truth - case.predicted), case.weight)


def r2(case: Case) -> float:
    """Return the share of the variance that is explained, as scikit-learn's `r2_score`."""
    from sklearn.metrics import r2_score

    if len(case.truth) < 2:  # of one row there is no variance
        return math.nan
    return float(r2_score(case.truth, case.predicted, sample_weight=case.weight))


def mape(case: Case) -> float:
    """Return the mean of errors relative to the truth, a share and not a percentage."""
    truth = np.abs(np.asarray(case.truth, dtype=float))
    relative = np.abs(case.predicted - case.truth) / np.maximum(truth, np.finfo(float).eps)
    return _mean(relative, case.weight)


def medae(case: Case) -> float:
    """Return the median absolute error."""
    if case.weight is None:
        medians = np.median(np.abs(case.predicted - case.truth), axis=0)
        return float(np.mean(medians))

    from sklearn.metrics import median_absolute_error

    return float(median_absolute_error(case.truth, case.predicted, sample_weight=case.weight))


def max_error(case: Case) -> float:
    """Return the largest error of all; no row weighs more than another."""
    return float(np.max(np.abs(case.truth - case.predicted)))


def msle(case: Case) -> float:
    """Return the mean squared error of logarithms; NaN where a number is -1 or less."""
    if min(case.truth.min(), case.predicted.min()) <= -1:
        return math.nan
    errors = np.log1p(np.asarray(case.truth, dtype=float)) - np.log1p(case.predicted)
    return _mean(errors**2, case.weight)


def rmsle(case: Case) -> float:
    """Return the root of the mean squared error of logarithms, column by column."""
    if min(case.truth.min(), case.predicted.min()) <= -1:
        return math.nan
    errors = np.log1p(np.asarray(case.truth, dtype=float)) - np.log1p(case.predicted)
    return float(np.mean(np.sqrt(np.average(errors**2, axis=0, weights=case.weight))))


def explained_variance(case: Case) -> float:
    """Return the share of the variance that is explained, whatever the errors' mean."""
    from sklearn.metrics import explained_variance_score

    return float(explained_variance_score(case.truth, case.predicted, sample_weight=case.weight))


def poisson_deviance(case: Case) -> float:
    """Return the mean Poisson deviance.

    NaN where a count is below 0, or its prediction not above it.
    """
    truth = np.asarray(case.truth, dtype=float)
    predicted = case.predicted
    if truth.min() < 0 or predicted.min() <= 0:
        return math.nan
    logarithms = truth * np.log(np.where(truth > 0, truth, 1.0) / predicted)
    return _mean(2 * (np.where(truth > 0, logarithms, 0.0) - truth + predicted), case.weight)


def gamma_deviance(case: Case) -> float:
    """Return the mean gamma deviance; NaN where truth or prediction is not above 0."""
    truth = np.asarray(case.truth, dtype=float)
    predicted = case.predicted
    if truth.min() <= 0 or predicted.min() <= 0:
        return math.nan
    return _mean(2 * (np.log(predicted / truth) + truth / predicted - 1), case.weight)


def pinball(case: Case, quantiles: tuple[float, ...]) -> float:
    """Return the mean pinball loss over quantiles.

    Args:
        case: Of one quantile every column of the truth has its prediction; of several the model
            predicts a block of columns for each, in the order of the quantiles.
        quantiles: Each between 0 and 1.
    """
    n_columns = case.truth.shape[1]
    losses = []
    for index, quantile in enumerate(quantiles):
        block = slice(index * n_columns, (index + 1) * n_columns)
        errors = case.truth - case.predicted[:, block]
        losses.append(_mean(np.maximum(quantile * errors, (quantile - 1) * errors), case.weight))
    return float(np.mean(losses))


def _mean(values: Array, weight: Array | None) -> float:
    if weight is None:
        return float(np.mean(values))
    return float(np.mean(np.average(values, axis=0, weights=weight)))
