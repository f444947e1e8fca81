"""The perceptron: its answers and its steps by hand, its weights beside scikit-learn's."""

import keras
import numpy as np
import pytest
from sklearn.datasets import load_iris, make_blobs
from sklearn.linear_model import Perceptron

from tuning.builders.check import check_builder
from tuning.builders.perceptron import build_perceptron, custom_objects, heaviside, sign
from tuning.errors import BuilderError

Z = np.array([-2.0, -0.5, 0.0, 0.5, 2.0], np.float32)


def with_weights(activation, w, b, lr=1.0):
    model = build_perceptron(lr, activation, input_shape=(len(w),))
    model.set_weights([np.array(w, np.float32)[:, None], np.array([b], np.float32)])
    return model


def weights(model):
    kernel, bias = model.get_weights()
    return [*kernel[:, 0].tolist(), *bias.tolist()]


def test_the_steps_jump_at_zero():
    assert np.array(heaviside(Z)).tolist() == [0, 0, 1, 1, 1]
    assert np.array(sign(Z)).tolist() == [-1, -1, 0, 1, 1]


@pytest.mark.parametrize(
    ("activation", "answer"),
    [("heaviside", 1.0), ("sign", 1.0), ("sigmoid", 0.7310586), ("tanh", 0.7615942)],
)
def test_the_neuron_answers_with_its_activation_of_w_x_plus_b(activation, answer):
    model = with_weights(activation, [2.0, -1.0], -3.0)
    x = np.array([[3.0, 2.0]], np.float32)  # 2·3 − 1·2 − 3 = 1
    assert float(model.neuron(x)[0, 0]) == pytest.approx(answer, rel=1e-6)
    moved = (answer + 1) / 2 if activation in ("sign", "tanh") else answer
    assert float(model(x)[0, 0]) == pytest.approx(moved, rel=1e-6)


@pytest.mark.parametrize(
    ("activation", "y", "after"),
    [
        ("heaviside", 1, [1.0, -1.0, 0.5]),  # right: nothing moves
        ("heaviside", 0, [-0.5, -2.0, 0.0]),  # w − 0.5 · (3, 2), b − 0.5
        ("sign", 0, [-2.0, -3.0, -0.5]),  # −1 − 1 = −2: twice as far
        (
            "sigmoid",
            1,
            [1.0 + 0.5 * 3 * 0.18242552, -1.0 + 0.5 * 2 * 0.18242552, 0.5 + 0.5 * 0.18242552],
        ),
        (
            "tanh",
            1,
            [1.0 + 0.5 * 3 * 0.09485174, -1.0 + 0.5 * 2 * 0.09485174, 0.5 + 0.5 * 0.09485174],
        ),
    ],
)
def test_one_step_of_the_rule_is_the_one_computed_by_hand(activation, y, after):
    model = with_weights(activation, [1.0, -1.0], 0.5, lr=0.5)
    model.fit(np.array([[3.0, 2.0]], np.float32), np.array([y]), verbose=0)  # z = 1.5
    assert weights(model) == pytest.approx(after, rel=1e-5)


def test_a_batch_adds_up_the_steps_of_its_rows():
    model = with_weights("heaviside", [0.0, 0.0], -1.0)
    model.fit(
        np.array([[1.0, 2.0], [3.0, 4.0]], np.float32), np.array([1, 1]), batch_size=2, verbose=0
    )
    assert weights(model) == [4.0, 6.0, 1.0]


def test_sample_weights_scale_the_steps():
    model = with_weights("heaviside", [0.0], -1.0)
    model.fit(np.ones((1, 1), np.float32), np.ones(1), sample_weight=np.array([3.0]), verbose=0)
    assert weights(model) == [3.0, 2.0]


@pytest.mark.parametrize("epochs", [1, 3])
def test_row_after_row_its_weights_are_those_of_scikit_learn(epochs):
    X, y = make_blobs(60, centers=2, random_state=3, cluster_std=3)
    X = X.astype(np.float32)
    X[0], y[0] = (
        X[y == 0][0],
        0,
    )  # at z = 0 the two differ for class 1: ours says 1 there, scikit-learn's neither
    peer = Perceptron(shuffle=False, max_iter=epochs, tol=None).fit(X, y)
    ours = build_perceptron()
    ours.fit(X, y, batch_size=1, epochs=epochs, shuffle=False, verbose=0)
    assert weights(ours) == pytest.approx([*peer.coef_[0], *peer.intercept_], rel=1e-4, abs=1e-3)


def test_it_separates_setosa_from_virginica():
    X, y = load_iris(return_X_y=True)
    X, y = X[y != 1][:, [0, 2]].astype(np.float32), (y[y != 1] == 2).astype(int)
    model = build_perceptron()
    model.fit(X, y, batch_size=1, epochs=10, verbose=0)
    assert model.evaluate(X, y, verbose=0, return_dict=True)["accuracy"] == 1.0


def test_a_saved_perceptron_predicts_the_same(tmp_path):
    model = with_weights("sign", [2.0, -1.0], -3.0)
    model.save(tmp_path / "neuron.keras")
    again = keras.saving.load_model(
        tmp_path / "neuron.keras", compile=False, custom_objects=custom_objects()
    )
    X = np.random.default_rng(0).normal(size=(20, 2)).astype(np.float32)
    assert np.array_equal(again.predict(X, verbose=0), model.predict(X, verbose=0))


@pytest.mark.parametrize("activation", ["heaviside", "sign", "sigmoid", "tanh"])
def test_it_fits_binary_data_and_images(activation):
    arguments = {"activation": activation, "input_shape": (4, 4)}
    check_builder(build_perceptron, arguments, input_shape=(4, 4), task="binary")


def test_every_bad_argument_is_told_at_once():
    with pytest.raises(BuilderError) as caught:
        build_perceptron(0, "relu", task="multiclass", n_outputs=3)
    assert caught.value.faults == (
        "lr must be a number above 0, got 0",
        "activation 'relu' is unknown. There are: heaviside, sign, sigmoid, tanh",
        "a perceptron separates two classes: task='binary', n_outputs=1; got 'multiclass', 3",
    )
