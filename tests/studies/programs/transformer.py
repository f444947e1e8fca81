"""A transformer block that tells sequences of tokens apart."""

from __future__ import annotations

import keras
import numpy as np

from tuning import Choice, Dataset, Float, Maximize, Study

N_TOKENS, LENGTH = 20, 10


def sequences() -> Dataset:
    """Whether token 3 stands somewhere in a sequence."""
    rng = np.random.default_rng(0)
    X = rng.integers(4, N_TOKENS, size=(320, LENGTH))
    y = np.arange(320) % 2
    X[y == 1, rng.integers(0, LENGTH, size=160)] = 3
    return Dataset("sequences", X, y, "binary")


def transformer(n_heads: int = 2, n_dims: int = 8, lr: float = 0.01) -> keras.Model:
    tokens = keras.Input((LENGTH,), dtype="int32")
    places = keras.ops.arange(LENGTH)
    words = keras.layers.Embedding(N_TOKENS, n_dims)(tokens)
    words += keras.layers.Embedding(LENGTH, n_dims)(places)
    heard = keras.layers.MultiHeadAttention(n_heads, n_dims)(words, words)
    words = keras.layers.LayerNormalization()(words + heard)
    thought = keras.layers.Dense(n_dims, activation="relu")(words)
    words = keras.layers.LayerNormalization()(words + thought)
    pooled = keras.layers.GlobalMaxPooling1D()(words)
    model = keras.Model(tokens, keras.layers.Dense(1, activation="sigmoid")(pooled))
    model.compile(keras.optimizers.Adam(lr), "binary_crossentropy")
    return model


STUDY = Study(
    name="transformer",
    builder=transformer,
    data=sequences,
    objective=Maximize("val_accuracy"),
    space={"n_heads": Choice(1, 2), "lr": Float(0.01, 0.03, log=True)},
    trials=2,
    epochs=15,
    batch_size=16,
    top_k=1,
    seeds=3,
    seed=1,
)
