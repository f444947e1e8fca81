"""California housing under KerasTuner's Hyperband with its own loop."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from importlib.util import find_spec
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import keras
import keras_tuner
import numpy as np

ENDED: list[float] = []
"""When each epoch ended; KerasTuner copies callbacks, so they cannot keep it."""


class Housing(keras_tuner.HyperModel):  # type: ignore[misc]
    """The study `housing` as a user of KerasTuner writes it."""

    def build(self, hp: Any) -> keras.Model:
        """Return a regression MLP with Adam."""
        model = keras.Sequential([keras.layers.Input(shape=(8,))])
        n_neurons = hp.Int("n_neurons", 20, 150)
        for _ in range(hp.Int("n_hidden", 1, 3)):
            model.add(keras.layers.Dense(n_neurons, activation="relu"))
        model.add(keras.layers.Dense(1))
        lr = hp.Float("lr", 3e-4, 1e-2, sampling="log")
        model.compile(loss="mse", optimizer=keras.optimizers.Adam(learning_rate=lr))
        return model

    def fit(self, hp: Any, model: keras.Model, *args: Any, **kwargs: Any) -> Any:
        """Train with the batch size as one more parameter."""
        return model.fit(*args, batch_size=hp.Choice("batch_size", [32, 64, 128]), **kwargs)


class Count(keras.callbacks.Callback):  # type: ignore[misc]
    """Notes each epoch; ends the search when there were enough."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Note it."""
        ENDED.append(time.time())
        if len(ENDED) >= self.most:
            raise KeyboardInterrupt


def main(data: str, max_epochs: int, most: int) -> None:
    """Search until `most` epochs have been trained, or to the end of Hyperband."""
    arrays = np.load(data)
    _stand_in_for_tensorboard()

    with TemporaryDirectory() as folder:
        tuner = keras_tuner.Hyperband(
            Housing(),
            objective="val_loss",
            max_epochs=max_epochs,
            factor=3,
            seed=42,
            directory=folder,
            project_name="housing",
        )

        validation = (arrays["X_validation"], arrays["y_validation"])
        with contextlib.suppress(KeyboardInterrupt):  # there were enough epochs
            tuner.search(
                arrays["X"],
                arrays["y"],
                validation_data=validation,
                callbacks=[Count(most)],
                verbose=0,
            )
        print(json.dumps({"epochs": [[at, i + 1] for i, at in enumerate(ENDED)]}))


def _stand_in_for_tensorboard() -> None:
    """Let KerasTuner's loop import TensorBoard, which it never uses without its callback.

    TensorFlow 2.21 does not bring it any more; users install it. Not importing it favours
    KerasTuner.
    """
    if find_spec("tensorboard") is None:
        for name in ("tensorboard", "tensorboard.plugins", "tensorboard.plugins.hparams"):
            sys.modules[name] = ModuleType(name)
        hparams = sys.modules["tensorboard.plugins.hparams"]
        setattr(hparams, "api", None)  # noqa: B010 - a module's type has no such name


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
