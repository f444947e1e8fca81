"""A CNN from a folder of images, with layers that augment them."""

from __future__ import annotations

from pathlib import Path

import keras

from tuning import Choice, Dataset, Float, ImageFolder, Maximize, Study


def shapes() -> Dataset:
    return ImageFolder(Path(__file__).parent / "images", (16, 16), color="grayscale")


def cnn(
    n_filters: int = 8, lr: float = 0.01, input_shape: tuple[int, ...] = (16, 16, 1)
) -> keras.Model:
    model = keras.Sequential(
        [
            keras.Input(input_shape),
            keras.layers.RandomFlip(),
            keras.layers.RandomTranslation(0.1, 0.1),
            keras.layers.Conv2D(n_filters, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(2 * n_filters, 3, activation="relu"),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(lr), "sparse_categorical_crossentropy")
    return model


STUDY = Study(
    name="cnn_images",
    builder=cnn,
    data=shapes,
    objective=Maximize("val_accuracy"),
    space={"n_filters": Choice(6, 12), "lr": Float(0.01, 0.02, log=True)},
    trials=2,
    epochs=15,
    batch_size=8,
    top_k=1,
    seeds=3,
    seed=1,
)
