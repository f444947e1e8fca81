"""Each private name of scikit-learn and joblib still means what our engines take it to mean."""

from __future__ import annotations

import inspect

import joblib
import numpy as np
import pytest
import sklearn
from joblib.parallel import ParallelBackendBase
from sklearn.dummy import DummyRegressor
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - the import below needs it
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, _validation

from tuning.engines import scikit_internals as internals
from tuning.engines.capturing_backend import CapturingBackend
from tuning.engines.scikit_internals import dispatch_at_once, fit_and_score, target_scale

X = np.arange(24.0).reshape(12, 2)
Y = X.sum(axis=1)
GRID = {"strategy": ["mean", "median", "quantile"], "quantile": [0.5]}
REASON = (
    f"scikit-learn {sklearn.__version__}, joblib {joblib.__version__}: "
    "see scikit_internals.py, checked with "
    f"{internals.CHECKED_WITH} and {internals.JOBLIB_CHECKED_WITH}"
)


@pytest.fixture
def calls():
    """What a grid search of three candidates on two folds hands over."""
    captured = []

    def take(fit):
        captured.append(fit.call)
        fit.answer.set_result([fit_and_score(fit.call)])

    search = GridSearchCV(DummyRegressor(), GRID, cv=2, refit=False, pre_dispatch="all")
    with joblib.parallel_config(backend=CapturingBackend(take)):
        search.fit(X, Y)
    return captured


def test_what_trains_a_fold_takes_what_a_call_holds():
    names = set(inspect.signature(_validation._fit_and_score).parameters)
    assert {"estimator", "parameters", "test", "error_score"} <= names, REASON
    assert {"candidate_progress", "split_progress"} <= names, REASON


def test_a_call_names_its_candidate_and_its_place(calls):
    assert [call.parameters["strategy"] for call in calls] == [
        strategy for strategy in GRID["strategy"] for _ in range(2)
    ], REASON
    assert calls[3].place == (1, 3, 1, 2), REASON
    assert [call.place.is_last_fold for call in calls] == [False, True] * 3
    assert [call.place.is_last for call in calls] == [False] * 5 + [True]
    assert [call.test_rows for call in calls] == [6] * 6
    assert all(isinstance(call.estimator, DummyRegressor) for call in calls), REASON


def test_a_call_leaves_the_callbacks_of_the_search_behind(calls):
    assert not {"caller", "callback_ctx"} & calls[0].kwargs.keys()


def test_a_call_gives_the_scores_that_a_search_wants(calls):
    returned = fit_and_score(calls[0])
    assert {"test_scores", "fit_time", "score_time", "n_test_samples", "fit_error"} <= set(
        returned
    ), REASON


def test_an_error_of_the_fit_is_raised(calls):
    wrong = calls[0]._replace(kwargs={**calls[0].kwargs, "parameters": {"strategy": "none"}})
    with pytest.raises(ValueError, match="strategy"):
        fit_and_score(wrong)


def test_joblib_hands_over_one_call_at_a_time(calls):
    assert len(calls) == 6, REASON
    assert ParallelBackendBase.supports_retrieve_callback is False, REASON


def test_a_halving_search_dispatches_as_it_is_told():
    search = HalvingGridSearchCV(DummyRegressor(), GRID)
    assert hasattr(search, "pre_dispatch"), REASON
    assert dispatch_at_once(search).pre_dispatch == "all"


def test_a_gaussian_process_tells_how_it_has_scaled_y():
    fitted = GaussianProcessRegressor(normalize_y=True, optimizer=None).fit(X, Y)
    mean, deviation = target_scale(fitted)
    assert (float(mean), float(deviation)) == pytest.approx((Y.mean(), Y.std())), REASON
    assert {"X_train_", "L_", "alpha_", "kernel_"} <= set(vars(fitted)), REASON
