"""What is counted and measured of a built model."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from tuning.builders.figures import figures_of, latency_ms
from tuning.space.constraints import MODEL_FIGURES


def net(width: int) -> keras.Model:
    inputs = keras.Input((3,))
    hidden = keras.layers.BatchNormalization()(keras.layers.Dense(width)(inputs))
    return keras.Model(inputs, keras.layers.Dense(1)(hidden))


def test_parameters_are_all_numbers_in_the_weights_four_bytes_each():
    model = net(4)
    n_numbers = sum(int(np.prod(weight.shape)) for weight in model.weights)
    figures = figures_of(model, frozenset({"n_parameters", "size_kb"}))
    assert figures == {"n_parameters": n_numbers, "size_kb": n_numbers * 4 / 1000}


def test_the_size_is_that_of_the_saved_weights(tmp_path):
    model = net(400)
    model.save_weights(tmp_path / "w.weights.h5")
    on_disk = (tmp_path / "w.weights.h5").stat().st_size / 1000
    size = figures_of(model, frozenset({"size_kb"}))["size_kb"]
    overhead = on_disk - size  # HDF5's own, some kilobytes a layer
    assert 0 < overhead < 60


def test_every_figure_that_a_study_may_name_is_given():
    row = np.zeros((1, 3), np.float32)
    assert figures_of(net(2), frozenset(MODEL_FIGURES), row).keys() == MODEL_FIGURES.keys()


def test_a_model_of_several_inputs_and_outputs_is_timed():
    one, two = keras.Input((2,), name="one"), keras.Input((3,), name="two")
    joined = keras.layers.Concatenate()([one, two])
    heads = {"a": keras.layers.Dense(1)(joined), "b": keras.layers.Dense(2)(joined)}
    model = keras.Model({"one": one, "two": two}, heads)
    row = {"one": np.zeros((1, 2), np.float32), "two": np.zeros((1, 3), np.float32)}
    assert latency_ms(model, row) > 0


@pytest.mark.slow
def test_a_model_of_a_thousand_times_the_work_takes_longer():
    small, large = (
        keras.Sequential([keras.Input((3,)), *[keras.layers.Dense(n) for _ in range(8)]])
        for n in (4, 3000)
    )
    row = np.zeros((1, 3), np.float32)
    assert latency_ms(large, row) > 2 * latency_ms(small, row)
