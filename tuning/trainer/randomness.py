"""Global random states that a training leaves as it found them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from tuning.trainer.keras_internals import global_seeds_kept


@contextmanager
def randomness_kept() -> Iterator[None]:
    """Afterwards Python, NumPy, Keras and TensorFlow draw as if nothing had been drawn within.

    A caller who has set a seed once and trains several models in a loop then gets what `model.fit`
    gives: models that begin with other weights each.
    """
    python_state = random.getstate()
    numpy_state = np.random.get_state()
    try:
        with global_seeds_kept():
            yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
