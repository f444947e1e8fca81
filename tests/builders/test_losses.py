"""Losses on targets made fit for them: the same numbers as Keras' own on targets that fit."""

import keras
import numpy as np
import pytest

from tuning.builders.check import check_builder
from tuning.builders.losses import ON_ONE_HOT, ON_SIGNS, adapted
from tuning.builders.mlp import build_model
from tuning.errors import BuilderError

RNG = np.random.default_rng(0)
NUMBERS = np.array([2, 0, 1, 1])
SHARES = RNG.dirichlet(np.ones(3), 4).astype(np.float32)


@pytest.mark.parametrize("name", ON_ONE_HOT)
@pytest.mark.parametrize(
    "y", [NUMBERS, NUMBERS[:, None], np.eye(3)[NUMBERS]], ids=["(rows,)", "(rows, 1)", "one-hot"]
)
def test_class_numbers_and_one_hot_rows_give_keras_loss_of_one_hot_rows(name, y):
    expected = keras.losses.get(name)(np.eye(3, dtype=np.float32)[NUMBERS], SHARES)
    assert np.allclose(adapted(name)(y, SHARES), expected)


def test_categorical_cross_entropy_on_class_numbers_is_the_sparse_one():
    sparse = keras.losses.sparse_categorical_crossentropy(NUMBERS, SHARES)
    assert np.allclose(adapted("categorical_crossentropy")(NUMBERS, SHARES), sparse, atol=1e-6)


@pytest.mark.parametrize(
    ("y", "p", "loss"), [(1, 1.0, 0.0), (0, 0.0, 0.0), (1, 0.5, 1.0), (1, 0.0, 2.0), (0, 1.0, 2.0)]
)
def test_binary_hinge_is_the_hinge_of_signs(y, p, loss):
    values = adapted("binary_hinge")(np.array([[y]]), np.array([[p]], np.float32))
    assert float(values[0]) == pytest.approx(loss)
    squared = adapted("binary_squared_hinge")(np.array([[y]]), np.array([[p]], np.float32))
    assert float(squared[0]) == pytest.approx(loss**2)


@pytest.mark.parametrize("loss", [*ON_ONE_HOT, *ON_SIGNS])
def test_the_check_before_training_lets_them_pass(loss):
    many = (
        {"task": "multiclass", "n_outputs": 3}
        if loss in ON_ONE_HOT
        else {"task": "binary", "n_outputs": 1}
    )
    check_builder(
        build_model, {"loss": loss, "input_shape": (4,), **many}, input_shape=(4,), **many
    )


def test_hinge_on_zeros_and_ones_is_refused_with_the_choices():
    with pytest.raises(BuilderError) as caught:
        build_model(task="binary", loss="hinge")
    assert str(caught.value) == (
        "build_model: loss 'hinge' does not fit a binary task: it wants labels of −1 and 1, "
        "y holds 0 and 1; fitting: "
        "binary_crossentropy, binary_focal_crossentropy, binary_hinge, binary_squared_hinge, "
        "mean_squared_error, "
        "mean_absolute_error, huber"
    )


def test_the_courses_survival_model_learns_two_softmax_outputs_by_categorical_cross_entropy():
    X = RNG.normal(size=(200, 3)).astype(np.float32)
    y = (X[:, 0] > 0).astype(np.int32)
    model = build_model(
        1, 8, 0.5, task="multiclass", n_outputs=2, input_shape=(3,), loss="categorical_crossentropy"
    )
    model.fit(X, y, epochs=20, verbose=0)
    assert float(np.mean(model.predict(X, verbose=0).argmax(axis=1) == y)) > 0.95
