"""`build`: equal arguments and seeds give equal models; users' builders work as they are."""

import random
import warnings

import keras
import numpy as np
import pytest

from tuning.builders.build import build
from tuning.builders.mlp import build_model
from tuning.builders.seeds import seeded
from tuning.errors import StudyError


def course_builder(n_hidden=1, n_neurons=30, learning_rate=3e-3, input_shape=[8]):  # noqa: B006 - as courses write it
    from tensorflow import keras

    model = keras.models.Sequential()
    model.add(keras.layers.InputLayer(input_shape=input_shape))
    for _ in range(n_hidden):
        model.add(keras.layers.Dense(n_neurons, activation="relu"))
    model.add(keras.layers.Dense(1))
    optimizer = keras.optimizers.SGD(learning_rate=learning_rate)
    model.compile(loss="mse", optimizer=optimizer)
    return model


def tf_keras_builder(n_neurons=5):
    import tensorflow as tf

    model = tf.keras.Sequential(
        [
            tf.keras.layers.Dense(n_neurons, activation="relu", input_shape=(8,)),
            tf.keras.layers.Dense(1),
        ]
    )
    model.compile(loss=tf.keras.losses.MeanSquaredError(), optimizer=tf.keras.optimizers.Adam(0.01))
    return model


def functional_builder(n_neurons=5, input_shape=(8,)):
    inputs = keras.Input(input_shape)
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Dense(n_neurons)(inputs)))
    model.compile("sgd", "mse")
    return model


def shapeless_builder(n_neurons=5):
    model = keras.Sequential([keras.layers.Dense(n_neurons), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def subclass_builder(n_neurons=5):
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.hidden, self.out = keras.layers.Dense(n_neurons), keras.layers.Dense(1)

        def call(self, inputs):
            return self.out(self.hidden(inputs))

    model = Net()
    model.compile("sgd", "mse")
    return model


@pytest.mark.parametrize(
    "builder",
    [course_builder, tf_keras_builder, functional_builder, shapeless_builder, subclass_builder],
)
def test_builders_as_users_write_them_have_weights_and_train(builder):
    model = build(builder, {"n_neurons": 3}, 0, input_shape=(8,))
    assert model.count_params() == 8 * 3 + 3 + 3 + 1
    assert np.isfinite(model.train_on_batch(np.ones((2, 8)), np.ones((2, 1))))


def test_the_old_spelling_of_an_input_shape_gives_no_warning_at_every_trial():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert build(course_builder, {"input_shape": [4]}, 0).input_shape == (None, 4)


def test_other_warnings_of_a_builder_reach_the_user():
    def noisy():
        warnings.warn("mind this", stacklevel=1)
        return build_model()

    with pytest.warns(UserWarning, match="mind this"):
        build(noisy, {}, 0)


@pytest.mark.parametrize("builder", [build_model, subclass_builder])
def test_the_seed_fixes_the_first_weights(builder):
    one, two, again = (
        build(builder, {}, seed, input_shape=(8,)).get_weights()[0] for seed in (1, 2, 1)
    )
    assert np.array_equal(one, again)
    assert not np.array_equal(one, two)


def test_the_seed_fixes_dropout():
    arguments = {"dropout": 0.5}
    one, again = (
        np.asarray(build(build_model, arguments, 1)(np.ones((4, 8)), training=True))
        for _ in range(2)
    )
    assert np.array_equal(one, again)


def test_without_a_seed_models_differ():
    one, two = (build(build_model, {}, None).get_weights()[0] for _ in range(2))
    assert not np.array_equal(one, two)


def test_equal_structures_have_equal_layer_names():
    names = [
        [layer.name for layer in build(build_model, {"n_hidden": 2}, s).layers] for s in (0, 1)
    ]
    assert names[0] == names[1] == ["dense", "dense_1", "dense_2"]


def test_building_keeps_the_users_dtype_policy():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        assert build(build_model, {}, 0).layers[0].compute_dtype == "bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")


def test_seeds_do_not_switch_op_determinism_on():
    from tensorflow.python.framework import config

    build(build_model, {}, 0)
    assert not config.is_op_determinism_enabled()


@pytest.mark.parametrize("own", [None, 5])
def test_what_a_builder_draws_by_stateful_ops_repeats_whatever_seed_these_have(own):
    import tensorflow as tf

    def drawn():
        model = build_model()
        model.layers[0].bias.assign(tf.random.normal(model.layers[0].bias.shape, seed=own))
        return model

    def weights(model):
        return np.asarray(model.layers[0].bias).tolist()

    first, again, other = (weights(build(drawn, {}, seed)) for seed in (1, 1, 2))
    assert first == again != other
    inside = []
    for _ in range(3):
        with seeded(1):
            inside.append(weights(drawn()))
    assert inside[0] == inside[1] == inside[2]


def test_seeded_gives_every_random_state_back():
    import tensorflow as tf

    def drawn_after():
        with seeded(7):
            inside = (random.random(), float(np.random.rand()), float(tf.random.uniform(())))
        return inside, (random.random(), float(np.random.rand()), float(tf.random.uniform(())))

    (inside, after), (inside_again, after_again) = drawn_after(), drawn_after()
    assert inside == inside_again
    assert all(a != b for a, b in zip(after, after_again, strict=True))


def test_seeded_again_keeps_the_kernels_of_graphs_unless_somebody_has_drawn_from_one(monkeypatch):
    import tensorflow as tf

    def times_dropped():
        dropped = []
        whole = keras.utils.set_random_seed
        with monkeypatch.context() as patched:
            patched.setattr(
                keras.utils, "set_random_seed", lambda seed: dropped.append(seed) or whole(seed)
            )
            with seeded(7):
                build_model()
        return len(dropped)

    with seeded(7):
        tf.random.uniform(())
    assert [times_dropped(), times_dropped()] == [1, 0]
    tf.random.uniform(())
    assert [times_dropped(), times_dropped()] == [1, 0]


@pytest.mark.parametrize("seed", [None, 3])
def test_behind_seeded_all_draw_as_if_nothing_had_been_drawn(seed):
    import tensorflow as tf
    from tensorflow.python.eager import context

    def run(*, between):
        if seed is not None:
            keras.utils.set_random_seed(seed)
        first = float(tf.random.uniform(()))
        if between:
            with seeded(7):
                build_model()
                tf.random.uniform(())
        drawn = (random.random(), float(np.random.rand()), float(tf.random.uniform(())))
        return first, *drawn, build_model().get_weights()[0].tolist()

    tf.random.set_seed(seed)
    if seed is None:
        run(between=True)
        assert context.global_seed() is None
    else:
        assert run(between=True) == run(between=False)


def uncompiled():
    return keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)])


def forgets_to_return():
    build_model()


def returns_a_function():
    def create():
        return build_model()

    return create


def returns_a_pair():
    return build_model(), {"epochs": 3}


def returns_a_class():
    return keras.Model


def returns_a_number():
    return 3


@pytest.mark.parametrize(
    ("builder", "message"),
    [
        (
            uncompiled,
            "uncompiled returned a model that is not compiled; "
            "end it with model.compile(optimizer=…, loss=…)",
        ),
        (forgets_to_return, "forgets_to_return returned None; end it with `return model`"),
        (
            returns_a_function,
            "returns_a_function returned the function create instead of a model; "
            "give create itself",
        ),
        (
            returns_a_pair,
            "returns_a_pair returned a tuple (Sequential, dict); it must return the model alone",
        ),
        (returns_a_class, "returns_a_class returned the class Model, not a model made of it"),
        (
            returns_a_number,
            "returns_a_number returned a builtins.int; it must return a compiled keras.Model",
        ),
    ],
)
def test_what_is_no_compiled_model_is_told_with_the_builders_name(builder, message):
    with pytest.raises(StudyError) as caught:
        build(builder, {}, 0)
    assert str(caught.value) == message


def _draws_statefully(input_shape=(2,)):
    import tensorflow as tf

    start = tf.random.normal((2, 1))  # a stateful op: TensorFlow's kernel keeps count of its draws
    model = keras.Sequential([keras.Input(input_shape), keras.layers.Dense(1, use_bias=False)])
    model.layers[0].set_weights([start.numpy()])
    model.compile("sgd", "mse")
    return model


def test_a_builder_that_draws_with_stateful_ops_repeats_under_a_seed():
    first, other, again = (
        build(_draws_statefully, {}, seed).get_weights()[0] for seed in (1, 2, 1)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


class Read(keras.Model):
    """A subclass that hides what it reads with."""

    def __init__(self, reader):
        super().__init__()
        self.reader = reader
        self.last = keras.layers.Dense(1)
        self.compile("sgd", "mse")

    def call(self, x):
        return self.last(self.reader(x))


@pytest.mark.parametrize(
    "reader",
    [
        lambda: keras.layers.Normalization(name="own"),
        lambda: keras.layers.IntegerLookup(name="own", output_mode="multi_hot"),
        lambda: keras.layers.StringLookup(name="own", output_mode="multi_hot"),
        lambda: keras.layers.TextVectorization(name="own", output_mode="multi_hot"),
        lambda: keras.layers.Discretization(name="own", num_bins=3),
        lambda: keras.Sequential([keras.layers.Normalization(name="own")]),
    ],
)
def test_a_layer_hidden_in_a_subclass_that_waits_for_adapt_is_named(reader):
    with pytest.raises(StudyError) as raised:
        build(lambda: Read(reader()), {}, 0, input_shape=(3,))
    assert str(raised.value).startswith("<lambda>: layer 'own' (")
    assert "is not adapted, and nobody can tell what reaches it inside a subclass" in str(
        raised.value
    )
    assert "adapt it in the builder" in str(raised.value)


def test_a_subclass_that_reads_texts_has_weights_too():
    def builder():
        lookup = keras.layers.TextVectorization(output_mode="multi_hot", vocabulary=["a", "b"])
        return Read(lookup)

    assert build(builder, {}, 0, input_shape=()).count_params() == 4


def test_a_subclass_of_several_inputs_that_reads_texts_is_to_be_called_by_its_builder():
    class Two(Read):
        def call(self, inputs):
            return self.last(self.reader(inputs["text"])) + inputs["number"]

    def builder(called=False):
        model = Two(keras.layers.StringLookup(output_mode="multi_hot", vocabulary=["a", "b"]))
        if called:
            model({"text": np.array([["a"]], object), "number": np.zeros((1, 1), np.float32)})
        return model

    shapes = {"text": (1,), "number": (1,)}
    with pytest.raises(StudyError, match=r"Two takes several inputs and .*call it once"):
        build(builder, {}, 0, input_shape=shapes)
    assert build(builder, {"called": True}, 0, input_shape=shapes).count_params() == 4
