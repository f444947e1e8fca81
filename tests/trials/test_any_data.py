"""Winners of any kind of data: checked, trained, scored, saved for raw inputs, read again."""

from __future__ import annotations

from pathlib import Path

import cloudpickle
import keras
import numpy as np
import pytest
from keras import layers

from tests.trials.own_layers import Doubled, twice
from tests.trials.small_study import ScriptedContext, study
from tests.trials.test_winner import evaluation
from tuning import Maximize, Minimize
from tuning.data.dataset import Dataset
from tuning.trials.folds import prepare_fit
from tuning.trials.winner import evaluate_winner, inputs_of
from tuning.trials.worker_study import load_worker_study

RNG = np.random.default_rng(0)
N = 90
PAIR = np.arange(N) % 2
TRIPLE = np.arange(N) % 3


def compiled(model, loss, lr, **settings):
    model.compile(keras.optimizers.Adam(lr), loss, **settings)
    return model


def winner_of(folder, builder, data, objective, **changes):
    changes = {"epochs": 2, **changes}
    defined = study(builder=builder, data=lambda: data, objective=objective, **changes)
    return evaluate_winner(evaluation(folder, defined), ScriptedContext())


def by_ids(lr=0.05):
    embedded = [layers.Embedding(200, 8), layers.GlobalAveragePooling1D()]
    model = keras.Sequential([keras.Input((6,)), *embedded, layers.Dense(1, "sigmoid")])
    return compiled(model, "binary_crossentropy", lr)


def test_token_ids_are_looked_up_as_they_are(tmp_path):
    # Not of `RNG`: what it gives depends on the tests before.
    ids = np.random.default_rng(1).integers(2, 200, size=(N, 6))
    ids[:, 3] = PAIR  # 0 or 1: the one token that tells the class
    evaluation = winner_of(
        tmp_path, by_ids, Dataset("ids", ids, PAIR, "binary"), Maximize("val_accuracy"), epochs=12
    )
    assert evaluation.test["accuracy"] == 1.0
    assert evaluation.prepared == "inputs: left as they are (the model looks them up)"
    assert evaluation.reload_error == 0


def with_normalization(lr=0.05):
    model = keras.Sequential([keras.Input((3,)), layers.Normalization(), layers.Dense(1)])
    return compiled(model, "mse", lr)


def test_a_model_with_its_own_normalization_equals_one_on_standardised_rows(tmp_path):
    X = RNG.normal(50.0, 7.0, size=(N, 3))
    y = X @ [1.0, -2.0, 0.5]

    def plain(lr=0.05):
        return compiled(keras.Sequential([keras.Input((3,)), layers.Dense(1)]), "mse", lr)

    data = Dataset("line", X, y, "regression")
    own, ours = (
        winner_of(tmp_path / builder.__name__, builder, data, Minimize("val_rmse"), epochs=8)
        for builder in (with_normalization, plain)
    )
    assert own.test["rmse"] == pytest.approx(ours.test["rmse"], rel=1e-4)
    assert own.prepared == "inputs: left as they are (the model prepares them itself)"


def by_text(lr=0.05):
    texts = keras.Input((), dtype="string")
    tokens = layers.TextVectorization(max_tokens=300, output_sequence_length=3)(texts)
    pooled = layers.GlobalAveragePooling1D()(layers.Embedding(300, 4)(tokens))
    model = keras.Model(texts, layers.Dense(1, "sigmoid")(pooled))
    return compiled(model, "binary_crossentropy", lr)


TEXTS = np.array([f"{'good' if i % 2 else 'bad'} word{i}" for i in range(N)])


def test_texts_are_vectorised_inside_the_model(tmp_path):
    data = Dataset("texts", TEXTS, PAIR, "binary")
    outcome = winner_of(tmp_path, by_text, data, Maximize("val_accuracy"), epochs=10)
    assert outcome.test["accuracy"] == 1.0
    assert set(outcome.baseline) == {"dummy"}
    again = keras.saving.load_model(outcome.model)
    chances = again.predict(inputs_of(Path(outcome.model), TEXTS[:4].tolist()), verbose=0)[:, 0]
    assert (chances > 0.5).tolist() == [False, True, False, True]


@pytest.mark.parametrize("cv", [None, 3])
def test_the_vocabulary_knows_training_words_alone(cv):
    data = Dataset("texts", TEXTS, PAIR, "binary")
    defined = study(builder=by_text, data=lambda: data, objective=Maximize("val_accuracy"), cv=cv)
    worker_study = load_worker_study(cloudpickle.dumps(defined), {})
    point = defined.split_params({"lr": 0.05})
    fit = prepare_fit(worker_study, point, worker_study.fold(0), epochs=1, seed=0)

    vectorize = next(
        layer for layer in fit.fit.model.layers if isinstance(layer, layers.TextVectorization)
    )
    trained = {word for text in fit.rows.train.X for word in text.split()}
    assert set(vectorize.get_vocabulary()[2:]) == trained
    for unseen in (fit.rows.scoring.X, worker_study.parts.test.X):
        assert not trained & {text.split()[1] for text in unseen}


# Three figures make them all, so that eight units can hold an image.
PIXELS = RNG.random((N, 3)) @ RNG.random((3, 16))
PIXELS[:, 3] = 0.0


def dense_autoencoder(lr=0.05):
    model = keras.Sequential([keras.Input((16,)), layers.Dense(8), layers.Dense(16)])
    return compiled(model, "mse", lr)


def conv_autoencoder(lr=0.05):
    same = {"padding": "same"}
    model = keras.Sequential([keras.Input((4, 4, 1)), layers.Conv2D(1, 3, **same)])
    return compiled(model, "mse", lr)


@pytest.mark.parametrize(
    ("builder", "X"),
    [(dense_autoencoder, PIXELS), (conv_autoencoder, PIXELS.reshape(N, 4, 4, 1))],
)
def test_an_autoencoder_is_trained_on_its_own_inputs(builder, X, tmp_path):
    data = Dataset("pixels", X, X, "regression", scale=False)
    outcome = winner_of(tmp_path, builder, data, Minimize("val_rmse"), epochs=60)
    assert outcome.test["rmse"] < outcome.baseline["dummy"]["rmse"] / 2
    assert outcome.reload_error < 1e-5


def three_classes(lr=0.05):
    model = keras.Sequential([keras.Input((4, 4)), layers.Flatten(), layers.Dense(3, "softmax")])
    return compiled(model, "categorical_crossentropy", lr, metrics=["accuracy"])


def test_one_hot_rows_and_class_numbers_are_the_same_study_of_images(tmp_path):
    images = RNG.integers(0, 256, size=(N, 4, 4), dtype=np.uint8)
    outcomes = [
        winner_of(
            tmp_path / str(i),
            three_classes,
            Dataset("images", images, y, "multiclass"),
            Maximize("val_accuracy"),
        )
        for i, y in enumerate([np.eye(3)[TRIPLE], TRIPLE])
    ]
    assert outcomes[0].test == outcomes[1].test
    assert outcomes[0].prepared == "inputs: divided by 255"
    saved = keras.saving.load_model(outcomes[0].model)
    assert saved.predict(images[:2], verbose=0).shape == (2, 3)


WIDE = RNG.normal(3.0, 2.0, size=(N, 2))
DEEP = RNG.normal(size=(N, 4))
KIND = np.argsort(np.argsort(DEEP[:, 0])) // (N // 3)


def wide_and_deep(lr=0.05):
    wide, deep = keras.Input((2,), name="wide"), keras.Input((4,), name="deep")
    joined = layers.Concatenate()([wide, layers.Dense(4, "relu")(deep)])
    outputs = {
        "price": layers.Dense(1, name="price")(joined),
        "kind": layers.Dense(3, "softmax", name="kind")(joined),
    }
    losses = {"price": "mse", "kind": "sparse_categorical_crossentropy"}
    return compiled(keras.Model({"wide": wide, "deep": deep}, outputs), losses, lr)


def in_order(lr=0.05):
    wide, deep = keras.Input((2,)), keras.Input((4,))
    joined = layers.Concatenate()([wide, layers.Dense(4, "relu")(deep)])
    outputs = [layers.Dense(1)(joined), layers.Dense(3, "softmax")(joined)]
    losses = ["mse", "sparse_categorical_crossentropy"]
    return compiled(keras.Model([wide, deep], outputs), losses, lr)


BY_NAME = Dataset(
    "wide",
    {"wide": WIDE, "deep": DEEP},
    {"price": WIDE.sum(axis=1), "kind": KIND},
    {"price": "regression", "kind": "multiclass"},
    weight=np.linspace(0.1, 1.0, N),
)
BY_PLACE = Dataset(
    "wide",
    (WIDE, DEEP),
    (WIDE.sum(axis=1), KIND),
    {"0": "regression", "1": "multiclass"},
    weight=np.linspace(0.1, 1.0, N),
)


@pytest.mark.parametrize(
    ("builder", "data", "metric", "names"),
    [
        (wide_and_deep, BY_NAME, "val_price_rmse", ("price", "kind")),
        (in_order, BY_PLACE, "val_loss", ("0", "1")),
    ],
)
def test_two_inputs_and_two_outputs_are_a_study(builder, data, metric, names, tmp_path):
    outcome = winner_of(tmp_path, builder, data, Minimize(metric), patience=10, epochs=60)
    price, kind = names
    dummy = outcome.baseline["dummy"]
    assert outcome.test[f"{price}_rmse"] < dummy[f"{price}_rmse"] / 2
    assert outcome.test[f"{kind}_accuracy"] > dummy[f"{kind}_accuracy"] + 0.3
    assert outcome.reload_error < 1e-4

    saved = keras.saving.load_model(outcome.model)
    rows = (WIDE[:5].tolist(), DEEP[:5])
    if names == ("price", "kind"):
        rows = dict(zip(("deep", "wide"), rows[::-1], strict=True))
    prices, kinds = keras.tree.flatten(
        saved.predict(inputs_of(Path(outcome.model), rows), verbose=0)
    )
    assert sorted([prices.shape, kinds.shape]) == [(5, 1), (5, 3)]


def quantiles(y, predicted):
    levels = keras.ops.convert_to_tensor([0.1, 0.5, 0.9])
    errors = y - predicted
    return keras.ops.mean(keras.ops.maximum(levels * errors, (levels - 1) * errors), axis=-1)


def three_quantiles(lr=0.05):
    model = keras.Sequential([keras.Input((2,)), layers.Dense(3)])
    return compiled(model, quantiles, lr)


def test_three_quantiles_of_one_target_are_compared_row_by_row(tmp_path):
    data = Dataset("line", WIDE, WIDE.sum(axis=1), "regression")
    outcome = winner_of(tmp_path, three_quantiles, data, Minimize("val_loss"))
    assert outcome.test["loss"] > 0
    assert outcome.imports == ("from tests.trials.test_any_data import quantiles",)


def of_another_module(lr=0.05):
    model = keras.Sequential(
        [keras.Input((2,)), keras.Sequential([Doubled()]), layers.Dense(1, activation=twice)]
    )
    return compiled(model, "mse", lr)


def test_classes_of_another_module_are_known_when_the_winner_is_read_again(tmp_path):
    data = Dataset("line", WIDE, WIDE.sum(axis=1), "regression")
    outcome = winner_of(tmp_path, of_another_module, data, Minimize("val_rmse"))
    assert outcome.reload_error < 1e-4
    assert outcome.imports == ("from tests.trials.own_layers import Doubled, twice",)


def masked(lr=0.05):
    embedded = [layers.Embedding(20, 4, mask_zero=True), layers.LSTM(4)]
    model = keras.Sequential([keras.Input((None,)), *embedded, layers.Dense(1)])
    return compiled(model, "mse", lr)


def test_ragged_rows_are_trained_with_their_mask(tmp_path):
    rows = [list(RNG.integers(1, 20, size=1 + i % 8)) for i in range(N)]
    data = Dataset("ragged", rows, np.array([len(row) / 8 for row in rows]), "regression")
    outcome = winner_of(tmp_path, masked, data, Minimize("val_rmse"), epochs=25)
    assert outcome.test["rmse"] < outcome.baseline["dummy"]["rmse"] / 2


def shaped(output_shape, lr=0.05):
    model = keras.Sequential([keras.Input((16,)), layers.Dense(int(np.prod(output_shape)))])
    model.add(layers.Reshape(output_shape))
    return compiled(model, "mse", lr)


def test_a_builder_without_a_default_for_it_is_given_the_output_shape():
    data = Dataset("pixels", PIXELS, PIXELS.reshape(N, 4, 4), "regression")
    defined = study(builder=shaped, data=lambda: data)
    assert defined.from_data(data) == {"output_shape": (4, 4)}
