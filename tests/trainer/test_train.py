"""`train` against `model.fit`: same weights, same history, same callbacks."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf

from tuning.errors import StudyError
from tuning.trainer import compiled, native_steps
from tuning.trainer import train as trainer
from tuning.trainer.train import Fit, Rows, epoch_order, train

RNG = np.random.default_rng(7)
X = RNG.normal(size=(70, 4)).astype("float32")  # two whole batches of 32 and one of 6
Y = (X[:, 0] - X[:, 1] ** 2 + 0.1 * RNG.normal(size=70)).astype("float32")
WEIGHT = RNG.uniform(0.2, 2.0, size=70).astype("float32")
LABELS = (Y > 0).astype("int32")
VALIDATION = (X[:40].copy(), Y[:40].copy())
OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.01, momentum=0.9),
    "adam": lambda: keras.optimizers.Adam(0.01),
    "adamw": lambda: keras.optimizers.AdamW(0.01, weight_decay=0.02),
    "rmsprop": lambda: keras.optimizers.RMSprop(0.01),
    "nadam": lambda: keras.optimizers.Nadam(0.01),
}


def regressor(optimizer, *, batch_norm=False, loss="mse", metrics=("mae",), **layer):
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(6, activation="tanh", **layer)])
    if batch_norm:
        model.add(keras.layers.BatchNormalization())
    model.add(keras.layers.Dense(1))
    model.compile(optimizer, loss, metrics=list(metrics))
    return model


def classifier(optimizer="adam", **layer):
    keras.utils.set_random_seed(3)
    last = keras.layers.Dense(2, "softmax")
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5, "relu", **layer), last])
    model.compile(
        optimizer,
        "sparse_categorical_crossentropy",
        metrics=["accuracy", "sparse_categorical_crossentropy"],
    )
    return model


class Pair(NamedTuple):
    """The model that `fit` trained and its history; the model that we trained and its history."""

    theirs: keras.Model
    expected: dict
    ours: keras.Model
    history: dict


def both(make, x, y, **settings):
    """Train one model by `fit`, one by us."""
    callbacks = settings.pop("callbacks", list)
    theirs = settings.pop("theirs", None) or make()
    settings = {"epochs": 3, "batch_size": 32, "shuffle": False} | settings
    # The same sums, without the seconds of a trace.
    theirs.run_eagerly = settings.pop("eagerly", True)
    ours = make()
    expected = theirs.fit(x, y, verbose=0, callbacks=callbacks(), **settings).history
    history = train(ours, x, y, callbacks=callbacks(), trainer="compiled", **settings)
    return Pair(theirs, expected, ours, history)


@pytest.fixture(params=["native", "graph"])
def way(request, monkeypatch):
    """Both ways a plain network may be trained."""
    if request.param == "graph":
        monkeypatch.setattr(native_steps, "MAX_PARAMETERS", 0)


@pytest.fixture(scope="module")
def traced():
    """An SGD regressor that `fit` has traced; with the state it began with."""
    model = regressor("sgd")
    model.fit(X, Y, validation_data=VALIDATION, verbose=0)
    return model


@pytest.fixture
def theirs(traced):
    fresh = regressor("sgd")
    fresh.optimizer.build(fresh.trainable_variables)
    old_new = [(m.weights + m.optimizer.variables) for m in (traced, fresh)]
    for old, new in zip(*old_new, strict=True):
        old.assign(new)
    traced._initial_epoch = None
    return traced


def assert_same(theirs, expected, ours, history, rtol=5e-5):
    assert set(history) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(history[name], values, rtol=rtol, atol=1e-6, err_msg=name)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=5e-6)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_weights_and_history_equal_fit_for(optimizer):
    result = both(
        lambda: regressor(OPTIMIZERS[optimizer](), batch_norm=True),
        X,
        Y,
        validation_data=VALIDATION,
    )
    assert_same(*result)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_the_rows_of_an_embedding_are_updated_as_in_fit(optimizer):
    def make():
        keras.utils.set_random_seed(3)
        layers = [
            keras.Input((4,)),
            keras.layers.Embedding(9, 3),
            keras.layers.Flatten(),
            keras.layers.Dense(1),
        ]
        model = keras.Sequential(layers)
        model.compile(OPTIMIZERS[optimizer](), "mse")
        return model

    assert_same(*both(make, RNG.integers(0, 5, (70, 4)), Y))


@pytest.mark.parametrize("optimizer", ["adam", pytest.param("sgd", marks=pytest.mark.slow)])
def test_xla_gives_what_fit_gives(optimizer, monkeypatch):
    monkeypatch.setattr(compiled, "XLA_MIN_STEPS", 0)
    result = both(
        lambda: regressor(OPTIMIZERS[optimizer](), batch_norm=True),
        X,
        Y,
        validation_data=VALIDATION,
    )
    assert_same(*result)
    assert any(steps._xla_has_run and not steps.xla_refusal for steps in compiled._cache.values())


@pytest.mark.usefixtures("way")
def test_row_weights_and_weighted_validation_count_as_in_fit():
    def make():
        return regressor(keras.optimizers.SGD(0.05), metrics=["mae", "mse"])

    assert_same(*both(make, X, Y, sample_weight=WEIGHT, validation_data=(*VALIDATION, WEIGHT[:40])))


@pytest.mark.usefixtures("way")
def test_class_weights_and_several_metrics_count_as_in_fit():
    assert_same(
        *both(
            classifier,
            X,
            LABELS,
            class_weight={0: 1.0, 1: 3.0},
            validation_data=(X[:20], LABELS[:20]),
        )
    )


@pytest.mark.usefixtures("way")
def test_soft_labels_are_rounded_to_the_class_whose_weight_counts_as_in_fit():
    soft = np.where(LABELS == 1, 0.9, 0.1).astype("float32")
    assert_same(*both(lambda: regressor("adam"), X, soft, class_weight={0: 1.0, 1: 3.0}))


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("labels", ["between two numbers", "one-hot column", "bool", "int8"])
def test_class_weights_are_those_of_fits_rounded_labels(labels):
    y = {
        "between two numbers": (LABELS * 1.2 + 0.3).astype("float32"),  # 0.3, rounded 0; 1.5, 2
        "one-hot column": np.stack([1 - LABELS, LABELS], axis=1).astype("float32"),
        "bool": LABELS.astype(bool),
        "int8": LABELS.astype("int8")[:, None],
    }[labels]

    def network():
        keras.utils.set_random_seed(3)
        units = 2 if labels == "one-hot column" else 1
        layers = [keras.Input((4,)), keras.layers.Dense(3, "tanh"), keras.layers.Dense(units)]
        model = keras.Sequential(layers)
        model.compile("sgd", "mse")
        return model

    weights = {0: 0.5, 1: 2.0, 2: 7.0}
    assert_same(*both(network, X, y, class_weight=weights, epochs=2))


def test_regularisers_and_clipped_gradients_count_as_in_fit():
    def make():
        clipped = keras.optimizers.Adam(0.02, clipnorm=0.3)
        return regressor(
            clipped,
            kernel_regularizer=keras.regularizers.L1L2(1e-2, 1e-2),
            bias_constraint="non_neg",
        )

    assert_same(*both(make, X, Y, validation_data=VALIDATION))


@pytest.mark.usefixtures("way")
def test_float64_and_integer_inputs_are_cast_as_in_fit():
    assert_same(
        *both(lambda: regressor("sgd"), X.astype("float64"), (10 * Y).astype("int64"), epochs=2)
    )


@pytest.mark.usefixtures("way")
def test_a_batch_larger_than_the_data_is_one_step_an_epoch():
    *_, ours, history = both(lambda: regressor("sgd"), X, Y, batch_size=500, epochs=2)
    assert int(ours.optimizer.iterations.numpy()) == 2
    assert len(history["loss"]) == 2


def test_a_loss_summed_over_the_batch_is_validated_in_fits_own_batches():
    def make():
        return regressor(
            keras.optimizers.SGD(1e-3), loss=keras.losses.MeanSquaredError(reduction="sum")
        )

    assert_same(*both(make, X, Y, epochs=2, validation_data=VALIDATION))


def positive(**compiled):
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, "sigmoid")])
    model.compile(keras.optimizers.SGD(0.1), **compiled)
    return model


@pytest.mark.parametrize(
    "compiled",
    [
        {"loss": keras.losses.Dice()},
        {"loss": "mse", "metrics": [keras.losses.MeanSquaredError()]},
        {"loss": "mse", "metrics": [keras.metrics.PearsonCorrelation(axis=0)]},
    ],
    ids=["dice", "a loss as a metric", "correlation"],
)
def test_what_depends_on_the_batch_is_validated_in_fits_own_batches(compiled):
    y = (Y > 0).astype("float32")[:, None]
    settings = {"batch_size": 16, "validation_data": (X[:40], y[:40])}
    assert_same(*both(lambda: positive(**compiled), X, y, **settings))


class Sums(keras.layers.Layer):
    """Adds a loss that grows with the batch."""

    def call(self, inputs):
        self.add_loss(0.01 * keras.ops.sum(inputs**2))
        return inputs


@pytest.mark.parametrize("layer", [keras.layers.Masking, Sums])
def test_layers_whose_loss_depends_on_the_batch_are_validated_in_fits_own_batches(layer):
    def make():
        keras.utils.set_random_seed(3)
        model = keras.Sequential([keras.Input((5, 2)), layer(), keras.layers.Dense(1)])
        model.compile(keras.optimizers.SGD(0.01), "mse")
        return model

    x = RNG.normal(size=(70, 5, 2)).astype("float32")
    x[np.arange(5) >= RNG.integers(1, 6, size=(70, 1))] = (
        0.0  # masked: sequences of unequal lengths
    )
    y = x.sum(axis=2, keepdims=True) + 1
    assert_same(*both(make, x, y, batch_size=16, validation_data=(x[:40], y[:40])))


@pytest.mark.parametrize(
    "compiled",
    [
        {"loss": keras.losses.Huber(delta=0.05)},
        {"loss": "mse", "metrics": [keras.metrics.CosineSimilarity(axis=0)]},
    ],
    ids=["huber", "cosine"],
)
def test_arguments_that_keras_forgets_to_note_count_as_in_fit(compiled):
    assert_same(
        *both(lambda: positive(**compiled), X, Y[:, None], validation_data=(X[:40], Y[:40, None]))
    )


def frozen_kernel():
    model = regressor(keras.optimizers.SGD(0.1))
    model.layers[0].kernel.trainable = False
    model.compile(keras.optimizers.SGD(0.1), "mse")
    return model


def regularized_variable():
    model = regressor(keras.optimizers.SGD(0.1))
    model.layers[0].kernel.regularizer = keras.regularizers.L2(0.1)
    return model


def constrained_by_a_function():
    model = regressor(keras.optimizers.SGD(0.1))
    model.layers[0].kernel.constraint = lambda kernel: keras.ops.clip(kernel, -0.1, 0.1)
    return model


def layer_changed_too_late():
    model = regressor(keras.optimizers.SGD(0.1))
    model.layers[0].kernel_regularizer = keras.regularizers.L2(0.1)
    return model


def another_optimizer():
    model = regressor("adam")
    model.optimizer = keras.optimizers.Adam(0.01, clipnorm=0.01)
    return model


@pytest.mark.parametrize(
    "make",
    [
        frozen_kernel,
        regularized_variable,
        constrained_by_a_function,
        layer_changed_too_late,
        another_optimizer,
    ],
)
def test_what_was_set_after_construction_counts_as_in_fit(make):
    assert_same(*both(make, X, Y))


def test_weights_swapped_for_the_validation_are_validated():
    def make():
        return regressor(keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.9))

    swap = lambda: [keras.callbacks.SwapEMAWeights()]  # noqa: E731 - a fresh one for each side
    assert_same(*both(make, X, Y, epochs=3, validation_data=VALIDATION, callbacks=swap))


def test_a_training_that_could_not_begin_leaves_the_model_to_its_user(tmp_path):
    model, other = regressor("sgd"), regressor("sgd")
    with pytest.raises(FileNotFoundError):
        train(
            model,
            X,
            Y,
            callbacks=[keras.callbacks.CSVLogger(str(tmp_path / "missing" / "log.csv"))],
        )
    weights = [np.ones_like(w) for w in model.get_weights()]
    for each in (model, other):
        each.set_weights(weights)
        train(each, X, Y)
    for ours, theirs in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_users_own_metric_is_averaged_over_fits_own_batches():
    def largest_error(y, p):
        return tf.reduce_max(tf.abs(y - tf.squeeze(p)))

    assert_same(
        *both(
            lambda: regressor("sgd", metrics=[largest_error]),
            X,
            Y,
            epochs=2,
            validation_data=VALIDATION,
        )
    )


def test_a_metric_with_a_value_for_each_class_stays_a_vector():
    def make():
        model = classifier()
        model.compile("sgd", "categorical_crossentropy", metrics=[keras.metrics.F1Score()])
        return model

    *_, history = both(make, X, np.eye(2, dtype="float32")[LABELS], epochs=1)
    assert np.shape(history["f1_score"]) == (1, 2)


@pytest.mark.usefixtures("way")
def test_dropout_has_the_distribution_that_fit_gives():
    def make():
        keras.utils.set_random_seed(2)
        layers = [
            keras.Input((4,)),
            keras.layers.Dense(16, "relu"),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(1),
        ]
        model = keras.Sequential(layers)
        model.compile(
            keras.optimizers.SGD(0.0), "mse"
        )  # nothing is learnt: each epoch is one more draw
        return model

    _, theirs, _, ours = both(make, X, Y, epochs=40, eagerly=False)
    assert np.mean(ours["loss"]) == pytest.approx(np.mean(theirs["loss"]), rel=0.05)
    assert np.std(ours["loss"]) == pytest.approx(np.std(theirs["loss"]), rel=0.6)


@pytest.mark.usefixtures("way")
def test_dropout_draws_another_mask_each_epoch_and_the_same_for_the_same_seed():
    def make():
        keras.utils.set_random_seed(5)
        model = keras.Sequential(
            [keras.Input((4,)), keras.layers.Dropout(0.5), keras.layers.Dense(1)]
        )
        model.compile(keras.optimizers.SGD(0.0), "mse")
        return model

    first, again = train(make(), X, Y, epochs=3), train(make(), X, Y, epochs=3)
    assert first == again
    assert len(set(first["loss"])) == 3


class Remember(keras.callbacks.Callback):
    """A user's own callback: what it saw of its model at the end of each epoch."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(
            (
                epoch,
                sorted(logs),
                float(np.sum(self.model.get_weights()[0])),
                len(self.model.layers),
            )
        )
        if epoch == 1:
            self.model.layers[0].set_weights([2 * w for w in self.model.layers[0].get_weights()])


CALLBACKS = {
    "early stopping": lambda d: [
        keras.callbacks.EarlyStopping(patience=1, min_delta=0.3, restore_best_weights=True)
    ],
    "reduce on plateau": lambda d: [
        keras.callbacks.ReduceLROnPlateau(patience=1, min_delta=0.5, factor=0.1)
    ],
    "checkpoint": lambda d: [
        keras.callbacks.ModelCheckpoint(d / "{epoch}.keras", save_best_only=True)
    ],
    "backup": lambda d: [keras.callbacks.BackupAndRestore(d / "backup")],
    "scheduler, own, lambda, csv, nan": lambda d: [
        Remember(),
        keras.callbacks.LearningRateScheduler(lambda epoch, lr: lr * 0.5),
        keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(extra=epoch)),
        keras.callbacks.CSVLogger(d / "log.csv"),
        keras.callbacks.TerminateOnNaN(),
    ],
}


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("name", CALLBACKS)
def test_epoch_level_callbacks_work_as_in_fit(name, theirs, tmp_path):
    groups = []  # one for each of the two trainings

    def callbacks():
        folder = tmp_path / str(len(groups))
        folder.mkdir()
        groups.append(CALLBACKS[name](folder))
        return groups[-1]

    settings = {"validation_data": VALIDATION, "epochs": 8, "theirs": theirs}
    assert_same(*both(lambda: regressor("sgd"), X, Y, callbacks=callbacks, **settings))
    theirs, ours = (sorted(p.name for p in (tmp_path / d).rglob("*")) for d in "01")
    assert ours == theirs

    callbacks_of_both = [callback for group in groups for callback in group]
    seen = [callback.seen for callback in callbacks_of_both if isinstance(callback, Remember)]
    for other, (epoch, logs, total, layers) in zip(*seen, strict=True):
        assert (epoch, logs, layers) == (other[0], other[1], other[3])
        assert total == pytest.approx(other[2], rel=5e-5)


@pytest.mark.usefixtures("way")
def test_early_stopping_stops_at_fits_epoch_and_restores_its_weights(theirs):
    def callbacks():
        return [keras.callbacks.EarlyStopping(patience=2, min_delta=0.5, restore_best_weights=True)]

    settings = {"validation_data": VALIDATION, "epochs": 20, "theirs": theirs}
    *_, history = result = both(lambda: regressor("sgd"), X, Y, callbacks=callbacks, **settings)
    assert_same(*result)
    assert len(history["loss"]) < 20


@pytest.mark.usefixtures("way")
def test_a_checkpoint_file_holds_the_weights_of_its_epoch(tmp_path):
    model = regressor("sgd")
    train(
        model,
        X,
        Y,
        epochs=2,
        callbacks=[keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras")],
    )
    saved = keras.saving.load_model(tmp_path / "2.keras")
    for a, b in zip(saved.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.usefixtures("way")
def test_a_callback_that_holds_the_users_model_finds_it_up_to_date():
    model, seen = regressor("sgd"), []
    look = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(model.get_weights()[0].sum())
    )
    train(model, X, Y, epochs=3, callbacks=[look], trainer="compiled")
    assert len(set(seen)) == 3
    assert seen[-1] == model.get_weights()[0].sum()


@pytest.mark.usefixtures("way")
def test_a_loss_that_is_not_finite_ends_training_as_in_fit():
    def callbacks():
        return [keras.callbacks.TerminateOnNaN()]

    _, expected, _, history = both(
        lambda: regressor(keras.optimizers.SGD(1e20)), X, Y, epochs=6, callbacks=callbacks
    )
    assert len(history["loss"]) == len(expected["loss"]) < 6


@pytest.mark.usefixtures("way")
def test_backup_goes_on_where_an_interrupted_training_was(tmp_path):
    def interrupt(epoch, logs):
        if epoch == 2:
            raise KeyboardInterrupt

    whole, cut = regressor("adam"), regressor("adam")
    expected = train(
        whole, X, Y, epochs=5, callbacks=[keras.callbacks.BackupAndRestore(tmp_path / "a")]
    )
    stop = keras.callbacks.LambdaCallback(on_epoch_end=interrupt)
    with pytest.raises(KeyboardInterrupt):
        train(
            cut, X, Y, epochs=5, callbacks=[keras.callbacks.BackupAndRestore(tmp_path / "b"), stop]
        )
    again = regressor("adam")
    history = train(
        again, X, Y, epochs=5, callbacks=[keras.callbacks.BackupAndRestore(tmp_path / "b")]
    )
    assert history["loss"] == pytest.approx(expected["loss"][-len(history["loss"]) :], rel=1e-6)
    assert len(history["loss"]) == 2


class OwnLoop(keras.Sequential):
    """A user's model with a training loop of its own."""

    def fit(self, *args, **settings):
        return super().fit(*args, **settings)


class OnBatches(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        self.batches = batch


def own_loop():
    model = OwnLoop([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def eager():
    model = regressor("sgd")
    model.compile("sgd", "mse", run_eagerly=True)
    return model


@pytest.mark.parametrize(
    ("make", "callbacks", "reason"),
    [
        (own_loop, [], "OwnLoop has its own fit"),
        (eager, [], "the model was compiled with run_eagerly=True"),
        (
            lambda: regressor("sgd"),
            [OnBatches()],
            "callback OnBatches acts on each batch (on_train_batch_end)",
        ),
        (
            lambda: regressor("sgd"),
            [keras.callbacks.LambdaCallback(on_train_batch_begin=lambda batch, logs: None)],
            "callback LambdaCallback acts on each batch (on_train_batch_begin)",
        ),
        (
            lambda: regressor("sgd"),
            [keras.callbacks.ModelCheckpoint("never.keras", save_freq=1000)],
            "callback ModelCheckpoint acts on each batch (on_train_batch_end)",
        ),
        (
            lambda: regressor("sgd"),
            [keras.callbacks.TerminateOnNaN(raise_error=True)],
            "callback TerminateOnNaN acts on each batch (on_batch_end)",
        ),
    ],
    ids=["own loop", "eager", "own batches", "lambda", "save_freq", "names the batch"],
)
def test_what_cannot_be_compiled_goes_to_fit_and_says_why(make, callbacks, reason):
    fit = Fit(make(), Rows(X, Y), epochs_total=2, callbacks=callbacks)
    assert list(fit.epochs()) == [1, 2]
    assert fit.notes == [f"trained by model.fit: {reason}"]
    assert len(fit.history["loss"]) == 2


def test_trainer_compiled_refuses_what_it_cannot_do():
    with pytest.raises(
        StudyError, match=r"^the compiled trainer cannot train this model: .*; use trainer='auto'$"
    ):
        train(own_loop(), X, Y, trainer="compiled")


def test_trainer_fit_asked_for_is_no_note():
    fit = Fit(regressor("sgd"), Rows(X, Y), trainer="fit")
    assert list(fit.epochs()) == [1]
    assert fit.notes == []


def test_what_xla_refuses_is_trained_as_a_plain_graph_with_a_note(monkeypatch):
    class ThroughNumpy(keras.layers.Layer):
        def call(self, x):
            return tf.ensure_shape(tf.numpy_function(lambda v: v, [x], tf.float32), x.shape)

    def make():
        keras.utils.set_random_seed(1)
        model = keras.Sequential(
            [keras.Input((4,)), keras.layers.Dense(1), ThroughNumpy(), keras.layers.Dense(1)]
        )
        model.layers[0].trainable = False  # no gradient passes NumPy
        model.compile("sgd", "mse")
        return model

    expected = train(make(), X, Y, epochs=2)
    monkeypatch.setattr(compiled, "XLA_MIN_STEPS", 0)
    fit = Fit(make(), Rows(X, Y), epochs_total=2)
    assert list(fit.epochs()) == [1, 2]
    assert [note.split(":")[0] for note in fit.notes] == ["compiled without XLA, which refused"]
    assert fit.history == expected


def test_an_order_depends_on_seed_and_epoch_alone():
    assert sorted(epoch_order(50, 1, 4)) == list(range(50))
    np.testing.assert_array_equal(epoch_order(50, 1, 4), epoch_order(50, 1, 4))
    assert not np.array_equal(epoch_order(50, 1, 4), epoch_order(50, 1, 5))
    assert not np.array_equal(epoch_order(50, 1, 4), epoch_order(50, 2, 4))


def test_shuffled_rows_are_those_of_epoch_order():
    ours, by_hand = regressor("sgd"), regressor("sgd")
    train(ours, X, Y, epochs=2, seed=9)
    for epoch in range(2):
        order = epoch_order(70, 9, epoch)
        by_hand.fit(X[order], Y[order], batch_size=32, shuffle=False, verbose=0)
    for a, b in zip(ours.get_weights(), by_hand.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=5e-5, atol=1e-6)


def test_data_changed_between_two_trainings_are_seen():
    x, first, second = X.copy(), regressor("sgd"), regressor("sgd")
    train(first, x, Y)
    x *= 0.0
    train(second, x, Y)
    assert not np.array_equal(first.get_weights()[0], second.get_weights()[0])


class SaysStop(keras.callbacks.Callback):
    """Says stop, or takes it back, in the hooks of a plan; each hook has an epoch, from 0."""

    def __init__(self, plan):
        super().__init__()
        self._plan = plan
        self._epoch = 0

    def say(self, hook):
        self.model.stop_training = self._plan.get((hook, self._epoch), self.model.stop_training)

    def on_train_begin(self, logs=None):
        self.say("on_train_begin")

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch
        self.say("on_epoch_begin")

    def on_test_begin(self, logs=None):
        self.say("on_test_begin")

    def on_test_end(self, logs=None):
        self.say("on_test_end")

    def on_epoch_end(self, epoch, logs=None):
        self.say("on_epoch_end")


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("hook", ["on_train_begin", "on_epoch_begin"])
def test_a_stop_before_the_first_batch_lets_one_step_pass_as_in_fit(hook, theirs):
    epoch = 0 if hook == "on_train_begin" else 1
    check_stops({(hook, epoch): True}, epochs=1 + epoch, steps=3 * epoch + 1, theirs=theirs)


@pytest.mark.parametrize(
    ("plan", "epochs", "steps"),
    [
        ({("on_test_begin", 1): True}, 2, 3 + 3),
        ({("on_test_end", 0): True}, 1, 3),
        ({("on_epoch_end", 1): True}, 2, 3 + 3),
        ({("on_train_begin", 0): True, ("on_epoch_begin", 0): False}, 3, 3 + 3 + 3),
        ({("on_train_begin", 0): True, ("on_test_end", 0): False}, 3, 1 + 3 + 3),
        ({("on_epoch_begin", 1): True, ("on_epoch_end", 1): False}, 3, 3 + 1 + 3),
    ],
)
def test_a_stop_that_is_said_or_taken_back_counts_as_in_fit(plan, epochs, steps, theirs):
    check_stops(plan, epochs=epochs, steps=steps, theirs=theirs)


def check_stops(plan, *, epochs, steps, theirs):
    result = both(
        lambda: regressor("sgd"),
        X,
        Y,
        theirs=theirs,
        epochs=3,
        validation_data=(X[:8], Y[:8]),
        callbacks=lambda: [SaysStop(plan)],
    )
    assert_same(*result)
    assert len(result.history["loss"]) == epochs
    assert int(result.ours.optimizer.iterations) == steps


def test_a_stop_lets_as_many_steps_pass_as_fit_takes_at_once():
    def make():
        model = regressor("sgd")
        model.steps_per_execution = 2  # as `compile` sets it
        return model

    theirs, ours = make(), make()
    settings = {"batch_size": 16, "epochs": 2, "shuffle": False}
    plan = {("on_train_begin", 0): True}
    expected = theirs.fit(X, Y, verbose=0, callbacks=[SaysStop(plan)], **settings).history
    history = train(ours, X, Y, callbacks=[SaysStop(plan)], trainer="compiled", **settings)
    assert_same(theirs, expected, ours, history)
    assert int(ours.optimizer.iterations) == int(theirs.optimizer.iterations) == 2


@pytest.fixture
def eager():
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.mark.usefixtures("eager")
def test_where_tensorflow_runs_functions_eagerly_fit_trains():
    assert Fit(regressor("sgd"), Rows(X, Y)).reason == (
        "TensorFlow was told to run functions eagerly"
    )


@pytest.fixture
def limited():
    keras.config.set_max_epochs(2)
    yield
    keras.config.set_max_epochs(None)


@pytest.mark.usefixtures("limited")
@pytest.mark.filterwarnings("ignore:Limiting epochs")
def test_kerass_limit_of_epochs_counts_as_in_fit():
    model = regressor("sgd")
    model.run_eagerly = True
    assert len(train(model, X, Y, epochs=3)["loss"]) == 2


@pytest.mark.parametrize(
    "settings",
    [
        {"clipnorm": 0.5},
        {"global_clipnorm": 0.5},
        {"clipvalue": 0.5},
        {"weight_decay": 0.1},
        {"learning_rate": keras.optimizers.schedules.ExponentialDecay(0.01, 3, 0.9)},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_layers_of_another_precision_train_as_in_fit_whatever_the_optimizers_settings(settings):
    def make():
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, dtype="float64")])
        optimizer = keras.optimizers.Adam(**{"learning_rate": 0.01} | settings)
        model.compile(optimizer, "mse", jit_compile=False)
        return model

    assert_same(*both(make, X, Y, epochs=2), rtol=1e-6)


def test_a_callback_that_asks_which_way_a_metric_goes_is_told_as_by_fit():
    model = classifier()
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    stop = keras.callbacks.EarlyStopping("val_accuracy", patience=2)
    train(model, X, LABELS, validation_data=(X[:9], LABELS[:9]), callbacks=[stop])
    assert stop.monitor_op is keras.ops.greater


def test_rows_that_nobody_can_change_are_moved_to_the_device_once():
    frozen = X.copy()
    frozen.flags.writeable = False
    assert trainer.on_device(frozen) is trainer.on_device(frozen)
    assert trainer.on_device(X) is not trainer.on_device(X)


class Overlap(keras.callbacks.Callback):
    """Counts the fits that are within an epoch."""

    inside = most = 0

    def on_epoch_begin(self, epoch, logs=None):
        Overlap.inside += 1
        Overlap.most = max(Overlap.most, Overlap.inside)
        time.sleep(0.02)

    def on_epoch_end(self, epoch, logs=None):
        Overlap.inside -= 1


def test_fits_in_threads_train_an_epoch_one_at_a_time():
    with ThreadPoolExecutor(2) as threads:
        models = [regressor("adam") for _ in range(2)]
        running = [
            threads.submit(train, model, X, Y, epochs=3, callbacks=[Overlap()]) for model in models
        ]
    assert running[0].result() == running[1].result()
    assert Overlap.most == 1


@pytest.mark.parametrize("cut", [{"y": Y[:-1]}, {"sample_weight": np.ones(len(Y) + 1, "f")}])
def test_rows_that_do_not_belong_together_are_refused(cut):
    rows = {"y": Y} | cut
    with pytest.raises(ValueError, match="belong together row by row"):
        train(regressor("sgd"), X, rows.pop("y"), **rows)


def test_a_fit_iterated_twice_weighs_its_classes_once():
    fit = Fit(classifier(), Rows(X, LABELS), class_weight={0: 1.0, 1: 3.0})
    list(fit.epochs())
    assert fit.rows.weight is None
