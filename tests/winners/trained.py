"""Searches that ended with a winner that was really trained, of each kind of data."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
from keras import layers

from tests.data.titanic_like import titanic_like
from tests.tracking.writer.searches import add_trials, end, search, winner
from tests.trials.small_study import ScriptedContext
from tests.trials.small_study import study as small_study
from tests.trials.test_winner import evaluation as evaluation_of
from tuning import Maximize, Minimize
from tuning.builders.mlp import build_model
from tuning.data.dataset import Dataset
from tuning.data.tables.frames import table_dataset
from tuning.study.info import DatasetFacts
from tuning.trials.winner import evaluate_winner

N = 60
RNG = np.random.default_rng(5)
NUMBERS = RNG.normal(size=(N, 2))
WORDS = np.array(["good day" if place % 2 else "bad day" for place in range(N)])
PAIR = np.arange(N) % 2


def compiled(model, loss, lr):
    model.compile(keras.optimizers.Adam(lr), loss)
    return model


def by_text(lr=0.05):
    texts = keras.Input((), dtype="string")
    tokens = layers.TextVectorization(max_tokens=20, output_sequence_length=2)(texts)
    averaged = layers.GlobalAveragePooling1D()(layers.Embedding(20, 4)(tokens))
    output = layers.Dense(1, "sigmoid")(averaged)
    return compiled(keras.Model(texts, output), "binary_crossentropy", lr)


def by_two(lr=0.05):
    wide = keras.Input((2,), name="wide")
    deep = keras.Input((3,), name="deep")
    output = layers.Dense(1)(layers.Concatenate()([wide, layers.Dense(2)(deep)]))
    return compiled(keras.Model({"wide": wide, "deep": deep}, output), "mse", lr)


def by_numbers(lr=0.05):
    return compiled(keras.Sequential([keras.Input((2,)), layers.Dense(1)]), "mse", lr)


def two_inputs():
    X = {"wide": NUMBERS, "deep": np.hstack([NUMBERS, NUMBERS[:, :1]])}
    return Dataset("pair", X, NUMBERS.sum(axis=1), "regression")


def numbers():
    names = ("a", "b")
    return Dataset("sums", NUMBERS, NUMBERS.sum(axis=1), "regression", feature_names=names)


def texts():
    return Dataset("words", WORDS, PAIR, "binary", classes=("bad", "good"))


def table():
    return table_dataset(titanic_like(), "survived", "binary", name="table")


KINDS = {
    "numbers": (by_numbers, numbers, Minimize("val_rmse")),
    "table": (build_model, table, Maximize("val_accuracy")),
    "texts": (by_text, texts, Maximize("val_accuracy")),
    "two": (by_two, two_inputs, Minimize("val_rmse")),
}


def trained(home, kind):
    """Return the files of a search of this kind; it is called after the kind."""
    builder, data, objective = KINDS[kind]
    dataset = data()
    facts = DatasetFacts(
        name=dataset.name,
        task=dataset.task,
        digest=dataset.digest,
        rows=N,
        features=dataset.feature_names,
        classes=dataset.classes,
    )
    files = search(home, study=kind, data=facts)
    add_trials(files, range(3))
    study = small_study(builder=builder, data=data, objective=objective, epochs=2)
    evaluation = evaluate_winner(evaluation_of(files.folder, study), ScriptedContext())
    files.write_winner(replace(winner(1), evaluation=evaluation))
    end(files)
    return files
