"""What a worker makes once of a study: its rows, and who sees which."""

from __future__ import annotations

import cloudpickle
import numpy as np
import pytest

from tests.trials.small_study import logits, rows, study
from tuning import Maximize
from tuning.data.dataset import Dataset
from tuning.engines.remote import prepare
from tuning.errors import ChangedError, StudyError
from tuning.space.domains import Choice
from tuning.study.info import pin
from tuning.study.source import load_source
from tuning.trials.worker_study import load_worker_study


def worker_study(**changes):
    return load_worker_study(cloudpickle.dumps(study(**changes)), {})


def test_the_scaler_sees_the_training_part_alone():
    fold = worker_study().fold(0)
    np.testing.assert_allclose(fold.train.X.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(fold.train.X.std(axis=0), 1, atol=1e-5)
    assert abs(fold.scoring.X.mean(axis=0)).max() > 1e-3


def test_a_poisoned_scoring_fold_changes_nothing_that_is_trained_on():
    clean = worker_study(cv=3, patience=2).fold(1)
    whole = load_worker_study(cloudpickle.dumps(study(cv=3, patience=2)), {})
    searched = {tuple(row) for row in clean.scaler.transform(whole.parts.search_part.X)}
    scoring = searched & {tuple(row) for row in clean.scoring.X}

    def poisoned():
        dataset = rows()
        X = dataset.X.copy()
        for i, row in enumerate(clean.scaler.transform(X)):
            if tuple(row) in scoring:
                X[i] = 1e6
        return Dataset("line", X, dataset.y, "regression")

    dirty = worker_study(cv=3, patience=2, data=poisoned).fold(1)
    assert abs(dirty.scoring.X).max() > 1e4
    np.testing.assert_array_equal(dirty.train.X, clean.train.X)
    np.testing.assert_array_equal(dirty.stopping.X, clean.stopping.X)
    np.testing.assert_array_equal(dirty.scaler.mean, clean.scaler.mean)


def test_with_folds_early_stopping_has_rows_of_its_own():
    fold = worker_study(cv=3, patience=2).fold(0)
    parts = [{tuple(row) for row in part.X} for part in (fold.train, fold.stopping, fold.scoring)]
    assert len(set.union(*parts)) == sum(map(len, parts)) == 90


@pytest.mark.parametrize(
    "changes", [{}, {"cv": 3}, {"patience": 2}], ids=["plain", "folds", "patience"]
)
def test_otherwise_stopping_rows_are_the_scoring_rows(changes):
    fold = worker_study(**changes).fold(0)
    assert fold.stopping is fold.scoring


def test_a_fold_is_the_same_arrays_at_every_call():
    defined = worker_study(cv=2)
    assert defined.fold(1) is defined.fold(1)
    assert defined.n_fits == 2


def test_rows_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        worker_study().fold(0).train.X[0] = 0


def test_the_final_rows_are_training_and_validation_part_together():
    defined = worker_study(cv=2)
    assert len(defined.final().train.y) == len(defined.parts.train) + len(defined.parts.validation)


def test_a_source_that_is_no_study_is_refused():
    with pytest.raises(StudyError, match="expected a Study, got 3"):
        load_source(cloudpickle.dumps(3), {})


def test_overrides_change_the_study():
    assert load_worker_study(cloudpickle.dumps(study()), {"epochs": 9}).study.epochs == 9


def test_a_study_that_is_no_longer_that_of_its_search_is_refused():
    source = cloudpickle.dumps(study())
    searched = load_worker_study(source, {})
    pinned = pin(searched.study.hash, searched.parts.digest)
    assert load_worker_study(source, {}, pinned) is searched
    with pytest.raises(
        ChangedError, match="study file or data changed while the search was running"
    ):
        load_worker_study(source, {}, pin("another", searched.parts.digest))


def test_changes_reach_a_worker_in_their_own_types():
    known = {"width": (2,), "lr": 0.1}  # JSON would make a list, and sort the names
    defined = study(space={"width": Choice((8, 4), (2,)), "lr": Choice(0.1, 0.2)})
    source = cloudpickle.dumps(defined)
    loaded = load_worker_study(source, {"initial": [known]})
    assert loaded.study.hash == defined.with_(initial=[known]).hash
    assert load_worker_study(source, {"initial": [dict(known)]}) is loaded


def rare(n_positive, **fields):
    """Rows of two classes, of the second so many."""

    def data():
        X = np.random.default_rng(0).normal(size=(600, 2))
        y = np.zeros(600, int)
        y[np.linspace(0, 599, n_positive).astype(int)] = 1
        return Dataset("rare", X, y, "binary", classes=("no", "yes"), **fields)

    return data


TUNED = {"objective": Maximize("val_f1"), "threshold": "tuned"}


@pytest.mark.parametrize("changes", [{}, {"cv": 3}, {"cv": 3, "patience": 2}])
@pytest.mark.parametrize("fields", [{}, {"time": np.arange(600)}], ids=["random", "time"])
def test_a_threshold_tuned_on_few_rows_of_a_class_is_told(changes, fields):
    defined = worker_study(data=rare(40, **fields), **TUNED, **changes)
    (notice,) = defined.notices()
    held_out = [defined.fold(fold).stopping.y for fold in range(defined.n_folds)]
    fewest = min(int(y.sum()) for y in [*held_out, defined.final().stopping.y])
    assert fewest < 10
    assert f"{fewest} are of class 'yes', 10 are wanted" in notice


def test_of_enough_rows_or_a_fixed_threshold_nothing_is_said():
    enough = {**TUNED, "data": rare(150)}
    assert worker_study(**enough).notices() == ()
    assert worker_study(**{**enough, "threshold": 0.3, "data": rare(40)}).notices() == ()


def test_a_driver_is_told_before_the_search():
    defined = study(
        data=rare(40), builder=logits, fixed={"input_shape": (2,)}, **TUNED, engine="optuna:random"
    )
    _, info = prepare(cloudpickle.dumps(defined), {})
    assert sum("10 are wanted" in notice for notice in info.notices) == 1
