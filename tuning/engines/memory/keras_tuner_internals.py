"""What we use of KerasTuner's oracles that it does not promise to keep.

Checked with KerasTuner 1.4.8; `tests/engines/memory/test_keras_tuner_memory.py` fails where one is
dropped. Importing this module imports TensorFlow.

    Oracle._seed_state, BayesianOptimizationOracle._random_state     randomness
    HyperbandOracle._brackets, _current_bracket, _current_iteration  its plan, as far as it has come
    Oracle._tried_so_far, _id_to_hash, _compute_values_hash          which values were tried
    Oracle._run_times                                                how often a trial was run
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras_tuner
from keras_tuner.engine.trial import Trial

CHECKED_WITH = "1.4.8"

_SEARCH_STATE = (
    "_seed_state",
    "_random_state",
    "_brackets",
    "_current_bracket",
    "_current_iteration",
)
"""What oracles know besides their trials: of all, of the Gaussian process, of Hyperband."""


def search_state(oracle: keras_tuner.Oracle) -> dict[str, Any]:
    """Return what an oracle knows besides its trials, by name: not copies."""
    return {name: getattr(oracle, name) for name in _SEARCH_STATE if hasattr(oracle, name)}


def set_search_state(oracle: keras_tuner.Oracle, state: Mapping[str, Any]) -> None:
    """Have an oracle know what `search_state` has returned of another."""
    for name, value in state.items():
        setattr(oracle, name, value)


def recorded_hash(oracle: keras_tuner.Oracle, trial_id: str) -> str | None:
    """Return by what an oracle tells whether a trial's values were tried (`_id_to_hash`)."""
    known: str | None = oracle._id_to_hash[trial_id]
    return known


def add_trial(oracle: keras_tuner.Oracle, trial: Trial, recorded: str | None) -> None:
    """Give an oracle the next trial of another one, with what `recorded_hash` has returned."""
    trial_id = trial.trial_id
    oracle.trials[trial_id] = trial
    oracle.start_order.append(trial_id)
    if trial.status != "RUNNING":
        oracle.end_order.append(trial_id)
        oracle._run_times[trial_id] = 1
    oracle._id_to_hash[trial_id] = recorded
    if recorded is not None:
        oracle._tried_so_far.add(recorded)
    # Another one where the values were changed while it ran.
    oracle._tried_so_far.add(oracle._compute_values_hash(trial.hyperparameters.values))
