"""The judge: what it computes, reports and stops."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from tuning import Maximize, Minimize
from tuning.trainer.train import Rows, train
from tuning.trial import Answer
from tuning.trials.judge import Judge, early_stopping

RNG = np.random.default_rng(2)
X = RNG.normal(size=(40, 3)).astype("float32")
Y = X.sum(axis=1)
SCORING = Rows(X[:10].copy(), Y[:10].copy())
INNER = Rows(X[10:20].copy(), Y[10:20].copy())


def judged(judge, *, lr=0.05, epochs=3, metrics=(), callbacks=()):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(lr), "mse", metrics=list(metrics))
    history = train(
        model,
        X,
        Y,
        epochs=epochs,
        validation_data=SCORING.arrays,
        callbacks=[judge, *callbacks],
        seed=1,
    )
    return model, history


def test_the_objective_joins_the_logs_of_each_epoch():
    judge = Judge(Minimize("val_mae"), "regression", SCORING, SCORING)
    model, history = judged(judge)
    expected = np.mean(np.abs(model.predict(SCORING.X, verbose=0)[:, 0] - SCORING.y))
    assert history["val_mae"][-1] == judge.curve[-1]["val_mae"] == pytest.approx(expected, rel=1e-5)
    assert [row["epoch"] for row in judge.curve] == [1, 2, 3]


def test_inner_rows_are_scored_by_the_same_metric():
    judge = Judge(Minimize("val_rmse"), "regression", SCORING, INNER)
    model, _ = judged(judge)
    expected = np.sqrt(np.mean((model.predict(INNER.X, verbose=0)[:, 0] - INNER.y) ** 2))
    assert judge.monitor == "inner_rmse"
    assert judge.curve[-1]["inner_rmse"] == pytest.approx(expected, rel=1e-5)


def test_an_objective_of_keras_own_is_stopped_by_the_inner_loss():
    objective = Maximize("val_mean_absolute_error")
    judge = Judge(objective, "regression", SCORING, INNER)
    stopper = early_stopping(judge, objective, patience=2)
    judged(judge, metrics=["mean_absolute_error"], callbacks=[stopper], epochs=8)
    losses = [row["inner_loss"] for row in judge.curve]
    assert stopper.best == min(losses)


@pytest.mark.parametrize("settings", [{}, {"activity_regularizer": "l2"}])
def test_the_inner_loss_is_that_of_evaluate_for_any_width_and_with_what_layers_add(settings):
    for width in (4, 7):  # the second takes the first one's graph
        judge = Judge(Minimize("val_loss"), "regression", SCORING, INNER)
        keras.backend.clear_session()
        keras.utils.set_random_seed(0)
        hidden = keras.layers.Dense(width, **settings)
        model = keras.Sequential([keras.Input((3,)), hidden, keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        train(model, X, Y, epochs=2, validation_data=SCORING.arrays, callbacks=[judge], seed=1)
        expected = model.evaluate(INNER.X, INNER.y, batch_size=len(INNER.y), verbose=0)
        assert judge.curve[-1]["inner_loss"] == pytest.approx(expected, rel=1e-5)


class WeighsByInput(keras.Model):
    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return keras.ops.mean(keras.ops.square(y[:, None] - y_pred) * keras.ops.abs(x[:, :1]))


def test_the_inner_loss_is_told_the_inputs_where_a_loss_of_ones_own_looks_at_them():
    judge = Judge(Minimize("val_loss"), "regression", SCORING, INNER)
    inputs = keras.Input((3,))
    model = WeighsByInput(inputs, keras.layers.Dense(1)(inputs))
    model.compile("sgd")
    train(model, X, Y, epochs=2, validation_data=SCORING.arrays, callbacks=[judge], seed=1)
    expected = model.evaluate(INNER.X, INNER.y, batch_size=len(INNER.y), verbose=0)
    assert judge.curve[-1]["inner_loss"] == pytest.approx(expected, rel=1e-5)


def test_an_answer_ends_training_at_its_epoch():
    def at_two(row):
        return Answer.PRUNE if row["epoch"] == 2 else Answer.CONTINUE

    judge = Judge(Minimize("val_rmse"), "regression", SCORING, SCORING, at_two)
    judged(judge, epochs=9)
    assert (judge.answer, len(judge.curve)) == (Answer.PRUNE, 2)


def test_an_objective_that_is_not_finite_diverges_before_it_is_reported():
    reported = []

    def on_epoch(row):
        reported.append(row)
        return Answer.CONTINUE

    judge = Judge(Minimize("val_rmse"), "regression", SCORING, SCORING, on_epoch)
    judged(judge, lr=1e30, epochs=9)
    assert judge.diverged
    assert len(judge.curve) == len(reported) + 1 < 9


@pytest.mark.parametrize(
    ("objective", "mode"), [(Minimize("val_rmse"), np.less), (Maximize("val_r2"), np.greater)]
)
def test_early_stopping_knows_which_way_is_better(objective, mode):
    judge = Judge(objective, "regression", SCORING, SCORING)
    stopper = early_stopping(judge, objective, patience=2)
    judged(judge, callbacks=[stopper])
    assert stopper.monitor_op(1.0, 2.0) == mode(1.0, 2.0)


def test_weights_of_the_scoring_rows_count():
    weight = np.arange(10.0)
    judge = Judge(Minimize("val_mae"), "regression", Rows(SCORING.X, SCORING.y, weight), SCORING)
    model, _ = judged(judge)
    errors = np.abs(model.predict(SCORING.X, verbose=0)[:, 0] - SCORING.y)
    expected = np.average(errors, weights=weight)
    assert judge.curve[-1]["val_mae"] == pytest.approx(expected, rel=1e-5)


def test_of_equal_names_the_models_own_metric_counts_but_for_the_first_six():
    for name, is_ours in (("mape", False), ("mae", True)):
        judge = Judge(Minimize(f"val_{name}"), "regression", SCORING, SCORING, compiled=(name,))
        twice = keras.metrics.MeanMetricWrapper(lambda y, p: 2 * abs(y[:, None] - p), name=name)
        model, _ = judged(judge, metrics=[twice])
        errors = np.abs(model.predict(SCORING.X, verbose=0)[:, 0] - SCORING.y)
        expected = np.mean(errors) if is_ours else 2 * np.mean(errors)
        assert judge.curve[-1][f"val_{name}"] == pytest.approx(expected, rel=1e-5)
