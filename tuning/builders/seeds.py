"""Seeds for Python, NumPy, Keras and TensorFlow that can be taken back."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed everything Keras draws from inside; afterwards be as random, or as seeded, as before.

    Op determinism is left alone: SciKeras' own context switches it on for the rest of the process.
    """
    import keras

    numpy_state, python_state = np.random.get_state(), random.getstate()
    keras.utils.set_random_seed(int(seed))
    try:
        yield
    finally:
        random.setstate(python_state)
        fresh = random.randrange(2**31)  # nobody can read TensorFlow's old seed; so it goes on as Python's own would
        python_state = random.getstate()
        keras.utils.set_random_seed(fresh)
        random.setstate(python_state)
        np.random.set_state(numpy_state)
