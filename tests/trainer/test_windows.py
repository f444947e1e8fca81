"""Windows gathered in the graph train as the windows written out do."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from tuning.data.kinds.window_array import WindowArray
from tuning.trainer.forward import predict
from tuning.trainer.rows import Rows
from tuning.trainer.train import Fit
from tuning.trainer.windows import WindowTensor, batches, gathered

RNG = np.random.default_rng(3)
SERIES = RNG.normal(size=(90, 2)).astype("float32")
STARTS = np.arange(70)
WINDOWS = WindowArray(SERIES, STARTS, 6)
UNROLLED = np.asarray(WINDOWS)
Y = (SERIES[STARTS + 6, 0] + 0.5).astype("float32")


def network(kind):
    keras.utils.set_random_seed(1)
    layer = {
        "lstm": lambda: keras.layers.LSTM(4),
        "dense": lambda: keras.layers.Flatten(),
    }[kind]()
    model = keras.Sequential([keras.Input((6, 2)), layer, keras.layers.Dense(1)])
    model.compile("adam", "mse", metrics=["mae"])
    return model


def trained(kind, X, **settings):
    model = network(kind)
    fit = Fit(
        model,
        Rows(X[:60], Y[:60]),
        validation=Rows(X[60:], Y[60:]),
        epochs_total=3,
        batch_size=16,
        seed=5,
        **settings,
    )
    for _ in fit.epochs():
        pass
    return fit


@pytest.mark.parametrize("kind", ["lstm", "dense"])
def test_windows_train_as_the_windows_written_out(kind, monkeypatch):
    monkeypatch.setattr("tuning.trainer.native_steps.MAX_PARAMETERS", 0)
    ours = trained(kind, WINDOWS, trainer="compiled")
    theirs = trained(kind, UNROLLED, trainer="compiled")
    for name, values in theirs.history.items():
        np.testing.assert_allclose(ours.history[name], values, rtol=1e-6)
    for mine, other in zip(ours.model.get_weights(), theirs.model.get_weights(), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-6, atol=1e-7)


def test_windows_by_xla_equal_those_of_the_plain_graph(monkeypatch):
    plain = trained("dense", WINDOWS, trainer="compiled")
    monkeypatch.setattr("tuning.trainer.compiled.XLA_MIN_STEPS", 1)
    by_xla = trained("dense", WINDOWS, trainer="compiled")
    assert not by_xla.notes
    np.testing.assert_allclose(by_xla.history["loss"], plain.history["loss"], rtol=1e-5)


def test_fit_is_given_the_same_windows_in_the_order_of_the_rows():
    ours = trained("dense", WINDOWS, trainer="fit", shuffle=False)
    theirs = trained("dense", UNROLLED, trainer="fit", shuffle=False)
    for name, values in theirs.history.items():
        np.testing.assert_allclose(ours.history[name], values, rtol=1e-5)


def test_fit_sees_every_window_once_an_epoch_in_a_new_order():
    rows = Rows(WINDOWS, Y).tensors()
    dataset = batches(rows, 16, seed=4)
    orders = [np.concatenate([y.numpy() for _, y in dataset]) for _ in range(2)]
    assert not np.array_equal(*orders)
    np.testing.assert_array_equal(np.sort(orders[0]), np.sort(Y))
    again = np.concatenate([y.numpy() for _, y in batches(rows, 16, seed=4)])
    np.testing.assert_array_equal(again, orders[0])


def test_predictions_are_those_of_the_windows_written_out():
    model = network("lstm")
    np.testing.assert_array_equal(predict(model, WINDOWS), predict(model, UNROLLED))


def test_the_series_is_on_the_device_once_for_all_parts():
    train = Rows(WINDOWS[:60], Y[:60]).tensors()[0]
    validation = Rows(WINDOWS[60:], Y[60:]).tensors()[0]
    assert train.series is validation.series


def test_batches_of_numbers_wait_until_a_batch_is_asked_for():
    windows = Rows(WINDOWS, Y).tensors()[0]
    waiting = gathered(windows, tf.constant([[3, 1], [5, 9]]))
    assert isinstance(waiting, WindowTensor)
    np.testing.assert_array_equal(waiting[1], UNROLLED[[5, 9]])
