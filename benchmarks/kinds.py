"""How much faster than `fit` an epoch of ours is, for networks that machine code does not train.

`python -m benchmarks.kinds` prints a line a kind: median milliseconds of an epoch by `model.fit`
and by ours at batch 32, and their ratio. One process, one thread, as a worker has; both sides
change places after each repeat, and the first epoch of each, which traces, is left out.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

BATCH_SIZE = 32
EPOCHS = 3
"""Epochs of one training; all but the first are timed."""


class Kind(NamedTuple):
    """A network and its data."""

    build: Callable[[], Any]
    X: Any
    y: Any


def kinds() -> Mapping[str, Kind]:
    """Return what is measured by name; those that follow each other belong together."""
    random = np.random.default_rng(0)
    wide = random.normal(size=(8_000, 5)).astype("float32")
    deep = random.normal(size=(8_000, 6)).astype("float32")
    windows = random.normal(size=(2_000, 24, 4)).astype("float32")
    ids = random.integers(1, 2_000, size=(4_000, 60))
    padded = np.where(np.arange(60) < random.integers(5, 61, size=(4_000, 1)), ids, 0)

    return {
        "wide & deep, one array": Kind(_concatenated, np.hstack([wide, deep]), wide[:, 0]),
        "wide & deep, two inputs": Kind(_two_inputs, {"wide": wide, "deep": deep}, wide[:, 0]),
        "LSTM": Kind(_lstm, windows, windows[:, -1, 0]),
        "text by ids": Kind(_text, ids, (ids[:, 0] > 1_000).astype("float32")),
        "text by ids, padded, with a mask": Kind(_masked_text, padded, padded[:, 0] > 1_000),
    }


def _concatenated() -> Any:
    import keras

    both = keras.Input((11,))
    return _wide_and_deep(both, both[:, :5], both[:, 5:])


def _two_inputs() -> Any:
    import keras

    wide, deep = keras.Input((5,), name="wide"), keras.Input((6,), name="deep")
    return _wide_and_deep([wide, deep], wide, deep)


def _wide_and_deep(inputs: Any, wide: Any, deep: Any) -> Any:
    import keras

    for _ in range(2):
        deep = keras.layers.Dense(30, "relu")(deep)
    outputs = keras.layers.Dense(1)(keras.layers.Concatenate()([wide, deep]))
    return _compiled(keras.Model(inputs, outputs), "mse")


def _lstm() -> Any:
    import keras

    layers = [keras.Input((24, 4)), keras.layers.LSTM(16), keras.layers.Dense(1)]
    return _compiled(keras.Sequential(layers), "mse")


def _text() -> Any:
    return _embedded(mask_zero=False)


def _masked_text() -> Any:
    return _embedded(mask_zero=True)


def _embedded(*, mask_zero: bool) -> Any:
    import keras

    layers = [
        keras.Input((60,)),
        keras.layers.Embedding(2_000, 16, mask_zero=mask_zero),
        keras.layers.GlobalAveragePooling1D(),
        keras.layers.Dense(16, "relu"),
        keras.layers.Dense(1, "sigmoid"),
    ]
    return _compiled(keras.Sequential(layers), "binary_crossentropy")


def _compiled(model: Any, loss: str) -> Any:
    import keras

    model.compile(keras.optimizers.Adam(1e-3), loss)
    return model


def _clock() -> Any:
    """Return a callback that notes when each epoch ends."""
    import keras

    class Clock(keras.callbacks.Callback):  # type: ignore[misc]
        knows_only_its_model = True  # as our trials' callbacks do: no weights are copied for it

        def __init__(self) -> None:
            super().__init__()
            self.times: list[float] = []

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.times.append(time.perf_counter())

    return Clock()


def _fit(kind: Kind, model: Any) -> list[float]:
    clock = _clock()
    model.fit(kind.X, kind.y, batch_size=BATCH_SIZE, epochs=EPOCHS, callbacks=[clock], verbose=0)
    return list(np.diff(clock.times))


def _ours(kind: Kind, model: Any) -> list[float]:
    from tuning.trainer.train import train

    clock = _clock()
    train(
        model,
        kind.X,
        kind.y,
        batch_size=BATCH_SIZE,
        epochs=EPOCHS,
        callbacks=[clock],
        trainer="compiled",
    )
    return list(np.diff(clock.times))


def measure(kind: Kind, repeats: int) -> tuple[float, float]:
    """Return the median seconds of an epoch by `fit` and by ours, taken in turns."""
    by_fit, by_us = kind.build(), kind.build()
    fit_s: list[float] = []
    ours_s: list[float] = []
    for repeat in range(repeats):
        sides = [(_fit, by_fit, fit_s), (_ours, by_us, ours_s)]
        for run, model, seconds in sides if repeat % 2 else reversed(sides):
            seconds += run(kind, model)
    return statistics.median(fit_s), statistics.median(ours_s)


def processor() -> str:
    """Return the processor's name, and which wide instructions it has."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    facts = dict(line.split(":", 1) for line in lines if ":" in line)
    facts = {name.strip(): value.strip() for name, value in facts.items()}
    flags = facts.get("flags", "").split()
    wide = "AVX-512" if "avx512f" in flags else "AVX2" if "avx2" in flags else "no AVX2"
    return f"{facts.get('model name', 'unknown processor')}, {wide}, {os.cpu_count()} cores"


def main() -> None:
    """Measure all kinds and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7, help="trainings of each side")
    repeats = parser.parse_args().repeats

    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    print(f"{processor()}; one thread; batch {BATCH_SIZE}; {repeats} repeats in turns")
    for name, kind in kinds().items():
        by_fit, by_us = measure(kind, repeats)
        print(
            f"{name:34} fit {1000 * by_fit:8.1f} ms  ours {1000 * by_us:7.1f} ms  "
            f"{by_fit / by_us:5.1f} x",
            flush=True,
        )


if __name__ == "__main__":
    main()
