"""The private methods and attributes of SciKeras that the estimators replace, call or read.

Checked with SciKeras 0.13, to which `pyproject.toml` bounds it.
"""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from scikeras import wrappers
from scikeras.utils.transformers import ClassifierLabelEncoder

from tuning.estimators.wrappers import KerasClassifier, KerasRegressor

REPLACED = (
    "_build_keras_model",
    "_fit",
    "_get_param_names",
    "_initialize",
    "_predict_raw",
    "_validate_data",
    "target_encoder",
)
CALLED = (
    "_get_compile_kwargs",
    "_get_metadata",
    "_initialize_callbacks",
    "_routing_prefixes",
    "_type_of_target",
    "_validate_sample_weight",
    "initialized_",
)


@pytest.mark.parametrize("name", REPLACED)
def test_what_the_estimators_replace_is_there_to_be_replaced(name):
    assert hasattr(wrappers.BaseWrapper, name)
    for kind in (KerasClassifier, KerasRegressor):
        owner = next(base for base in kind.__mro__ if name in vars(base))
        # The regressor keeps SciKeras' encoder.
        inherited = kind is KerasRegressor and name == "target_encoder"
        assert owner.__module__.startswith("tuning.") != inherited


@pytest.mark.parametrize("name", CALLED)
def test_what_the_estimators_call_is_there(name):
    assert hasattr(wrappers.BaseWrapper, name)


def test_callbacks_are_initialized_where_the_trainer_takes_them():
    estimator = wrappers.KerasRegressor(lambda: None)
    estimator._initialize_callbacks()
    assert estimator._fit_callbacks == []


def test_the_fit_that_is_replaced_is_called_with_these_names():
    names = set(inspect.signature(wrappers.BaseWrapper._fit).parameters)
    expected = {"X", "y", "sample_weight", "warm_start", "epochs", "initial_epoch"}
    assert expected <= names


def test_the_encoder_of_labels_remembers_the_target_it_was_fitted_to():
    encoder = ClassifierLabelEncoder().fit(np.array([[0], [1], [0]]))
    assert encoder._target_type == "binary"
    assert tuple(encoder._y_shape) == (3, 1)
