"""Plain networks in machine code: what they compute is what `fit` computes, and all else is left to
a graph.
"""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from tuning.trainer import native_steps
from tuning.trainer.native_steps import NativeSteps, steps_for
from tuning.trainer.state import load_state, state_arrays
from tuning.trainer.train import Fit, Rows, train

RNG = np.random.default_rng(3)
X = RNG.normal(size=(70, 6)).astype("float32")  # two whole batches of 32 and one of 6
Y = (X.sum(axis=1) + 0.1 * RNG.normal(size=70)).astype("float32")
CLASSES = (Y > 0).astype("int64") + (Y > 1)
TARGETS = {
    "number": Y,
    "yes or no": (Y > 0).astype("int32"),
    "class": CLASSES,
    "one-hot": np.eye(3, dtype="f")[CLASSES],
}


def net(
    optimizer=None,
    loss="mse",
    *,
    hidden="relu",
    outputs=1,
    last=None,
    metrics=(),
    before=(),
    after=(),
    **layer,
):
    keras.utils.set_random_seed(1)
    between = [
        keras.layers.Dense(7, hidden, **layer),
        *(kind() for kind in after),
        keras.layers.Dense(5),
    ]
    ends = [keras.layers.Activation(hidden), keras.layers.Dense(outputs, last)]
    model = keras.Sequential([keras.Input((6,)), *(kind() for kind in before), *between, *ends])
    model.compile(optimizer or keras.optimizers.Adam(0.01), loss, metrics=list(metrics))
    return model


def assert_native(model, y=Y):
    assert isinstance(steps_for(model, (tf.constant(X), tf.constant(y)), 32), NativeSteps)


def assert_equals_fit(make, y=Y, **settings):
    ours, theirs = make(), make()
    assert_native(ours, y)
    theirs.run_eagerly = True  # the same sums, without the seconds of a trace
    settings = {
        "epochs": 3,
        "batch_size": 32,
        "shuffle": False,
        "validation_data": (X[:20], y[:20]),
    } | settings
    history = train(ours, X, y, **settings)
    expected = theirs.fit(X, y, verbose=0, **settings).history
    assert list(history) == list(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(history[name], values, rtol=5e-5, err_msg=name)
    for a, b in zip(state_arrays(ours), state_arrays(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=5e-5, atol=5e-6)


OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.02),
    "momentum": lambda: keras.optimizers.SGD(0.02, momentum=0.9),
    "nesterov": lambda: keras.optimizers.SGD(0.02, momentum=0.9, nesterov=True, weight_decay=0.01),
    "adam": lambda: keras.optimizers.Adam(0.01, beta_1=0.8, beta_2=0.99, epsilon=1e-4),
    "adamw": lambda: keras.optimizers.AdamW(0.01, weight_decay=0.1),
    "rmsprop": lambda: keras.optimizers.RMSprop(0.01),
    "rmsprop with momentum": lambda: keras.optimizers.RMSprop(0.01, rho=0.8, momentum=0.5),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_weights_state_and_history_equal_fit_for(name):
    assert_equals_fit(lambda: net(OPTIMIZERS[name](), metrics=["mae"]))


@pytest.mark.parametrize("hidden", ["linear", "tanh", "sigmoid", "elu", "selu"])
def test_hidden_layers_compute_as_in_fit(hidden):
    assert_equals_fit(lambda: net(hidden=hidden, use_bias=hidden != "tanh"))


LOSSES = {
    "mae": ("number", "mae", 1, None),
    "huber": ("number", "huber", 1, None),
    "mse of a sigmoid": ("yes or no", "mse", 1, "sigmoid"),
    "mse of several outputs": ("one-hot", "mse", 3, "relu"),
    "binary": ("yes or no", "binary_crossentropy", 1, "sigmoid"),
    "binary from logits": (
        "yes or no",
        lambda: keras.losses.BinaryCrossentropy(from_logits=True),
        1,
        None,
    ),
    "several labels": ("one-hot", "binary_crossentropy", 3, "sigmoid"),
    "categorical": ("one-hot", "categorical_crossentropy", 3, "softmax"),
    "sparse": ("class", "sparse_categorical_crossentropy", 3, "softmax"),
    "sparse from logits": (
        "class",
        lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        3,
        None,
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses_and_outputs_compute_as_in_fit(name):
    y, loss, outputs, last = LOSSES[name]
    metrics = ["mae"] if "mse" in name or y == "number" else ["accuracy"]

    def make():
        return net(
            None, loss() if callable(loss) else loss, outputs=outputs, last=last, metrics=metrics
        )

    assert_equals_fit(make, TARGETS[y])


@pytest.mark.parametrize("hidden", ["elu", "selu"])
def test_the_slope_where_a_unit_is_exactly_zero_is_tensorflows(hidden):
    def make():
        model = net(keras.optimizers.SGD(0.02), hidden=hidden)
        model.layers[0].kernel.assign(np.zeros((6, 7)))
        return model

    assert_equals_fit(make)


def test_class_numbers_with_a_fraction_are_cut_as_in_fit():
    sparse = {"loss": "sparse_categorical_crossentropy", "outputs": 3, "last": "softmax"}
    assert_equals_fit(lambda: net(**sparse), (CLASSES + 0.7).astype("float32"))


def test_a_cross_entropy_that_y_decides_is_trained_as_in_fit():
    ours, theirs = (net(loss="crossentropy", last="sigmoid") for _ in range(2))
    y = TARGETS["yes or no"][:, None]
    history = train(ours, X, y, epochs=2, shuffle=False, trainer="compiled")
    expected = theirs.fit(X, y, epochs=2, shuffle=False, verbose=0).history
    np.testing.assert_allclose(history["loss"], expected["loss"], rtol=5e-5)


def test_a_negative_weight_decay_counts_as_in_fit():
    assert_equals_fit(lambda: net(keras.optimizers.Adam(0.01, weight_decay=-0.1)))


@pytest.mark.parametrize("rows", [np.int32(32), 70, 10**9])
def test_any_batch_size_is_taken(rows):
    assert_equals_fit(net, batch_size=rows)


def test_saturated_outputs_are_scored_from_logits_as_in_fit():
    def make():
        model = net(keras.optimizers.SGD(0.01), "binary_crossentropy", last="sigmoid")
        model.layers[-1].bias.assign([60.0])  # the loss of a clipped probability would be 16
        return model

    assert_equals_fit(make, TARGETS["yes or no"], epochs=1)


def test_row_weights_class_weights_and_weighted_validation_count_as_in_fit():
    weight = np.linspace(0.2, 2, 70).astype("float32")
    weighted = {"sample_weight": weight, "validation_data": (X[:20], CLASSES[:20], weight[:20])}
    kinds = {"loss": "sparse_categorical_crossentropy", "outputs": 3, "last": "softmax"}
    assert_equals_fit(lambda: net(**kinds), CLASSES, **weighted)
    assert_equals_fit(lambda: net(**kinds), CLASSES, class_weight={0: 1.0, 1: 3.0, 2: 0.5})


def test_pictures_are_flattened_first():
    def make():
        keras.utils.set_random_seed(1)
        flat = [
            keras.Input((2, 3)),
            keras.layers.Flatten(),
            keras.layers.Dense(4, "relu"),
            keras.layers.Dense(1),
        ]
        model = keras.Sequential(flat)
        model.compile("sgd", "mse")
        return model

    ours, theirs = make(), make()
    pictures = X.reshape(70, 2, 3)
    train(ours, pictures, Y, shuffle=False, trainer="compiled")
    theirs.fit(pictures, Y, shuffle=False, verbose=0)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=5e-5, atol=1e-6)


def bent(model):
    model.layers[0].kernel.regularizer = keras.regularizers.L2(0.1)
    return model


def of_another(model):
    model.optimizer.build(net().trainable_variables)
    return model


def frozen():
    model = net()
    model.layers[0].trainable = False
    model.compile("adam", "mse")
    return model


@pytest.mark.parametrize(
    "make",
    [
        lambda: net(keras.optimizers.Nadam(0.01)),
        lambda: net(keras.optimizers.Adam(0.01, clipnorm=1.0)),
        lambda: net(keras.optimizers.Adam(0.01, amsgrad=True)),
        lambda: net(keras.optimizers.Adam(0.01, use_ema=True)),
        lambda: net(keras.optimizers.RMSprop(0.01, centered=True)),
        lambda: net(
            keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9))
        ),
        lambda: net(kernel_regularizer="l2"),
        lambda: net(activity_regularizer="l2"),
        lambda: net(kernel_constraint="max_norm"),
        lambda: net(dtype="mixed_bfloat16"),
        lambda: net(hidden="gelu"),
        lambda: net(last="softmax", outputs=2),
        lambda: net(loss="mape"),
        lambda: net(loss=keras.losses.Huber(delta=0.3)),
        lambda: net(loss=keras.losses.MeanSquaredError(reduction="sum")),
        lambda: net(loss=keras.losses.BinaryCrossentropy(label_smoothing=0.1), last="sigmoid"),
        lambda: net(loss="binary_crossentropy", last="relu"),
        lambda: net(metrics=[lambda y, p: y - p]),
        lambda: net(after=[keras.layers.BatchNormalization]),
        lambda: net(after=[lambda: keras.layers.Dropout(0.5, noise_shape=(1, 7))]),
        lambda: net(
            after=[lambda: keras.layers.Dropout(0.5), lambda: keras.layers.Activation("tanh")]
        ),
        lambda: bent(net()),
        lambda: of_another(net()),
        lambda: net(loss="crossentropy", last="sigmoid"),
        frozen,
    ],
)
def test_all_else_is_left_to_a_graph(make):
    outputs = make().layers[-1].units
    y = np.repeat(Y[:, None], outputs, axis=1)
    assert not isinstance(steps_for(make(), (tf.constant(X), tf.constant(y)), 32), NativeSteps)


@pytest.mark.parametrize(
    "y", [np.eye(3, dtype="f")[CLASSES], Y[:, None, None]], ids=["wider", "of three axes"]
)
def test_targets_of_another_shape_than_the_outputs_are_left_to_a_graph(y):
    assert not isinstance(steps_for(net(), (tf.constant(X), tf.constant(y)), 32), NativeSteps)


def first_layers(*layers):
    model = keras.Sequential([*layers, keras.layers.Dense(4, "relu"), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


@pytest.mark.parametrize("dtype", ["int32", "bool", "float16"])
def test_inputs_that_keras_casts_to_less_are_left_to_a_graph(dtype):
    model = first_layers(keras.Input((6,), dtype=dtype))
    assert not isinstance(steps_for(model, (tf.constant(X), tf.constant(Y)), 32), NativeSteps)


def test_channels_first_are_left_to_a_graph():
    model = first_layers(keras.Input((2, 3)), keras.layers.Flatten(data_format="channels_first"))
    pictures = tf.constant(X.reshape(70, 2, 3))
    assert not isinstance(steps_for(model, (pictures, tf.constant(Y)), 32), NativeSteps)


def test_features_in_another_shape_are_kerass_to_refuse():
    with pytest.raises(ValueError, match="Invalid input shape"):
        train(net(), X.reshape(70, 2, 3), Y, trainer="compiled")


def test_without_a_compiler_all_is_left_to_a_graph(monkeypatch):
    monkeypatch.setattr(native_steps.config, "DISABLE_JIT", 1)
    assert not isinstance(steps_for(net(), (tf.constant(X), tf.constant(Y)), 32), NativeSteps)


def test_large_batches_are_left_to_a_graph(monkeypatch):
    monkeypatch.setattr(native_steps, "MAX_BATCH", 32)
    assert_native(net())
    assert not isinstance(steps_for(net(), (tf.constant(X), tf.constant(Y)), 33), NativeSteps)


@pytest.mark.parametrize(
    ("validation", "words"),
    [
        ((X[:20, :4], Y[:20]), "takes 6 features a row, X has 4"),
        ((np.hstack([X, X]), Y), "takes 6 features a row, X has 12"),
        ((X[:0], Y[:0]), "at least one"),
    ],
)
def test_machine_code_is_given_only_rows_that_fit(validation, words):
    with pytest.raises(ValueError, match=words):
        train(net(), X, Y, validation_data=validation)


def test_large_networks_are_left_to_a_graph(monkeypatch):
    monkeypatch.setattr("tuning.trainer.native_steps.MAX_PARAMETERS", net().count_params())
    assert_native(net())
    monkeypatch.setattr("tuning.trainer.native_steps.MAX_PARAMETERS", net().count_params() - 1)
    assert not isinstance(steps_for(net(), (tf.constant(X), tf.constant(Y)), 32), NativeSteps)


def dropping():
    return net(
        before=[lambda: keras.layers.Dropout(0.2)], after=[lambda: keras.layers.Dropout(0.5)]
    )


def test_dropout_drops_its_share_and_scales_the_rest_also_backwards():
    """With one weight each way the outputs tell what was kept, and the slope of the loss which
    weights it reaches.
    """
    model = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(2000, use_bias=False),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(1, use_bias=False),
        ]
    )
    model.compile(keras.optimizers.SGD(1.0), "mae")
    one = np.eye(1, 6, dtype="float32")
    model.layers[0].kernel.assign(np.ones((6, 2000)))
    model.layers[-1].kernel.assign(np.ones((2000, 1)))

    history = train(model, one, np.zeros(1, "float32"), trainer="compiled")
    trained = model.layers[0].kernel.numpy()[0] != 1  # units that were not dropped
    assert trained.mean() == pytest.approx(0.7, abs=0.04)
    assert history["loss"][0] == pytest.approx(trained.sum() / 0.7, rel=1e-5)
    np.testing.assert_allclose(model.layers[0].kernel.numpy()[0][trained], 1 - 1 / 0.7, rtol=1e-5)
    np.testing.assert_allclose(
        model.layers[-1].kernel.numpy()[:, 0], np.where(trained, 1 - 1 / 0.7, 1), rtol=1e-5
    )


def test_a_training_goes_on_from_its_state_as_if_it_had_not_been_interrupted():
    whole, first, second = dropping(), dropping(), dropping()
    assert_native(whole)
    train(whole, X, Y, epochs=6)
    train(first, X, Y, epochs=4)
    second.optimizer.build(second.trainable_variables)
    load_state(second, state_arrays(first))
    train(second, X, Y, epochs=6, initial_epoch=4)
    for a, b in zip(state_arrays(second), state_arrays(whole), strict=True):
        np.testing.assert_array_equal(a, b)


def test_fits_may_take_turns():
    alone, one, other = (dropping() for _ in range(3))
    train(alone, X, Y, epochs=4)
    fits = [Fit(model, Rows(X, Y), epochs_total=4) for model in (one, other)]
    for _ in zip(*(fit.epochs() for fit in fits), strict=True):
        pass
    for a, b in zip(state_arrays(one), state_arrays(alone), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_fit_cut_short_leaves_its_state_in_the_model():
    whole, cut = dropping(), dropping()
    train(whole, X, Y, epochs=2)
    fit = Fit(cut, Rows(X, Y), epochs_total=4)
    running = fit.epochs()
    next(running), next(running)
    running.close()
    for a, b in zip(state_arrays(cut), state_arrays(whole), strict=True):
        np.testing.assert_array_equal(a, b)


class Switch(keras.callbacks.Callback):
    """Changes a setting after the first epoch."""

    def __init__(self, **settings):
        super().__init__()
        self.settings = settings

    def on_epoch_end(self, epoch, logs=None):
        for name, value in self.settings.items():
            setattr(self.model.optimizer, name, value)


@pytest.mark.parametrize("setting", [{"learning_rate": 0.0}, {"momentum": 0.5}])
def test_what_a_callback_changes_counts_from_the_next_epoch(setting):
    plain, ours = (net(keras.optimizers.SGD(0.02, momentum=0.9)) for _ in range(2))
    train(plain, X, Y, epochs=2)
    train(ours, X, Y, epochs=2, callbacks=[Switch(**setting)])
    assert not np.allclose(plain.get_weights()[0], ours.get_weights()[0])


def test_momentum_switched_on_has_nothing_to_work_with():
    plain, ours = (net(keras.optimizers.SGD(0.02)) for _ in range(2))
    train(plain, X, Y, epochs=2)
    train(ours, X, Y, epochs=2, callbacks=[Switch(momentum=0.9)])
    np.testing.assert_array_equal(plain.get_weights()[0], ours.get_weights()[0])


class Look(keras.callbacks.Callback):
    """Keeps the predictions that it is given."""

    knows_only_its_model = True

    def take_predictions(self, predicted):
        self.predicted = predicted


def test_callbacks_are_given_what_predict_would_return():
    model, look = (
        net(
            None, "binary_crossentropy", last="sigmoid", before=[lambda: keras.layers.Dropout(0.5)]
        ),
        Look(),
    )
    y = TARGETS["yes or no"]
    train(model, X, y, validation_data=(X[:20], y[:20]), callbacks=[look])
    np.testing.assert_allclose(look.predicted, model.predict(X[:20], verbose=0), rtol=1e-5)


def test_numbers_too_small_for_float32_are_flushed_to_zero_as_in_tensorflow():
    model = net(keras.optimizers.SGD(0.01, momentum=0.5))
    zeros = np.zeros((70, 6), "float32")
    model.optimizer.build(model.trainable_variables)
    model.optimizer.momentums[0].assign(np.full((6, 7), 1e-36))
    train(
        model, zeros, Y, epochs=10
    )  # 30 halvings, not one slope: the least number above 0 would come after 29
    assert np.all(model.optimizer.momentums[0].numpy() == 0)


def test_weights_that_are_not_finite_stay_so():
    model = net(keras.optimizers.SGD(1e20))
    assert not np.isfinite(train(model, X, Y, epochs=3)["loss"][-1])
