"""The programs of `programs/` as one writes them without this package: scikit-learn scales and
scores, `model.fit` trains. The rows are those of the study, so that only what is done with them can
differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import keras_tuner
import numpy as np
import optuna
import tensorflow as tf
from sklearn import metrics
from sklearn.model_selection import GroupKFold
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_class_weight

from tuning import Study
from tuning.data.parts import Part, Parts
from tuning.study.study_data import load_dataset, split_dataset

SEEDS = range(8)


@dataclass(frozen=True, kw_only=True)
class Scores:
    """A figure on the validation part, or over folds, and on the test part."""

    validation: float
    test: float


@dataclass(frozen=True, kw_only=True)
class Plain:
    """What differs between the plain programs.

    Attributes:
        score: The objective of y and predictions, both as the model has them.
        target: Returns y as the loss takes it.
        prepare: Returns the function that prepares inputs, fitted on the training inputs.
        build: Returns the compiled model of a study at a point; it has seen the training inputs.
        fit: Returns arguments of `model.fit` at a point, for the rows and batches to train on.
    """

    score: Callable[[Any, Any], float]
    target: Callable[[Any], Any] | None = None
    prepare: Callable[[Any], Callable[[Any], Any]] | None = None
    build: Callable[[Study, Mapping[str, Any], Any], keras.Model] | None = None
    fit: Callable[[Study, Mapping[str, Any], Any], dict[str, Any]] | None = None

    def scores(self, study: Study, params: Mapping[str, Any], seed: int) -> Scores:
        """Train at a point, and score on the parts that the study has."""
        dataset = load_dataset(study, study.split_params(params).data)
        parts = split_dataset(study, dataset)
        if study.cv is not None:
            return self._over_folds(study, params, parts, seed)

        validation, test = self._trained(
            study, params, parts.train, [parts.validation, parts.test], seed
        )
        if parts.trains_to_test:
            (test,) = self._trained(study, params, parts.search_part, [parts.test], seed)
        return Scores(validation=validation, test=test)

    def _over_folds(
        self, study: Study, params: Mapping[str, Any], parts: Parts, seed: int
    ) -> Scores:
        rows = parts.search_part
        folds = GroupKFold(study.cv.n_splits).split(rows.X, rows.y, rows.groups)
        values = []
        for train, scoring in folds:
            values += self._trained(study, params, rows.take(train), [rows.take(scoring)], seed)
        (test,) = self._trained(study, params, rows, [parts.test], seed)
        return Scores(validation=float(np.mean(values)), test=test)

    def _trained(
        self, study: Study, params: Mapping[str, Any], train: Part, scored: list[Part], seed: int
    ) -> list[float]:
        """Return the score of each part after training on one."""
        keras.utils.set_random_seed(seed)
        prepared = (self.prepare or standardised)(train.X)
        build = self.build or built
        model = build(study, params, train.X)
        arguments = {} if self.fit is None else self.fit(study, params, train.y)
        y = self.target(train.y) if self.target else train.y
        # Not `fit(X, y)`: once Keras is seeded, that takes the rows in one and the same order in
        # every epoch, and its seeds lie nearer together than those of fresh orders.
        rows = tf.data.Dataset.from_tensor_slices((prepared(train.X), y))
        batch_size = params.get("batch_size", study.batch_size)
        batches = rows.shuffle(len(train), seed=seed).batch(batch_size)
        model.fit(batches, epochs=study.epochs, shuffle=False, verbose=0, **arguments)
        return [self.score(part.y, model.predict(prepared(part.X), verbose=0)) for part in scored]


def each(function: Callable[[Any], Any], X: Any) -> Any:
    """Call a function on the one array, or on each by its name."""
    if isinstance(X, Mapping):
        return {name: function(array) for name, array in X.items()}
    return function(X)


def standardised(X: Any) -> Callable[[Any], Any]:
    """Give each feature mean 0 and deviation 1 on the training rows."""
    if isinstance(X, Mapping):
        by_name = {name: standardised(array) for name, array in X.items()}
        return lambda inputs: {name: by_name[name](inputs[name]) for name in by_name}
    scaler = StandardScaler().fit(_flat(X))

    def transform(inputs: Any) -> Any:
        scaled = scaler.transform(_flat(inputs)).reshape(np.shape(inputs))
        return scaled.astype("float32")

    return transform


def _flat(X: Any) -> Any:
    return np.asarray(X).reshape(len(X), -1)


def as_it_is(X: Any) -> Callable[[Any], Any]:
    """Change nothing."""
    return np.asarray


def as_texts(X: Any) -> Callable[[Any], Any]:
    """Hand over texts as `fit` takes them: not NumPy's own."""
    return lambda inputs: tf.constant(np.asarray(inputs).tolist())


def by_255(X: Any) -> Callable[[Any], Any]:
    """Make shares of bytes."""
    return lambda inputs: np.asarray(inputs, "float32") / 255


def built(study: Study, params: Mapping[str, Any], X: Any) -> keras.Model:
    """Call the user's function with its values and the shape of the inputs."""
    values = study.split_params(params).builder
    shape = each(lambda array: tuple(np.shape(array)[1:]), X)
    return study.builder(**({"input_shape": shape} if _takes_shape(study) else {}), **values)


def _takes_shape(study: Study) -> bool:
    code = study.builder.__code__
    return "input_shape" in code.co_varnames[: code.co_argcount]


def as_column(y: Any) -> Any:
    """Set one target beside the several quantiles of it."""
    return y[:, None]


def adapted(study: Study, params: Mapping[str, Any], X: Any) -> keras.Model:
    """Let the layer that makes words read the training texts."""
    model = built(study, params, X)
    model.layers[0].adapt(np.asarray(X))
    return model


def by_keras_tuner(study: Study, params: Mapping[str, Any], X: Any) -> keras.Model:
    """Give the user's builder KerasTuner's own object with the values."""
    hp = keras_tuner.HyperParameters()
    hp.values = dict(params)
    inner = study.builder.inner
    return inner.build(hp) if isinstance(inner, keras_tuner.HyperModel) else inner(hp)


def by_optuna(study: Study, params: Mapping[str, Any], X: Any) -> keras.Model:
    """Give the user's builder Optuna's own object with the values."""
    return study.builder.inner(optuna.trial.FixedTrial(params))


def balanced(study: Study, params: Mapping[str, Any], y: Any) -> dict[str, Any]:
    """Weigh each class by how rare it is."""
    classes = np.unique(y)
    weights = compute_class_weight("balanced", classes=classes, y=y)
    return {"class_weight": dict(zip(classes.astype(int).tolist(), weights, strict=True))}


def with_cycle(study: Study, params: Mapping[str, Any], y: Any) -> dict[str, Any]:
    """Make the callback that the study names, for this training."""
    steps = -(-len(y) // study.batch_size)
    return {"callbacks": study.callbacks(study.epochs, steps, params["lr_max"])}


def with_plateau(study: Study, params: Mapping[str, Any], y: Any) -> dict[str, Any]:
    """Let the rate fall by the loss: a plain program has no RMSE of ours to look at."""
    fall = keras.callbacks.ReduceLROnPlateau(monitor="loss", factor=params["factor"], patience=1)
    return {"callbacks": [fall]}


def rmse(y: Any, predicted: Any) -> float:
    """Root of the mean squared error over all numbers."""
    return float(metrics.root_mean_squared_error(np.ravel(y), np.ravel(predicted)))


def price_rmse(y: Any, predicted: Any) -> float:
    """The same of one output."""
    return rmse(y["price"], predicted["price"])


def accuracy(y: Any, predicted: Any) -> float:
    """Share of right classes, by threshold 0.5 or by the largest share."""
    classes = predicted[:, 0] > 0.5 if predicted.shape[1] == 1 else predicted.argmax(axis=1)
    return float(metrics.accuracy_score(y, classes))


def auc(y: Any, predicted: Any) -> float:
    """Area under the curve."""
    return float(metrics.roc_auc_score(y, predicted[:, 0]))


def average_precision(y: Any, predicted: Any) -> float:
    """Area under precision over recall."""
    return float(metrics.average_precision_score(y, predicted[:, 0]))


def pinball(y: Any, predicted: Any) -> float:
    """Mean pinball loss of the three quantiles."""
    losses = [
        metrics.mean_pinball_loss(y, predicted[:, i], alpha=alpha)
        for i, alpha in enumerate((0.1, 0.5, 0.9))
    ]
    return float(np.mean(losses))


PLAIN = {
    "wide_deep": Plain(score=price_rmse),
    "lstm_windows": Plain(score=rmse),
    "transformer": Plain(score=accuracy, prepare=as_it_is),
    "cnn_images": Plain(score=accuracy, prepare=by_255),
    "text_strings": Plain(score=auc, prepare=as_texts, build=adapted),
    "imbalanced": Plain(score=average_precision, fit=balanced),
    "quantiles": Plain(score=pinball, target=as_column),
    "autoencoder": Plain(score=rmse, prepare=as_it_is),
    "autoencoder_conv": Plain(score=rmse, prepare=as_it_is),
    "own_train_step": Plain(score=rmse),
    "layer_elsewhere": Plain(score=rmse),
    "one_cycle": Plain(score=rmse, fit=with_cycle),
    "reduce_on_plateau": Plain(score=rmse, fit=with_plateau),
    "exponential_decay": Plain(score=rmse),
    "build_model_hp": Plain(score=rmse, build=by_keras_tuner),
    "hypermodel": Plain(score=rmse, build=by_keras_tuner),
    "build_trial": Plain(score=rmse, build=by_optuna),
    "group_cv": Plain(score=rmse),
    "two_objectives": Plain(score=rmse),
}
"""By the name of the study file."""
