"""Rows of many answers, masks and tagged steps, against `model.fit` on the same rows."""

from __future__ import annotations

import cloudpickle
import keras
import numpy as np
import pytest
from keras import layers
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score, root_mean_squared_error

from tests.trials.small_study import ScriptedContext, job, study
from tests.trials.test_winner import evaluation
from tuning import Choice, Minimize
from tuning.data.dataset import Dataset
from tuning.engines.remote import prepare
from tuning.errors import StudyError
from tuning.trial import Status
from tuning.trials.folds import prepare_fit
from tuning.trials.trial import run_trial
from tuning.trials.winner import evaluate_winner
from tuning.trials.worker_study import load_worker_study

RNG = np.random.default_rng(0)
N = 60
IMAGES = RNG.normal(size=(N, 4, 3, 2))
MASKS = (IMAGES[..., 0] > 0.3).astype(int)
SERIES = RNG.normal(size=(N, 5, 2))
SUMS = SERIES.sum(axis=-1)
TAGS = np.digitize(SERIES[..., 0], [-0.5, 0.5])
OF_STEPS = RNG.uniform(0.5, 3.0, (N, 5)) * (np.arange(5) < RNG.integers(2, 6, N)[:, None])
OF_PIXELS = RNG.uniform(0.0, 2.0, (N, 4, 3))


def compiled(model, loss, lr, **settings):
    model.compile(keras.optimizers.Adam(lr), loss, **settings)
    return model


def segments(lr=0.05):
    model = keras.Sequential([keras.Input((4, 3, 2)), layers.Conv2D(1, 1, activation="sigmoid")])
    return compiled(model, "binary_crossentropy", lr, weighted_metrics=["accuracy"])


def segments_flat(lr=0.05):
    model = keras.Sequential([*segments().layers, layers.Reshape((4, 3))])
    return compiled(model, "binary_crossentropy", lr)


def two_units_a_step(lr=0.05):
    model = keras.Sequential([keras.Input((5, 2)), layers.Dense(2, "softmax")])
    return compiled(model, "sparse_categorical_crossentropy", lr)


def tagger(lr=0.05):
    model = keras.Sequential([keras.Input((5, 2)), layers.Conv1D(4, 3, padding="same")])
    model.add(layers.Dense(3, "softmax"))
    return compiled(model, "sparse_categorical_crossentropy", lr, weighted_metrics=["accuracy"])


def one_a_step(lr=0.05):
    model = keras.Sequential([keras.Input((5, 2)), layers.Conv1D(4, 3, padding="same")])
    model.add(layers.Dense(1))
    return compiled(model, "mse", lr, weighted_metrics=["mae"])


def masked(lr=0.05):
    model = keras.Sequential([keras.Input((5, 2)), layers.Masking(9.0)])
    model.add(layers.LSTM(4, return_sequences=True))
    model.add(layers.Dense(1))
    return compiled(model, "mse", lr)


def one_answer(lr=0.05):
    model = keras.Sequential([keras.Input((5, 2)), layers.Flatten(), layers.Dense(5)])
    return compiled(model, "mse", lr)


PADDED = np.where(OF_STEPS[..., None] > 0, SERIES, 9.0)
CASES = {
    "masks": (segments, IMAGES, MASKS, "binary", None),
    "masks of one channel": (segments, IMAGES, MASKS[..., None], "binary", None),
    "masks for an output without one": (segments_flat, IMAGES, MASKS, "binary", None),
    "weighed pixels": (segments, IMAGES, MASKS, "binary", OF_PIXELS),
    "weighed masks": (segments, IMAGES, MASKS, "binary", np.linspace(0.1, 2, N)),
    "two units a step": (two_units_a_step, SERIES, TAGS.clip(0, 1), "binary", OF_STEPS),
    "tags": (tagger, SERIES, TAGS, "multiclass", None),
    "tags in a column": (tagger, SERIES, TAGS[..., None], "multiclass", None),
    "weighed tags": (tagger, SERIES, TAGS, "multiclass", OF_STEPS),
    "numbers of steps": (one_a_step, SERIES, SUMS, "regression", None),
    "weighed steps": (one_a_step, SERIES, SUMS[..., None], "regression", OF_STEPS),
    "masked steps": (masked, PADDED, SUMS[..., None], "regression", None),
}
OBJECTIVES = {
    "binary": Minimize("val_log_loss"),
    "multiclass": Minimize("val_log_loss"),
    "regression": Minimize("val_rmse"),
}


def defined_by(case, **changes):
    builder, X, y, task, weight = CASES[case] if isinstance(case, str) else case
    data = Dataset("answers", X, y, task, weight=weight, scale=False)
    objective = changes.pop("objective", OBJECTIVES[task])
    changes = {"batch_size": 100, "epochs": 3, "space": {}, "fixed": {"lr": 0.05}, **changes}
    return study(builder=builder, data=lambda: data, objective=objective, **changes)


def fitted(defined):
    worker_study = load_worker_study(cloudpickle.dumps(defined), {})
    point = defined.split_params(defined.fixed)
    item = prepare_fit(worker_study, point, worker_study.fold(0), epochs=3, seed=7)
    for _ in item.fit.epochs():
        pass
    return worker_study.parts, item


QUICK = ("weighed pixels",)


def plain_rows(case, part):
    """Return what a plain program gives `fit`: of weighed pixels with the axis that Keras needs."""
    weight = part.weight
    if not case.startswith("weighed") or "tags" in case:
        return (part.X, part.y) if weight is None else (part.X, part.y, weight)
    y = part.y if part.y.shape[-1] == 1 else part.y[..., None]
    of_row = weight.reshape(*weight.shape, *[1] * (y.ndim - 1 - weight.ndim))
    return part.X, y, np.broadcast_to(of_row, y.shape[:-1]).copy()


@pytest.mark.parametrize(
    "case",
    [case if case in QUICK else pytest.param(case, marks=pytest.mark.slow) for case in CASES],
)
def test_it_is_trained_and_validated_as_by_fit(case):
    defined = defined_by(case)
    parts, item = fitted(defined)
    keras.utils.set_random_seed(7)
    model = defined.builder()
    X, y, *weight = plain_rows(case, parts.train)
    history = model.fit(
        X,
        y,
        sample_weight=weight[0] if weight else None,
        validation_data=plain_rows(case, parts.validation),
        batch_size=100,
        epochs=3,
        verbose=0,
    ).history
    for name, values in history.items():
        ours = [row[name] for row in item.judge.curve]
        np.testing.assert_allclose(ours, values, rtol=2e-4, err_msg=name)


def winner_of(folder, case, **changes):
    """Train and judge a winner; return its evaluation, and what its file says of the test part."""
    defined = defined_by(case, **{"epochs": 5, "batch_size": 16, **changes})
    prepare(cloudpickle.dumps(defined), {})
    outcome = evaluate_winner(evaluation(folder, defined), ScriptedContext())
    test = load_worker_study(cloudpickle.dumps(defined), {}).parts.test
    saved = keras.saving.load_model(outcome.model)
    return outcome, test, saved.predict(test.X, verbose=0)


def test_the_winner_of_masks_is_scored_over_all_pixels(tmp_path):
    outcome, test, chances = winner_of(tmp_path, "masks", threshold="tuned")
    y = test.y.ravel()
    assert outcome.test["log_loss"] == pytest.approx(log_loss(y, chances.ravel()), rel=1e-5)
    assert outcome.test["auc"] == pytest.approx(roc_auc_score(y, chances.ravel()))
    right = accuracy_score(y, chances.ravel() >= outcome.threshold)
    assert outcome.test["accuracy"] == pytest.approx(right)
    assert 0 < outcome.threshold < 1
    assert outcome.reload_error < 1e-5
    dummy = outcome.baseline["dummy"]
    assert dummy["accuracy"] == max(y.mean(), 1 - y.mean())
    assert set(outcome.baseline) == {"dummy"}


def test_weights_of_steps_reach_the_score_of_the_test_part(tmp_path):
    outcome, test, numbers = winner_of(tmp_path, "weighed steps")
    weight = test.weight.ravel()
    expected = root_mean_squared_error(test.y.ravel(), numbers.ravel(), sample_weight=weight)
    assert outcome.test["rmse"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_numbers_of_steps_are_compared_with_their_own_steps_alone(tmp_path):
    outcome, test, numbers = winner_of(tmp_path, "numbers of steps")
    assert test.y.shape == numbers.shape[:2]
    expected = root_mean_squared_error(test.y.ravel(), numbers.ravel())
    assert outcome.test["rmse"] == pytest.approx(expected, rel=1e-5)
    assert outcome.test["mae"] == pytest.approx(np.abs(test.y - numbers[..., 0]).mean(), rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_each_of_them_has_a_winner_with_a_score_of_its_file(case, tmp_path):
    trial = run_trial(job(tmp_path / "trial", defined_by(case, cv=2)), ScriptedContext())
    assert trial.status is Status.COMPLETED, trial.error
    outcome, _, _ = winner_of(tmp_path, case)
    assert outcome.reload_error < 1e-5
    name = "rmse" if CASES[case][3] == "regression" else "log_loss"
    assert np.isfinite(outcome.test[name])
    assert np.isfinite(outcome.baseline["dummy"][name])


def test_weights_of_units_are_refused_where_the_loss_has_one_value_a_row():
    defined = defined_by((one_answer, SERIES, SUMS, "regression", OF_STEPS))
    with pytest.raises(StudyError) as error:
        prepare(cloudpickle.dumps(defined), {})
    assert str(error.value) == (
        "one_answer: weight is (rows, 5), the loss of an output of shape (5,) is (rows,), a mean "
        "over its last axis; end the model with a last axis of 1, (5, 1), or weigh whole rows: "
        "weight=(rows,)"
    )


def test_one_sigmoid_is_refused_where_rows_hold_several_answers():
    def one_unit(lr=0.05):
        model = keras.Sequential([keras.Input((5, 2)), layers.Flatten()])
        model.add(layers.Dense(1, "sigmoid"))
        return compiled(model, "binary_crossentropy", lr)

    defined = defined_by((one_unit, SERIES, TAGS.clip(0, 1), "binary", None))
    with pytest.raises(StudyError) as error:
        prepare(cloudpickle.dumps(defined), {})
    assert str(error.value) == (
        "one_unit: the last layer gives 1 unit; a binary task with this y needs an output of shape "
        "(5, 1): let the builder take `output_shape`, it is filled in from the data; for several "
        "labels a row use task='multilabel'"
    )


def two_heads(lr=0.05):
    series = keras.Input((5, 2))
    tag = layers.Dense(3, "softmax", name="tag")(series)
    flag = layers.Dense(1, "sigmoid", name="flag")(layers.Flatten()(series))
    total = layers.Dense(1, name="total")(layers.Flatten()(series))
    model = keras.Model(series, {"tag": tag, "flag": flag, "total": total})
    losses = {"tag": "sparse_categorical_crossentropy", "flag": "binary_crossentropy"}
    return compiled(model, {**losses, "total": "mse"}, lr)


FLAGS = (SUMS[:, 0] > 0.8).astype(int)
HEADS = Dataset(
    "heads",
    SERIES,
    {"tag": TAGS, "flag": FLAGS, "total": SUMS.sum(axis=1)},
    {"tag": "multiclass", "flag": "binary", "total": "regression"},
    scale=False,
    weight={"tag": np.ones(N), "flag": np.linspace(1, 2, N), "total": np.ones(N)},
)


def heads(class_weight):
    return study(
        builder=two_heads,
        data=lambda: HEADS,
        objective=Minimize("val_loss"),
        batch_size=100,
        space={},
        fixed={"lr": 0.05},
        class_weight=class_weight,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "declared",
    [
        "balanced",
        {"flag": {0: 1.0, 1: 5.0}, "tag": "balanced", "total": None},
    ],
)
def test_class_weights_of_several_outputs_are_sample_weights_of_each(declared):
    from sklearn.utils.class_weight import compute_sample_weight

    defined = heads(declared)
    prepare(cloudpickle.dumps(defined), {})
    parts, item = fitted(defined)
    y = parts.train.y
    flag = declared if declared == "balanced" else declared["flag"]
    of_tags = compute_sample_weight("balanced", y["tag"].ravel()).reshape(y["tag"].shape)
    keras.utils.set_random_seed(7)
    history = (
        two_heads()
        .fit(
            parts.train.X,
            y,
            sample_weight={
                "tag": of_tags,
                "flag": compute_sample_weight(flag, y["flag"]) * parts.train.weight["flag"],
                "total": np.ones(len(of_tags)),
            },
            batch_size=100,
            epochs=3,
            verbose=0,
        )
        .history
    )
    losses = [row["loss"] for row in item.judge.curve]
    np.testing.assert_allclose(losses, history["loss"], rtol=2e-4)


@pytest.mark.slow
def test_class_weights_of_masks_weigh_their_pixels():
    parts, item = fitted(defined_by("masks", class_weight={0: 1.0, 1: 4.0}))
    y = parts.train.y[..., None]
    keras.utils.set_random_seed(7)
    history = (
        segments()
        .fit(parts.train.X, y, sample_weight=1 + 3 * y[..., 0], batch_size=100, epochs=3, verbose=0)
        .history
    )
    losses = [row["loss"] for row in item.judge.curve]
    np.testing.assert_allclose(losses, history["loss"], rtol=2e-4)


@pytest.mark.parametrize(
    ("declared", "fault"),
    [
        (
            {0: 1.0, 1: 2.0},
            "class_weight: the data have 3 outputs, say which one: {'tag': {0: 1.0, 1: 2.0}}",
        ),
        (
            {"flags": "balanced"},
            "class_weight: no output is called 'flags'. Did you mean 'flag'? "
            "There are: tag, flag, total",
        ),
        (
            {"total": "balanced"},
            "class_weight['total'] is for a binary or multiclass output, not for regression; "
            "use weight=",
        ),
    ],
)
def test_class_weights_that_no_output_has_are_refused(declared, fault):
    with pytest.raises(StudyError) as error:
        prepare(cloudpickle.dumps(heads(declared)), {})
    assert error.value.faults == (fault,)


def test_search_classes_of_scikit_learn_are_told_what_they_cannot_cut():
    changes = {"space": {"lr": Choice(0.01, 0.05)}, "fixed": {}}
    defined = defined_by("weighed pixels", engine="gridsearchcv", **changes)
    with pytest.raises(StudyError) as error:
        prepare(cloudpickle.dumps(defined), {})
    assert error.value.faults == (
        "engine 'gridsearchcv': scikit-learn takes one class a row, y has the shape (60, 4, 3); "
        "use an engine of Optuna's or KerasTuner's",
        "engine 'gridsearchcv': scikit-learn weighs whole rows, weight has the shape (60, 4, 3); "
        "use an engine of Optuna's or KerasTuner's",
    )
