"""The range test inside a `model.fit`."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from tuning.errors import StudyError
from tuning.lr_range import callback as lr_callback
from tuning.lr_range.callback import LRRangeTest
from tuning.lr_range.sweep import lr_range_test

X = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")
Y = X.sum(axis=1)


@pytest.fixture
def model():
    keras.utils.set_random_seed(1)
    net = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(4, activation="tanh"), keras.layers.Dense(1)]
    )
    net.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae"])
    net.train_on_batch(X, Y)
    return net


def state(model: keras.Model) -> list[bytes]:
    return [v.numpy().tobytes() for v in (*model.trainable_variables, *model.optimizer.variables)]


def test_fit_with_the_callback_tests_and_trains_nothing(model):
    before = state(model)
    test = LRRangeTest(steps=40, seeds=2)
    model.fit(X, Y, batch_size=8, epochs=50, callbacks=[test], verbose=0)
    assert state(model) == before
    assert (test.result.batch_size, test.result.seeds, test.result.steps) == (8, 2, 40)
    assert test.result.suggestions.keys() == {"steepest", "valley", "min_over_10", "largest_stable"}


def test_with_all_rows_in_a_batch_it_finds_what_lr_range_test_finds(model):
    test = LRRangeTest(steps=40)
    model.fit(X, Y, batch_size=40, shuffle=False, callbacks=[test], verbose=0)
    direct = lr_range_test(model, X, Y, batch_size=40, steps=40)
    assert test.result.suggestions == pytest.approx(direct.suggestions)


def test_the_next_fit_without_it_trains(model):
    model.fit(X, Y, callbacks=[LRRangeTest(steps=20)], verbose=0)
    before = state(model)
    model.fit(X, Y, verbose=0)
    assert state(model) != before


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_inside_leaves_the_model_as_it_was_and_trainable(model, monkeypatch, error):
    def broken(*_):
        raise error

    before = state(model)
    with monkeypatch.context() as patched:
        patched.setattr(lr_callback, "measure_copies", broken)
        with pytest.raises(error):
            model.fit(X, Y, callbacks=[LRRangeTest(steps=20)], verbose=0)
    assert state(model) == before
    model.fit(X, Y, verbose=0)
    assert state(model) != before


class BrokenOff(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        raise KeyboardInterrupt


def test_ctrl_c_between_two_steps_leaves_a_model_that_trains(model):
    before = state(model)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, batch_size=8, callbacks=[LRRangeTest(steps=20), BrokenOff()], verbose=0)
    assert state(model) == before
    model.fit(X, Y, verbose=0)
    assert state(model) != before


def test_of_large_data_the_first_batches_are_used(model, monkeypatch):
    monkeypatch.setattr(lr_callback, "MOST_BYTES", 300)
    test = LRRangeTest(steps=20)
    row_counts = []
    monkeypatch.setattr(
        lr_callback, "measure_copies", lambda _, data, sweep: row_counts.append(len(data[0]))
    )
    model.fit(X, Y, batch_size=8, callbacks=[test], verbose=0)
    assert row_counts[0] == 24


def test_sample_weights_count(model):
    test = LRRangeTest(steps=20)
    model.fit(X, Y, sample_weight=np.zeros(40), batch_size=40, callbacks=[test], verbose=0)
    assert test.result.losses.max() == 0.0


def test_an_averaging_optimizer_is_refused(model):
    model.compile(keras.optimizers.Adam(0.01, use_ema=True), "mse")
    with pytest.raises(StudyError, match="use_ema=True changes the weights when fit ends"):
        model.fit(X, Y, callbacks=[LRRangeTest()], verbose=0)


def test_wrong_settings_are_refused_at_once():
    with pytest.raises(StudyError, match="steps must be"):
        LRRangeTest(steps=1)
