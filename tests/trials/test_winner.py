"""The winner: one evaluation on the test part, a file for raw inputs, baselines beside it."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest

from tests.trials.own_layers import Powered, Stubborn
from tests.trials.small_study import ScriptedContext, logits, rows, study
from tests.trials.test_finalist import finalist
from tuning import Dataset, Maximize
from tuning.data.parts import Scaler
from tuning.errors import TuningError
from tuning.scoring.baselines import scores
from tuning.trainer.forward import predict
from tuning.trials import finalist as finalists
from tuning.trials import saved_model, winner
from tuning.trials.checkpoint import load_checkpoint
from tuning.trials.finalist import train_finalist
from tuning.trials.folds import prepare_fit
from tuning.trials.jobs import ALL_ROWS, EvaluationJob
from tuning.trials.saved_model import save_for_raw_inputs
from tuning.trials.winner import evaluate_winner
from tuning.trials.worker_study import load_worker_study


def evaluation(folder, defined):
    """Train a finalist; return the job that evaluates it."""
    job = finalist(folder, defined)
    outcome = train_finalist(job, ScriptedContext())
    return EvaluationJob(
        source=job.source,
        overrides={},
        params=job.params,
        epochs=job.epochs,
        seed=outcome.seed,
        weights=None if outcome.weights is None else folder / outcome.weights,
        saved=folder / "winner.keras",
        file=folder / "evaluation.json",
        number=job.number,
    )


def evaluated(folder, defined):
    return evaluate_winner(evaluation(folder, defined), ScriptedContext())


def test_a_winner_trained_beside_its_folds_is_the_one_trained_afterwards(tmp_path):
    defined = study(cv=2)
    afterwards = evaluation(tmp_path, defined)
    beside = replace(finalist(tmp_path, defined), file=tmp_path / "all-rows.json", fold=ALL_ROWS)
    weights = tmp_path / train_finalist(beside, ScriptedContext()).weights
    with_weights = replace(
        afterwards, weights=weights, saved=tmp_path / "kept.keras", file=tmp_path / "kept.json"
    )
    assert afterwards.weights is None
    first = evaluate_winner(with_weights, ScriptedContext())
    assert first.test == evaluate_winner(afterwards, ScriptedContext()).test


def by_its_number(trial):
    """Return a model that only the trial's number tells the width of."""
    rate = trial.suggest_float("lr", 1e-3, 1.0)
    hidden = keras.layers.Dense(1 + trial.number)
    model = keras.Sequential([keras.Input((3,)), hidden, keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(rate), "mse")
    return model


def test_a_builder_that_asks_for_the_trials_number_has_it_for_the_winner_too(tmp_path):
    job = evaluation(tmp_path, study(builder=by_its_number, space={}))
    width = 1 + job.number
    assert job.number > 0
    assert evaluate_winner(job, ScriptedContext()).parameters == (3 + 1) * width + width + 1


def test_with_folds_the_winner_alone_is_trained_on_all_of_them(tmp_path, monkeypatch):
    counts = []

    def watched(worker_study, point, rows, **settings):
        counts.append(len(rows.train.y))
        return prepare_fit(worker_study, point, rows, **settings)

    monkeypatch.setattr(finalists, "prepare_fit", watched)
    monkeypatch.setattr(winner, "prepare_fit", watched)
    job = evaluation(tmp_path, study(cv=2))
    assert counts == [45, 45]
    evaluate_winner(job, ScriptedContext())
    assert counts == [45, 45, 90]


def test_the_saved_winner_takes_raw_inputs_and_predicts_the_same(tmp_path):
    job = evaluation(tmp_path, study())
    outcome = evaluate_winner(job, ScriptedContext())
    saved = keras.saving.load_model(outcome.model)

    worker_study = load_worker_study(job.source, {})
    fold = worker_study.fold(0)
    point = worker_study.study.split_params(job.params)
    trained = prepare_fit(worker_study, point, fold, epochs=job.epochs, seed=job.seed).fit.model
    load_checkpoint(job.weights, trained)

    test = worker_study.parts.test
    expected = predict(trained, fold.scaler.transform(test.X))
    np.testing.assert_allclose(saved.predict(test.X, verbose=0), expected, rtol=1e-4, atol=1e-5)
    rmse = float(np.sqrt(np.mean((expected[:, 0] - test.y) ** 2)))
    assert outcome.test["rmse"] == pytest.approx(rmse, rel=1e-5)
    assert outcome.reload_error < 1e-4


def test_baselines_stand_beside_the_winner(tmp_path):
    baseline = evaluated(tmp_path, study()).baseline
    assert set(baseline) == {"dummy", "linear"}
    assert baseline["linear"]["rmse"] < baseline["dummy"]["rmse"]


def test_the_winner_is_compared_with_the_line_row_by_row(tmp_path):
    outcome = evaluated(tmp_path, study(epochs=30))
    ahead = outcome.baseline["linear"]["rmse"] - outcome.test["rmse"]
    assert outcome.margin.difference == pytest.approx(ahead)
    assert outcome.margin.standard_error > 0


def test_the_winner_is_evaluated_once(tmp_path, monkeypatch):
    job = evaluation(tmp_path, study())
    first = evaluate_winner(job, ScriptedContext())
    monkeypatch.setattr(winner, "predict", None)  # looking again would fail
    assert evaluate_winner(job, ScriptedContext()) == first


def test_a_saved_file_that_predicts_something_else_is_an_error(tmp_path, monkeypatch):
    def unscaled(model, scaler, *rest):
        save_for_raw_inputs(model, Scaler(), *rest)

    job = evaluation(tmp_path, study())
    monkeypatch.setattr(saved_model, "save_for_raw_inputs", unscaled)
    with pytest.raises(
        TuningError, match="the saved winner predicts something else than the trained one"
    ):
        evaluate_winner(job, ScriptedContext())


@pytest.mark.parametrize(("task", "classes"), [("binary", 2), ("multiclass", 3)])
def test_a_winner_that_gives_logits_is_scored_by_probabilities(task, classes, tmp_path):
    def data():
        return rows(task, classes=classes)

    defined = study(builder=logits, data=data, objective=Maximize("val_accuracy"), epochs=30)
    outcome = evaluated(tmp_path, defined)
    assert outcome.test["auc"] > 0.8
    assert outcome.test["accuracy"] > outcome.baseline["dummy"]["accuracy"]


def doubled(lr=0.05, input_shape=(3,)):
    layers = [keras.Input(input_shape), keras.layers.Lambda(lambda x: 2 * x), keras.layers.Dense(1)]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.SGD(lr), "mse")
    return model


@pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`:UserWarning")
def test_a_winner_with_a_lambda_is_scored_and_saved_though_nobody_loads_code_from_a_file(tmp_path):
    outcome = evaluated(tmp_path, study(builder=doubled, epochs=2))
    assert outcome.reload_error is None
    assert outcome.test["rmse"] > 0


def test_scores_leave_out_what_has_no_value():
    one_class = np.ones(4)
    assert scores("binary", one_class, np.full((4, 1), 0.9)) == {"accuracy": 1.0}


def test_a_winner_that_diverges_on_all_rows_is_an_error(tmp_path):
    job = replace(evaluation(tmp_path, study(cv=2)), params={"lr": 1e30}, epochs=30)
    with pytest.raises(
        TuningError, match="the winner diverged when it was trained on all rows; lower the learning"
    ):
        evaluate_winner(job, ScriptedContext())
    assert not job.file.exists()


def test_dates_in_seconds_are_no_difference_between_a_winner_and_its_file(tmp_path):
    rng = np.random.default_rng(0)
    seconds = 1.7e9 + rng.uniform(0, 1000, 90)
    X = np.column_stack([seconds, rng.normal(size=90), rng.normal(size=90)])

    def data():
        return Dataset("dates", X, (seconds - 1.7e9) / 1000, "regression")

    assert evaluated(tmp_path, study(data=data)).reload_error < 1e-5


def two_inputs(lr=0.05):
    customer = keras.Input((1,), name="customer", dtype="int64")
    seconds = keras.Input((1,), name="seconds")
    lookup = keras.layers.IntegerLookup(vocabulary=list(range(2**24, 2**24 + 40)))(customer)
    embedded = keras.layers.Flatten()(keras.layers.Embedding(41, 1)(lookup))
    both = keras.layers.Concatenate()([embedded, seconds])
    model = keras.Model([customer, seconds], keras.layers.Dense(1)(both))
    model.compile(keras.optimizers.SGD(lr), "mse")
    return model


def test_a_winner_of_several_inputs_rounds_neither_numbers_of_customers_nor_dates(tmp_path):
    rng = np.random.default_rng(0)
    customers = rng.integers(2**24, 2**24 + 40, (200, 1))
    seconds = 1.7e9 + rng.uniform(0, 1000, (200, 1))
    y = customers[:, 0] % 2 + (seconds[:, 0] - 1.7e9) / 1000

    def data():
        return Dataset("two", {"customer": customers, "seconds": seconds}, y, "regression")

    outcome = evaluated(tmp_path, study(data=data, builder=two_inputs, epochs=2))
    assert outcome.reload_error < 1e-5
    saved = keras.saving.load_model(outcome.model)
    assert [tensor.dtype for tensor in saved.inputs] == ["int64", "float64"]


def stubborn(lr=0.05):
    model = Stubborn()
    model.compile(keras.optimizers.SGD(lr), "mse")
    return model


def powered(lr=0.05, input_shape=(3,)):
    layers = [keras.Input(input_shape), Powered(lambda x: x * x), keras.layers.Dense(1)]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.SGD(lr), "mse")
    return model


def test_a_class_that_keras_cannot_make_again_is_said_and_costs_no_winner(tmp_path):
    outcome = evaluated(tmp_path, study(builder=stubborn, epochs=2))
    assert outcome.test["rmse"] > 0
    assert outcome.reload_error is None
    assert outcome.model == str(tmp_path / "winner.keras")
    assert outcome.file_fault == (
        "Keras cannot read the winner's file again: Stubborn.__init__() got an unexpected keyword "
        "argument 'trainable'. Let the class take **kwargs and pass them to super().__init__, and "
        "write its get_config"
    )


def test_of_a_model_that_keras_cannot_write_the_weights_are_kept(tmp_path):
    job = evaluation(tmp_path, study(builder=powered, epochs=2))
    outcome = evaluate_winner(job, ScriptedContext())
    assert outcome.model == str(tmp_path / "winner.weights.h5")
    assert "cannot write the winner whole: Object Powered was created by" in outcome.file_fault
    assert not job.saved.exists()

    again = powered()
    again.load_weights(outcome.model)
    kept = powered()
    load_checkpoint(job.weights, kept)
    np.testing.assert_array_equal(again.get_weights()[0], kept.get_weights()[0])
    assert evaluate_winner(job, ScriptedContext()) == outcome
