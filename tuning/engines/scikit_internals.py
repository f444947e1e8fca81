"""The private names of scikit-learn and joblib that our engines use, each behind one of ours.

Checked with scikit-learn 1.9.1 and joblib 1.6.0; a test names each and fails in words when a
library drops it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

from tuning.trial import Params

CHECKED_WITH = "1.9.1"
JOBLIB_CHECKED_WITH = "1.6.0"

_CALLBACKS = ("caller", "callback_ctx")
"""Arguments of `_fit_and_score` whose contexts hold the whole search."""


Scores: TypeAlias = Mapping[str, Any]
"""By name, what `_fit_and_score` returns of one fit, or `cv_results_` of all."""


class Call(NamedTuple):
    """The arguments of one `_fit_and_score`: of one candidate on one fold."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    @property
    def estimator(self) -> Any:
        """What is fitted."""
        return self.args[0]

    @property
    def parameters(self) -> Params:
        """The candidate's parameters, with the resource of a halving search among them."""
        parameters: Params = self.kwargs["parameters"]
        return parameters

    @property
    def place(self) -> Place:
        """Where it stands in its round."""
        candidate, candidates = self.kwargs["candidate_progress"]
        fold, folds = self.kwargs["split_progress"]
        return Place(candidate, candidates, fold, folds)

    @property
    def test_rows(self) -> int:
        """How many rows it is scored on."""
        return len(self.kwargs["test"])


class Place(NamedTuple):
    """Where a call stands in its round; numbers count from 0."""

    candidate: int
    candidates: int
    fold: int
    folds: int

    @property
    def is_last_fold(self) -> bool:
        """Whether it is the candidate's last."""
        return self.fold == self.folds - 1

    @property
    def is_last(self) -> bool:
        """Whether it is the round's last."""
        return self.is_last_fold and self.candidate == self.candidates - 1


def call_of(task: Any) -> Call:
    """Return the one call in a task of joblib, without scikit-learn's callbacks.

    Args:
        task: A `BatchedCalls` of one item, `(function, args, kwargs)`.
    """
    ((_, args, kwargs),) = task.items
    named = {name: value for name, value in kwargs.items() if name not in _CALLBACKS}
    return Call(args, named)


def fit_and_score(call: Call) -> Scores:
    """Do what scikit-learn would for a candidate's fold; return what its search wants.

    Raises:
        Exception: What the fit has raised: who failed, and how, is for the ledger.
    """
    from sklearn.model_selection._validation import _fit_and_score

    scores: Scores = _fit_and_score(*call.args, **{**call.kwargs, "error_score": "raise"})
    return scores


def dispatch_at_once(search: Any) -> Any:
    """Have a halving search hand over whole rounds: it has no argument for it."""
    search.pre_dispatch = "all"
    return search


def target_scale(regressor: Any) -> tuple[Any, Any]:
    """Return mean and standard deviation of y by which a fitted Gaussian process has scaled it."""
    return regressor._y_train_mean, regressor._y_train_std
