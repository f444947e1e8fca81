"""Seeds for Python, NumPy, Keras and TensorFlow that can be taken back."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from tuning.trainer.keras_internals import (
    global_seeds_kept,
    set_keras_seed,
    set_tensorflow_seed,
    stateful_draws,
)


def set_seed(seed: int) -> None:
    """Seed Python, NumPy, Keras and TensorFlow as `keras.utils.set_random_seed` does, but quickly.

    That call has TensorFlow drop every kernel it holds, and graphs kept from earlier trials are
    then set up again (measured: 0.2 s a trial). Only stateful ops such as `tf.random.normal` need
    it; Keras' layers draw statelessly. `stateful_draws` tells whether one was used.
    """
    set_keras_seed(int(seed))
    random.seed(seed)
    np.random.seed(seed)
    set_tensorflow_seed(int(seed))


def set_seed_afresh(seed: int) -> None:
    """Seed as `set_seed` does, with fresh kernels where a stateful op may have drawn."""
    global _left  # TensorFlow's kernels are the process' own, too
    import keras

    if stateful_draws() == _left:
        set_seed(seed)
    else:
        keras.utils.set_random_seed(int(seed))
    _left = stateful_draws()


_left = -1  # what was drawn before anybody counted is not known


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed everything Keras draws from inside; afterwards all draw as if nothing had been drawn.

    Where no seed was set before, none is left: a program that relies on TensorFlow being random
    stays so. Op determinism is left alone: SciKeras' own context switches it on for the rest of
    the process.
    """
    numpy_state = np.random.get_state()
    python_state = random.getstate()
    try:
        with global_seeds_kept():
            set_seed_afresh(seed)
            yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
