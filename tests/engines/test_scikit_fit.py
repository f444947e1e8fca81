"""What a worker does for scikit-learn's searches, in this process, against the literal classes
without us.
"""

from __future__ import annotations

import json
import warnings

import cloudpickle
import keras
import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler

from tuning.data.california import california_housing
from tuning.data.dataset import Dataset
from tuning.engines.scikit import ScikitEngine
from tuning.engines.scikit_fit import run_call
from tuning.estimators.wrappers import KerasRegressor
from tuning.space.domains import Choice, Float
from tuning.study.objective import Maximize, Minimize
from tuning.study.study import Study, derive_seed
from tuning.trial import Answer, Proposal, Status, TrialResult
from tuning.trials.jobs import Stopped, TrialJob
from tuning.trials.trial import run_trial
from tuning.trials.worker_study import load_worker_study

GRID = {"n_hidden": Choice(1, 2), "n_neurons": Choice(8, 16), "lr": Choice(1e-2, 1e3)}


def course_model(n_hidden=1, n_neurons=8, lr=1e-2, input_shape=(8,)):
    hidden = [keras.layers.Dense(n_neurons, "relu") for _ in range(n_hidden)]
    model = keras.Sequential([keras.Input(input_shape), *hidden, keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(lr), "mse")
    return model


def iris_model(n_neurons=16, lr=0.02, input_shape=(4,), n_outputs=3):
    layers = [keras.layers.Dense(n_neurons, "relu"), keras.layers.Dense(n_outputs, "softmax")]
    model = keras.Sequential([keras.Input(input_shape), *layers])
    model.compile(keras.optimizers.Adam(lr), "sparse_categorical_crossentropy")
    return model


def broken_model(lr):
    raise RuntimeError("no such layer")


def houses():
    whole = california_housing()
    return Dataset("houses", whole.X[:2667], whole.y[:2667], "regression")


def iris():
    X, y = load_iris(return_X_y=True)
    return Dataset("iris", X, y, "multiclass", classes=("setosa", "versicolor", "virginica"))


def make_study(space=GRID, builder=course_model, data=houses, **changes):
    values = {
        "objective": Minimize("val_rmse"),
        "engine": "gridsearchcv",
        "trials": None,
        "epochs": 2,
        **changes,
    }
    return Study(name="scikit", builder=builder, data=data, space=space, **values)


class Here:
    """A worker's context in this process; counts epochs and gives one answer to all."""

    slot = "here"

    def __init__(self, answer=Answer.CONTINUE):
        self.epochs = []
        self._answer = answer

    def report(self, report):
        self.epochs.append((report.number, report.epoch))
        return self._answer

    def retire(self):
        raise AssertionError("nothing ran out of memory")


def source_and_worker_study(study):
    source = cloudpickle.dumps(study)
    return source, load_worker_study(source, {})


def job_of(source, proposal, folder, attempt=1):
    return TrialJob(
        source=source,
        overrides={},
        proposal=proposal,
        folder=folder / str(proposal.number),
        attempt=attempt,
    )


def search(study, folder, known=(), context=None):
    """Run a search to its end, taking `known` results instead of training; return results and the
    engine.
    """
    source, worker_study = source_and_worker_study(study)
    engine, results = ScikitEngine(study, worker_study.parts), []
    try:
        while isinstance(proposal := engine.ask(len(results)), Proposal):
            if proposal.number < len(known):
                result = TrialResult.from_json(
                    json.loads(json.dumps(known[proposal.number].to_json()))
                )
            else:
                result = run_call(job_of(source, proposal, folder), context or Here())
            results.append(result)
            engine.tell(result)
    finally:
        engine.close()
    return results, engine


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """The course's kind of grid through our engine and workers' code: 8 points, 2,000 rows, 2
    epochs, cv=2.
    """
    study = make_study(cv=2)
    results, engine = search(study, tmp_path_factory.mktemp("grid"))
    return study, results, engine


def test_the_grid_agrees_with_the_literal_grid_search_cv(grid):
    study, _, engine = grid
    part = source_and_worker_study(study)[1].parts.search_part
    assert len(part) == 2000
    literal = GridSearchCV(
        KerasRegressor(
            course_model,
            epochs=2,
            preprocessor=StandardScaler(),
            random_state=derive_seed(study.seed, "training"),
        ),
        {name: list(choice.values) for name, choice in GRID.items()},
        cv=2,
        scoring="neg_root_mean_squared_error",
        refit=False,
        n_jobs=1,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the points that diverge
        literal.fit(part.X, part.y)
    ours, theirs = engine._search.cv_results_, literal.cv_results_
    assert ours["params"] == theirs["params"]
    diverged = np.array([params["lr"] == 1e3 for params in theirs["params"]])
    assert diverged.sum() == 4
    assert np.isnan(ours["mean_test_score"][diverged]).all()
    assert not np.isfinite(theirs["mean_test_score"][diverged]).any()
    np.testing.assert_allclose(
        ours["mean_test_score"][~diverged], theirs["mean_test_score"][~diverged], rtol=1e-6
    )
    np.testing.assert_array_equal(ours["rank_test_score"], theirs["rank_test_score"])


def test_points_that_diverge_are_diverged_and_the_search_goes_on(grid):
    _, results, _ = grid
    assert [r.status for r in results].count(Status.DIVERGED) == 4
    assert [r.status for r in results].count(Status.COMPLETED) == 4


def test_folds_are_recorded_with_curves_and_what_scikit_learn_returned(grid):
    study, results, _ = grid
    result = next(r for r in results if r.status is Status.COMPLETED)
    assert [fold.fold for fold in result.folds] == [0, 1]
    assert result.value == pytest.approx(np.mean([fold.value for fold in result.folds]))
    assert result.epochs == 4
    for fold in result.folds:
        assert [row["epoch"] for row in fold.curve] == [1, 2]
        assert fold.scores["test_scores"] == pytest.approx(-fold.value, rel=1e-6)
        assert fold.scores["n_test_samples"] == 1000
        assert fold.seed == derive_seed(study.seed, "training")


def test_a_resumed_search_is_told_what_is_recorded_and_trains_the_rest_only(grid, tmp_path):
    study, results, engine = grid
    context = Here()
    again, resumed = search(study, tmp_path, known=results[:6], context=context)
    assert {number for number, _ in context.epochs} <= {6, 7}
    np.testing.assert_allclose(
        resumed._search.cv_results_["mean_test_score"],
        engine._search.cv_results_["mean_test_score"],
        rtol=1e-6,
    )
    assert [r.status for r in again] == [r.status for r in results]


@pytest.mark.parametrize(
    "changes", [{}, {"patience": 1, "epochs": 4}, {"cv": 2, "patience": 1, "epochs": 4}]
)
def test_a_trial_equals_that_of_any_other_engine(tmp_path, changes):
    study = make_study({"lr": Choice(0.05)}, **changes)
    results, _ = search(study, tmp_path / "scikit")
    source, _ = source_and_worker_study(study)
    other = run_trial(
        job_of(source, Proposal(0, {"lr": 0.05}, study.epochs), tmp_path / "other"), Here()
    )
    assert results[0].value == pytest.approx(other.value, rel=1e-5)
    assert [f.best_epoch for f in results[0].folds] == [f.best_epoch for f in other.folds]
    assert results[0].epochs == other.epochs


def weighed_houses():
    plain = houses()
    weight = np.random.default_rng(0).uniform(0, 3, len(plain.y))
    return Dataset("houses", plain.X, plain.y, "regression", weight=weight)


@pytest.mark.parametrize("changes", [{"objective": Minimize("val_loss")}, {"cv": 2, "patience": 1}])
def test_weights_of_rows_train_the_search_classes_as_any_other_engine(tmp_path, changes):
    study = make_study({"lr": Choice(0.05)}, data=weighed_houses, **changes)
    (result,), _ = search(study, tmp_path / "scikit")
    source, _ = source_and_worker_study(study)
    other = run_trial(job_of(source, Proposal(0, {"lr": 0.05}, 2), tmp_path / "other"), Here())
    assert result.value == pytest.approx(other.value, rel=1e-5)
    # What a halving search goes by is what the ledger has.
    assert -result.folds[0].scores["test_scores"] == pytest.approx(result.folds[0].value, rel=1e-5)
    losses = [row["loss"] for row in result.folds[0].curve]
    assert losses == pytest.approx([row["loss"] for row in other.folds[0].curve], rel=1e-5)


def falling(lr, folder, steps_per_epoch):
    (folder / "steps").write_text(str(steps_per_epoch))
    return [keras.callbacks.LearningRateScheduler(lambda epoch: lr * 0.1**epoch)]


@pytest.mark.parametrize("changes", [{}, {"cv": 2}])
def test_callbacks_reach_each_fit_of_the_search_classes(tmp_path, changes):
    space = {"lr": Choice(0.05)}
    study = make_study(space, callbacks=falling, **changes)
    (result,), _ = search(study, tmp_path / "scikit")
    source, _ = source_and_worker_study(study)
    other = run_trial(job_of(source, Proposal(0, {"lr": 0.05}, 2), tmp_path / "other"), Here())
    assert result.value == pytest.approx(other.value, rel=1e-5)
    folders = sorted((tmp_path / "scikit" / "0").glob("callbacks-*/steps"))
    assert len(folders) == len(result.folds)
    (without,), _ = search(make_study(space, **changes), tmp_path / "without")
    assert without.value != pytest.approx(result.value, rel=1e-3)


def test_iris_with_cv_3_is_above_nine_tenths(tmp_path):
    study = make_study(
        {"n_neurons": Choice(16), "batch_size": Choice(8)},
        iris_model,
        iris,
        objective=Maximize("val_accuracy"),
        cv=3,
        epochs=30,
    )
    results, _ = search(study, tmp_path)
    assert results[0].value > 0.9


def test_a_builder_that_fails_fails_its_trial_alone(tmp_path):
    results, engine = search(make_study({"lr": Choice(0.1, 0.2)}, broken_model), tmp_path)
    assert [r.status for r in results] == [Status.FAILED] * 2
    assert results[0].error == "RuntimeError: no such layer"
    assert np.isnan(engine._search.cv_results_["mean_test_score"]).all()


def test_a_fold_that_was_finished_is_not_trained_again(tmp_path):
    study = make_study({"lr": Choice(0.01)}, cv=2)
    source, worker_study = source_and_worker_study(study)
    engine = ScikitEngine(study, worker_study.parts)
    proposal = engine.ask(0)
    whole = run_call(job_of(source, proposal, tmp_path), Here())
    (tmp_path / "0" / "attempt-1" / "fold-1.json").unlink()
    (tmp_path / "0" / "result.json").unlink()
    context = Here()
    again = run_call(job_of(source, proposal, tmp_path, attempt=2), context)
    engine.close()
    assert len(context.epochs) == study.epochs
    assert again.value == pytest.approx(whole.value, rel=1e-6)


def test_stop_leaves_the_trial_open(tmp_path):
    study = make_study({"lr": Choice(0.01)})
    source, worker_study = source_and_worker_study(study)
    engine = ScikitEngine(study, worker_study.parts)
    proposal = engine.ask(0)
    engine.close()
    with pytest.raises(Stopped):
        run_call(job_of(source, proposal, tmp_path), Here(Answer.STOP))
    assert not (tmp_path / "0" / "result.json").exists()


def test_rungs_of_halving_train_their_own_number_of_epochs(tmp_path):
    study = make_study(
        {"lr": Float(1e-3, 1e-1, log=True)}, engine="halvingrandomsearchcv", trials=4, epochs=3
    )
    context = Here()
    results, engine = search(study, tmp_path, context=context)
    assert [r.epochs for r in results] == [1, 1, 1, 3]
    assert engine._search.n_resources_ == [1, 3]


def logit_model(input_shape=(1,)):
    """Says logit x, trained or not: the probability passes one half at 0, the logit at 0.5."""
    model = keras.Sequential(
        [keras.Input(input_shape), keras.layers.Dense(1, kernel_initializer="ones")]
    )
    model.compile(keras.optimizers.SGD(0.0), keras.losses.BinaryCrossentropy(from_logits=True))
    return model


def between_the_thresholds():
    x = np.tile([-0.3, 0.3], 20)
    return Dataset("signs", x[:, None], (x > 0).astype(int), "binary", scale=False)


def test_a_model_that_gives_logits_is_ranked_by_probabilities(tmp_path):
    study = make_study(
        {"batch_size": Choice(8)},
        logit_model,
        between_the_thresholds,
        objective=Maximize("val_accuracy"),
        cv=2,
        epochs=1,
    )
    results, engine = search(study, tmp_path)
    assert engine._search.cv_results_["mean_test_score"].tolist() == [1.0]
    assert results[0].value == 1.0
