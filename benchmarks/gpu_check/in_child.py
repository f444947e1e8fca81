"""What a program measures that sees one GPU: `python -m benchmarks.gpu_check.in_child xla`.

Prints one JSON object as its last line.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import keras
import numpy as np
import tensorflow as tf

from benchmarks.gpu_check.row import Figures
from tuning.trainer import compiled, native_steps
from tuning.trainer.train import Fit, Rows

Result = TypeVar("Result")

ROWS = 4096
EPOCHS = 3
BATCH_SIZE = 64


def growth() -> Figures:
    """Multiply two matrices; tell how many GPUs there are, and how much of one is taken by that.

    What is taken is told by NVML, before TensorFlow touches the device and after. What TensorFlow
    does not count of it is CUDA's context with its libraries: a slot's share has to hold it, too.
    """
    before_mb = _used_mb()
    gpus = tf.config.list_physical_devices("GPU")
    x = tf.random.normal((1024, 1024))
    float(tf.reduce_sum(x @ x))
    taken_mb = _used_mb() - before_mb
    counted_mb = tf.config.experimental.get_memory_info("GPU:0")["current"] >> 20 if gpus else 0
    return {
        "gpus": len(gpus),
        "taken_mb": taken_mb,
        "context_mb": taken_mb - counted_mb,
        "total_mb": _memory().total >> 20,
        "tensorflow": tf.__version__,
    }


def xla() -> Figures:
    """Train one network by `fit`, one by our graph compiled by XLA; compare histories and times."""
    _exact()
    native_steps.MAX_PARAMETERS = 0  # plain networks would be trained in machine code
    compiled.XLA_MIN_STEPS = 0
    x, y = _rows()

    theirs = _network()
    theirs_ms, expected = _timed(lambda: _fit_epochs(theirs, x, y))
    ours = Fit(_network(), Rows(x, y), epochs_total=EPOCHS, batch_size=BATCH_SIZE, shuffle=False)
    ours_ms, _ = _timed(lambda: list(ours.epochs()))
    return {
        "by_xla": float(any(steps._xla_has_run for steps in compiled._cache.values())),
        "difference": _difference(ours.history["loss"], expected),
        "ours_ms": ours_ms,
        "fit_ms": theirs_ms,
        "notes": "; ".join(ours.notes),
    }


def mirrored() -> Figures:
    """Train one network as it is, one under `MirroredStrategy` of one device; compare them."""
    _exact()
    x, y = _rows()
    plain = _network()
    plain_ms, expected = _timed(lambda: _fit_epochs(plain, x, y))

    strategy = tf.distribute.MirroredStrategy([_device()])
    with strategy.scope():
        copied = _network()
    copied_ms, losses = _timed(lambda: _fit_epochs(copied, x, y))
    return {
        "replicas": strategy.num_replicas_in_sync,
        "difference": _difference(losses, expected),
        "one_device_ms": plain_ms,
        "mirrored_ms": copied_ms,
    }


CHECKS: Mapping[str, Callable[[], Figures]] = {"growth": growth, "xla": xla, "mirrored": mirrored}


def main() -> None:
    """Run the function that is named, and print what it returns."""
    print(json.dumps(CHECKS[sys.argv[1]]()))


def _exact() -> None:
    """Multiply in 32 bits on all sides: TF32 keeps 10 of the 23 digits."""
    tf.config.experimental.enable_tensor_float_32_execution(False)


def _rows() -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(0).normal(size=(ROWS, 8)).astype("float32")
    return x, x.sum(axis=1)


def _network() -> keras.Model:
    keras.utils.set_random_seed(1)
    hidden = [keras.layers.Dense(128, activation="relu") for _ in range(3)]
    model = keras.Sequential([keras.Input((8,)), *hidden, keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.01), "mse")
    return model


def _fit_epochs(model: keras.Model, x: np.ndarray, y: np.ndarray) -> list[float]:
    history = model.fit(x, y, epochs=EPOCHS, batch_size=BATCH_SIZE, shuffle=False, verbose=0)
    losses: list[float] = history.history["loss"]
    return losses


def _timed(work: Callable[[], Result]) -> tuple[float, Result]:
    """Return the milliseconds of an epoch, the first one's trace included, and the result."""
    began = time.perf_counter()
    result = work()
    return 1000 * (time.perf_counter() - began) / EPOCHS, result


def _difference(ours: list[float], theirs: list[float]) -> float:
    """Return the largest relative difference."""
    pairs = zip(ours, theirs, strict=True)
    return max(abs(a - b) / abs(b) for a, b in pairs)


def _device() -> str:
    return "/gpu:0" if tf.config.list_physical_devices("GPU") else "/cpu:0"


def _used_mb() -> int:
    return int(_memory().used) >> 20


def _memory() -> Any:
    import pynvml

    pynvml.nvmlInit()
    handle = pynvml.nvmlDeviceGetHandleByUUID(os.environ["CUDA_VISIBLE_DEVICES"].split(",")[0])
    return pynvml.nvmlDeviceGetMemoryInfo(handle)


if __name__ == "__main__":
    main()
