"""Checkpoints: plain arrays that put a training back where it was."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from tuning.simulation.simulator import CHECKPOINT_S
from tuning.trainer.train import train
from tuning.trials.checkpoint import KEEP_EVERY_S, load_checkpoint, save_checkpoint

RNG = np.random.default_rng(3)
X = RNG.normal(size=(40, 3)).astype("float32")
Y = X.sum(axis=1)


def net(width=4, seed=0):
    keras.utils.set_random_seed(seed)
    layers = [
        keras.Input((3,)),
        keras.layers.Dense(width),
        keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.3),
        keras.layers.Dense(1),
    ]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.Adam(0.01), "mse")
    return model


def test_training_goes_on_from_a_checkpoint_bit_for_bit(tmp_path):
    long = net()
    whole = train(long, X, Y, epochs=5)["loss"]

    short = net()
    train(short, X, Y, epochs=3)
    save_checkpoint(tmp_path / "end.npz", short, 3)

    again = net(seed=9)
    assert load_checkpoint(tmp_path / "end.npz", again) == 3
    assert train(again, X, Y, epochs=5, initial_epoch=3)["loss"] == whole[3:]
    for a, b in zip(again.get_weights(), long.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_checkpoint_holds_no_pickle(tmp_path):
    save_checkpoint(tmp_path / "end.npz", net(), 0)
    with np.load(tmp_path / "end.npz", allow_pickle=False) as stored:
        assert all(stored[name].dtype != object for name in stored.files)


def test_a_checkpoint_of_another_structure_is_refused_and_changes_nothing(tmp_path):
    trained = net(width=4)
    train(trained, X, Y)
    save_checkpoint(tmp_path / "end.npz", trained, 1)

    other = net(width=5)
    before = other.get_weights()
    with pytest.raises(ValueError, match="another structure"):
        load_checkpoint(tmp_path / "end.npz", other)
    np.testing.assert_array_equal(other.get_weights()[0], before[0])


def test_a_checkpoint_of_something_else_is_refused_and_one_of_an_earlier_version_read(tmp_path):
    model = net()
    model.optimizer.build(model.trainable_variables)
    save_checkpoint(tmp_path / "end.npz", model, 3, "abc fold 0")
    assert load_checkpoint(tmp_path / "end.npz", model, "abc fold 0") == 3
    with pytest.raises(ValueError, match="of other parameters, another fold or another seed"):
        load_checkpoint(tmp_path / "end.npz", model, "abc fold 1")
    save_checkpoint(tmp_path / "old.npz", model, 3)
    assert load_checkpoint(tmp_path / "old.npz", model, "abc fold 1") == 3


def test_simulated_checkpoints_are_as_far_apart_as_real_ones():
    assert CHECKPOINT_S == KEEP_EVERY_S
