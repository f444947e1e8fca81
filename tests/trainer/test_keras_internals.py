"""Each private name of Keras and TensorFlow still means what this package takes it to mean."""

from __future__ import annotations

import random
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.utils import rng_utils

from tuning.trainer import keras_internals

X = np.linspace(-1, 1, 12, dtype="float32").reshape(4, 3)
Y = X.sum(axis=1)


def net(optimizer=None, **settings):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2), keras.layers.Dense(1)])
    model.compile(optimizer or keras.optimizers.Adam(0.01), **{"loss": "mse"} | settings)
    return model


def test_importing_it_imports_no_tensorflow():
    code = "import sys, tuning.trainer.keras_internals; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_versions_are_those_it_was_checked_with():
    assert keras.__version__.startswith("3.15.")
    assert tf.__version__.startswith("2.21.")


def test_global_seeds_that_were_set_within_are_gone_behind_it():
    keras.utils.set_random_seed(3)
    before = rng_utils.get_random_seed()
    with keras_internals.global_seeds_kept():
        keras.utils.set_random_seed(8)
        within = float(tf.random.uniform(()))
        keras.random.uniform(())
    assert rng_utils.get_random_seed() == before
    assert keras_internals.keras_seed_generator() is None
    behind = float(tf.random.uniform(()))

    keras.utils.set_random_seed(3)
    assert behind == float(tf.random.uniform(()))
    assert behind != within


def test_a_global_generator_goes_on_behind_it_as_if_nobody_had_drawn():
    keras.utils.set_random_seed(3)
    keras.random.uniform(())
    generator = keras_internals.keras_seed_generator()
    state = generator.state.numpy()
    with keras_internals.global_seeds_kept():
        keras.random.uniform(())
    assert keras_internals.keras_seed_generator() is generator
    np.testing.assert_array_equal(generator.state.numpy(), state)


def test_a_keras_seed_and_pythons_repeat_what_layers_draw():
    drawn = []
    for _ in range(2):
        keras_internals.set_keras_seed(3)
        random.seed(3)  # the seed of the next generator is drawn from it
        assert keras_internals.keras_seed_generator() is None
        drawn.append(keras.random.normal((4,)).numpy())
    np.testing.assert_array_equal(*drawn)
    assert rng_utils.get_random_seed() == 3


def test_a_tensorflow_seed_repeats_the_seeds_of_new_operations():
    drawn = []
    for _ in range(2):
        keras_internals.set_tensorflow_seed(3)
        drawn.append(keras_internals.tensorflow_seed_source().random())
    assert drawn[0] == drawn[1]
    before = keras_internals.tensorflow_seed_source().getstate()
    tf.random.normal((2,))
    assert keras_internals.tensorflow_seed_source().getstate() != before


def test_the_generator_of_tensorflow_is_the_public_one(monkeypatch):
    generator = tf.random.Generator.from_seed(1)
    tf.random.set_global_generator(generator)
    assert keras_internals.tensorflow_generator() is generator


def test_stateful_draws_are_counted_and_stateless_ones_are_not():
    before = keras_internals.stateful_draws()
    tf.random.stateless_normal((2,), seed=(1, 2))
    assert keras_internals.stateful_draws() == before
    tf.random.normal((2,))
    assert keras_internals.stateful_draws() == before + 1


def test_the_seed_generator_of_keras_can_be_put_back():
    keras.utils.set_random_seed(1)
    keras.random.normal((1,))  # makes it
    generator = keras_internals.keras_seed_generator()
    before = generator.state.numpy()
    keras_internals.set_keras_seed_generator(None)
    keras.random.normal((1,))
    keras_internals.set_keras_seed_generator(generator)
    np.testing.assert_array_equal(generator.state.numpy(), before)
    keras.random.normal((1,))
    assert not np.array_equal(generator.state.numpy(), before)


def test_layers_are_numbered_as_the_counts_say():
    keras_internals.reset_layer_names()
    assert keras.layers.Dense(1).name == "dense"
    counts = keras_internals.layer_name_counts()
    assert keras.layers.Dense(1).name == "dense_1"
    keras_internals.set_layer_name_counts(counts)
    assert keras.layers.Dense(1).name == "dense_1"


def test_a_lambda_is_copied_only_in_the_unsafe_scope():
    config = keras.layers.Lambda(lambda x: x * 2).get_config()
    with pytest.raises(ValueError, match="unsafe"):
        keras.layers.Lambda.from_config(dict(config))
    with keras_internals.unsafe_deserialization():
        keras.layers.Lambda.from_config(dict(config))


def test_a_batch_builds_model_metrics_and_optimizer():
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("adam", "mse", metrics=["mae"])
    keras_internals.build_from_batch(model, (X, Y))
    assert model.built
    assert model.optimizer.built
    assert model.metrics_variables


def test_all_layers_are_found_within_nested_models():
    inner = net()
    outer = keras.Sequential([keras.Input((3,)), inner])
    layers = keras_internals.all_layers(outer)
    assert {id(layer) for layer in (outer, inner, *inner.layers)} <= set(map(id, layers))


def test_the_arguments_of_compile_are_the_objects_themselves():
    loss = keras.losses.Huber(delta=0.3)
    model = net(loss=loss)
    arguments = keras_internals.compile_arguments(model)
    assert arguments["loss"] is loss
    assert arguments["optimizer"] is model.optimizer
    assert {"metrics", "weighted_metrics", "loss_weights"} <= set(arguments)


def test_loss_weights_are_those_given_to_compile():
    assert keras_internals.loss_weights(net()) is None
    assert keras_internals.loss_weights(net(loss_weights=[0.5])) == [0.5]


def test_a_loss_added_is_that_of_evaluate():
    model = net()
    expected = model.evaluate(X, Y, verbose=0)
    model.reset_metrics()
    keras_internals.add_loss(model, tf.constant(X), tf.constant(Y), model(X), None)
    assert float(model.get_metrics_result()["loss"]) == pytest.approx(expected, rel=1e-6)


def test_the_epoch_restored_is_the_one_that_fit_would_begin_at(tmp_path):
    class StopsAfter(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise KeyboardInterrupt

    model = net()
    # Keras deletes the backup when a training ends as it should.
    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, epochs=3, verbose=0, callbacks=[backup, StopsAfter()])
    keras_internals.forget_restored_epoch(model)
    assert keras_internals.restored_epoch(model) is None
    callbacks = keras.callbacks.CallbackList([backup], model=model)
    callbacks.on_train_begin()
    assert keras_internals.restored_epoch(model) == 1


def test_the_history_is_that_of_the_epochs():
    callbacks = keras.callbacks.CallbackList([], add_history=True, model=net())
    callbacks.on_train_begin()
    callbacks.on_epoch_end(0, {"loss": 2.0})
    assert keras_internals.history_of(callbacks) == {"loss": [2.0]}


@pytest.mark.parametrize("functional", [False, True])
def test_the_nodes_of_a_model_go_from_inputs_to_outputs(functional):
    model = net()
    if functional:
        model = keras.Model(model.inputs, model.outputs)
    operations = [node.operation for node in keras_internals.graph_nodes(model)]
    dense = [layer for layer in operations if isinstance(layer, keras.layers.Dense)]
    assert [layer.units for layer in dense] == [2, 1]


@pytest.mark.parametrize(
    "item", [keras.losses.Huber(delta=0.3), keras.metrics.BinaryAccuracy(threshold=0.3)]
)
def test_the_settings_of_losses_and_metrics_are_those_they_compute_with(item):
    assert 0.3 in keras_internals.loss_settings(item).values()


def test_an_object_without_settings_has_none():
    assert keras_internals.loss_settings("mse") == {}


def test_a_variable_takes_other_numbers_and_another_shape():
    layer = net().layers[0]
    kernel = keras_internals.kernel_variable(layer)
    assert kernel is layer.kernel
    keras_internals.set_value(kernel, tf.Variable(tf.ones((3, 2)), shape=[None, None]))
    np.testing.assert_array_equal(kernel.numpy(), np.ones((3, 2)))
    keras_internals.copy_shape(keras.Variable(np.zeros((3, 7), "float32")), kernel)
    assert kernel.shape == (3, 7)


def test_a_learning_rate_is_a_variable_or_a_schedule():
    rate = keras_internals.learning_rate_of(keras.optimizers.Adam(0.25))
    assert isinstance(rate, keras.Variable)
    assert float(rate) == 0.25
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)
    assert keras_internals.learning_rate_of(keras.optimizers.Adam(schedule)) is schedule


def test_an_optimizer_knows_its_weights_and_their_places():
    model = net()
    weights = model.trainable_variables
    model.optimizer.build(weights)
    assert list(map(id, keras_internals.built_for(model.optimizer))) == list(map(id, weights))
    places = [keras_internals.position_of(model.optimizer, weight) for weight in weights]
    assert places == list(range(len(weights)))


@pytest.mark.parametrize(
    ("optimizer", "first", "second"),
    [
        (keras.optimizers.SGD(), 0, None),
        (keras.optimizers.SGD(momentum=0.9), 4, None),
        (keras.optimizers.RMSprop(), 0, 4),
        (keras.optimizers.RMSprop(momentum=0.9), 4, 4),
        (keras.optimizers.Adam(), 4, 4),
        (keras.optimizers.AdamW(), 4, 4),
    ],
)
def test_an_optimizer_keeps_these_moments(optimizer, first, second):
    optimizer.build(net().trainable_variables)
    assert len(keras_internals.first_moments(optimizer)) == first
    if second is not None:
        assert len(keras_internals.second_moments(optimizer)) == second


def test_the_averages_of_weights_are_those_that_keras_puts_in_their_place():
    with_ema = {"use_ema": True, "ema_momentum": 0.5}
    makers = [
        lambda: keras.optimizers.SGD(0.1, **with_ema),
        lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.1, **with_ema)),
    ]
    for make in makers:
        model = net()
        model.compile(make(), "mse", run_eagerly=True)
        assert keras_internals.averages(model.optimizer) == []  # not built yet
        for _ in range(2):
            model.train_on_batch(X, Y)
        pairs = keras_internals.averages(model.optimizer)
        averages = [average.numpy() for _, average in pairs]
        assert not np.array_equal(averages[0], model.trainable_weights[0].numpy())
        model.optimizer.finalize_variable_values(model.trainable_variables)
        for weight, average in zip(model.trainable_weights, averages, strict=True):
            np.testing.assert_array_equal(weight.numpy(), average)
    assert keras_internals.averages(keras.optimizers.SGD()) == []


def test_another_update_step_takes_the_place_of_keras_own():
    model, calls = net(), []
    step = keras_internals.update_step(model.optimizer)

    def counting(grads, weights, rate):
        calls.append(len(weights))
        step(grads, weights, rate)

    before = model.get_weights()[0]
    keras_internals.set_update_step(model.optimizer, counting)
    model.fit(X, Y, verbose=0)
    assert set(calls) == {4}  # traced more than once
    assert not np.array_equal(model.get_weights()[0], before)


def test_the_count_of_steps_is_one_tensor_within_and_the_variable_afterwards():
    optimizer = net().optimizer
    variable = optimizer.iterations
    with keras_internals.steps_read_once(optimizer):
        assert optimizer.iterations is not variable
        assert int(optimizer.iterations) == 0
    assert optimizer.iterations is variable


def test_variables_left_out_of_weight_decay_are_noticed():
    optimizer = keras.optimizers.AdamW(0.01)
    assert not keras_internals.leaves_out_of_weight_decay(optimizer)
    optimizer.exclude_from_weight_decay(var_names=["kernel"])
    assert keras_internals.leaves_out_of_weight_decay(optimizer)


@pytest.mark.parametrize(
    ("metrics", "wants"),
    [
        (["mae", keras.metrics.MeanSquaredError(name="mine")], False),
        ([keras.metrics.F1Score(threshold=0.5)], True),
        (None, False),
    ],
)
def test_compiled_metrics_are_named_before_the_first_batch_as_in_its_logs(metrics, wants):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, "sigmoid")])
    model.compile("sgd", "mse", metrics=metrics, weighted_metrics=["mse"])
    names = keras_internals.compiled_metric_names(model)
    assert keras_internals.wants_columns(model) is wants
    logs = model.test_on_batch(np.ones((4, 2)), np.ones((4, 1)), return_dict=True)
    assert names == set(logs) - {"loss"}
