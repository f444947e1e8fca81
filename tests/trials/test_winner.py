"""Finalists on fresh seeds, one evaluation on the test part, a file that takes raw inputs."""

from __future__ import annotations

import json
from dataclasses import replace

import cloudpickle
import keras
import numpy as np
import pytest

from tests.trials.small_study import Heard, logits, rows, study
from tuning import Maximize
from tuning.data.parts import Scaler
from tuning.errors import TuningError
from tuning.study.study import derive_seed
from tuning.trainer.forward import predict
from tuning.trials import winner
from tuning.trials.checkpoint import load_checkpoint
from tuning.trials.folds import Stopped
from tuning.trials.jobs import ALL_ROWS, EvaluationJob, FinalistJob
from tuning.trials.winner import evaluate_winner, save_for_raw_inputs, scores, train_finalist
from tuning.trials.worker_study import worker_study


def finalist(folder, defined, index=0, lr=0.05):
    source = cloudpickle.dumps(defined)
    return FinalistJob(source, {}, 7, {"lr": lr}, defined.epochs, index, folder / f"{index}.json")


def evaluation(folder, defined):
    known = finalist(folder, defined)
    told = train_finalist(known, Heard())
    weights = None if told["weights"] is None else folder / told["weights"]
    saved, file = folder / "winner.keras", folder / "evaluation.json"
    return EvaluationJob(
        known.source, {}, known.params, known.epochs, told["seed"], weights, saved, file
    )


def test_a_finalist_keeps_its_outcome_beside_its_weights(tmp_path):
    outcome = train_finalist(finalist(tmp_path, study()), Heard())
    assert outcome == json.loads((tmp_path / "0.json").read_text())
    assert (outcome["number"], outcome["index"], outcome["epochs"]) == (7, 0, 4)
    assert outcome["seed"] == derive_seed(1, "finalist", 0)
    bench = worker_study(finalist(tmp_path, study()).source, {})
    fold = bench.fold(0)
    model = winner.prepare_fit(bench, {"lr": 0.05}, 4, fold, 1).fit.model
    load_checkpoint(tmp_path / outcome["weights"], model)
    rmse = float(np.sqrt(np.mean((predict(model, fold.scoring.X)[:, 0] - fold.scoring.y) ** 2)))
    assert rmse == pytest.approx(outcome["value"], rel=1e-5)


def test_a_finalist_is_the_same_on_the_same_seed_and_another_on_another(tmp_path):
    defined = study(fixed={"dropout": 0.2})
    jobs = [
        finalist(tmp_path / folder, defined, index)
        for folder, index in (("a", 0), ("b", 0), ("c", 1))
    ]
    values = [train_finalist(job, Heard())["value"] for job in jobs]
    assert values[0] == values[1] != values[2]


def test_the_value_of_a_finalist_is_the_mean_of_its_folds_trained_alone(tmp_path):
    whole = finalist(tmp_path, study(cv=2))
    alone = [replace(whole, file=tmp_path / f"fold-{fold}.json", fold=fold) for fold in range(2)]
    values = [train_finalist(job, Heard())["value"] for job in alone]
    assert train_finalist(whole, Heard())["value"] == pytest.approx(np.mean(values), rel=1e-6)


def test_a_winner_trained_beside_its_folds_is_the_one_trained_afterwards(tmp_path):
    defined = study(cv=2)
    afterwards = evaluation(tmp_path, defined)
    beside = replace(finalist(tmp_path, defined), file=tmp_path / "all-rows.json", fold=ALL_ROWS)
    weights = tmp_path / train_finalist(beside, Heard())["weights"]
    kept = replace(
        afterwards, weights=weights, saved=tmp_path / "kept.keras", file=tmp_path / "kept.json"
    )
    assert afterwards.weights is None
    assert evaluate_winner(kept, Heard())["test"] == evaluate_winner(afterwards, Heard())["test"]


def test_a_finalist_that_diverges_has_no_value(tmp_path):
    assert train_finalist(finalist(tmp_path, study(epochs=30), lr=1e30), Heard())["value"] is None


def test_a_finalist_told_to_stop_leaves_no_outcome(tmp_path):
    with pytest.raises(Stopped):
        train_finalist(finalist(tmp_path, study()), Heard("stop"))
    assert not (tmp_path / "0.json").exists()


def test_with_folds_the_winner_alone_is_trained_on_all_of_them(tmp_path, monkeypatch):
    seen, real = [], winner.prepare_fit

    def watched(bench, params, epochs, rows, seed, **rest):
        seen.append(len(rows.train.y))
        return real(bench, params, epochs, rows, seed, **rest)

    monkeypatch.setattr(winner, "prepare_fit", watched)
    job = evaluation(tmp_path, study(cv=2))
    assert seen == [45, 45]
    evaluate_winner(job, Heard())
    assert seen == [45, 45, 90]


def test_the_saved_winner_takes_raw_inputs_and_predicts_the_same(tmp_path):
    job = evaluation(tmp_path, study())
    outcome = evaluate_winner(job, Heard())
    bench = worker_study(job.source, {})
    saved = keras.saving.load_model(outcome["model"])
    trained = winner.prepare_fit(bench, job.params, job.epochs, bench.fold(0), job.seed).fit.model
    load_checkpoint(job.weights, trained)
    raw = bench.parts.test.X
    expected = predict(trained, bench.fold(0).scaler.transform(raw))
    np.testing.assert_allclose(saved.predict(raw, verbose=0), expected, rtol=1e-4, atol=1e-5)
    rmse = float(np.sqrt(np.mean((expected[:, 0] - bench.parts.test.y) ** 2)))
    assert outcome["test"]["rmse"] == pytest.approx(rmse, rel=1e-5)
    assert outcome["reload_error"] < 1e-4


def test_baselines_stand_beside_the_winner(tmp_path):
    found = evaluate_winner(evaluation(tmp_path, study()), Heard())
    assert set(found["baseline"]) == {"dummy", "linear"}
    assert found["baseline"]["linear"]["rmse"] < found["baseline"]["dummy"]["rmse"]


def test_the_winner_is_compared_with_the_line_row_by_row(tmp_path):
    found = evaluate_winner(evaluation(tmp_path, study(epochs=30)), Heard())
    ahead = found["baseline"]["linear"]["rmse"] - found["test"]["rmse"]
    assert found["margin"]["difference"] == pytest.approx(ahead)
    assert found["margin"]["standard_error"] > 0


def test_the_winner_is_evaluated_once(tmp_path, monkeypatch):
    job = evaluation(tmp_path, study())
    first = evaluate_winner(job, Heard())
    monkeypatch.setattr(winner, "predict", None)  # looking again would fail
    assert evaluate_winner(job, Heard()) == first


def test_a_saved_file_that_predicts_something_else_is_an_error(tmp_path, monkeypatch):
    job = evaluation(tmp_path, study())
    unscaled = lambda model, scaler, *rest: save_for_raw_inputs(model, Scaler(), *rest)  # noqa: E731
    monkeypatch.setattr(winner, "save_for_raw_inputs", unscaled)
    with pytest.raises(
        TuningError, match="the saved winner predicts something else than the trained one"
    ):
        evaluate_winner(job, Heard())


@pytest.mark.parametrize(("task", "classes"), [("binary", 2), ("multiclass", 3)])
def test_a_winner_that_gives_logits_is_scored_by_probabilities(task, classes, tmp_path):
    def data():
        return rows(task, classes=classes)

    found = evaluate_winner(
        evaluation(
            tmp_path,
            study(builder=logits, data=data, objective=Maximize("val_accuracy"), epochs=30),
        ),
        Heard(),
    )
    assert found["test"]["auc"] > 0.8
    assert found["test"]["accuracy"] > found["baseline"]["dummy"]["accuracy"]


def doubled(lr=0.05, input_shape=(3,)):
    layers = [keras.Input(input_shape), keras.layers.Lambda(lambda x: 2 * x), keras.layers.Dense(1)]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.SGD(lr), "mse")
    return model


@pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`:UserWarning")
def test_a_winner_with_a_lambda_is_scored_and_saved_though_nobody_loads_code_from_a_file(tmp_path):
    found = evaluate_winner(evaluation(tmp_path, study(builder=doubled, epochs=2)), Heard())
    assert found["reload_error"] is None
    assert found["test"]["rmse"] > 0


def test_large_numbers_that_vary_little_are_centred_before_they_are_rounded(tmp_path):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="ones")])
    seconds = 1700000003.7 + np.arange(8.0)[:, None]
    scaler = Scaler(np.array([1700000003.7]), np.array([1.0]))
    save_for_raw_inputs(model, scaler, tmp_path / "dates.keras")
    saved = keras.saving.load_model(tmp_path / "dates.keras")
    np.testing.assert_allclose(predict(saved, seconds)[:, 0], np.arange(8.0), atol=1e-5)


def test_scores_leave_out_what_has_no_value():
    one_class = np.ones(4)
    assert scores("binary", one_class, np.full((4, 1), 0.9)) == {"accuracy": 1.0}


@pytest.mark.parametrize("deviation", [1e-9, 1e-30])
def test_a_column_that_varies_by_less_than_keras_divides_by_is_scaled_all_the_same(
    tmp_path, deviation
):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
    X = np.column_stack([np.arange(8.0) * deviation, 1.7e9 + 1e7 * np.arange(8.0)])
    scaler = Scaler(np.array([deviation, 1.7e9]), np.array([deviation, 1e7]))
    save_for_raw_inputs(model, scaler, tmp_path / "small.keras")
    saved = keras.saving.load_model(tmp_path / "small.keras")
    np.testing.assert_allclose(predict(saved, X), predict(model, scaler.transform(X)), rtol=1e-6)


def test_a_winner_that_diverges_on_all_rows_is_told_as_such(tmp_path):
    job = replace(evaluation(tmp_path, study(cv=2)), params={"lr": 1e30}, epochs=30)
    with pytest.raises(
        TuningError, match="the winner diverged when it was trained on all rows; lower the learning"
    ):
        evaluate_winner(job, Heard())
    assert not job.file.exists()
