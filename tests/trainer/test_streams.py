"""A stream trains by whole passes in one graph as `model.fit` trains on the same `tf.data`."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from tuning.data.kinds.stream import Stream
from tuning.data.parts import split
from tuning.errors import StudyError
from tuning.trainer import streams
from tuning.trainer.forward import predict
from tuning.trainer.rows import Rows
from tuning.trainer.train import Fit

RNG = np.random.default_rng(0)
X = RNG.normal(size=(100, 3)).astype("float32")
Y = (X[:, 0] + 0.1 * RNG.normal(size=100) > 0).astype("int64")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNING_HOME", str(tmp_path))


# Soft labels: `fit` rounds them where it looks up the weight of a class.
SOFT = np.where(Y == 1, 0.9, 0.1).astype("float32")


def making(first, last, *, shuffles=False, y=Y):
    def make(batch_size, seed):
        rows = tf.data.Dataset.from_tensor_slices((X[first:last], y[first:last]))
        if shuffles:
            rows = rows.shuffle(last - first, seed=seed)
        return rows.batch(batch_size)

    return make


# `fit` opens an iterator more than it trains on, so later epochs of a random order would differ.
IN_ORDER = making(0, 60)
TRAIN = making(0, 60, shuffles=True)
VALIDATION = making(60, 80)


def parts_of(train=TRAIN, validation=VALIDATION):
    return split(Stream(train, validation, making(80, 100)), seed=0)


def network():
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(5, "tanh"),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(1, "sigmoid"),
        ]
    )
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return model


def by_hand():
    """The same network for `model.fit` of Keras, without the seconds of a trace."""
    model = network()
    model.run_eagerly = True
    return model


class Predictions(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.last = None

    def take_predictions(self, predicted):
        self.last = predicted


def trained(parts, **settings):
    train, validation = (Rows(part.X, part.y) for part in (parts.train, parts.validation))
    settings = {"epochs_total": 3, "batch_size": 16, "seed": 5} | settings
    fit = Fit(settings.pop("model", None) or network(), train, validation=validation, **settings)
    for _ in fit.epochs():
        pass
    return fit


def assert_equal(fit, model, history):
    for name, values in history.items():
        np.testing.assert_allclose(fit.history[name], values, rtol=1e-5)
    for ours, theirs in zip(fit.model.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("trainer", ["compiled", "fit"])
def test_a_stream_trains_as_fit_does_on_the_same_batches(trainer):
    fit = trained(parts_of(train=IN_ORDER), trainer=trainer)
    plain = by_hand()
    history = plain.fit(
        IN_ORDER(16, 5), validation_data=VALIDATION(16, 5), epochs=3, shuffle=False, verbose=0
    )
    assert_equal(fit, plain, history.history)


def test_class_weights_are_those_of_fit():
    weights = {0: 1.0, 1: 3.0}
    soft = making(0, 60, y=SOFT)
    parts = split(Stream(soft, making(60, 80, y=SOFT), soft, task="regression"), seed=0)
    fit = trained(parts, trainer="compiled", class_weight=weights)
    plain = by_hand()
    history = plain.fit(
        soft(16, 5),
        validation_data=making(60, 80, y=SOFT)(16, 5),
        epochs=3,
        shuffle=False,
        class_weight=weights,
        verbose=0,
    )
    assert_equal(fit, plain, history.history)


def test_a_label_between_two_classes_is_weighted_as_the_nearer_one():
    labels = tf.constant([0.4, 0.6, 1.9])
    *_, weights = streams._weighted((tf.zeros((3, 1)), labels), {0: 2.0, 1: 3.0, 2: 5.0})
    assert weights.numpy().tolist() == [2.0, 3.0, 5.0]


def test_a_generator_of_numpy_batches_trains_as_the_batches_written_out():
    def generate(batch_size):
        for start in range(0, 60, batch_size):
            rows = slice(start, min(60, start + batch_size))
            yield X[rows], Y[rows]

    fit = trained(parts_of(train=generate), trainer="compiled")
    plain = by_hand()
    history = plain.fit(
        X[:60], Y[:60], validation_data=(X[60:80], Y[60:80]), batch_size=16, epochs=3, verbose=0,
        shuffle=False,
    )  # fmt: skip
    assert_equal(fit, plain, history.history)


def test_an_interrupted_fit_goes_on_as_if_nothing_had_been():
    whole = trained(parts_of(), trainer="compiled", epochs_total=4)
    model = network()
    trained(parts_of(), trainer="compiled", epochs_total=2, model=model)
    rest = trained(parts_of(), trainer="compiled", epochs_total=4, initial_epoch=2, model=model)
    np.testing.assert_array_equal(rest.history["loss"], whole.history["loss"][2:])


def test_a_second_model_of_equal_structure_traces_nothing_again():
    parts = parts_of()
    first = trained(parts, trainer="compiled")
    second = trained(parts, trainer="compiled")
    assert first.history == second.history


def test_predictions_are_those_of_the_rows():
    parts = parts_of()
    callback = Predictions()
    fit = trained(parts, trainer="compiled", callbacks=[callback])
    expected = fit.model.predict(X[60:80], verbose=0)
    np.testing.assert_allclose(callback.last, expected, rtol=1e-5)
    np.testing.assert_allclose(
        predict(fit.model, parts.test.X), fit.model.predict(X[80:], verbose=0), rtol=1e-5
    )


def test_targets_that_change_are_an_error_and_not_a_wrong_score():
    moved = {"first": 60}

    def make(batch_size):
        first = moved["first"]
        return making(first, first + 20)(batch_size, 0)

    parts = parts_of(validation=make)
    moved["first"] = 61
    with pytest.raises(StudyError, match="a stream gives other targets, or in another order"):
        trained(parts, trainer="compiled")
    with pytest.raises(StudyError, match="a stream gives other targets"):
        predict(network(), parts.validation.X)
