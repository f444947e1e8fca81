from __future__ import annotations

import random

import joblib
import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.datasets import load_iris, make_regression
from sklearn.ensemble import (
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, StratifiedKFold, check_cv, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from tuning import KerasClassifier, KerasRegressor

LAST = {
    "regression": (None, "mse"),
    "binary": ("sigmoid", "binary_crossentropy"),
    "multiclass": ("softmax", "sparse_categorical_crossentropy"),
    "multilabel": ("sigmoid", "binary_crossentropy"),
}


def net(
    n_hidden=1,
    n_neurons=8,
    lr=0.01,
    optimizer="adam",
    input_shape=(4,),
    n_outputs=1,
    task="regression",
):
    activation, loss = LAST[task]
    hidden = [keras.layers.Dense(n_neurons, "relu") for _ in range(n_hidden)]
    model = keras.Sequential(
        [keras.Input(input_shape), *hidden, keras.layers.Dense(n_outputs, activation)]
    )
    rate = {"class_name": optimizer, "config": {"learning_rate": lr}}
    model.compile(keras.optimizers.get(rate), loss)
    return model


def course_net(n_hidden, n_neurons, lr, input_shape=[8]):  # noqa: B006 - as the courses write it
    return net(n_hidden, n_neurons, lr, "sgd", tuple(input_shape))


def one_hot_net(input_shape=(4,), n_outputs=3):
    model = keras.Sequential([keras.Input(input_shape), keras.layers.Dense(n_outputs, "softmax")])
    model.compile("adam", "categorical_crossentropy")
    return model


def logit_net(lr=0.0, input_shape=(1,)):
    model = keras.Sequential(
        [keras.Input(input_shape), keras.layers.Dense(1, kernel_initializer="ones")]
    )
    model.compile(keras.optimizers.SGD(lr), keras.losses.BinaryCrossentropy(from_logits=True))
    return model


def logits_of_classes(input_shape=(4,), n_outputs=3):
    model = keras.Sequential([keras.Input(input_shape), keras.layers.Dense(n_outputs)])
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    return X.astype(np.float32), np.array(["setosa", "versicolor", "virginica"])[y]


@pytest.fixture(scope="module")
def numbers():
    X, y = make_regression(60, 4, random_state=0)
    return X, y / y.std()


def weights(estimator):
    return np.concatenate([w.ravel() for w in estimator.model_.get_weights()])


def test_scikit_learn_knows_which_is_a_classifier_and_which_a_regressor():
    classifier, regressor = KerasClassifier(net), KerasRegressor(net)
    assert is_classifier(classifier)
    assert not is_regressor(classifier)
    assert is_regressor(regressor)
    assert not is_classifier(regressor)


def test_cv_3_is_stratified_for_the_classifier(iris):
    assert isinstance(
        check_cv(3, iris[1], classifier=is_classifier(KerasClassifier(net))), StratifiedKFold
    )


def test_iris_with_string_labels_and_cv_3_is_above_nine_tenths(iris):
    estimator = KerasClassifier(net, n_neurons=16, lr=0.02, epochs=40, batch_size=8, random_state=0)
    assert cross_val_score(estimator, *iris, cv=3).mean() > 0.9


def test_roc_auc_scores_two_string_labels(iris):
    X, y = iris[0][:100], iris[1][:100]
    scores = cross_val_score(
        KerasClassifier(net, epochs=5, random_state=0), X, y, cv=2, scoring="roc_auc"
    )
    assert scores.min() > 0.9


def test_probabilities_stand_in_the_order_of_classes(iris):
    estimator = KerasClassifier(net, epochs=20, batch_size=8, random_state=0).fit(*iris)
    proba = estimator.predict_proba(iris[0][:1])
    assert proba.shape == (1, 3)
    assert list(estimator.classes_) == ["setosa", "versicolor", "virginica"]
    assert estimator.classes_[proba.argmax()] == estimator.predict(iris[0][:1])[0]


def test_a_builder_that_compiles_categorical_cross_entropy_gets_one_hot_rows(iris):
    estimator = KerasClassifier(one_hot_net, epochs=2, random_state=0).fit(*iris)
    assert set(estimator.predict(iris[0])) <= set(iris[1])


def test_one_hot_targets_train_a_builder_that_wants_class_numbers(iris):
    one_hot = np.eye(3)[np.unique(iris[1], return_inverse=True)[1]]
    predicted = (
        KerasClassifier(net, epochs=1, random_state=0).fit(iris[0], one_hot).predict(iris[0])
    )
    assert predicted.shape == one_hot.shape
    assert set(predicted.sum(axis=1)) == {1}


def test_multilabel_targets_come_back_as_zeros_and_ones(iris):
    y = np.column_stack([iris[0][:, 0] > 5.8, iris[0][:, 1] > 3]).astype(int)
    predicted = KerasClassifier(net, epochs=2, random_state=0).fit(iris[0], y).predict(iris[0])
    assert predicted.shape == y.shape
    assert set(np.unique(predicted)) <= {0, 1}


@pytest.mark.parametrize("columns", [None, 1, 3])
def test_predictions_of_the_regressor_have_the_shape_of_y(numbers, columns):
    X, y = numbers
    y = y if columns is None else np.tile(y[:, None], columns)
    assert KerasRegressor(net, epochs=1).fit(X, y).predict(X).shape == y.shape


def test_every_builder_argument_is_a_parameter_with_its_default():
    params = KerasRegressor(net, n_hidden=2).get_params()
    assert {name: params[name] for name in ("n_hidden", "n_neurons", "lr", "optimizer")} == {
        "n_hidden": 2,
        "n_neurons": 8,
        "lr": 0.01,
        "optimizer": "adam",
    }
    assert params["input_shape"] is params["n_outputs"] is params["task"] is None


def test_a_grid_reaches_builder_arguments_that_nobody_repeated(numbers):
    search = GridSearchCV(
        KerasRegressor(net, epochs=1), {"n_hidden": [0, 2], "model__n_neurons": [3]}, cv=2
    )
    search.fit(*numbers)
    assert search.best_estimator_.model_.count_params() in {5, 3 * 5 + 3 * 4 + 4}


def test_clone_keeps_builder_arguments_and_epochs(numbers):
    copy = clone(KerasRegressor(net, n_neurons=5, epochs=3))
    assert copy.get_params()["n_neurons"] == 5
    assert len(copy.fit(*numbers).history_["loss"]) == 3


def test_builder_arguments_without_default_are_asked_for_by_name(numbers):
    with pytest.raises(
        ValueError, match="course_net needs a value for n_neurons, lr, which has no default"
    ):
        KerasRegressor(course_net, n_hidden=1).fit(*numbers)


def test_a_course_builder_gets_its_input_shape_from_x(numbers):
    estimator = clone(KerasRegressor(course_net, epochs=1)).set_params(
        n_hidden=1, n_neurons=3, lr=0.01
    )
    assert estimator.fit(*numbers).model_.input_shape == (None, 4)


def test_what_the_user_set_is_not_taken_from_the_data(numbers):
    estimator = clone(KerasClassifier(net, n_outputs=5, epochs=1))
    assert estimator.fit(numbers[0], np.arange(60) % 3).model_.output_shape == (None, 5)


@pytest.mark.parametrize(
    "change", [lambda: KerasRegressor(net, n_neuron=3), lambda: _set(n_neuron=3)]
)
def test_an_unknown_key_is_named_with_the_nearest(change):
    with pytest.raises(ValueError, match=r"nothing takes 'n_neuron'\. Did you mean 'n_neurons'"):
        change()


def _set(**params):
    return KerasRegressor(net).set_params(**params)


def test_another_builder_brings_its_own_parameters():
    estimator = KerasRegressor(net, n_hidden=2, optimizer="sgd").set_params(model=course_net)
    assert estimator.get_params()["n_hidden"] == 2
    assert "n_outputs" not in estimator.get_params()


def test_a_grid_over_the_builders_optimizer_compares_different_models(numbers):
    first, second = (
        weights(KerasRegressor(net, optimizer=name, epochs=1, random_state=3).fit(*numbers))
        for name in ("sgd", "adam")
    )
    assert not np.allclose(first, second)


def test_equal_random_states_give_equal_weights_and_leave_determinism_off(numbers):
    from tensorflow.python.framework import config

    first, second = (
        weights(KerasRegressor(net, epochs=2, random_state=7).fit(*numbers)) for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)
    assert not config.is_op_determinism_enabled()


def test_a_fit_leaves_the_callers_generators_where_they_were(numbers):
    from tensorflow.python.eager import context

    tf.random.set_seed(None)
    drawn = []
    for seed in (1, 2):
        random.seed(seed)
        np.random.seed(seed)
        KerasRegressor(net, epochs=1, random_state=0).fit(*numbers)
        assert np.random.random() == np.random.RandomState(seed).random()
        drawn.append(random.random())
    assert drawn[0] != drawn[1]
    assert context.global_seed() is None


class Recorder(FunctionTransformer):
    """Remembers the rows it was fitted on."""

    rows: int = 0

    def fit(self, X, y=None):
        self.rows = len(X)
        return super().fit(X, y)


def test_patience_holds_a_tenth_out_and_the_preprocessor_never_sees_it(numbers):
    estimator = KerasRegressor(
        net, patience=2, epochs=3, preprocessor=Recorder(), random_state=0
    ).fit(*numbers)
    assert estimator.preprocessor_.rows == 54
    assert len(estimator.history_["val_loss"]) == len(estimator.history_["loss"])


def test_with_validation_data_every_row_is_trained_on(numbers):
    X, y = numbers
    estimator = KerasRegressor(
        net, patience=2, epochs=2, preprocessor=Recorder(), validation_data=(X[:9], y[:9])
    )
    assert estimator.fit(X, y).preprocessor_.rows == len(X)


def test_patience_restores_the_weights_of_the_best_epoch(numbers):
    X, y = numbers
    settings = {
        "validation_data": (X[:20], -y[:20]),
        "optimizer": "sgd",
        "lr": 0.05,
        "random_state": 0,
    }
    stopped = KerasRegressor(net, patience=2, epochs=20, **settings).fit(X[20:], y[20:])
    best = int(np.argmin(stopped.history_["val_loss"])) + 1
    assert len(stopped.history_["loss"]) == best + 2
    straight = KerasRegressor(net, epochs=best, **settings).fit(X[20:], y[20:])
    np.testing.assert_allclose(weights(stopped), weights(straight), rtol=1e-5, atol=1e-7)


class Wide(KerasRegressor):
    """A subclass in SciKeras' manner, with a builder of its own."""

    def __init__(self, width=3, **settings):
        super().__init__(**settings)
        self.width = width

    def _keras_build_fn(self, lr=0.01):
        return net(n_neurons=self.width, lr=lr)


def test_a_subclass_with_its_own_builder_survives_clone(numbers):
    estimator = clone(Wide(width=7, epochs=1, lr=0.5)).fit(*numbers)
    assert estimator.model_.layers[0].units == 7
    assert float(estimator.model_.optimizer.learning_rate) == 0.5


def test_an_uncompiled_model_is_compiled_with_the_estimators_own_loss(numbers):
    def bare():
        return keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])

    estimator = KerasRegressor(
        bare, loss="mae", optimizer="sgd", optimizer__learning_rate=0.5, epochs=1
    )
    assert float(estimator.fit(*numbers).model_.optimizer.learning_rate) == 0.5


def test_a_setting_that_a_compiled_model_would_not_have_is_refused(numbers):
    def compiled():
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        return model

    message = "changes nothing, for the builder compiles the model itself"
    for setting in ({"loss": "mae"}, {"optimizer": "adam"}, {"optimizer__learning_rate": 0.5}):
        with pytest.raises(ValueError, match=message):
            KerasRegressor(compiled, epochs=1, **setting).fit(*numbers)

    defaults_of_scikeras = {"optimizer": "rmsprop", "loss": None}
    set_again = KerasRegressor(compiled, epochs=1).set_params(**defaults_of_scikeras)
    set_again.fit(*numbers)
    for loss in (
        "mean_squared_error",
        keras.losses.MeanSquaredError,
        keras.losses.mean_squared_error,
    ):
        KerasRegressor(compiled, epochs=1, loss=loss, optimizer=keras.optimizers.SGD).fit(*numbers)


@pytest.mark.parametrize("name", ["sample_weight", "callbacks_", "validation_freq"])
def test_what_fit_would_not_heed_is_refused(iris, name):
    with pytest.raises(ValueError, match=f"fit takes no '{name}'"):
        KerasClassifier(one_hot_net, epochs=1, **{f"fit__{name}": None}).fit(*iris)


@pytest.mark.parametrize(
    "loss", ["mse", "categorical_focal_crossentropy", "kl_divergence", "categorical_hinge"]
)
def test_class_numbers_become_one_hot_rows_for_every_loss_that_compares_outputs(iris, loss):
    def build(input_shape=(4,), n_outputs=3):
        model = keras.Sequential(
            [keras.Input(input_shape), keras.layers.Dense(n_outputs, "softmax")]
        )
        model.compile(keras.optimizers.Adam(0.05), loss)
        return model

    X, y = iris
    assert KerasClassifier(build, epochs=30, random_state=0).fit(X, y).score(X, y) > 0.75


def test_a_second_warm_fit_still_knows_the_classes(iris):
    estimator = KerasClassifier(one_hot_net, epochs=1, warm_start=True).fit(*iris)
    known = estimator.classes_
    assert list(estimator.fit(*iris).classes_) == list(known)


def test_held_out_rows_of_a_data_frame_raise_no_warning_about_its_names(numbers):
    X = pd.DataFrame(numbers[0], columns=list("abcd"))
    estimator = KerasRegressor(net, patience=1, epochs=1).fit(X, numbers[1])
    assert list(estimator.feature_names_in_) == list("abcd")


def test_weights_of_samples_count_and_stay_as_they_are(numbers):
    X, y = numbers
    weight = np.r_[np.zeros(30), np.ones(30)]
    before = weight.copy()
    weighted = KerasRegressor(net, epochs=1, random_state=0).fit(X, y, sample_weight=weight)
    half = KerasRegressor(net, epochs=1, random_state=0).fit(X[30:], y[30:])
    np.testing.assert_allclose(weights(weighted), weights(half), rtol=1e-5)
    np.testing.assert_array_equal(weight, before)


def test_partial_fit_goes_on_where_fit_ended(numbers):
    estimator = KerasRegressor(net, epochs=2, random_state=0).fit(*numbers).partial_fit(*numbers)
    assert len(estimator.history_["loss"]) == 3
    np.testing.assert_allclose(
        weights(estimator),
        weights(KerasRegressor(net, epochs=3, random_state=0).fit(*numbers)),
        rtol=1e-4,
    )


def test_a_fitted_estimator_survives_joblib(numbers, tmp_path):
    estimator = KerasRegressor(net, epochs=1, patience=1, preprocessor=StandardScaler()).fit(
        *numbers
    )
    joblib.dump(estimator, tmp_path / "estimator.joblib")
    again = joblib.load(tmp_path / "estimator.joblib")
    np.testing.assert_array_equal(again.predict(numbers[0]), estimator.predict(numbers[0]))


def test_the_regressor_works_in_pipelines_votes_and_stacks(numbers):
    one = KerasRegressor(net, epochs=1, random_state=0)
    for whole in (
        make_pipeline(StandardScaler(), one),
        VotingRegressor([("net", one), ("ridge", Ridge())]),
        StackingRegressor([("net", one)], Ridge(), cv=2),
    ):
        assert whole.fit(*numbers).predict(numbers[0]).shape == (60,)


def test_the_classifier_works_in_votes_and_stacks(iris):
    one = KerasClassifier(net, epochs=1, batch_size=50, random_state=0)
    for whole in (
        VotingClassifier(
            [("net", one), ("logistic", LogisticRegression(max_iter=500))], voting="soft"
        ),
        StackingClassifier([("net", one)], LogisticRegression(max_iter=500), cv=2),
    ):
        assert set(whole.fit(*iris).predict(iris[0])) <= set(iris[1])


def test_logits_of_two_classes_are_told_apart_at_zero():
    X, y = np.array([[-0.3], [0.3]] * 5), np.array(["no", "yes"] * 5)
    estimator = KerasClassifier(logit_net, epochs=1).fit(X, y)
    assert estimator.predict(X).tolist() == y.tolist()
    np.testing.assert_allclose(
        estimator.predict_proba(X)[:, 1], 1 / (1 + np.exp(-X[:, 0])), rtol=1e-6
    )


def test_logits_of_many_classes_become_probabilities(iris):
    probabilities = (
        KerasClassifier(logits_of_classes, epochs=1, random_state=0)
        .fit(*iris)
        .predict_proba(iris[0])
    )
    assert probabilities.min() >= 0
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
