"""What scikit-learn's scorers keep to themselves, read here and nowhere else.

A scorer is known by what it has, so that nothing imports scikit-learn for a study without one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def is_scorer(function: Any) -> bool:
    """Whether this is what `sklearn.metrics.make_scorer` or `get_scorer` returns."""
    return hasattr(function, "_score_func") and hasattr(function, "_response_method")


def scored_function(scorer: Any) -> Callable[..., Any]:
    """Return the function that a scorer was made of."""
    function: Callable[..., Any] = scorer._score_func
    return function


def reads_classes(scorer: Any) -> bool:
    """Whether a scorer looks at predicted classes, and so at the threshold of two of them."""
    return bool(scorer._response_method == "predict")


def accepts_weights(scorer: Any) -> bool:
    """Whether a scorer's function takes `sample_weight`."""
    return bool(scorer._accept_sample_weight())
