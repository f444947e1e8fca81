"""The learning-rate range test finds what mathematics says, and leaves everything as it was."""

from __future__ import annotations

import os
import random
import signal
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

from tuning import lr_range_test
from tuning.errors import StudyError
from tuning.lr_range import sweep as lr_range
from tuning.lr_range.steps import Steps, batch_order
from tuning.lr_range.throwaway import random_states_kept, throw_away


def linear(features: int, optimizer="sgd") -> keras.Model:
    model = keras.Sequential([keras.Input((features,)), keras.layers.Dense(1, use_bias=False)])
    model.compile(optimizer, "mse")
    return model


def parabola(start: float = -10.0) -> keras.Model:
    """The loss is w²: one row, x = 1, y = 0."""
    model = linear(1)
    model.set_weights([np.array([[start]])])
    return model


ONE = np.ones((1, 1), "float32")
ZERO = np.zeros((1, 1), "float32")


@pytest.fixture
def net():
    """A model with everything that a test could change, and its data."""
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.Input((5,)),
            keras.layers.Dense(8, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae"])
    X = np.random.default_rng(0).normal(size=(120, 5)).astype("float32")
    y = X.sum(axis=1)
    model.train_on_batch(X, y)
    keras.random.normal((1,))  # Keras' global generator exists
    tf.random.get_global_generator()
    return model, X, y


def everything(model: keras.Model) -> list[bytes]:
    from tensorflow.python.eager import context

    variables = [v.numpy().tobytes() for v in (*model.variables, *model.optimizer.variables)]
    keras_seed = keras.src.random.seed_generator.global_seed_generator().state.numpy().tobytes()
    generator = tf.random.get_global_generator().state.numpy().tobytes()
    states = [
        random.getstate(),
        np.random.get_state(),
        context.context()._rng.getstate(),
        keras_seed,
        generator,
    ]
    return [*variables, *(repr(state).encode() for state in states)]


@pytest.mark.parametrize("condition", [1, 10, 100, 1_000, 10_000])
def test_the_largest_stable_rate_of_a_linear_model_is_two_over_the_largest_eigenvalue(condition):
    rows = 50
    columns = 6
    rng = np.random.default_rng([condition, rows])

    # The squares of the singular values span the condition number of the loss's Hessian.
    left, right = (np.linalg.qr(rng.normal(size=(n, columns)))[0] for n in (rows, columns))
    singular_values = np.geomspace(3.0, 3.0 / condition**0.5, columns)
    X = (left * singular_values * rows**0.5 @ right.T).astype("float32")
    y = X @ rng.normal(size=columns).astype("float32")
    hessian = 2 / rows * X.T @ X
    truth = 2 / np.linalg.eigvalsh(hessian).max()

    keras.utils.set_random_seed(condition)
    test = lr_range_test(linear(columns), X, y, batch_size=rows)
    assert test.suggestions["largest_stable"] == pytest.approx(truth, rel=0.05)
    assert "largest_stable" not in test.reasons


def test_on_x_squared_the_largest_stable_rate_is_one():
    test = lr_range_test(parabola(), ONE, ZERO, lr_max=10.0)
    assert test.suggestions["largest_stable"] == pytest.approx(1.0, rel=0.03)
    assert test.diverged


def test_on_x_squared_nothing_diverges_up_to_one_and_that_is_marked():
    test = lr_range_test(parabola(), ONE, ZERO, lr_max=0.99)
    assert test.suggestions["largest_stable"] == 0.99
    reason = "nothing diverged up to 0.99: the largest stable rate may be higher"
    assert test.reasons["largest_stable"] == reason


def steps_on_x_squared(rate: float, steps: int, start: float = -10.0) -> list[float]:
    """Losses of so many steps at a constant rate, and the one after them."""
    with random_states_kept():
        trained = Steps(throw_away(parabola(start), (ONE, ZERO)), (ONE, ZERO))
        return list(trained.losses(np.full(steps + 1, rate), np.zeros((steps + 1, 1), np.int32)))


@pytest.mark.parametrize("start", [-10.0, 0.5, 1000.0])
def test_on_x_squared_a_rate_of_one_half_reaches_zero_in_one_step(start):
    assert steps_on_x_squared(0.5, 1, start) == [start**2, 0.0]


def test_on_x_squared_the_smallest_rate_that_is_flat_after_20_steps_is_known():
    # The slope of w² is 2 |w|.
    slopes = [2 * steps_on_x_squared(rate, 20)[-1] ** 0.5 for rate in (0.1952, 0.1953)]
    assert slopes[0] > 0.001 >= slopes[1]


def test_nothing_of_the_caller_has_changed_afterwards(net):
    model, X, y = net
    before = everything(model)
    lr_range_test(model, X, y, steps=40, seeds=2)
    assert everything(model) == before
    assert keras.layers.Dense(1).name == f"dense_{_dense_layers()}"


def _dense_layers() -> int:
    global_state = keras.src.backend.common.global_state
    counts = global_state.get_global_attribute("object_name_uids")
    return int(counts["dense"]) - 1


def test_nothing_has_changed_after_an_error(net, monkeypatch):
    model, X, y = net
    before = everything(model)

    def broken(*args, **kwargs):
        random.random(), np.random.random(), keras.random.normal((2,)), tf.random.normal((2,))
        raise RuntimeError("in the middle")

    monkeypatch.setattr(lr_range, "_bisect", broken)
    with pytest.raises(RuntimeError, match="in the middle"):
        lr_range_test(model, X, y, steps=40)
    assert everything(model) == before


# An interrupt that Python drops is a warning.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_nothing_has_changed_after_ctrl_c(net):
    model, X, y = net
    before = everything(model)
    ended = threading.Event()

    def press():  # again: Python drops an interrupt that comes while it frees something
        while not ended.wait(0.7):
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            lr_range_test(model, X, y, steps=3000, seeds=500)
    finally:
        ended.set()
    thread.join()
    assert everything(model) == before


def test_the_same_call_gives_the_same_result(net):
    model, X, y = net
    first = lr_range_test(model, X, y, steps=60, seeds=2)
    random.random(), np.random.random()
    second = lr_range_test(model, X, y, steps=60, seeds=2)
    assert {**first.to_json(), "seconds": 0} == {**second.to_json(), "seconds": 0}


def test_the_first_seed_uses_the_models_own_weights_and_the_others_fresh_ones(monkeypatch):
    starts = []
    monkeypatch.setattr(
        lr_range, "_one_seed", lambda steps, *_: starts.append(steps._start[0][1].numpy()) or SWEEP
    )
    model = linear(4)
    lr_range_test(model, np.ones((8, 4)), np.ones(8), steps=20, seeds=3)
    assert np.array_equal(starts[0], model.get_weights()[0])
    assert len({start.tobytes() for start in starts}) == 3


@pytest.mark.parametrize("weights", [True, False])
def test_a_copy_normalises_as_the_model_was_adapted_and_keeps_what_is_frozen(weights):
    X = np.random.default_rng(0).normal(5000, 1000, (64, 3)).astype("float32")
    scale = keras.layers.Normalization()
    scale.adapt(X)
    frozen = keras.layers.Dense(4)
    model = keras.Sequential([keras.Input((3,)), scale, frozen, keras.layers.Dense(1)])
    frozen.trainable = False
    model.compile("sgd", "mse")
    with random_states_kept():
        copy = throw_away(model, (X[:8], X[:8, 0]), weights=weights)
    middle, ours = (keras.Model(m.inputs, m.layers[1].output) for m in (model, copy))
    assert ours.predict(X, verbose=0) == pytest.approx(middle.predict(X, verbose=0), rel=1e-5)
    assert np.array_equal(copy.layers[-1].kernel, model.layers[-1].kernel) == weights


def test_a_copy_keeps_the_bins_a_layer_was_adapted_to():
    X = np.linspace(0, 1, 64, dtype="float32")[:, None]
    bins = keras.layers.Discretization(num_bins=4)
    bins.adapt(X)
    model = keras.Sequential([keras.Input((1,)), bins, keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    with random_states_kept():
        copy = throw_away(model, (X[:8], X[:8, 0]), weights=False)
    assert np.array_equal(copy.layers[0](X), model.layers[0](X))


SWEEP = lr_range.SeedSweep(np.linspace(2, 1, 20), 0.1)


class Compiled(keras.Model):
    """A subclass whose compile takes more than Keras'."""

    def __init__(self):
        super().__init__()
        self.last = keras.layers.Dense(1)

    def call(self, x):
        return self.last(x)

    def get_config(self):
        return {}

    def compile(self, own=1, **rest):
        super().compile(**rest)


def test_a_compile_of_its_own_that_cannot_be_repeated_is_refused():
    model = Compiled()
    model.compile(optimizer="sgd", loss="mse")
    with pytest.raises(StudyError, match="Compiled has its own compile"):
        lr_range_test(model, np.ones((4, 2)), np.ones(4), steps=20)


def test_an_unbuilt_model_stays_unbuilt():
    model = keras.Sequential([keras.layers.Dense(4), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    lr_range_test(model, np.ones((8, 3)), np.ones(8), steps=20)
    assert not model.built


class Own(keras.Model):
    """A subclass that cannot be told from its configuration."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def call(self, x):
        return self.layer(x)


class Copied(keras.Model):
    """A subclass with a training step of its own."""

    def __init__(self, units):
        super().__init__()
        self.units = units
        self.last = keras.layers.Dense(units)

    def get_config(self):
        return {"units": self.units}

    def call(self, x):
        return self.last(x)

    def train_step(self, data):
        return {"loss": 3.0 * super().train_step(data)["loss"]}


def test_a_subclass_with_a_training_step_of_its_own_is_trained_by_it():
    model = Copied(1)
    model.compile("sgd", "mse")
    X = np.ones((6, 2), "float32")
    y = np.zeros((6, 1), "float32")
    before = float(np.mean(model(X) ** 2))
    test = lr_range_test(model, X, y, steps=20)
    assert test.losses[0] == pytest.approx(3 * before, rel=1e-4)


def test_a_model_that_cannot_be_copied_is_refused_with_what_would_help():
    model = Own(keras.layers.Dense(1))
    model.compile("sgd", "mse")
    with pytest.raises(StudyError, match=r"Own cannot be copied: .*get_config\(\)"):
        lr_range_test(model, np.ones((4, 2)), np.ones(4))


def test_several_inputs_a_schedule_and_a_loss_of_ones_own_are_taken():
    a = keras.Input((2,), name="a")
    b = keras.Input((3,), name="b")
    model = keras.Model([a, b], keras.layers.Dense(1)(keras.layers.Concatenate()([a, b])))
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)
    model.compile(
        keras.optimizers.SGD(schedule, momentum=0.9),
        lambda y, p: keras.ops.mean((y - p) ** 2, axis=-1),
    )
    X = {"a": np.ones((10, 2), "float32"), "b": np.ones((10, 3), "float32")}
    test = lr_range_test(model, X, np.ones((10, 1), "float32"), steps=20)
    assert test.suggestions.keys() == SUGGESTED


SUGGESTED = {"steepest", "valley", "min_over_10", "largest_stable"}


def test_where_every_rate_is_too_high_there_are_still_all_suggestions_with_reasons():
    model = linear(3)
    X = 1e6 * np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
    test = lr_range_test(model, X, np.ones(20, "float32"), lr_min=1e-3, lr_max=1.0)
    assert test.suggestions.keys() == test.reasons.keys() == SUGGESTED
    assert all(np.isfinite(rate) for rate in test.suggestions.values())
    assert test.interval == test.bounds == (1e-3, 1.0)


def test_noise_that_cannot_be_learnt_gives_reasons_and_the_bounds():
    rng = np.random.default_rng(0)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="zeros")])
    model.compile("sgd", "mse")
    test = lr_range_test(
        model, rng.normal(size=(400, 1)), rng.normal(size=400), batch_size=4, lr_max=1e-3
    )
    assert test.reasons["steepest"].startswith(
        "the loss did not fall by more than its noise at any rate; this is"
    )
    assert test.interval == test.bounds


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lr_min": 0.0}, "lr_min and lr_max must be 0 < lr_min < lr_max, got 0.0 and 1.0"),
        ({"lr_min": 2.0}, "lr_min and lr_max must be"),
        ({"steps": 3}, "steps must be a whole number, at least 20, got 3"),
        ({"seeds": 0}, "seeds must be"),
        ({"batch_size": 2.5}, "batch_size must be"),
        ({"y": np.ones(3)}, r"equally many rows, at least 1; found \[3, 4\]"),
        ({"model": "net"}, "model must be a keras.Model, got a str"),
        ({"model": keras.Sequential([keras.layers.Dense(1)])}, "not compiled"),
    ],
)
def test_wrong_settings_are_refused(changes, message):
    arguments = {"model": linear(2), "X": np.ones((4, 2)), "y": np.ones(4), **changes}
    with pytest.raises(StudyError, match=message):
        lr_range_test(**arguments)


def test_every_batch_is_full_and_every_row_comes_equally_often():
    order = batch_order(10, 4, 25, np.random.default_rng(0))
    assert order.shape == (25, 4)
    assert set(np.bincount(order.ravel())) == {10}


def test_at_most_twelve_runs_at_a_constant_rate_find_a_threshold():
    for threshold in (2e-5, 1e-3, 0.3, 0.98):
        for guess in (threshold / 3, threshold * 3):
            runs = []
            sweep = lr_range.Sweep()
            stable, reason = lr_range._bisect(
                lambda rate, t=threshold, r=runs: r.append(rate) or rate <= t,
                min(max(guess, 1e-5), 1.0),
                sweep,
            )
            assert len(runs) <= 12
            assert 0.95 * threshold <= stable <= threshold
            assert reason == ""
