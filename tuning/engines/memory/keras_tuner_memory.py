"""`OracleMemory`: a KerasTuner oracle's trials and randomness as entries, and back.

Importing this module imports TensorFlow.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import Any, NamedTuple

import keras_tuner
from keras_tuner.engine.trial import Trial

from tuning.engines.memory.keras_tuner_internals import (
    add_trial,
    recorded_hash,
    search_state,
    set_search_state,
)
from tuning.engines.memory.memory import Entries

_TRIAL = "trial "
_STATE = "state"
_ONGOING = "ongoing"
_FITTED = "fitted"


class KnownTrial(NamedTuple):
    """What an oracle knows of a trial.

    Attributes:
        trial_id: The oracle's.
        number: Ours.
        recorded: See `recorded_hash`.
    """

    trial_id: str
    number: int
    values: Mapping[str, Any]
    status: str
    score: float | None
    best_step: int
    recorded: str | None


class OracleMemory:
    """Follows one oracle.

    Args:
        oracle: Any but the grid's, whose order of points is not in it.
    """

    def __init__(self, oracle: keras_tuner.Oracle) -> None:
        self._oracle = oracle
        self._touched: dict[str, int] = {}
        self._state = b""
        self._fit: object = None

    def touch(self, trial: Trial, number: int) -> None:
        """Take it that a trial is new, or has changed."""
        self._touched[trial.trial_id] = number

    def changes(self) -> dict[str, bytes]:
        """Return the entries that have changed since the last call."""
        changed = {
            f"{_TRIAL}{number}": _dumped(tuple(self._known(trial_id, number)))
            for trial_id, number in self._touched.items()
        }
        self._touched = {}
        ongoing = {tuner: trial.trial_id for tuner, trial in self._oracle.ongoing_trials.items()}
        changed[_ONGOING] = _dumped(ongoing)

        state = _dumped(search_state(self._oracle))
        if state != self._state:
            self._state = state
            changed[_STATE] = state
        # What trials still running are taken to score is what the last fit says of them.
        regressor = getattr(self._oracle, "gpr", None)
        if regressor is not None and regressor.last_fit is not self._fit:
            self._fit = regressor.last_fit
            changed[_FITTED] = _dumped((*regressor.last_fit, regressor.kernel_))
        return changed

    def restore(self, entries: Entries) -> dict[int, KnownTrial]:
        """Fill a fresh oracle; return its trials by our numbers."""
        names = [name for name in entries if name.startswith(_TRIAL)]
        known = [KnownTrial(*_loaded(entries[name])) for name in names]
        known.sort(key=lambda each: each.number)
        for each in known:
            hyperparameters = self._oracle.hyperparameters.copy()
            hyperparameters.values = dict(each.values)
            trial = Trial(hyperparameters, each.trial_id, each.status)
            trial.score = each.score
            trial.best_step = each.best_step
            add_trial(self._oracle, trial, each.recorded)

        for tuner, trial_id in _loaded(entries[_ONGOING]).items():
            self._oracle.ongoing_trials[tuner] = self._oracle.trials[trial_id]
        if _FITTED in entries:
            self._oracle.gpr.fit_again(*_loaded(entries[_FITTED]))
        set_search_state(self._oracle, _loaded(entries[_STATE]))
        return {each.number: each for each in known}

    def _known(self, trial_id: str, number: int) -> KnownTrial:
        trial = self._oracle.trials[trial_id]
        return KnownTrial(
            trial_id=trial_id,
            number=number,
            values=dict(trial.hyperparameters.values),
            status=trial.status,
            score=trial.score,
            best_step=trial.best_step,
            recorded=recorded_hash(self._oracle, trial_id),
        )


def _dumped(value: Any) -> bytes:
    return pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)


def _loaded(entry: bytes) -> Any:
    return pickle.loads(entry)  # noqa: S301 - written above, and held by our own driver since
