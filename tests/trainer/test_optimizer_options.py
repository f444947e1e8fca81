"""`train` against `model.fit`: every optimizer, with each of its options, in each precision."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest

from tuning.trainer.train import train

RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 3))  # two whole batches of 8 and one of 4
Y = X[:, :1] * 1.5 + 0.3
optimizers = keras.optimizers
OPTIMIZERS = {
    "sgd": (optimizers.SGD, {}),
    "nesterov": (optimizers.SGD, {"momentum": 0.9, "nesterov": True}),
    "adam": (optimizers.Adam, {}),
    "amsgrad": (optimizers.Adam, {"amsgrad": True}),
    "adamw": (optimizers.AdamW, {}),
    "rmsprop": (optimizers.RMSprop, {}),
    "centered": (optimizers.RMSprop, {"momentum": 0.5, "centered": True}),
    "nadam": (optimizers.Nadam, {}),
    "adagrad": (optimizers.Adagrad, {}),
    "adadelta": (optimizers.Adadelta, {"learning_rate": 0.5}),
    "adamax": (optimizers.Adamax, {}),
    "ftrl": (optimizers.Ftrl, {}),
    "lion": (optimizers.Lion, {}),
    "adafactor": (optimizers.Adafactor, {}),
    "lamb": (optimizers.Lamb, {}),
    "muon": (optimizers.Muon, {}),
}
OPTIONS = {
    "plain": {},
    "weight_decay": {"weight_decay": 0.1},
    "clipnorm": {"clipnorm": 0.3},
    "global_clipnorm": {"global_clipnorm": 0.3},
    "clipvalue": {"clipvalue": 0.1},
    "ema": {"use_ema": True, "ema_momentum": 0.8},
    "ema_overwrites": {"use_ema": True, "ema_momentum": 0.8, "ema_overwrite_frequency": 2},
    "accumulates": {"gradient_accumulation_steps": 2},
    "loss_scale_factor": {"loss_scale_factor": 64.0},
    "schedule": {"learning_rate": optimizers.schedules.ExponentialDecay(0.02, 2, 0.7)},
    "wrapped": {},
}
PRECISIONS = ("float32", "float64", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16")
IN_SUITE = [
    ("adam", "ema", "float32"),
    ("lion", "weight_decay", "float32"),
    ("sgd", "ema_overwrites", "float64"),
    ("rmsprop", "accumulates", "mixed_float16"),
    ("adam", "clipvalue", "float16"),
]
AT_LEISURE = [
    *itertools.product(OPTIMIZERS, OPTIONS, ["float32"]),
    *itertools.product(["nesterov", "adam"], OPTIONS, PRECISIONS[1:]),
]


def network(optimizer: str, option: str, precision: str) -> keras.Model:
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Dense(4, "tanh", dtype=precision)]
    layers.append(keras.layers.Dense(1, dtype=precision))
    model = keras.Sequential([keras.Input((3,)), *layers])
    make, settings = OPTIMIZERS[optimizer]
    made = make(**({"learning_rate": 0.02} | settings | OPTIONS[option]))
    if option == "wrapped":
        made = optimizers.LossScaleOptimizer(made, initial_scale=256.0)
    model.compile(made, "mse", metrics=["mae"])
    return model


def check_as_fit(optimizer: str, option: str, precision: str) -> None:
    settings = {"epochs": 2, "batch_size": 8, "shuffle": False}
    theirs = network(optimizer, option, precision)
    theirs.run_eagerly = True  # the same sums, without the seconds of a trace
    expected = theirs.fit(X, Y, verbose=0, **settings).history
    ours = network(optimizer, option, precision)
    history = train(ours, X, Y, trainer="compiled", **settings)

    # Half precision is rounded after each operation, of which a graph makes others.
    tolerance = 2e-2 if "16" in precision else 1e-4
    assert set(history) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(history[name], values, rtol=tolerance, err_msg=name)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a.astype("float64"), b.astype("float64"), atol=tolerance)
    assert int(ours.optimizer.iterations) == int(theirs.optimizer.iterations)


@pytest.mark.parametrize(("optimizer", "option", "precision"), IN_SUITE)
def test_options_of_an_optimizer_count_as_in_fit_in(optimizer, option, precision):
    check_as_fit(optimizer, option, precision)


@pytest.mark.slow
@pytest.mark.parametrize(("optimizer", "option", "precision"), AT_LEISURE)
def test_each_option_of_each_optimizer_counts_as_in_fit_in(optimizer, option, precision):
    check_as_fit(optimizer, option, precision)
