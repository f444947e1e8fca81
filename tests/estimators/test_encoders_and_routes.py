"""What SciKeras' users override and route: encoders, callbacks, arguments of `fit`."""

import keras
import numpy as np
import pytest
from scikeras import wrappers as plain
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from tuning.estimators.wrappers import KerasClassifier, KerasRegressor

RNG = np.random.default_rng(0)
X = RNG.normal(size=(160, 4)).astype(np.float32)
LINE = X @ np.array([1.0, -2.0, 0.5, 0.0], np.float32)
CLASSES = np.where(LINE > 0, "yes", "no")


def regressor(units=8, lr=0.03):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(units), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(lr), "mse")
    return model


def classifier(lr=0.1):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, "sigmoid")])
    model.compile(keras.optimizers.Adam(lr), "binary_crossentropy", metrics=["accuracy"])
    return model


class Zeroed:
    @property
    def feature_encoder(self):
        return FunctionTransformer(lambda rows: rows * 0)


class Scaled:
    @property
    def feature_encoder(self):
        return StandardScaler()


@pytest.mark.parametrize("base", [plain.KerasRegressor, KerasRegressor])
def test_the_feature_encoder_of_a_subclass_is_heeded_as_by_scikeras(base):
    zeroed = type("OfZeros", (Zeroed, base), {})
    estimator = zeroed(regressor, epochs=2, random_state=0, verbose=0).fit(X, LINE)
    assert np.ptp(estimator.predict(X)) < 1e-6


def test_a_feature_encoder_is_fitted_on_the_rows_trained_on():
    far = X * 1000 + 50_000
    scaled = type("OfScaled", (Scaled, KerasRegressor), {})
    estimator = scaled(regressor, epochs=20, random_state=0, validation_split=0.25)
    assert estimator.fit(far, LINE).score(far, LINE) > 0.9
    assert estimator.feature_encoder_.n_samples_seen_ == 120
    assert KerasRegressor(regressor, epochs=20, random_state=0).fit(far, LINE).score(far, LINE) < 0


class TwoInputs(KerasRegressor):
    @property
    def feature_encoder(self):
        return FunctionTransformer(lambda rows: [rows[:, :1], rows[:, 1:]])


def two_inputs(n_neurons=4, lr=0.05):
    left = keras.Input((1,))
    right = keras.Input((3,))
    both = keras.layers.Concatenate()([left, keras.layers.Dense(n_neurons)(right)])
    model = keras.Model([left, right], keras.layers.Dense(1)(both))
    model.compile(keras.optimizers.Adam(lr), "mse")
    return model


def test_an_encoder_may_make_several_inputs():
    search = GridSearchCV(
        TwoInputs(two_inputs, epochs=15, random_state=0), {"n_neurons": [3, 6]}, cv=2
    )
    assert search.fit(X, LINE).best_score_ > 0.8


class BothColumns(BaseEstimator, TransformerMixin):
    """Two columns of y as two outputs, and back."""

    def fit(self, y):
        self.n_outputs_expected_ = 2
        return self

    def transform(self, y):
        return [y[:, :1], y[:, 1:]]

    def inverse_transform(self, outputs, return_proba=False):
        return np.column_stack(outputs)

    def get_metadata(self):
        return {"n_outputs_expected_": self.n_outputs_expected_}


class TwoOutputs(KerasRegressor):
    @property
    def target_encoder(self):
        return BothColumns()


def two_outputs(meta, lr=0.05):
    inputs = keras.Input((meta["n_features_in_"],))
    outputs = [keras.layers.Dense(1)(inputs) for _ in range(meta["n_outputs_expected_"])]
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(lr), ["mse", "mse"])
    return model


def test_an_encoder_may_make_several_outputs():
    y = np.column_stack([LINE, X[:, 3]])
    estimator = TwoOutputs(two_outputs, epochs=20, random_state=0).fit(X, y)
    assert estimator.predict(X).shape == (160, 2)
    assert estimator.score(X, y) > 0.9


@pytest.mark.parametrize(
    "callbacks",
    [
        {
            "callbacks": keras.callbacks.EarlyStopping,
            "callbacks__monitor": "loss",
            "callbacks__min_delta": 1e6,
        },
        {
            "callbacks": [keras.callbacks.EarlyStopping],
            "callbacks__0__monitor": "loss",
            "callbacks__0__min_delta": 1e6,
        },
        {
            "callbacks": {"stop": keras.callbacks.EarlyStopping},
            "callbacks__stop__monitor": "loss",
            "callbacks__stop__min_delta": 1e6,
        },
        {"fit__callbacks": [keras.callbacks.EarlyStopping("loss", min_delta=1e6)]},
    ],
    ids=["class", "list", "mapping", "fit__"],
)
def test_callbacks_are_routed_as_by_scikeras(callbacks):
    estimator = clone(KerasRegressor(regressor, epochs=9, **callbacks))
    assert len(estimator.fit(X, LINE).history_["loss"]) < 4


class Counting(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.calls = []

    def on_epoch_end(self, epoch, logs=None):
        self.calls.append(sorted(logs))

    def on_predict_begin(self, logs=None):
        self.calls.append("predict")


def test_fit_takes_what_keras_takes():
    counting = Counting()
    estimator = KerasClassifier(classifier, epochs=2, random_state=0)
    estimator.fit(
        X,
        CLASSES,
        callbacks=[counting],
        validation_data=(X[:20], CLASSES[:20]),
        validation_batch_size=5,
    )
    assert counting.calls == [["accuracy", "loss", "val_accuracy", "val_loss"]] * 2


def test_callbacks_of_predictions_see_them():
    counting = Counting()
    estimator = KerasClassifier(classifier, epochs=1, predict__callbacks=counting).fit(X, CLASSES)
    estimator.predict(X)
    assert counting.calls == ["predict"]


@pytest.mark.parametrize("weights", [{"no": 1, "yes": 20}, {0: 1, 1: 20}])
def test_class_weights_of_fit_go_by_label_or_by_number(weights):
    noisy = np.where(LINE + RNG.normal(0, 4, 160) > 0, "yes", "no")

    def share(**settings):
        estimator = KerasClassifier(classifier, epochs=8, random_state=0)
        return np.mean(estimator.fit(X, noisy, **settings).predict(X) == "yes")

    assert share(class_weight=weights) > share() + 0.1


def test_validation_split_takes_the_last_rows_as_keras_does():
    ramp = np.arange(100, dtype=np.float32)
    rows = np.repeat(ramp[:, None], 4, axis=1)
    estimator = KerasRegressor(regressor, epochs=1, random_state=0, validation_split=0.2, lr=0.0)
    estimator.fit(rows, ramp)
    model = estimator.model_
    last = model.evaluate(rows[80:], ramp[80:], verbose=0)
    assert estimator.history_["val_loss"][0] == pytest.approx(last, rel=1e-5)


def test_rows_held_out_keep_their_weights_as_in_keras():
    weights = np.where(np.arange(160) % 2, 9.0, 1.0)
    given = {"sample_weight": weights, "validation_split": 0.25, "shuffle": False}
    estimator = KerasRegressor(regressor, epochs=1, random_state=0, lr=0.0)
    estimator.fit(X, LINE, **given)
    own = estimator.model_.fit(X, LINE, verbose=0, **given).history
    assert estimator.history_["val_loss"] == pytest.approx(own["val_loss"], rel=1e-5)


def lookup(lr=0.5):
    ids = [2**24 + 1, 2**24 + 2]
    model = keras.Sequential([keras.Input((1,), dtype="int64")])
    model.add(keras.layers.IntegerLookup(vocabulary=ids))
    model.add(keras.layers.Embedding(3, 1))
    model.add(keras.layers.Flatten())
    model.compile(keras.optimizers.SGD(lr), "mse")
    return model


def test_a_lookup_tells_ids_apart_that_are_one_to_float32():
    ids = 2**24 + 1 + np.arange(40)[:, None] % 2
    estimator = KerasRegressor(lookup, epochs=20, batch_size=8, random_state=0)
    assert estimator.fit(ids, ids[:, 0] % 2).score(ids, ids[:, 0] % 2) > 0.9


class Maker:
    """A builder that is an object."""

    def __init__(self, lr):
        self.lr = lr

    def __call__(self, units=4):
        return regressor(units, self.lr)


def test_a_builder_may_be_an_object_with_a_call():
    search = GridSearchCV(KerasRegressor(Maker(0.05), epochs=12), {"units": [2, 8]}, cv=2)
    assert search.fit(X, LINE).best_score_ > 0.5


def test_numbers_of_numpy_are_builder_arguments_like_any_other():
    search = GridSearchCV(
        KerasRegressor(regressor, epochs=2, random_state=0),
        {"units": np.arange(2, 4), "lr": np.array([0.01, 0.1])},
        cv=2,
        error_score="raise",
    )
    assert np.isfinite(search.fit(X, LINE).cv_results_["mean_test_score"]).all()


def test_folds_have_encoders_of_their_own():
    scaled = type("OfScaled", (Scaled, KerasRegressor), {})
    scores = cross_val_score(scaled(regressor, epochs=15, random_state=0), X * 100, LINE, cv=2)
    assert scores.min() > 0.8
