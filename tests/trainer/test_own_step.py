"""Models with a `train_step` or `test_step` of their own, within the compiled epoch."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from tuning.trainer import compiled
from tuning.trainer.train import Fit, Rows, train

RNG = np.random.default_rng(5)
X = RNG.normal(size=(40, 4)).astype("float32")
Y = X[:, :1] - X[:, 1:2]


class Clipped(keras.Model):
    """Clips gradients by hand and counts a metric of its own."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1)
        self.error = keras.metrics.MeanAbsoluteError(name="error")
        self.mean_loss = keras.metrics.Mean(name="loss")

    @property
    def metrics(self):
        return [self.mean_loss, self.error]

    def call(self, x):
        return self.dense(x)

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            predicted = self(x, training=True)
            loss = self.compute_loss(x=x, y=y, y_pred=predicted)
        gradients = tape.gradient(loss, self.trainable_variables)
        clipped = [tf.clip_by_norm(gradient, 0.1) for gradient in gradients]
        self.optimizer.apply_gradients(zip(clipped, self.trainable_variables, strict=True))
        self.mean_loss.update_state(loss)
        self.error.update_state(y, predicted)
        return {metric.name: metric.result() for metric in self.metrics}


class OfItsOwn(Clipped):
    """Returns other numbers than its metrics, nested ones too, and scores in its own way."""

    def train_step(self, data):
        super().train_step(data)
        return {"sum": tf.reduce_sum(data[0]), "more": {"first": data[0][0, 0]}}

    def test_step(self, data):
        x, y = data
        return {"gap": tf.reduce_mean(self(x) - y)}


class WithoutTargets(Clipped):
    """Takes X alone, as `fit` gives it: no tuple."""

    def train_step(self, x):
        assert not isinstance(x, tuple)
        return super().train_step((x, x[:, :1]))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return tf.reduce_mean((y - y_pred) ** 2)


class CountsInPython(Clipped):
    """Cannot be traced within a loop: it needs the number of rows in Python."""

    def train_step(self, data):
        if data[0].shape[0] is None and tf.inside_function() and not self.run_eagerly:
            range(data[0].shape[0])
        return super().train_step(data)


def made(kind):
    keras.utils.set_random_seed(2)
    model = kind()
    model.compile(keras.optimizers.SGD(0.1), "mse")
    return model


@pytest.mark.parametrize("xla", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize("kind", [Clipped, OfItsOwn])
def test_a_models_own_steps_count_as_in_fit(kind, xla, monkeypatch):
    monkeypatch.setattr(compiled, "XLA_MIN_STEPS", 0 if xla else 10**9)
    settings = {
        "epochs": 2,
        "batch_size": 16,
        "shuffle": False,
        "validation_data": (X[:23], Y[:23]),
    }
    theirs, ours = made(kind), made(kind)
    theirs.run_eagerly = True  # the same sums, without the seconds of a trace
    expected = theirs.fit(X, Y, verbose=0, **settings).history
    history = train(ours, X, Y, trainer="compiled", **settings)
    assert list(history) == list(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(history[name], values, rtol=1e-5, atol=1e-6, err_msg=name)
    np.testing.assert_allclose(ours.get_weights()[0], theirs.get_weights()[0], rtol=1e-5)


def test_a_step_that_takes_no_targets_is_given_x_alone():
    with_targets, without = made(Clipped), made(WithoutTargets)
    without.compile(keras.optimizers.SGD(0.1))
    settings = {"epochs": 2, "shuffle": False, "trainer": "compiled"}
    assert train(without, X, **settings) == train(with_targets, X, X[:, :1], **settings)


def test_a_step_that_cannot_be_part_of_a_graph_goes_to_fit_and_says_why():
    fit = Fit(made(CountsInPython), Rows(X, Y), batch_size=20)
    assert list(fit.epochs()) == [1]
    (note,) = fit.notes
    assert note.startswith(
        "trained by model.fit: the own step of CountsInPython cannot be part of a compiled epoch: "
        "TypeError"
    )


class Takes(keras.callbacks.Callback):
    def take_predictions(self, predicted):
        self.predicted = predicted


def test_a_model_with_its_own_test_step_still_predicts_for_who_asks():
    model, takes = made(OfItsOwn), Takes()
    train(model, X, Y, validation_data=(X[:23], Y[:23]), callbacks=[takes])
    np.testing.assert_allclose(takes.predicted, model.predict(X[:23], verbose=0), rtol=1e-5)
