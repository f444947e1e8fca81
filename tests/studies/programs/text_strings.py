"""Texts as they are: the model makes words of them by itself."""

from __future__ import annotations

import keras
import numpy as np

from tuning import Choice, Dataset, Float, Maximize, Study

OPINIONS = (("late", "wet", "lost", "broken"), ("quick", "kind", "fine", "solid"))


def reviews() -> Dataset:
    rng = np.random.default_rng(0)
    y = np.arange(240) % 2
    things = rng.choice(["the parcel", "my order", "the driver"], 240)
    words = [rng.choice(OPINIONS[opinion], 2) for opinion in y]
    # One in ten says the contrary.
    y = np.where(rng.random(240) < 0.1, 1 - y, y)
    X = [f"{thing} was {a} and {b}" for thing, (a, b) in zip(things, words, strict=True)]
    return Dataset("reviews", np.array(X), y, "binary")


def bag_of_words(n_words: int = 50, lr: float = 0.01) -> keras.Model:
    model = keras.Sequential(
        [
            keras.Input((), dtype="string"),
            keras.layers.TextVectorization(n_words, output_sequence_length=8),
            keras.layers.Embedding(n_words, 4),
            keras.layers.GlobalAveragePooling1D(),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(keras.optimizers.Adam(lr), "binary_crossentropy")
    return model


STUDY = Study(
    name="text_strings",
    builder=bag_of_words,
    data=reviews,
    objective=Maximize("val_auc"),
    space={"n_words": Choice(20, 50), "lr": Float(0.01, 0.03, log=True)},
    trials=2,
    epochs=10,
    batch_size=16,
    top_k=1,
    seeds=3,
    seed=1,
)
