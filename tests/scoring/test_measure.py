"""Objectives: of one output or several, by a name, a scorer or a function of the user's own."""

from __future__ import annotations

import functools
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn import metrics as peers

from tuning import Maximize, Minimize
from tuning.errors import StudyError
from tuning.scoring.baselines import scores
from tuning.scoring.measure import check_direction, measure_of
from tuning.study.objective import Objective, others_asked

TASKS = {"price": "regression", "price_log": "regression", "sold": "binary"}
Y = {
    "price": np.array([1.0, 2.0, 4.0]),
    "price_log": np.zeros(3),
    "sold": np.array([0, 1, 1]),
}
P = {
    "price": np.array([[1.0], [3.0], [4.0]]),
    "price_log": np.full((3, 1), 0.5),
    "sold": np.array([[0.2], [0.7], [0.4]]),
}


def value(objective, task, y, predicted, weight=None, **settings):
    return measure_of(objective, task)(y, predicted, weight, **settings)


def test_of_several_outputs_the_objective_names_one():
    assert value(Minimize("val_price_rmse"), TASKS, Y, P) == pytest.approx((1 / 3) ** 0.5)
    assert value(Minimize("val_price_log_mae"), TASKS, Y, P) == 0.5
    assert value(Maximize("val_sold_f1"), TASKS, Y, P) == pytest.approx(2 / 3)
    weight = {"price": np.array([0, 1.0, 0]), "price_log": np.ones(3), "sold": np.ones(3)}
    assert value(Minimize("val_price_mae"), TASKS, Y, P, weight) == 1.0


@pytest.mark.parametrize("name", ["val_loss", "val_price_loss", "val_sold_my_metric"])
def test_what_only_the_model_knows_has_no_measure(name):
    assert measure_of(Minimize(name), TASKS) is None


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        (
            Minimize("val_rmse"),
            "objective: objective 'val_rmse': the data have 3 outputs, say which one; use "
            "val_price_rmse, val_price_log_rmse, val_sold_rmse, or val_loss",
        ),
    ],
)
def test_an_objective_that_means_nothing_of_several_outputs_is_refused(objective, message):
    with pytest.raises(StudyError) as refused:
        measure_of(objective, TASKS)
    assert str(refused.value) == message


def test_an_objective_of_one_output_that_finds_the_worst_model_is_refused():
    with pytest.raises(StudyError, match="to maximize val_price_rmse finds the worst model"):
        check_direction(Maximize("val_price_rmse"), TASKS)
    check_direction(Minimize("val_price_rmse"), TASKS)


def test_a_constraint_on_an_output_has_no_direction_of_its_own():
    study = SimpleNamespace(
        objective=Minimize("val_loss"), objectives=(), constraints=["val_sold_accuracy >= 0.8"]
    )
    (limited,) = others_asked(study)
    measure = measure_of(limited, TASKS)
    assert (measure.name, measure.output) == ("accuracy", "sold")


def test_a_function_of_one_output_is_scored_under_the_objectives_name():
    def sold_share(y_true, y_pred):
        return np.mean(y_true == y_pred)

    y = {"price": np.zeros(2), "price_log": np.zeros(2), "sold": np.array([0, 1])}
    predicted = {**y, "sold": np.array([[0.1], [0.2]])}
    objective = Maximize(sold_share)
    values = scores(TASKS, y, predicted, measures=[measure_of(objective, TASKS)])
    assert values[objective.name] == 0.5


def cost(y_true, y_pred, sample_weight=None):
    return np.average(10 * (y_true > y_pred) + (y_true < y_pred), weights=sample_weight)


def test_a_function_is_given_classes_and_the_weights_where_it_takes_them():
    y, predicted = np.array([0, 1, 1, 0]), np.array([[0.9], [0.2], [0.8], [0.1]])
    assert Minimize(cost).metric == "val_cost"
    assert value(Minimize(cost), "binary", y, predicted) == 11 / 4
    assert value(Minimize(cost), "binary", y, predicted, np.array([0, 1, 0, 1])) == 5
    assert value(Minimize(cost), "binary", y, predicted, threshold=0.15) == 1 / 4


def test_a_partial_of_scikit_learns_has_its_name():
    objective = Maximize(functools.partial(peers.fbeta_score, beta=3.0))
    y, predicted = np.array([0, 1, 1, 0]), np.array([[0.9], [0.2], [0.8], [0.1]])
    assert objective.name == "fbeta_score"
    assert value(objective, "binary", y, predicted) == peers.fbeta_score(y, [1, 0, 1, 0], beta=3.0)


@pytest.mark.parametrize("method", ["predict", "predict_proba", "decision_function"])
def test_a_scorer_is_given_the_predictions_that_it_asks_for(method):
    scorer = peers.make_scorer(peers.average_precision_score, response_method=method)
    y, predicted = np.array([0, 1, 1, 0]), np.array([[0.7], [0.6], [0.8], [0.1]])
    asked = predicted[:, 0] > 0.5 if method == "predict" else predicted[:, 0]
    weight = np.array([1.0, 2.0, 3.0, 4.0])
    expected = peers.average_precision_score(y, asked, sample_weight=weight)
    objective = Maximize(scorer)
    assert objective.name == "average_precision_score"
    assert value(objective, "binary", y, predicted, weight) == pytest.approx(expected, rel=1e-12)


def test_a_function_without_a_name_is_told_to_have_one():
    with pytest.raises(StudyError, match="<lambda> is no name for tables; give one: Minimize"):
        Minimize(lambda y, p: 0.0)
    assert Minimize(lambda y, p: 0.0, name="mine").metric == "val_mine"


def test_a_scorer_is_never_minimised():
    assert not Minimize(peers.get_scorer("f1")).sensible
    assert Minimize(peers.mean_absolute_error).sensible
    assert not Minimize("val_matthews_corrcoef").sensible
    assert not Maximize("val_pinball_0.1_0.9").sensible


def test_an_objective_crosses_to_the_driver_by_its_name_alone():
    named = Minimize(cost).named
    crossed = pickle.loads(pickle.dumps(named))  # noqa: S301 - written in this line
    assert crossed == Objective("val_cost", "minimize")
    assert named.function is None


def test_the_mean_over_quantiles_of_one_target():
    y = np.array([1.0, 2.0, 3.0])
    predicted = np.array([[0.0, 1.0, 3.0], [1.0, 2.0, 2.5], [3.5, 3.0, 4.0]])
    quantiles = (0.1, 0.5, 0.9)
    expected = np.mean(
        [peers.mean_pinball_loss(y, predicted[:, i], alpha=q) for i, q in enumerate(quantiles)]
    )
    objective = Minimize("val_pinball_0.1_0.5_0.9")
    assert value(objective, "regression", y, predicted) == pytest.approx(expected, rel=1e-12)
    assert np.isnan(value(Minimize("val_rmse"), "regression", y, predicted))


def test_any_shape_of_y_is_compared_number_by_number():
    rng = np.random.default_rng(0)
    y, predicted = rng.random((5, 4, 4, 1)), rng.random((5, 4, 4, 1))
    flat = value(Minimize("val_rmse"), "regression", y.reshape(5, 16), predicted.reshape(5, 16))
    assert value(Minimize("val_rmse"), "regression", y, predicted) == flat
    masks = (rng.random((5, 4, 4)) < 0.4).astype(int)
    chances = rng.random((5, 4, 4, 1))
    expected = peers.f1_score(masks.ravel(), chances.ravel() > 0.5)
    assert value(Maximize("val_f1"), "binary", masks, chances) == pytest.approx(expected)


def test_a_class_a_step_is_scored_step_by_step_and_one_hot_rows_as_numbers():
    rng = np.random.default_rng(0)
    steps = rng.integers(0, 3, (6, 4))
    chances = rng.random((6, 4, 3))
    expected = peers.f1_score(steps.ravel(), chances.argmax(-1).ravel(), average="macro")
    for y in (steps, np.eye(3)[steps]):
        weighted = value(Maximize("val_f1_macro"), "multiclass", y, chances, np.ones(6))
        assert weighted == pytest.approx(expected)
