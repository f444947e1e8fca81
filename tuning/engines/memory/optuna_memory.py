"""`OptunaMemory`: an Optuna study and its sampler's randomness as entries, and back.

Everything else that a sampler knows it works out from the study's trials.
"""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from tuning.engines.memory.memory import Entries
from tuning.engines.memory.optuna_internals import (
    RawState,
    random_states,
    set_study_attribute,
    study_attributes,
)

_DISTRIBUTIONS = "distributions"
_TRIAL = "trial "
_ATTRIBUTE = "attribute "
_RANDOM = "random "
_TABLE = "table "


class OptunaMemory:
    """Follows one study, in memory.

    Args:
        study: Any, with a sampler that keeps nothing but random states and what follows from its
            trials.
    """

    def __init__(self, study: optuna.Study) -> None:
        self._study = study
        self._random = random_states(study.sampler)
        self._n_trials = 0
        self._touched: set[int] = set()
        self._distributions: dict[str, BaseDistribution] = {}
        self._attributes: dict[str, Any] = {}
        self._raw = [RawState(random) for random in self._random]
        self._unmoved: dict[int, bytes] = {}
        self._tables: dict[int, bytes] = {}

    def touch(self, trial: optuna.Trial) -> None:
        """Take it that a trial has changed; new ones need no word."""
        self._touched.add(trial.number)

    def changes(self) -> dict[str, bytes]:
        """Return the entries that have changed since the last call."""
        return {**self._changed_trials(), **self._changed_attributes(), **self._changed_random()}

    def restore(self, entries: Entries) -> None:
        """Fill an empty study; its sampler is as it was made. See `restore_random`."""
        known = entries.get(_DISTRIBUTIONS)
        distributions = {} if known is None else _loaded(known)
        numbers = sorted(int(name.removeprefix(_TRIAL)) for name in entries if _is_trial(name))
        for number in numbers:
            self._study.add_trial(_trial(_loaded(entries[f"{_TRIAL}{number}"]), distributions))
        for name, entry in entries.items():
            if name.startswith(_ATTRIBUTE):
                set_study_attribute(self._study, name.removeprefix(_ATTRIBUTE), _loaded(entry))

    def restore_random(self, entries: Entries) -> None:
        """Set the sampler's randomness; last, as whatever is done with a trial may draw."""
        for index, random in enumerate(self._random):
            position, has_gauss, gauss = _loaded(entries[f"{_RANDOM}{index}"])
            table = np.frombuffer(entries[f"{_TABLE}{index}"], np.uint32)
            random.set_state(("MT19937", table, position, has_gauss, gauss))

    def _changed_trials(self) -> dict[str, bytes]:
        trials = self._study.get_trials(deepcopy=False)
        numbers = self._touched.union(range(self._n_trials, len(trials)))
        self._n_trials = len(trials)
        self._touched = set()

        changed = {}
        n_distributions = len(self._distributions)
        for number in numbers:
            self._distributions.update(trials[number].distributions)
            changed[f"{_TRIAL}{number}"] = _dumped(_fields(trials[number]))
        # A name has one domain in a space, so its distribution is the same in every trial.
        if len(self._distributions) > n_distributions:
            changed[_DISTRIBUTIONS] = _dumped(self._distributions)
        return changed

    def _changed_attributes(self) -> dict[str, bytes]:
        changed = {}
        for name, value in study_attributes(self._study).items():
            # Samplers put new values in the place of old ones, and change none.
            if name not in self._attributes or self._attributes[name] is not value:
                self._attributes[name] = value
                changed[f"{_ATTRIBUTE}{name}"] = _dumped(value)
        return changed

    def _changed_random(self) -> dict[str, bytes]:
        """Return the place in each table of 624 numbers, and the tables that were made anew.

        Most calls draw nothing (a trial that is told, a point of the user's), and cost nothing.
        """
        changed = {}
        for index, random in enumerate(self._random):
            raw = self._raw[index].read()
            if self._unmoved.get(index) == raw:
                continue
            state: Any = random.get_state()
            _, numbers, position, has_gauss, gauss = state
            changed[f"{_RANDOM}{index}"] = _dumped((position, has_gauss, gauss))
            # A normal number that is kept for the next draw is drawn without any move.
            self._unmoved[index] = b"" if has_gauss else raw

            table = numbers.tobytes()
            if self._tables.get(index) != table:
                self._tables[index] = table
                changed[f"{_TABLE}{index}"] = table
        return changed


def _is_trial(name: str) -> bool:
    return name.startswith(_TRIAL)


def _fields(trial: FrozenTrial) -> tuple[Any, ...]:
    # Without the times: no sampler of ours looks at them.
    return (
        trial.state.value,
        trial.values,
        trial.params,
        trial.user_attrs,
        trial.system_attrs,
        trial.intermediate_values,
    )


def _trial(fields: tuple[Any, ...], distributions: dict[str, BaseDistribution]) -> FrozenTrial:
    state, values, params, user_attrs, system_attrs, intermediate_values = fields
    return optuna.trial.create_trial(
        state=TrialState(state),
        values=values,
        params=params,
        distributions={name: distributions[name] for name in params},
        user_attrs=user_attrs,
        system_attrs=system_attrs,
        intermediate_values=intermediate_values,
    )


def _dumped(value: Any) -> bytes:
    return pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)


def _loaded(entry: bytes) -> Any:
    return pickle.loads(entry)  # noqa: S301 - written above, and held by our own driver since
