"""What we use of Optuna's samplers and studies that it does not promise to keep.

Checked with Optuna 5.0.0; `tests/engines/memory/test_optuna_internals.py` fails in words where
Optuna drops one.

    LazyRandomState                  holds a sampler's random state, and those of samplers in it
    Study._storage, Study._study_id  the attributes that samplers keep with a study
    FrozenTrial._trial_id            needed to go on with an open trial
    RandomState._bit_generator       NumPy's: where the state lies in memory
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
from optuna.samplers._lazy_random_state import LazyRandomState

CHECKED_WITH = "5.0.0"


def random_states(sampler: optuna.samplers.BaseSampler) -> list[np.random.RandomState]:
    """Return the random states of a sampler and of what it consists of, each once, in order."""
    states: list[np.random.RandomState] = []
    seen: set[int] = set()
    to_look_at: list[Any] = [sampler]
    while to_look_at:
        part = to_look_at.pop(0)
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, LazyRandomState):
            states.append(part.rng)
        elif type(part).__module__.startswith("optuna.samplers"):
            to_look_at += getattr(part, "__dict__", {}).values()
    return states


_STATE_BYTES = 624 * 4 + 4
"""Of a Mersenne twister: its table, then the place in it."""


class RawState:
    """The memory of a random state, looked at in 1 µs: `get_state` takes 50.

    Args:
        random: The state, which must live as long as this.
    """

    def __init__(self, random: np.random.RandomState) -> None:
        self._random = random
        self._address: int = random._bit_generator.ctypes.state_address

    def read(self) -> bytes:
        """Return bytes that are other ones after each draw of a number."""
        return ctypes.string_at(self._address, _STATE_BYTES)


def study_attributes(study: optuna.Study) -> Mapping[str, Any]:
    """Return what samplers have noted with a study: not a copy."""
    attributes: Mapping[str, Any] = study._storage.get_study_system_attrs(study._study_id)
    return attributes


def set_study_attribute(study: optuna.Study, name: str, value: Any) -> None:
    """Note something with a study, as samplers do."""
    study._storage.set_study_system_attr(study._study_id, name, value)


def open_trial(study: optuna.Study, number: int) -> optuna.Trial:
    """Return a trial of a study to go on with."""
    return optuna.Trial(study, study.get_trials(deepcopy=False)[number]._trial_id)
