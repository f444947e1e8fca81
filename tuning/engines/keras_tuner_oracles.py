"""KerasTuner's oracles with what our use of them needs changed: no files, and speed.

Importing this module imports TensorFlow.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

import keras_tuner
import numpy as np
from scipy.linalg import lapack
from sklearn.gaussian_process import GaussianProcessRegressor
from threadpoolctl import threadpool_limits

from tuning.data.dataset import Array


class _WithoutFiles:
    """State is in memory only: after a crash it is replayed from the ledger."""

    def save(self) -> None:
        """Write nothing."""

    def _save_trial(self, trial: Any) -> None:
        pass


class _GivenFirst(_WithoutFiles):
    """Begins with the points it is given (labels)."""

    given: tuple[Mapping[str, Any], ...] = ()

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Return the next point that was given; after the last, do as the oracle does."""
        if not self.given:
            return super().populate_space(trial_id)  # type: ignore[misc,no-any-return]
        values, self.given = dict(self.given[0]), self.given[1:]
        self._tried_so_far.add(self._compute_values_hash(values))  # type: ignore[attr-defined]
        return {"status": "RUNNING", "values": values}


class Random(_GivenFirst, keras_tuner.oracles.RandomSearchOracle):  # type: ignore[misc]
    """Random search, without repetition."""


class Hyperband(_WithoutFiles, keras_tuner.oracles.HyperbandOracle):  # type: ignore[misc]
    """Hyperband (Li et al. 2018, jmlr.org/papers/v18/16-558.html): a trial that failed is the last
    of its rung.

    The oracle waits for as many completed trials as a rung has places to discard, so that each
    failure costs a promotion, and with a third of a rung failed it is random search. Nor does it
    promote where a small space has no further points to fill the first rung with.
    """

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Return the next promotion, else what the oracle does: a fresh point, a new bracket, or a
        pause.
        """
        self._remove_completed_brackets()
        for bracket in self._brackets:
            if len(bracket["rounds"][0]) < self._get_size(bracket["bracket_num"], 0):
                response: dict[str, Any] = super().populate_space(trial_id)
                return (
                    response
                    if response["status"] == "RUNNING"
                    else self._promotion(bracket, trial_id) or response
                )
            if promotion := self._promotion(bracket, trial_id):
                return promotion
        return super().populate_space(trial_id)  # type: ignore[no-any-return]

    def _promotion(self, bracket: Mapping[str, Any], trial_id: str) -> dict[str, Any] | None:
        """Return the best trial of a rung, to be continued, once it is sure to be among those the
        rung promotes.
        """
        kind, rungs = bracket["bracket_num"], bracket["rounds"]
        to_come = (
            0  # as many at most; of the first rung none, it is full or there are no further points
        )
        for number, (rung, following) in enumerate(itertools.pairwise(rungs)):
            size, places = self._get_size(kind, number), self._get_size(kind, number + 1)
            promoted = {item["past_id"] for item in following}
            trials = [self.trials[item["id"]] for item in rung if item["id"] not in promoted]
            ready = [trial for trial in trials if trial.status == "COMPLETED"]
            running = sum(trial.status == "RUNNING" for trial in trials)
            last = size - len(promoted) - len(ready) - running - to_come  # failed, or never to come
            if ready and len(following) < places and len(ready) + last > size - places:
                best = (max if self.objective.direction == "max" else min)(
                    ready, key=lambda trial: trial.score
                )
                following.append({"past_id": best.trial_id, "id": trial_id})
                return {
                    "status": "RUNNING",
                    "values": {
                        **best.hyperparameters.values,
                        "tuner/trial_id": best.trial_id,
                        "tuner/bracket": kind,
                        "tuner/round": number + 1,
                        "tuner/initial_epoch": self._get_epochs(kind, number),
                        "tuner/epochs": self._get_epochs(kind, number + 1),
                    },
                }
            to_come = min(places - len(following), len(ready) + running + to_come)
        return None


class Bayesian(_GivenFirst, keras_tuner.oracles.BayesianOptimizationOracle):  # type: ignore[misc]
    """Gaussian process with a lower confidence bound."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """As the oracle does, on one thread: the matrices are tiny, BLAS threads only wait for one
        another.
        """
        with threadpool_limits(1):
            return super().populate_space(trial_id)

    def _make_gpr(self) -> GaussianProcessRegressor:
        return _QuickRegressor(**super()._make_gpr().get_params(deep=False))


class Grid(_WithoutFiles, keras_tuner.oracles.GridSearchOracle):  # type: ignore[misc]
    """Goes through the grid in order and leaves out the points that are not among `points`
    (labels).
    """

    def __init__(self, points: Iterable[Mapping[str, Any]], **settings: Any) -> None:
        super().__init__(**settings)
        self._kept = frozenset(map(_key, points))

    def keeps(self, values: Mapping[str, Any]) -> bool:
        """Whether a point is wanted; the very first is made unasked."""
        return _key(values) in self._kept

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """As the oracle does, for any number of trials at once.

        The oracle waits for a trial's end before it makes the next, in case the trial brings new
        parameters, and so keeps at most two in flight. Ours are all known up front.
        """
        response: dict[str, Any] = super().populate_space(trial_id)
        if response["status"] == "RUNNING":
            self._populate_next.append(trial_id)
        return response

    def _get_next_combination(self, values: dict[str, Any]) -> dict[str, Any] | None:
        following: dict[str, Any] | None = super()._get_next_combination(values)
        while following is not None and not self.keeps(following):
            following = super()._get_next_combination(following)
        return following


class _QuickRegressor(GaussianProcessRegressor):  # type: ignore[misc]
    """The same predictions without the checks of the input, which cost five times as much as the
    arithmetic.

    The oracle asks for several thousand single points each time: 3–6 s at 6 trials, 0.5–0.9 s with
    this.
    """

    def predict(self, X: Array, return_std: bool = False, return_cov: bool = False) -> Any:
        """Return mean and standard deviation at `(points, dimensions)`; all else is left to the
        library.
        """
        if not return_std or not hasattr(self, "X_train_"):
            return super().predict(X, return_std=return_std, return_cov=return_cov)
        near = self.kernel_(X, self.X_train_)
        explained, _ = lapack.dtrtrs(self.L_, near.T, lower=1)
        variance = np.maximum(
            self.kernel_.diag(X) - np.einsum("ij,ij->j", explained, explained), 0.0
        )
        return self._y_train_std * (near @ self.alpha_) + self._y_train_mean, np.sqrt(
            variance
        ) * self._y_train_std


def _key(values: Mapping[str, Any]) -> str:
    return repr(sorted(values.items()))
