"""Compiled steps are shared by models of equal structure, and by no others."""

from __future__ import annotations

import gc
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from cachetools import LRUCache

from tuning.builders.build import build
from tuning.lr_range.sweep import lr_range_test
from tuning.trainer import compiled, native_steps
from tuning.trainer.forward import predict
from tuning.trainer.state import load_state, state_arrays
from tuning.trainer.train import Fit, Rows, train

RNG = np.random.default_rng(1)
X = RNG.normal(size=(40, 3)).astype("float32")
Y = X.sum(axis=1)


@pytest.fixture(autouse=True)
def graphs_alone(monkeypatch):
    """Nothing is kept from another test, and nothing trained in machine code."""
    monkeypatch.setattr(native_steps, "MAX_PARAMETERS", 0)
    compiled.forget_all()
    yield
    compiled.forget_all()


def net(optimizer=None, *, width=3, loss="mse", seed=0, **layer):
    def builder():
        model = keras.Sequential(
            [keras.Input((3,)), keras.layers.Dense(width, **layer), keras.layers.Dense(1)]
        )
        model.compile(optimizer or keras.optimizers.SGD(0.01), loss)
        return model

    return build(builder, {}, seed)  # equal names for equal structures


def traces():
    return sum(steps.traces for steps in compiled._cache.values())


@pytest.mark.parametrize("xla", [False, True], ids=["graph", "xla"])
def test_a_second_model_of_equal_structure_traces_nothing(xla, monkeypatch):
    monkeypatch.setattr(compiled, "XLA_MIN_STEPS", 0 if xla else 10**9)
    train(net(seed=1), X, Y, validation_data=(X[:9], Y[:9]), epochs=2)
    before = traces()
    train(net(keras.optimizers.SGD(0.5), seed=2), X, Y, validation_data=(X[:9], Y[:9]), epochs=2)
    assert (len(compiled._cache), traces()) == (1, before)


def test_folds_of_other_lengths_trace_nothing():
    train(net(), X, Y, validation_data=(X[:9], Y[:9]))
    before = traces()
    train(net(), X[:33], Y[:33], validation_data=(X[:8], Y[:8]))
    assert traces() == before


@pytest.mark.parametrize("xla", [False, True], ids=["graph", "xla"])
def test_another_batch_size_traces_nothing_and_equals_fit_also_with_batch_normalisation(
    xla, monkeypatch
):
    monkeypatch.setattr(compiled, "XLA_MIN_STEPS", 0 if xla else 10**9)

    def builder():
        normal = keras.layers.BatchNormalization()
        model = keras.Sequential(
            [keras.Input((3,)), keras.layers.Dense(3), normal, keras.layers.Dense(1)]
        )
        model.compile(keras.optimizers.SGD(0.01), "mse")
        return model

    first, ours, plain = (build(builder, {}, 0) for _ in range(3))
    train(
        first, X, Y, validation_data=(X[:9], Y[:9]), epochs=2, batch_size=12
    )  # the last one smaller
    before = traces()
    settings = {"epochs": 3, "batch_size": 16, "shuffle": False, "validation_data": (X[:9], Y[:9])}
    history = train(ours, X, Y, **settings)
    assert (len(compiled._cache), traces()) == (1, before)
    plain.run_eagerly = True  # the same sums, without the second of a trace
    expected = plain.fit(X, Y, verbose=0, **settings).history
    np.testing.assert_allclose(history["val_loss"], expected["val_loss"], rtol=5e-5)
    for a, b in zip(ours.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=5e-5, atol=1e-6)


def test_a_fit_is_compiled_where_its_steps_repay_it_and_arithmetic_does_not_dominate():
    rows, batch_size = 100, 10
    enough = compiled.XLA_MIN_STEPS // 10
    assert compiled.repays_xla(net(), rows, batch_size, enough)
    assert not compiled.repays_xla(net(), rows, batch_size, enough - 1)
    wide = net(width=compiled.XLA_MAX_WORK // batch_size)
    assert not compiled.repays_xla(wide, rows, batch_size, enough)


def test_training_and_predicting_leave_nothing_in_the_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    model = net()
    train(model, X, Y, validation_data=(X[:9], Y[:9]))
    predict(model, X)
    lr_range_test(model, X, Y, batch_size=8, steps=20)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "optimizer", [keras.optimizers.SGD(0.01, momentum=0.9), keras.optimizers.Adam(0.01)]
)
def test_validation_is_cut_into_large_parts_whatever_the_optimizer(optimizer):
    steps = compiled.graph_for(net(optimizer), (tf.constant(X), tf.constant(Y)), batch_size=8)
    assert (
        steps._chunk == compiled.CHUNK
    )  # 13 ms instead of 4 for housing's 3,870 rows in batches of 32


def operations(kind):
    (steps,) = compiled._cache.values()
    (traced,) = steps._train_step._list_all_concrete_functions()
    return [op for op in traced.graph.get_operations() if op.type == kind]


@pytest.mark.parametrize(
    ("optimizer", "kernel"),
    [
        (keras.optimizers.Adam(0.01), "ResourceApplyAdam"),
        (keras.optimizers.AdamW(0.01), "ResourceApplyAdam"),
        (keras.optimizers.SGD(0.01), "ResourceApplyGradientDescent"),
        (keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True), "ResourceApplyKerasMomentum"),
    ],
)
def test_each_weight_is_updated_by_one_operation(optimizer, kernel):
    model = net(optimizer)
    train(model, X, Y)
    assert len(operations(kernel)) == len(model.trainable_weights)
    assert len(operations("Pow")) <= 2


@pytest.mark.parametrize("setting", [{"beta_1": 0.99}, {"amsgrad": True}])
def test_where_no_kernel_computes_as_keras_does_keras_computes(setting):
    train(net(keras.optimizers.Adam(0.01)), X, Y)
    compiled_before = len(compiled._cache)
    train(net(keras.optimizers.Adam(0.01, **setting)), X, Y)
    assert len(compiled._cache) == compiled_before + 1  # the other one's graph is not taken
    compiled._cache.popitem()
    assert operations("ResourceApplyAdam") == []


@pytest.mark.parametrize("optimizer", ["Adam", "AdamW"])
def test_the_settings_of_an_optimizer_are_read_once_for_all_weights(optimizer):
    model = net(getattr(keras.optimizers, optimizer)(0.01, amsgrad=True))
    train(model, X, Y)
    powers = operations("Pow")
    assert len(powers) >= 2 * len(model.trainable_weights)
    read = {op.inputs[0].ref() for op in powers if op.inputs[0].op.type != "Const"}
    assert len(read) == 2  # beta_1, beta_2: equal operations are merged


def test_a_new_learning_rate_takes_effect_in_a_step_used_again():
    still, fast = net(keras.optimizers.SGD(0.0)), net(keras.optimizers.SGD(0.1))
    before = still.get_weights()
    train(still, X, Y)
    train(fast, X, Y)
    np.testing.assert_array_equal(still.get_weights()[0], before[0])
    assert not np.allclose(fast.get_weights()[0], before[0])
    assert float(fast.optimizer.learning_rate) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("optimizer", "settings"),
    [
        (keras.optimizers.SGD, {"momentum": 0.9, "nesterov": True, "clipvalue": 0.05}),
        (keras.optimizers.RMSprop, {"rho": 0.7, "momentum": 0.3, "global_clipnorm": 0.2}),
        (keras.optimizers.Adam, {"beta_1": 0.5, "beta_2": 0.9, "clipnorm": 0.1}),
        (keras.optimizers.AdamW, {"weight_decay": 0.2, "beta_1": 0.8}),
        (keras.optimizers.Nadam, {"beta_1": 0.6, "beta_2": 0.95}),
    ],
)
def test_other_settings_of_an_optimizer_are_assigned_and_take_effect(optimizer, settings):
    other = {name: value if value is True else value / 2 for name, value in settings.items()}
    train(net(optimizer(0.05, **settings)), X, Y, epochs=2)
    before = traces()
    ours, plain = net(optimizer(0.05, **other)), net(optimizer(0.05, **other))
    train(ours, X, Y, epochs=3, shuffle=False)
    assert (len(compiled._cache), traces()) == (1, before)
    plain.run_eagerly = True  # the same sums, without the second of a trace
    plain.fit(X, Y, epochs=3, shuffle=False, verbose=0)
    for a, b in zip(ours.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=5e-5, atol=1e-6)


def test_a_setting_that_a_callback_switches_off_is_off_from_then_on():
    def switch_off(epoch, logs):
        decayed.optimizer.weight_decay = 0.0

    decayed, plain = (
        net(keras.optimizers.AdamW(0.05, weight_decay=decay)) for decay in (0.5, 1e-9)
    )
    train(
        decayed,
        X,
        Y,
        epochs=3,
        shuffle=False,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_begin=switch_off)],
    )
    train(plain, X, Y, epochs=3, shuffle=False)
    for a, b in zip(decayed.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=5e-5, atol=1e-6)


def test_two_fits_of_equal_structure_may_take_turns():
    alone = [net(seed=s) for s in (1, 2)]
    for model in alone:
        train(model, X, Y, epochs=3)
    turns = [net(seed=s) for s in (1, 2)]
    for _ in zip(
        *(Fit(model, Rows(X, Y), epochs_total=3).epochs() for model in turns), strict=True
    ):
        pass
    for a, b in zip(alone, turns, strict=True):
        np.testing.assert_array_equal(a.get_weights()[0], b.get_weights()[0])


@pytest.mark.parametrize(
    "other",
    [
        {"kernel_constraint": "non_neg"},
        {"loss": "mae"},
        {"activation": "relu"},
        {"kernel_regularizer": "l2"},
        {"optimizer": keras.optimizers.SGD(0.01, momentum=0.5)},
        {"optimizer": keras.optimizers.SGD(0.01, clipnorm=1.0)},
        {"optimizer": keras.optimizers.SGD(0.01, weight_decay=0.1)},
        {
            "optimizer": keras.optimizers.SGD(
                keras.optimizers.schedules.ExponentialDecay(0.01, 10, 0.5)
            )
        },
    ],
    ids=[
        "constraint",
        "loss",
        "activation",
        "regulariser",
        "momentum",
        "clipnorm",
        "weight decay",
        "schedule",
    ],
)
def test_what_the_graph_depends_on_makes_another_step(other):
    train(net(), X, Y)
    train(
        net(other.pop("optimizer", None), **other) if "optimizer" in other else net(**other), X, Y
    )
    assert len(compiled._cache) == 2


def test_a_users_loss_is_never_shared():
    def scaled(factor):
        return lambda y, p: factor * keras.ops.mean((y - p[:, 0]) ** 2)

    histories = [train(net(loss=scaled(factor)), X, Y) for factor in (1.0, 10.0)]
    assert len(compiled._cache) == 0
    assert histories[1]["loss"][0] > 2 * histories[0]["loss"][0]


def test_a_lambda_layer_is_never_shared():
    def scaled(factor):
        model = keras.Sequential(
            [keras.Input((3,)), keras.layers.Lambda(lambda x: factor * x), keras.layers.Dense(1)]
        )
        model.compile("sgd", "mse")
        return model

    train(scaled(1.0), X, Y)
    train(scaled(2.0), X, Y)
    assert len(compiled._cache) == 0


def test_frozen_layers_stay_frozen():
    model, free = net(), net()
    model.layers[0].trainable = False
    model.compile(keras.optimizers.SGD(0.1), "mse")
    before = model.layers[0].get_weights()[0].copy()
    train(free, X, Y)
    train(model, X, Y)
    np.testing.assert_array_equal(model.layers[0].get_weights()[0], before)


def test_variables_left_out_of_weight_decay_make_no_shared_step():
    def decayed(names):
        optimizer = keras.optimizers.AdamW(0.0, weight_decay=0.9)
        optimizer.exclude_from_weight_decay(var_names=names)
        return net(optimizer)

    train(decayed(["kernel"]), X, Y)
    assert len(compiled._cache) == 0


def test_a_users_layer_with_another_setting_is_not_taken_for_the_same():
    class Scale(keras.layers.Layer):
        def __init__(self, factor, **rest):
            super().__init__(**rest)
            self.factor = factor

        def call(self, x):
            return x * self.factor

    losses = []
    for factor in (1.0, 10.0):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1), Scale(factor)])
        model.compile(keras.optimizers.SGD(0.0), "mse")
        losses += train(model, X, Y)["loss"]
    assert losses[0] != losses[1]


def test_the_oldest_structures_are_dropped(monkeypatch):
    monkeypatch.setattr(compiled, "_cache", LRUCache(2))
    for activation in ("relu", "elu", "tanh"):
        train(net(activation=activation), X, Y)
    assert len(compiled._cache) == 2
    before = traces()
    train(net(activation="tanh"), X, Y)
    assert traces() == before


def test_a_trained_model_is_freed_with_its_last_reference():
    model = net()
    train(model, X, Y)
    predict(model, X)
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


def test_mixed_precision_predictions_keep_the_last_layers_precision():
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(4, dtype="mixed_float16"), keras.layers.Dense(1)]
    )
    model.compile("sgd", "mse")
    seen = []

    class Takes(keras.callbacks.Callback):
        def take_predictions(self, predicted):
            seen.append(predicted)

    train(model, X, Y, validation_data=(X, Y), callbacks=[Takes()])
    assert seen[0].dtype == "float32"
    np.testing.assert_allclose(seen[0], model.predict(X, verbose=0), rtol=2e-3, atol=2e-3)


def test_an_optimizer_that_keras_wraps_for_float16_shares_its_steps():
    steps = []
    for lr in (0.01, 0.02):
        layers = [
            keras.Input((3,), name="x"),
            keras.layers.Dense(1, dtype="mixed_float16", name="y"),
        ]
        model = keras.Sequential(layers, name="net")
        model.dtype_policy = keras.DTypePolicy("mixed_float16")  # what `set_dtype_policy` gives it
        model.compile(keras.optimizers.Adam(lr), "mse")
        assert type(model.optimizer) is keras.optimizers.LossScaleOptimizer
        steps.append(compiled.graph_for(model, (tf.constant(X), tf.constant(Y)), 32))
    assert steps[0] is steps[1]


def test_state_of_another_structure_is_refused():
    model = net(width=3)
    model.optimizer.build(model.trainable_variables)
    other = net(width=4)
    other.optimizer.build(other.trainable_variables)
    with pytest.raises(ValueError, match="another structure"):
        load_state(other, state_arrays(model))


def test_a_model_with_adapted_layers_shares_no_steps():
    layer = keras.layers.Normalization()
    layer.adapt(np.array([[10.0], [30.0]], "float32"))
    model = keras.Sequential([keras.Input((1,)), layer, keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    arrays = (tf.zeros((4, 1)), tf.zeros((4, 1)))
    assert compiled.graph_for(model, arrays, 2).graph_model is model
