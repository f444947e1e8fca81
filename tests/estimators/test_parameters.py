"""Which parameters an estimator has by its builder's signature."""

from __future__ import annotations

import functools

import keras
import numpy as np

from tuning import KerasRegressor
from tuning.estimators.parameters import Unset, builder_defaults, own_defaults, routed_to, takes_any


def build(n_hidden, /, n_neurons, lr=0.1, *, input_shape=(3,), meta=None, **rest):
    pass


def test_a_builders_arguments_by_name_are_parameters_and_those_of_the_data_are_open():
    assert builder_defaults(build) == {
        "n_neurons": Unset.REQUIRED,
        "lr": 0.1,
        "input_shape": None,  # taken from the data, whatever its default
    }


def test_a_partial_builder_has_the_defaults_that_it_was_given():
    assert builder_defaults(functools.partial(build, 1, n_neurons=7))["n_neurons"] == 7


def test_what_is_no_function_has_no_arguments():
    assert builder_defaults(None) == {}
    assert builder_defaults(object()) == {}


def test_nothing_is_refused_of_a_builder_with_any_arguments_or_that_is_not_known_yet():
    assert takes_any(build)
    assert takes_any(None)
    assert not takes_any(lambda lr: None)


def test_the_nearest_class_decides_on_a_default():
    class Base:
        def __init__(self, epochs=1, verbose=0):
            pass

    class Nearer(Base):
        def __init__(self, epochs=30):
            pass

    assert own_defaults(Nearer) == {"epochs": 30, "verbose": 0}


def test_routes_lead_to_one_destination_and_not_deeper():
    params = {"model__lr": 1, "fit__lr": 2, "model__a__b": 3, "model__": 4, "lr": 5}
    assert routed_to("model", params) == {"lr": 1}


def test_numbers_of_numpys_reach_the_builder_as_pythons():
    kinds = []

    def build(n_hidden: int = 1, lr: float = 0.1):
        kinds.append((type(n_hidden), type(lr)))
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        return model

    estimator = KerasRegressor(build, n_hidden=np.int64(2), lr=np.float64(0.2), epochs=1)
    estimator.fit(np.zeros((8, 2)), np.arange(8.0))
    assert set(kinds) == {(int, float)}
