"""A convolutional network on images: work enough in each step for a GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tuning import Dataset, Float, Int, Maximize, Study

if TYPE_CHECKING:
    import keras


def squares() -> Dataset:
    """Return 2,000 images of 32 × 32 × 3 pixels, of noise; a class has its square brighter."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 4, size=2_000)
    images = random.normal(size=(2_000, 32, 32, 3)).astype("float32")
    for image, label in zip(images, labels, strict=True):
        row, column = divmod(int(label), 2)
        image[16 * row : 16 * row + 16, 16 * column : 16 * column + 16] += 0.3
    return Dataset("squares", images, labels, "multiclass")


def build(n_filters: int = 32, lr: float = 1e-2) -> keras.Model:
    """Return a compiled network of three convolutions.

    Args:
        n_filters: Of the first, >= 1; the others have twice and four times as many.
        lr: SGD's learning rate, > 0.
    """
    import keras

    model = keras.Sequential([keras.Input((32, 32, 3))])
    for factor in (1, 2, 4):
        model.add(keras.layers.Conv2D(factor * n_filters, 3, padding="same", activation="relu"))
        model.add(keras.layers.MaxPooling2D())
    model.add(keras.layers.GlobalAveragePooling2D())
    model.add(keras.layers.Dense(4, activation="softmax"))
    model.compile(
        keras.optimizers.SGD(lr, momentum=0.9),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


STUDY = Study(
    name="gpu_check_images",
    builder=build,
    data=squares,
    objective=Maximize("val_accuracy"),
    space={"n_filters": Int(16, 64), "lr": Float(1e-3, 1e-1, log=True)},
    engine="optuna:random",
    trials=12,
    epochs=10,
    top_k=1,
    seeds=1,
    seed=1,
)
