"""The private names of Optuna that our engines' memory reaches into."""

from __future__ import annotations

import numpy as np
import optuna
import pytest

from tuning.engines.memory.optuna_internals import (
    CHECKED_WITH,
    RawState,
    open_trial,
    random_states,
    set_study_attribute,
    study_attributes,
)

HINT = f"Optuna {optuna.__version__} has changed what we use since {CHECKED_WITH}"
SAMPLERS = {
    "random": (optuna.samplers.RandomSampler(seed=0), 1),
    "tpe": (optuna.samplers.TPESampler(seed=0), 2),
    "qmc": (optuna.samplers.QMCSampler(seed=0), 1),
    "nsga2": (optuna.samplers.NSGAIISampler(seed=0), 2),
    "cmaes": (optuna.samplers.CmaEsSampler(seed=0), 2),
}


@pytest.mark.parametrize("kind", SAMPLERS)
def test_all_random_states_of_a_sampler_are_known(kind):
    sampler, count = SAMPLERS[kind]
    assert len(random_states(sampler)) == count, HINT


def test_what_samplers_note_with_a_study_is_read_and_written():
    study = optuna.create_study()
    set_study_attribute(study, "sobol", 3)
    assert study_attributes(study) == {"sobol": 3}, HINT


def test_an_open_trial_is_gone_on_with():
    study = optuna.create_study()
    study.ask()
    trial = open_trial(study, 0)
    study.tell(trial, 1.0)
    assert study.trials[0].value == 1.0, HINT


def test_the_memory_of_a_random_state_changes_with_each_draw_and_with_none_else():
    random = np.random.RandomState(7)
    raw = RawState(random)
    seen = [raw.read()]
    for _ in range(700):
        random.random_sample()
        seen.append(raw.read())
    assert len(set(seen)) == 701
    assert raw.read() == seen[-1]
    # 624 numbers further the place is the same one, in another table.
    place = random.get_state()[2]
    random.bytes(624 * 4)
    assert random.get_state()[2] == place
    assert raw.read() != seen[-1]
