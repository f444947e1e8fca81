"""The private names of KerasTuner that our engines reach into, each behind a public name of ours.

Checked with KerasTuner 1.4.8; a test names each and fails in words when the library drops it.
Importing this module imports TensorFlow.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import keras_tuner
from keras_tuner.src.engine.conditions import Parent
from sklearn.gaussian_process import GaussianProcessRegressor

CHECKED_WITH = "1.4.8"

Condition = Parent
"""`Condition(name, values)`: a hyperparameter exists where another has one of these values.

KerasTuner's public way is `conditional_scope`, which does not find a parent that has conditions of
its own.
"""

Values: TypeAlias = Mapping[str, Any]
"""What an oracle calls the values of a trial: of every hyperparameter by its name."""

Response: TypeAlias = dict[str, Any]
"""What an oracle answers to an ask: "status", and where that is RUNNING "values"."""

Bracket: TypeAlias = Mapping[str, Any]
"""One of Hyperband's, as its oracle keeps it: "bracket_num", and "rounds" of trials."""


def draws_made(oracle: keras_tuner.Oracle) -> int:
    """Return an oracle's `_seed_state`: the seed, and one more after each draw."""
    return int(oracle._seed_state)


def take_back_draws(oracle: keras_tuner.Oracle, state: int) -> None:
    """Set the state of an oracle's randomness back to what `draws_made` returned."""
    oracle._seed_state = state


def mark_as_tried(oracle: keras_tuner.Oracle, values: Values) -> None:
    """Have an oracle never propose these values again (`_tried_so_far`, `_compute_values_hash`)."""
    oracle._tried_so_far.add(oracle._compute_values_hash(values))


class WithoutFiles:
    """Mixed into an oracle: its state is in memory only, and replayed after a crash."""

    def save(self) -> None:
        """Write nothing."""

    def _save_trial(self, trial: Any) -> None:
        pass


class HyperbandBrackets(WithoutFiles, keras_tuner.oracles.HyperbandOracle):  # type: ignore[misc]
    """Hyperband's oracle with its plan of brackets, rungs and epochs."""

    def rung_size(self, bracket: int, rung: int) -> int:
        """Return how many trials a rung of a bracket has (`_get_size`)."""
        return int(self._get_size(bracket, rung))

    def rung_epochs(self, bracket: int, rung: int) -> int:
        """Return the epoch up to which a rung trains (`_get_epochs`)."""
        return int(self._get_epochs(bracket, rung))

    def rung_sizes(self) -> list[list[int]]:
        """Return the sizes of all rungs, by bracket (`_get_num_brackets`)."""
        return [
            [self.rung_size(bracket, rung) for rung in range(bracket + 1)]
            for bracket in range(self._get_num_brackets())
        ]

    def open_brackets(self) -> list[Bracket]:
        """Return the brackets whose last rung is not full.

        By `_remove_completed_brackets` and `_brackets`. Each has "bracket_num" and "rounds"; a
        round lists its trials as `{"past_id": the trial continued, "id": the trial}`.
        """
        self._remove_completed_brackets()
        brackets: list[Bracket] = self._brackets
        return brackets


class BayesianWithRegressor(
    WithoutFiles,
    keras_tuner.oracles.BayesianOptimizationOracle,  # type: ignore[misc]
):
    """The oracle with a Gaussian process of our own."""

    def make_regressor(self, **settings: Any) -> GaussianProcessRegressor:
        """Return a Gaussian process with the settings of the oracle's."""
        return GaussianProcessRegressor(**settings)

    def _make_gpr(self) -> GaussianProcessRegressor:
        return self.make_regressor(**super()._make_gpr().get_params(deep=False))


class GridInAnyOrder(WithoutFiles, keras_tuner.oracles.GridSearchOracle):  # type: ignore[misc]
    """The grid's oracle, which leaves points out and has any number of trials in flight."""

    def keeps(self, values: Values) -> bool:
        """Whether a point is wanted."""
        return True

    def populate_space(self, trial_id: str) -> Response:
        """As the oracle does, for any number of trials at once (`_populate_next`).

        The oracle waits for a trial's end before it makes the next, in case the trial brings new
        parameters, and so keeps at most two in flight. Ours are all known up front.
        """
        response: Response = super().populate_space(trial_id)
        if response["status"] == "RUNNING":
            self._populate_next.append(trial_id)
        return response

    def _get_next_combination(self, values: Values) -> Values | None:
        following: Values | None = super()._get_next_combination(values)
        while following is not None and not self.keeps(following):
            following = super()._get_next_combination(following)
        return following
