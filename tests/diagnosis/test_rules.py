"""Each finding on a network made to have that illness, and none on a healthy one."""

from __future__ import annotations

import functools
import time

import keras
import numpy as np
import pytest

from tuning.builders.build import build
from tuning.builders.mlp import build_model
from tuning.diagnosis.diagnose import diagnose, over_folds
from tuning.diagnosis.measurements import best_constant, dead_share, read_signs
from tuning.diagnosis.rules import at_rate
from tuning.study.objective import Maximize, Minimize
from tuning.trainer.train import Fit, Rows
from tuning.trial import Finding, Status, TrialResult
from tuning.trials.judge import Judge

RMSE = Minimize("val_rmse")


def rows(count, seed=0, noise=0.05, difficulty=1.0):
    """Return rows of y = sin(difficulty · x0) · x1 plus noise, inputs of variance 1."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(count, 4)).astype("float32")
    y = np.sin(difficulty * X[:, 0]) * X[:, 1] + noise * rng.normal(size=count)
    return Rows(X, y.astype("float32")[:, None])


def trained(model, train, validation, epochs, *, batch_size=32, task="regression", objective=RMSE):
    judge = Judge(objective, task, validation, validation)
    fit = Fit(
        model,
        train,
        validation=validation,
        epochs_total=epochs,
        batch_size=batch_size,
        callbacks=[judge],
    )
    for _ in fit.epochs():
        pass
    return judge.curve


def sick(model, train=None, epochs=10, *, validation=None, **settings):
    """Train and return the findings by name."""
    train = train or rows(300)
    validation = validation or rows(200, 1)
    curve = trained(model, train, validation, epochs, **settings)
    return findings(
        model,
        curve,
        validation,
        settings.get("objective", RMSE),
        settings.get("task", "regression"),
    )


def findings(model, curve, validation, objective=RMSE, task="regression", budget=None):
    last = int(curve[-1]["epoch"])
    diagnosis = diagnose(
        model, curve, validation, objective, task=task, best_epoch=last, budget=budget or last
    )
    return {finding.name: finding for finding in diagnosis}


def mlp(n_hidden, n_neurons, lr, **more):
    arguments = {
        "n_hidden": n_hidden,
        "n_neurons": n_neurons,
        "lr": lr,
        "optimizer": "adam",
        "input_shape": (4,),
    }
    return build(build_model, arguments | more, seed=3)


@functools.cache
def healthy():
    train, validation = rows(1000), rows(400, 1)
    model = mlp(2, 32, 5e-3)
    return model, trained(model, train, validation, 30), validation


def test_a_healthy_network_has_no_finding():
    assert findings(*healthy()) == {}


def test_a_healthy_classifier_has_no_finding():
    def classes(count, seed):
        X = np.random.default_rng(seed).normal(size=(count, 4)).astype("float32")
        return Rows(X, (X[:, 0] + X[:, 1] > 0).astype("int64") + (X[:, 2] > 0.5))

    by_name = sick(
        mlp(1, 16, 1e-2, task="multiclass", n_outputs=3, activation="tanh"),
        classes(800, 0),
        30,
        validation=classes(300, 1),
        task="multiclass",
        objective=Maximize("val_accuracy"),
    )
    assert by_name == {}


def times(factor, given):
    return Rows(given.X * np.float32(factor), given.y)


def test_raw_inputs_of_a_network_that_has_not_learnt_are_large_and_standardised_it_learns():
    train, validation = rows(600), rows(300, 1)
    score = {}
    for factor in (1000, 1):
        model = mlp(2, 32, 5e-3)
        seen = times(factor, validation)
        curve = trained(model, times(factor, train), seen, 15)
        score[factor] = curve[-1]["val_rmse"]
        by_name = findings(model, curve, seen)
        assert ("large_inputs" in by_name) == (factor == 1000)
        if factor == 1000:
            assert " of what dense takes has values around " in by_name["large_inputs"].words
    assert score[1] < 0.5 * score[1000]


def test_large_inputs_are_none_behind_a_layer_that_scales_them_or_where_the_network_copes():
    raw = times(1000, rows(300))
    scales = keras.layers.Normalization()
    scales.adapt(raw.X)
    model = keras.Sequential([keras.Input((4,)), scales, keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(1e-30), "mse")
    assert "large_inputs" not in sick(model, raw, 2, validation=raw)

    _, curve, _ = healthy()
    assert "large_inputs" not in findings(mlp(2, 32, 5e-3), curve, raw)


def test_relus_that_a_large_negative_bias_has_killed_are_named_with_their_layer():
    model = mlp(2, 8, 1e-3)
    model.layers[1].bias.assign(np.full(8, -100.0))
    by_name = sick(model, epochs=3)
    assert by_name["dead_relus"].severity == "serious"
    assert by_name["dead_relus"].words.startswith(
        "relus that are 0 for every row: 100% in dense_1; try"
    )


def test_half_of_the_relus_dead_is_a_warning_and_a_few_are_normal():
    model, curve, validation = healthy()
    before = model.get_weights()
    for share, severity in ((0.25, None), (0.5, "warning")):
        model.layers[0].bias.assign([-100.0] * int(32 * share) + [0.0] * int(32 * (1 - share)))
        dead = findings(model, curve, validation).get("dead_relus")
        assert (dead.severity if dead else None) == severity
    model.set_weights(before)


def test_gradients_vanish_through_twenty_sigmoid_layers():
    by_name = sick(mlp(20, 8, 1e-3, activation="sigmoid"), epochs=5)
    assert list(by_name) == ["vanishing_gradients"]
    assert "at dense and " in by_name["vanishing_gradients"].words


def test_gradients_explode_through_layers_whose_weights_are_too_large():
    model = keras.Sequential(
        [
            keras.Input((4,)),
            *(keras.layers.Dense(32, "relu", kernel_initializer="random_normal") for _ in range(8)),
            keras.layers.Dense(1),
        ]
    )
    for layer in model.layers:
        layer.kernel.assign(20 * layer.kernel)
    model.compile(keras.optimizers.SGD(1e-30), "mse")
    by_name = sick(model, epochs=2)
    assert by_name["exploding_gradients"].severity == "serious"
    assert "clipnorm=1" in by_name["exploding_gradients"].words


def test_a_rate_at_which_the_loss_is_no_number_is_too_high():
    by_name = sick(mlp(1, 16, 1e4, optimizer="sgd"))
    assert list(by_name) == ["lr_too_high"]
    assert (
        "was not finite in epoch 1 at lr 1e+04: try a learning rate 10 times lower"
        in by_name["lr_too_high"].words
    )


def test_a_rate_at_which_the_loss_jumps_is_too_high():
    by_name = sick(mlp(1, 16, 0.5, activation="tanh", optimizer="sgd"), epochs=20)
    assert "the training loss jumps by" in by_name["lr_too_high"].words
    assert "at lr 0.5: try a learning rate 3 to 10 times lower" in by_name["lr_too_high"].words


def test_a_rate_that_throws_the_network_away_in_the_first_epoch_is_too_high():
    model, _, validation = healthy()
    losses = [4000.0, *([1.0, 1.01] * 5)]
    curve = [
        {"epoch": float(i + 1), "loss": v, "val_loss": 1.0, "val_rmse": 1.0}
        for i, v in enumerate(losses)
    ]
    assert (
        "was 4e+03 in the first epoch and stays at 1.01"
        in findings(model, curve, validation)["lr_too_high"].words
    )


@pytest.mark.parametrize("lr", [1e-12, 1e-5])
def test_a_rate_far_too_low_is_seen_from_a_curve_that_is_straight_or_flat(lr):
    by_name = sick(mlp(2, 16, lr, initializer="he_normal"), epochs=10)
    assert list(by_name) == ["lr_too_low"]
    assert f"at lr {lr:.3g}: try a learning rate 10 times higher" in by_name["lr_too_low"].words


def test_a_tiny_network_on_hard_data_underfits():
    hard = {"difficulty": 4.0, "noise": 0.0}
    by_name = sick(mlp(1, 1, 1e-2), rows(600, 0, **hard), 25, validation=rows(300, 1, **hard))
    assert list(by_name) == ["underfitting"]
    assert (
        "of a constant prediction: try more neurons, layers or epochs"
        in by_name["underfitting"].words
    )


def test_a_large_network_on_thirty_rows_overfits():
    by_name = sick(
        mlp(2, 200, 3e-3), rows(30, noise=0.5), 60, validation=rows(200, 1, noise=0.5), batch_size=8
    )
    assert list(by_name) == ["overfitting"]
    assert by_name["overfitting"].words.startswith(("training loss", "validation loss was lowest"))


def test_a_score_that_still_improves_at_the_last_epoch_asks_for_more_epochs():
    by_name = sick(mlp(1, 32, 3e-3), rows(1000), 6)
    assert by_name["epochs_too_few"].severity == "note"
    assert by_name["epochs_too_few"].words.startswith(
        "the best epoch is the last one, 6, and val_rmse improved by"
    )


def test_a_rung_below_the_full_budget_does_not_ask_for_more_epochs():
    model, validation = mlp(1, 32, 3e-3), rows(200, 1)
    curve = trained(model, rows(1000), validation, 6)
    assert "epochs_too_few" in findings(model, curve, validation, budget=6)
    assert "epochs_too_few" not in findings(model, curve, validation, budget=30)


def test_one_epoch_thrown_off_by_an_outlier_is_no_overfitting():
    model, curve, validation = healthy()
    spike = [*curve[:-1], {**curve[-1], "val_loss": 50.0}]
    assert findings(model, spike, validation) == {}


def test_a_model_whose_layers_cannot_be_seen_is_judged_by_nothing_and_does_not_fail():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(1)

        def call(self, inputs):
            return self.dense(inputs)

    model = Own()
    model.compile(keras.optimizers.SGD(1e-2), "mse")
    assert not {"dead_relus", "not_looked_into"} & set(sick(model, epochs=3))


def test_a_loss_that_raises_is_a_finding_and_not_raised():
    model, curve, validation = healthy()
    wrong = Rows(validation.X, np.array([["a"]] * len(validation.X)))
    assert findings(model, curve, wrong)["not_looked_into"].words.startswith(
        "the model could not be looked into: "
    )


def test_several_inputs_are_not_looked_into_and_that_is_said():
    model, curve, validation = healthy()
    several = Rows({"a": validation.X, "b": validation.X}, validation.y)
    assert findings(model, curve, several)["not_looked_into"].words == (
        "the model could not be looked into: its inputs or outputs are several; only its curve was "
        "looked at"
    )


def test_of_several_outputs_the_curve_is_looked_at_and_that_is_said():
    model, curve, validation = healthy()
    rising = [{**row, "val_loss": 1.0 + row["epoch"]} for row in curve]
    several = Rows(validation.X, {"a": validation.y, "b": validation.y})
    seen = diagnose(
        model,
        rising,
        several,
        Minimize("val_a_rmse"),
        task={"a": "regression", "b": "regression"},
        best_epoch=len(curve),
        budget=len(curve),
    )
    assert [finding.name for finding in seen][-1] == "not_looked_into"
    assert "only its curve was looked at" in seen[-1].words


@pytest.mark.parametrize(
    ("n_hidden", "loss", "measured"), [(2, 0.01, False), (2, 0.4, True), (3, 0.01, True)]
)
def test_gradients_are_left_out_where_a_shallow_network_has_learnt(n_hidden, loss, measured):
    signs = read_signs(mlp(n_hidden, 4, 1e-3), rows(50), "regression", loss)
    assert (signs.first is not None) == measured


def test_looking_changes_nothing_in_the_model():
    model = mlp(2, 8, 1e-3, dropout=0.5, batch_norm=True)
    trained(model, rows(100), rows(50, 1), 1)
    state = [v.numpy() for v in (*model.variables, *model.optimizer.variables)]
    read_signs(model, rows(50, 1), "regression")
    for before, after in zip(state, (*model.variables, *model.optimizer.variables), strict=True):
        np.testing.assert_array_equal(before, after.numpy())


def test_the_best_constant_is_the_mean_or_the_share_of_each_class():
    assert best_constant(np.array([1.0, 3.0]), 1, "regression", "") == [2.0]
    np.testing.assert_allclose(
        best_constant(np.array([0, 1, 1, 2]), 3, "multiclass", ""), [0.25, 0.5, 0.25]
    )
    np.testing.assert_allclose(
        best_constant(np.array([0, 1, 1, 1]), 1, "binary", "sigmoid"), [np.log(3)]
    )


def test_a_channel_is_dead_only_where_it_is_zero_at_every_place():
    values = np.zeros((5, 2, 2, 4))
    values[3, 1, 0, 2] = 1.0
    assert dead_share(values) == 0.75


def test_folds_share_what_more_than_half_of_them_have():
    one, other = Finding("overfitting", "warning", "w"), Finding("epochs_too_few", "note", "v")
    assert over_folds([(one, other), (one,), ()]) == (
        Finding("overfitting", "warning", "w (in 2 of 3 folds)"),
    )
    assert over_folds([(one,)]) == (one,)


def test_a_result_keeps_its_diagnosis_and_an_old_one_is_read_without():
    result = TrialResult(
        0, Status.COMPLETED, 1.0, diagnosis=(Finding("overfitting", "warning", "w"),)
    )
    stored = result.to_json()
    assert TrialResult.from_json(stored) == result
    del stored["diagnosis"]
    assert TrialResult.from_json(stored).diagnosis == ()


def test_looking_takes_milliseconds():
    model, curve, validation = healthy()
    findings(model, curve, validation)
    began = time.process_time()
    for _ in range(5):
        findings(model, curve, validation)
    assert (time.process_time() - began) / 5 < 0.1  # measured: 0.012


def test_a_rate_that_a_cycle_has_brought_to_nothing_is_not_called_the_rate():
    assert at_rate(0.0) == at_rate(None) == ""
    assert at_rate(0.5) == " at lr 0.5"
