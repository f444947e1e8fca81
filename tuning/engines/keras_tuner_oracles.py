"""KerasTuner's oracles with what our use of them needs changed: no files, and speed.

Importing this module imports TensorFlow.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import keras_tuner
import numpy as np
from scipy.linalg import lapack
from sklearn.gaussian_process import GaussianProcessRegressor
from threadpoolctl import threadpool_limits

from tuning.data.dataset import Array
from tuning.engines.keras_tuner_internals import (
    BayesianWithRegressor,
    Bracket,
    GridInAnyOrder,
    HyperbandBrackets,
    Response,
    Values,
    WithoutFiles,
    mark_as_tried,
)
from tuning.engines.scikit_internals import target_scale

TRIAL_ID = "tuner/trial_id"
"""In the values of a promotion: the id of the trial it continues."""
EPOCHS = "tuner/epochs"
"""In the values of Hyperband's trials: the epoch up to which it trains, in all."""


class _StudyFirst:
    """Mixed into an oracle: it begins with points of the study's (labels)."""

    first_points: tuple[Values, ...] = ()

    def populate_space(self, trial_id: str) -> Response:
        """Return the study's next point; after the last, do as the oracle does."""
        if not self.first_points:
            return super().populate_space(trial_id)  # type: ignore[misc,no-any-return]
        values = dict(self.first_points[0])
        self.first_points = self.first_points[1:]
        mark_as_tried(self, values)
        return {"status": "RUNNING", "values": values}


class Random(
    _StudyFirst,
    WithoutFiles,
    keras_tuner.oracles.RandomSearchOracle,  # type: ignore[misc]
):
    """Random search, without repetition."""


class Hyperband(HyperbandBrackets):
    """Hyperband, in which a trial that failed is the last of its rung.

    Source: Li et al. 2018, jmlr.org/papers/v18/16-558.html.

    The oracle waits for as many completed trials as a rung has places to discard, so that each
    failure costs a promotion, and with a third of a rung failed it is random search. Nor does it
    promote where a small space has no further points to fill the first rung with.
    """

    def populate_space(self, trial_id: str) -> Response:
        """Return the next promotion, else what the oracle does: fresh point, new bracket, pause."""
        for bracket in self.open_brackets():
            first_rung = bracket["rounds"][0]
            if len(first_rung) < self.rung_size(bracket["bracket_num"], 0):
                response: Response = super().populate_space(trial_id)
                if response["status"] == "RUNNING":
                    return response
                return self._promotion(bracket, trial_id) or response

            promotion = self._promotion(bracket, trial_id)
            if promotion is not None:
                return promotion
        return super().populate_space(trial_id)  # type: ignore[no-any-return]

    def _promotion(self, bracket: Bracket, trial_id: str) -> Response | None:
        """Return the best trial of a rung, once it is sure to be promoted; None: none is."""
        kind = bracket["bracket_num"]
        # Trials that may still join the rung, at most. Of the first rung none: it is full, or there
        # are no further points.
        to_come = 0

        for number, (rung, following) in enumerate(itertools.pairwise(bracket["rounds"])):
            size = self.rung_size(kind, number)
            places = self.rung_size(kind, number + 1)

            promoted = {item["past_id"] for item in following}
            trials = [self.trials[item["id"]] for item in rung if item["id"] not in promoted]
            ready = [trial for trial in trials if trial.status == "COMPLETED"]
            running = sum(trial.status == "RUNNING" for trial in trials)

            # Trials that are certainly worse than `ready`: they have failed, or will never come.
            lost = size - len(promoted) - len(ready) - running - to_come
            has_a_place = len(following) < places
            is_sure = len(ready) + lost > size - places
            if ready and has_a_place and is_sure:
                best = self._best(ready)
                following.append({"past_id": best.trial_id, "id": trial_id})
                return {"status": "RUNNING", "values": self._continued(best, kind, number)}

            to_come = min(places - len(following), len(ready) + running + to_come)
        return None

    def _best(self, trials: list[Any]) -> Any:
        choose = max if self.objective.direction == "max" else min
        return choose(trials, key=lambda trial: trial.score)

    def _continued(self, trial: Any, bracket: int, rung: int) -> Values:
        """Return the values of a trial of a rung, to be trained on in the next."""
        return {
            **trial.hyperparameters.values,
            TRIAL_ID: trial.trial_id,
            "tuner/bracket": bracket,
            "tuner/round": rung + 1,
            "tuner/initial_epoch": self.rung_epochs(bracket, rung),
            EPOCHS: self.rung_epochs(bracket, rung + 1),
        }


class Bayesian(_StudyFirst, BayesianWithRegressor):
    """Gaussian process with a lower confidence bound."""

    def populate_space(self, trial_id: str) -> Response:
        """As the oracle does, on one thread: for tiny matrices BLAS threads only wait."""
        with threadpool_limits(1):
            return super().populate_space(trial_id)

    def make_regressor(self, **settings: Any) -> GaussianProcessRegressor:
        """Return the quick one."""
        return _QuickRegressor(**settings)


class Grid(GridInAnyOrder):
    """Goes through the grid in order and leaves out what is not among `points` (labels)."""

    def __init__(self, points: Iterable[Values], **settings: Any) -> None:
        super().__init__(**settings)
        self._points = frozenset(map(_key, points))

    def keeps(self, values: Values) -> bool:
        """Whether a point is wanted; the very first is made unasked."""
        return _key(values) in self._points


class _QuickRegressor(GaussianProcessRegressor):  # type: ignore[misc]
    """The same predictions without the checks of the input.

    They cost five times as much as the arithmetic. The oracle asks for several thousand single
    points each time: 3–6 s at 6 trials, 0.5–0.9 s with this.
    """

    last_fit: tuple[Array, Array] | None = None
    """Inputs and targets of the last fit."""

    def fit(self, X: Array, y: Array) -> _QuickRegressor:
        """As the library does; see `last_fit`."""
        self.last_fit = (X, y)
        super().fit(X, y)
        return self

    def fit_again(self, X: Array, y: Array, kernel: Any) -> None:
        """Be fitted as another one was, whose kernel is known: there is nothing to search for."""
        own = self.get_params(deep=False)
        self.set_params(kernel=kernel, optimizer=None)
        try:
            with threadpool_limits(1):
                self.fit(X, y)
        finally:
            self.set_params(kernel=own["kernel"], optimizer=own["optimizer"])

    def predict(self, X: Array, return_std: bool = False, return_cov: bool = False) -> Any:
        """Return mean and deviation at `(points, dimensions)`; all else is left to the library."""
        fitted = hasattr(self, "X_train_")
        if not return_std or not fitted:
            return super().predict(X, return_std=return_std, return_cov=return_cov)

        covariance = self.kernel_(X, self.X_train_)
        explained, _ = lapack.dtrtrs(self.L_, covariance.T, lower=1)
        prior = self.kernel_.diag(X)
        variance = np.maximum(prior - np.einsum("ij,ij->j", explained, explained), 0.0)

        target_mean, target_std = target_scale(self)
        mean = target_std * (covariance @ self.alpha_) + target_mean
        return mean, np.sqrt(variance) * target_std


def _key(values: Values) -> str:
    return repr(sorted(values.items()))
