"""`predict` gives what `model.predict` gives, whichever way it goes."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from tuning.trainer import forward
from tuning.trainer.forward import predict

X = np.random.default_rng(0).normal(size=(70, 3)).astype("float32")


class Doubled(keras.layers.Layer):
    """A user's own layer that counts its calls."""

    calls = 0

    def call(self, x):
        type(self).calls += 1
        return 2 * x


def net(*layers):
    return keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(5, "relu"),
            *layers,
            keras.layers.Dense(2, "softmax"),
        ]
    )


PLAIN = (keras.layers.BatchNormalization, lambda: keras.layers.Dropout(0.5))


@pytest.mark.parametrize("rows", [1, 50, 70])
@pytest.mark.parametrize("layers", [PLAIN, (Doubled,)], ids=["plain", "own"])
def test_each_call_gives_what_the_model_predicts(rows, layers, monkeypatch):
    monkeypatch.setattr(forward, "CHUNK", 50)
    model = net(*(layer() for layer in layers))
    for _ in range(2):
        np.testing.assert_allclose(
            predict(model, X[:rows]), model.predict(X[:rows], verbose=0), rtol=1e-5
        )


def test_weights_that_have_changed_since_are_seen():
    model = net()
    before = [predict(model, X) for _ in range(2)][-1]
    model.set_weights([weight * 2 for weight in model.get_weights()])
    assert not np.allclose(predict(model, X), before)


def test_plain_layers_are_called_as_they_are_each_time_and_others_traced_once(monkeypatch):
    traced = []
    trace = forward._traced
    monkeypatch.setattr(forward, "_traced", lambda model: traced.append(model()) or trace(model))
    plain, own = net(), net(Doubled())
    first = predict(plain, X)
    for model in (plain, own, own):
        predict(model, X)
    assert traced == [own]
    np.testing.assert_array_equal(predict(plain, X), first)  # a trace would differ in the last bit


def test_an_own_layer_is_traced_once_however_many_rows_there_are(monkeypatch):
    monkeypatch.setattr(forward, "CHUNK", 20)
    model = net(Doubled())
    before = Doubled.calls
    for rows in (70, 33, 20):
        predict(model, X[:rows])
    assert Doubled.calls - before <= 2
