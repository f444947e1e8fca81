"""Objectives computed from predictions."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from sklearn.metrics import r2_score, roc_auc_score

from tuning.errors import StudyError
from tuning.scoring.metrics import fitting, score
from tuning.trainer.outputs import as_probabilities, link_of, linked

Y = np.array([1.0, 2.0, 4.0])
P = np.array([[1.0], [3.0], [2.0]])
LABELS = np.array([0, 1, 2, 1, 0])
CHANCES = np.array(
    [[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.1, 0.6, 0.3], [0.1, 0.8, 0.1], [0.3, 0.5, 0.2]]
)


def test_regression_metrics_are_in_the_targets_unit():
    assert score("rmse", "regression", Y, P) == pytest.approx((5 / 3) ** 0.5)
    assert score("mae", "regression", Y, P) == pytest.approx(1.0)
    assert score("r2", "regression", Y, P) == pytest.approx(r2_score(Y, P[:, 0]))


def test_binary_accuracy_and_auc_read_one_probability():
    y = np.array([0, 1, 1, 0])
    p = np.array([[0.2], [0.6], [0.4], [0.3]])
    assert score("accuracy", "binary", y, p) == 0.75
    assert score("auc", "binary", y, p) == 1.0


def test_binary_metrics_read_two_columns_too():
    y = np.array([0, 1, 1])
    p = np.array([[0.8, 0.2], [0.1, 0.9], [0.7, 0.3]])
    assert score("accuracy", "binary", y, p) == pytest.approx(2 / 3)
    assert score("auc", "binary", y, p) == 1.0


def test_multiclass_metrics_are_scikit_learns():
    assert score("accuracy", "multiclass", LABELS, CHANCES) == 0.6
    assert score("auc", "multiclass", LABELS, CHANCES) == pytest.approx(
        roc_auc_score(LABELS, CHANCES, multi_class="ovr")
    )


def test_one_hot_classes_count_as_their_numbers():
    for name in ("accuracy", "auc"):
        one_hot = score(name, "multiclass", np.eye(3)[LABELS], CHANCES)
        assert one_hot == score(name, "multiclass", LABELS, CHANCES)


def test_a_class_that_is_not_there_has_no_area():
    there = LABELS < 2
    auc = score("auc", "multiclass", LABELS[there], CHANCES[there])
    areas = [roc_auc_score(LABELS[there] == c, CHANCES[there][:, c]) for c in (0, 1)]
    assert auc == pytest.approx(np.mean(areas))


def test_multilabel_accuracy_wants_all_labels_right():
    y = np.array([[1, 0], [1, 1]])
    p = np.array([[0.9, 0.2], [0.9, 0.4]])
    assert score("accuracy", "multilabel", y, p) == 0.5


def test_a_prediction_that_is_not_finite_makes_nan():
    assert np.isnan(score("rmse", "regression", Y, np.array([[1.0], [np.inf], [0.0]])))


def test_a_metric_of_another_task_is_refused_in_words():
    with pytest.raises(
        StudyError, match="objective 'val_auc' does not fit regression data; use val_rmse, val_mae"
    ):
        score("auc", "regression", Y, P)


def test_loss_fits_every_task():
    assert all(
        "loss" in fitting(task) for task in ("regression", "binary", "multiclass", "multilabel")
    )


def compiled_with(loss):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    model.compile("sgd", loss)
    return model


@pytest.mark.parametrize(
    ("loss", "link"),
    [
        ("mse", ""),
        (keras.losses.BinaryCrossentropy(), ""),
        (keras.losses.BinaryCrossentropy(from_logits=True), "sigmoid"),
        (keras.losses.BinaryFocalCrossentropy(from_logits=True), "sigmoid"),
        (keras.losses.CategoricalCrossentropy(from_logits=True), "softmax"),
        ([keras.losses.SparseCategoricalCrossentropy(from_logits=True)], "softmax"),
    ],
)
def test_the_loss_says_whether_outputs_are_logits(loss, link):
    assert link_of(compiled_with(loss)) == link


def test_logits_become_probabilities_without_overflow():
    outputs = np.array([[-2000.0, 0.0], [1.0, 2000.0]])
    np.testing.assert_allclose(linked("sigmoid", outputs), [[0, 0.5], [1 / (1 + np.exp(-1)), 1]])
    np.testing.assert_allclose(linked("softmax", outputs), [[0, 1], [0, 1]])
    assert as_probabilities(compiled_with("mse"), outputs) is outputs
