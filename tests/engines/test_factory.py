"""Which engine a study gets. KerasTuner's import TensorFlow and are made in
test_keras_tuner_engine.py.
"""

from __future__ import annotations

import pytest

from tests.engines.contract import FLAT, make_study
from tuning.engines.factory import make_engine
from tuning.engines.optuna import OptunaEngine
from tuning.study.names import OPTUNA_ENGINES


def _no_parts():
    raise AssertionError("only scikit-learn's engines look at the data")


@pytest.mark.parametrize("name", [name for name in OPTUNA_ENGINES if name != "optuna:gp"])
def test_optunas_names_give_its_engine_without_a_look_at_the_data(name):
    assert isinstance(make_engine(make_study(name, FLAT), _no_parts), OptunaEngine)
