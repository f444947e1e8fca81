"""One graph for plain networks of any width: what it computes, and what it leaves alone."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from tuning.builders.build import build
from tuning.trainer import compiled, native_steps
from tuning.trainer.elastic import is_elastic
from tuning.trainer.train import Fit, Rows, train

RNG = np.random.default_rng(1)
X = RNG.normal(size=(40, 3)).astype("float32")
Y = X.sum(axis=1)
CLASSES = (Y > 0).astype("int32") + (Y > 1)


@pytest.fixture(autouse=True)
def graphs_alone(monkeypatch):
    """Nothing is kept from another test, and nothing trained in machine code."""
    monkeypatch.setattr(native_steps, "MAX_PARAMETERS", 0)
    compiled.forget_all()
    yield
    compiled.forget_all()


def net(
    width,
    optimizer=None,
    *,
    loss="mse",
    outputs=1,
    between=(),
    metrics=None,
    shape=(3,),
    frozen=False,
    **dense,
):
    def builder():
        layers = []
        for _ in range(2):
            layers += [keras.layers.Dense(width, "relu", **dense), *(kind() for kind in between)]
        activation = "softmax" if outputs > 1 else None
        model = keras.Sequential(
            [keras.Input(shape), *layers, keras.layers.Dense(outputs, activation)]
        )
        model.trainable = not frozen
        model.compile(optimizer or keras.optimizers.SGD(0.01), loss, metrics=metrics)
        return model

    return build(builder, {}, 0)


def by_fit(model, *data, **settings):
    """Train by Keras."""
    return model.fit(*data, shuffle=False, verbose=0, **settings).history


def traces():
    return sum(steps.traces for steps in compiled._cache.values())


def assert_equal(ours, plain):
    for a, b in zip(ours.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=5e-5, atol=1e-6)


OPTIMIZERS = {
    "SGD": lambda: keras.optimizers.SGD(0.02, momentum=0.9, nesterov=True),
    "Adam": lambda: keras.optimizers.Adam(0.01, clipnorm=0.5, amsgrad=True),
    "AdamW": lambda: keras.optimizers.AdamW(0.01, weight_decay=0.1),
    "RMSprop": lambda: keras.optimizers.RMSprop(0.01, momentum=0.5, centered=True),
    "Nadam": lambda: keras.optimizers.Nadam(0.01, global_clipnorm=1.0),
}


@pytest.mark.parametrize(
    "name",
    [n if n in ("SGD", "Adam") else pytest.param(n, marks=pytest.mark.slow) for n in OPTIMIZERS],
)
def test_another_width_and_batch_size_trace_nothing_and_equal_fit(name):
    train(net(4, OPTIMIZERS[name]()), X, Y, batch_size=8, validation_data=(X[:9], Y[:9]))
    before = traces()
    ours, plain = net(9, OPTIMIZERS[name]()), net(9, OPTIMIZERS[name]())
    settings = {"epochs": 3, "batch_size": 16, "validation_data": (X[:9], Y[:9])}
    history = train(ours, X, Y, shuffle=False, **settings)
    expected = by_fit(plain, X, Y, **settings)
    assert (len(compiled._cache), traces()) == (1, before)
    assert_equal(ours, plain)
    for metric, values in expected.items():
        np.testing.assert_allclose(history[metric], values, rtol=5e-5)


def test_classes_weights_and_regularisers_equal_fit_at_another_width():
    kinds = {"loss": "sparse_categorical_crossentropy", "outputs": 3, "metrics": ["accuracy"]}
    weight = np.linspace(0.5, 2, 40).astype("float32")
    for width in (4, 7):
        ours, plain = (
            net(width, kernel_regularizer=keras.regularizers.L1L2(0.01, 0.1), **kinds)
            for _ in range(2)
        )
        train(ours, X, CLASSES, epochs=3, shuffle=False, sample_weight=weight)
        by_fit(plain, X, CLASSES, epochs=3, sample_weight=weight)
        assert_equal(ours, plain)
    assert len(compiled._cache) == 1


def test_a_loss_that_depends_on_the_batches_keeps_its_batch_size():
    for batch_size in (8, 16):
        ours, plain = (
            net(4, loss=keras.losses.MeanSquaredError(reduction="sum")) for _ in range(2)
        )
        settings = {"batch_size": batch_size, "validation_data": (X, Y)}
        history = train(ours, X, Y, shuffle=False, **settings)
        assert history["val_loss"][0] == pytest.approx(
            by_fit(plain, X, Y, **settings)["val_loss"][0], rel=5e-5
        )


def test_dropout_drops_at_another_width_and_not_in_validation():
    for width in (64, 96):
        model = net(width, keras.optimizers.SGD(0.0), between=[lambda: keras.layers.Dropout(0.5)])
        history = train(model, X, Y, epochs=2, validation_data=(X, Y))
        assert history["loss"][0] != history["loss"][1] != history["val_loss"][0]
        assert history["val_loss"][0] == history["val_loss"][1]


def test_the_best_weights_are_restored_at_another_width():
    for width in (4, 7):
        stopping = keras.callbacks.EarlyStopping(
            "loss", patience=1, restore_best_weights=True, mode="max"
        )
        model = net(width)
        train(model, X, Y, epochs=5, shuffle=False, callbacks=[stopping])
        plain = net(width)
        train(plain, X, Y, epochs=1, shuffle=False)
        assert_equal(model, plain)


@pytest.mark.parametrize("between", [[], [keras.layers.BatchNormalization]], ids=["elastic", "not"])
def test_a_saved_checkpoint_has_the_width_and_the_optimizer_of_the_users_model(tmp_path, between):
    for width in (4, 7):
        model = net(width, keras.optimizers.Adam(0.01), between=between)
        train(model, X, Y, callbacks=[keras.callbacks.ModelCheckpoint(tmp_path / "kept.keras")])
        assert_equal(keras.saving.load_model(tmp_path / "kept.keras"), model)


def test_models_of_two_widths_may_take_turns():
    alone, turns = [net(4), net(7)], [net(4), net(7)]
    for model in alone:
        train(model, X, Y, epochs=2, shuffle=False)
    fits = [Fit(model, Rows(X, Y), epochs_total=2, shuffle=False).epochs() for model in turns]
    for _ in zip(*fits, strict=True):
        pass
    for a, b in zip(alone, turns, strict=True):
        assert_equal(a, b)


@pytest.mark.parametrize(
    "other",
    [
        {"between": [keras.layers.BatchNormalization]},
        {"between": [keras.layers.Flatten]},
        {"kernel_constraint": "non_neg"},
        {"kernel_regularizer": keras.regularizers.OrthogonalRegularizer()},
        {"optimizer": keras.optimizers.Adagrad()},
        {"optimizer": keras.optimizers.Adam(use_ema=True)},
        {"optimizer": keras.optimizers.Adam(gradient_accumulation_steps=4)},
        {"shape": (5, 3)},
        {"frozen": True},
    ],
    ids=[
        "batch normalisation",
        "flatten",
        "constraint",
        "regulariser",
        "optimizer",
        "moving average",
        "accumulation",
        "rank 3",
        "frozen",
    ],
)
def test_what_may_depend_on_sizes_gets_a_graph_of_its_own(other):
    assert is_elastic(net(4))
    assert not is_elastic(net(4, **other))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Adam", "SGD"])
def test_xla_compiles_another_width_and_batch_size_from_the_same_trace(name, monkeypatch):
    monkeypatch.setattr(compiled, "XLA_MIN_STEPS", 0)
    train(net(4, OPTIMIZERS[name]()), X, Y, epochs=2, batch_size=12)  # the last one smaller
    before = traces()
    ours, plain = net(9, OPTIMIZERS[name]()), net(9, OPTIMIZERS[name]())
    train(ours, X, Y, epochs=3, batch_size=16, shuffle=False)
    by_fit(plain, X, Y, epochs=3, batch_size=16)
    (steps,) = compiled._cache.values()
    assert (steps._xla_has_run, steps.xla_refusal, traces()) == (True, "", before)
    assert_equal(ours, plain)


@pytest.mark.slow
def test_dropout_drops_at_another_width_under_xla(monkeypatch):
    monkeypatch.setattr(compiled, "XLA_MIN_STEPS", 0)
    for width in (64, 96):
        model = net(width, keras.optimizers.SGD(0.0), between=[lambda: keras.layers.Dropout(0.5)])
        losses = train(model, X, Y, epochs=4, shuffle=False)["loss"]
        assert len(set(losses)) == 4
