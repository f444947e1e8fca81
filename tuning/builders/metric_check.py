"""Can the objective be computed of what the model returns? Asked before anything is trained."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tuning.data.arrays import Arrays
from tuning.data.dataset import Tasks
from tuning.errors import did_you_mean
from tuning.scoring.measure import Measure, names_known
from tuning.study.objective import SCORERS

if TYPE_CHECKING:
    import keras


def compiled_metric_faults(
    model: keras.Model, metric: str, X: Any, y: Any, task: Tasks
) -> Iterator[str]:
    """Yield what is wrong with an objective that only the compiled model can compute.

    Args:
        model: Compiled, and sound for X and y.
        metric: Its name, without `val_`.
        X, y: A few rows as `fit` takes them.
        task: Of the data set, for advice.
    """
    # A compiled model builds its metrics at its first batch: before, it cannot name them.
    values = model.test_on_batch(X, y, return_dict=True)

    if np.size(values.get(metric, 0.0)) > 1:
        yield (
            f"the objective 'val_{metric}' has {np.size(values[metric])} values, one a class; "
            "give average='macro'"
        )
    if metric not in values:
        names = sorted(values)
        known = names_known(task)
        guess = did_you_mean(metric, [*names, *known, *sorted(SCORERS)])
        yield (
            f"the objective is 'val_{metric}', but no metric of the compiled model is called "
            f"'{metric}'.{guess} It has: {', '.join(names)}; "
            f"computed for any model: {', '.join(known)}, and the scorers of scikit-learn that fit"
        )


def measure_faults(measure: Measure, outputs: Arrays, y: Arrays) -> Iterator[str]:
    """Yield what is wrong with an objective of ours for these predictions.

    Args:
        measure: What computes it.
        outputs: Of a few rows, by name of the output where there are several.
        y: Of the same rows.
    """
    if measure.task != "regression":
        return
    if isinstance(outputs, Mapping) and measure.output not in outputs:
        return  # told elsewhere
    n_predicted = math.prod(np.shape(measure.of_output(outputs))[1:])
    n_wanted = math.prod(np.shape(measure.of_output(y))[1:]) * measure.metric.n_quantiles
    if n_predicted == n_wanted:
        return

    advice = "use val_loss, or a model with a number for each of y's"
    if measure.metric.n_quantiles == 1 and n_predicted > n_wanted:
        advice = "use val_loss, or for quantiles a name like val_pinball_0.1_0.5_0.9"
    yield (
        f"the objective 'val_{measure.name}' compares {n_wanted} predicted numbers a row with y, "
        f"the model gives {n_predicted}; {advice}"
    )
