"""The winner on the test part: what it was compiled with, its threshold, and its rivals."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from sklearn import metrics as peers

from tests.trials.small_study import ScriptedContext, study
from tests.trials.test_winner import evaluation
from tuning import Float, Maximize, Minimize
from tuning.data.arrays import only
from tuning.data.dataset import Dataset
from tuning.errors import StudyError
from tuning.ledger.winner import Evaluation
from tuning.reports.verdict import verdict
from tuning.scoring.imbalance import imbalance_advice
from tuning.trainer.forward import predict
from tuning.trials.checkpoint import load_checkpoint
from tuning.trials.folds import prepare_fit
from tuning.trials.verdict.decision import classes_of, keep_threshold, threshold_of
from tuning.trials.winner import evaluate_winner
from tuning.trials.worker_study import load_worker_study

SPACE = {"lr": Float(0.01, 1.0, log=True)}


def rare_class(n: int = 3000, share: float = 0.01) -> Dataset:
    """One row in a hundred is "yes"; the inputs tell a little of which."""
    rng = np.random.default_rng(7)
    y = (rng.random(n) < share).astype(int)
    X = rng.normal(size=(n, 3)) + 1.2 * y[:, None]
    return Dataset("rare", X, y, "binary", classes=("no", "yes"))


def uneven(n: int = 400) -> Dataset:
    return rare_class(n, share=0.2)


def classifier(lr: float = 0.2, metrics: tuple[str, ...] = ()) -> keras.Model:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, "sigmoid")])
    own = [] if not metrics else [keras.metrics.F1Score(threshold=0.3, name="f1_at_a_third")]
    optimizer = keras.optimizers.SGD(lr, momentum=0.9)
    model.compile(optimizer, "binary_crossentropy", metrics=[*metrics, *own])
    return model


def with_metrics(lr: float = 0.2) -> keras.Model:
    return classifier(lr, ("accuracy", "precision", "mse"))


def judged(folder, **changes):
    """Return the study, and what the evaluation of a finalist of it says."""
    defined = study(**{"builder": classifier, "data": uneven, "space": SPACE, **changes})
    job = evaluation(folder, defined)
    return defined, job, evaluate_winner(job, ScriptedContext())


def test_part(defined, job):
    """Return y of the test part and the winner's predictions, computed beside our code."""
    worker_study = load_worker_study(job.source, {})
    rows = worker_study.final()
    item = prepare_fit(
        worker_study, defined.split_params(job.params), rows, epochs=job.epochs, seed=job.seed
    )
    load_checkpoint(job.weights, item.fit.model)
    part = worker_study.parts.test
    X = rows.scaler.transform(part.X)
    return item.fit.model, X, only(part.y), predict(item.fit.model, X)


test_part.__test__ = False


def test_the_objective_joins_the_scores_of_winner_and_baselines(tmp_path):
    defined, job, outcome = judged(tmp_path, objective=Maximize("val_average_precision"))
    _, _, y, predicted = test_part(defined, job)
    assert list(outcome.test) == ["accuracy", "auc", "average_precision"]
    assert outcome.test["average_precision"] == pytest.approx(
        peers.average_precision_score(y, predicted[:, 0]), rel=1e-12
    )
    assert outcome.baseline["dummy"]["average_precision"] == pytest.approx(y.mean())
    assert outcome.margin is not None


def test_what_a_model_was_compiled_with_is_scored_on_the_test_part(tmp_path):
    defined, job, outcome = judged(
        tmp_path, builder=with_metrics, objective=Maximize("val_f1_at_a_third")
    )
    model, X, y, predicted = test_part(defined, job)
    values = model.evaluate(X, y[:, None], verbose=0, return_dict=True)
    for name in ("loss", "precision", "mse", "f1_at_a_third"):
        assert outcome.test[name] == pytest.approx(float(np.reshape(values[name], ())), rel=1e-5)
    assert outcome.test["f1_at_a_third"] == pytest.approx(
        peers.f1_score(y, predicted[:, 0] > 0.3), rel=1e-6
    )
    assert outcome.margin is None


def test_a_loss_alone_adds_nothing_to_a_plain_search(tmp_path):
    _, _, outcome = judged(tmp_path, objective=Maximize("val_auc"))
    assert list(outcome.test) == ["accuracy", "auc"]
    assert not {"threshold", "no_better"} & set(outcome.to_json())


def test_every_objective_and_limit_is_scored_on_the_test_part(tmp_path):
    defined, job, outcome = judged(
        tmp_path,
        objectives=[Maximize("val_auc"), Maximize("val_f1"), Minimize("n_parameters")],
        constraints=["val_mcc >= -1", "val_loss <= 9"],
        engine="optuna:nsga2",
    )
    _, _, y, predicted = test_part(defined, job)
    answers = predicted[:, 0] > 0.5
    assert list(outcome.test) == ["accuracy", "auc", "f1", "mcc", "loss"]
    assert outcome.test["f1"] == pytest.approx(peers.f1_score(y, answers))
    assert outcome.test["mcc"] == pytest.approx(peers.matthews_corrcoef(y, answers))
    assert outcome.test["loss"] == pytest.approx(peers.log_loss(y, predicted[:, 0]), rel=1e-4)
    assert list(outcome.baseline["dummy"]) == ["accuracy", "auc", "f1", "mcc"]


def test_the_loss_as_objective_has_a_score_on_the_test_part(tmp_path):
    defined, job, outcome = judged(tmp_path, objective=Minimize("val_loss"))
    _, _, y, predicted = test_part(defined, job)
    assert outcome.test["loss"] == pytest.approx(peers.log_loss(y, predicted[:, 0]), rel=1e-4)


def test_a_tuned_threshold_is_the_same_for_all_that_is_said_of_the_winner(tmp_path):
    defined, job, outcome = judged(tmp_path, objective=Maximize("val_f1"), threshold="tuned")
    _, _, y, predicted = test_part(defined, job)
    assert 0 < outcome.threshold < 1
    assert outcome.threshold != 0.5
    answers = predicted[:, 0] >= outcome.threshold
    assert outcome.test["f1"] == pytest.approx(peers.f1_score(y, answers), rel=1e-12)
    assert outcome.test["accuracy"] == np.mean(answers == y)
    assert threshold_of(job.saved) == outcome.threshold
    expected = np.array(["no", "yes"])[answers.astype(int)]
    np.testing.assert_array_equal(classes_of(job.saved, predicted), expected)
    assert Evaluation.from_json(outcome.to_json()) == outcome


@pytest.mark.parametrize("changes", [{}, {"cv": 2}, {"patience": 2}, {"cv": 2, "patience": 2}])
def test_no_row_that_a_threshold_is_tuned_on_is_trained_or_scored_on(changes):
    defined = study(
        builder=classifier,
        data=uneven,
        space=SPACE,
        objective=Maximize("val_f1"),
        threshold="tuned",
        **changes,
    )
    worker_study = load_worker_study(*_source(defined))
    for rows in (worker_study.fold(0), worker_study.final()):
        parts = [rows.train, rows.stopping]
        if rows.scoring is not rows.stopping:
            parts.append(rows.scoring)
        test = rows.scaler.transform(worker_study.parts.test.X)
        seen = [set(map(bytes, np.ascontiguousarray(part.X))) for part in parts]
        seen.append(set(map(bytes, np.ascontiguousarray(test))))
        assert len(set.union(*seen)) == sum(map(len, seen))
        share = len(rows.stopping) / (len(rows.stopping) + len(rows.train))
        assert share == pytest.approx(0.2, abs=0.01)


def _source(defined):
    import cloudpickle

    return cloudpickle.dumps(defined), {}


def test_a_winner_that_always_says_no_is_called_that(tmp_path):
    _, _, outcome = judged(tmp_path, data=rare_class, objective=Maximize("val_accuracy"))
    assert outcome.no_better.baseline == "dummy"
    assert verdict(outcome.no_better).startswith(
        "The winner is no better than always predicting 'no': accuracy 0.99"
    )
    assert Evaluation.from_json(outcome.to_json()) == outcome


def test_following_the_advice_on_a_rare_class_finds_it(tmp_path):
    (advice,) = imbalance_advice(
        study(builder=classifier, data=rare_class, space=SPACE, objective=Maximize("val_accuracy")),
        rare_class(),
    )
    assert 'threshold="tuned" with Maximize("val_f1")' in advice
    _, _, by_accuracy = judged(
        tmp_path / "accuracy", data=rare_class, objective=Maximize("val_accuracy")
    )
    _, job, advised = judged(
        tmp_path / "advised", data=rare_class, objective=Maximize("val_f1"), threshold="tuned"
    )
    worker_study = load_worker_study(job.source, {})
    model = keras.saving.load_model(job.saved)
    raw = only(worker_study.parts.test.X)
    found = classes_of(job.saved, predict(model, raw)) == "yes"
    is_rare = only(worker_study.parts.test.y) == 1
    # The net has no hidden layer: it beats the dummy, and is the linear baseline.
    assert advised.no_better is None or advised.no_better.baseline == "linear"
    assert peers.balanced_accuracy_score(is_rare, found) > 0.6
    assert by_accuracy.no_better is not None


def test_average_precision_with_class_weights_finds_more_of_a_rare_class(tmp_path):
    _, _, by_accuracy = judged(
        tmp_path / "accuracy", data=rare_class, objective=Maximize("val_accuracy")
    )
    defined, job, advised = judged(
        tmp_path / "advised",
        data=rare_class,
        objective=Maximize("val_average_precision"),
        class_weight="balanced",
    )
    _, _, y, predicted = test_part(defined, job)
    assert by_accuracy.no_better.baseline == "dummy"
    assert advised.no_better is None or advised.no_better.baseline == "linear"
    assert peers.balanced_accuracy_score(y, predicted[:, 0] > 0.5) > 0.8  # by accuracy: 0.5


def test_a_saved_threshold_says_which_class(tmp_path):
    path = tmp_path / "winner.keras"
    np.testing.assert_array_equal(classes_of(path, [[0.4], [0.6]]), [0, 1])
    keep_threshold(path, 0.3, ("no", "yes"))
    np.testing.assert_array_equal(classes_of(path, [[0.7, 0.3], [0.8, 0.2]]), ["yes", "no"])
    with pytest.raises(StudyError, match="the probabilities have 3 columns; take the argmax"):
        classes_of(path, np.ones((2, 3)))
    with pytest.raises(StudyError, match="received -2 to 3: apply the sigmoid"):
        classes_of(path, [[-2.0], [3.0]])


def tagger(lr: float = 0.1) -> keras.Model:
    layers = [
        keras.layers.Embedding(10, 4, mask_zero=True),
        keras.layers.Dense(3, activation="softmax"),
    ]
    model = keras.Sequential([keras.Input((8,)), *layers])
    model.compile(
        keras.optimizers.Adam(lr),
        "sparse_categorical_crossentropy",
        metrics=["sparse_categorical_accuracy"],
    )
    return model


def padded_sequences(n: int = 90) -> Dataset:
    rng = np.random.default_rng(3)
    is_step = np.arange(8) < rng.integers(1, 5, n)[:, None]
    X = np.where(is_step, rng.integers(1, 10, (n, 8)), 0)
    y = np.where(is_step, (X + rng.integers(0, 2, X.shape)) % 3, 0)
    return Dataset("padded", X, y, "multiclass")


@pytest.mark.parametrize("changes", [{}, {"cv": 2, "patience": 2}], ids=["parts", "folds"])
def test_padded_steps_count_in_no_score_as_in_keras(changes, tmp_path):
    defined = study(
        builder=tagger, data=padded_sequences, objective=Maximize("val_accuracy"), **changes
    )
    ended = evaluate_winner(evaluation(tmp_path, defined), ScriptedContext())
    of_keras = ended.test["sparse_categorical_accuracy"]
    assert ended.test["accuracy"] == pytest.approx(of_keras, abs=1e-6)

    worker_study = load_worker_study(*_source(defined))
    fit = prepare_fit(
        worker_study, defined.split_params({}), worker_study.fold(0), epochs=2, seed=1
    )
    fit.train()
    for row in fit.judge.curve:
        of_keras = row["val_sparse_categorical_accuracy"]
        assert row["val_accuracy"] == pytest.approx(of_keras, abs=1e-6)


def class_and_number(lr: float = 0.1) -> keras.Model:
    inputs = keras.Input((3,))
    outputs = [
        keras.layers.Dense(1, "sigmoid", name="kind")(inputs),
        keras.layers.Dense(1, name="price")(inputs),
    ]
    model = keras.Model(inputs, outputs)
    losses = {"kind": "binary_crossentropy", "price": "mse"}
    scores = {"kind": [keras.metrics.F1Score(threshold=0.5)]}
    model.compile(keras.optimizers.Adam(lr), losses, metrics=scores)
    return model


def test_an_f_score_of_one_of_several_outputs_is_an_objective(tmp_path):
    X = np.random.default_rng(2).normal(size=(90, 3))

    def data():
        y = {"kind": (X[:, 0] > 0).astype(int), "price": X[:, 1]}
        return Dataset("two", X, y, {"kind": "binary", "price": "regression"})  # type: ignore[arg-type]

    defined = study(
        builder=class_and_number, data=data, objective=Maximize("val_kind_f1_score"), epochs=15
    )
    ended = evaluate_winner(evaluation(tmp_path, defined), ScriptedContext())
    assert ended.test["kind_f1_score"] > 0.7


def conv(lr: float = 0.1) -> keras.Model:
    layers = [keras.Input((4, 4, 1)), keras.layers.Conv2D(1, 3, padding="same")]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.Adam(lr), "mse", weighted_metrics=["mae"])
    return model


def weighed_images() -> Dataset:
    rng = np.random.default_rng(4)
    X = rng.uniform(size=(90, 4, 4, 1))
    return Dataset("images", X, 2 * X, "regression", weight=rng.uniform(0, 2, 90))


def test_the_weight_of_a_row_counts_for_each_of_its_answers_in_loss_and_scores(tmp_path):
    defined = study(builder=conv, data=weighed_images, epochs=2)
    job = evaluation(tmp_path, defined)
    ended = evaluate_winner(job, ScriptedContext())

    test = load_worker_study(*_source(defined)).parts.test
    predicted = keras.saving.load_model(job.saved).predict(test.X, verbose=0)
    squares = np.square(predicted - test.y).mean(axis=(1, 2, 3))
    weighed = np.average(squares, weights=test.weight)
    assert ended.test["rmse"] == pytest.approx(np.sqrt(weighed), rel=1e-5)
    assert ended.test["loss"] == pytest.approx((squares * test.weight).mean(), rel=1e-4)
