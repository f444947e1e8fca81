"""The state of a model in training as one `.npz` of plain arrays: no pickle, no code."""

from __future__ import annotations

import io
from pathlib import Path

import keras
import numpy as np

from tuning.durable import write_bytes
from tuning.training.compiled import load_state, state_arrays


def save_checkpoint(path: Path, model: keras.Model, epoch: int) -> None:
    """Keep weights, optimizer variables and random states after `epoch` epochs, durably."""
    buffer = io.BytesIO()
    arrays = {f"v{i:05d}": array for i, array in enumerate(state_arrays(model))}
    np.savez(buffer, allow_pickle=False, epoch=np.array(epoch), **arrays)
    write_bytes(path, buffer.getvalue())


def load_checkpoint(path: Path, model: keras.Model) -> int:
    """Put a kept state into a model of equal structure; return the epochs it has behind it.

    Raises:
        ValueError: The model's structure is another one.
    """
    model.optimizer.build(model.trainable_variables)
    with np.load(path, allow_pickle=False) as stored:
        load_state(model, [stored[name] for name in sorted(stored.files) if name != "epoch"])
        return int(stored["epoch"])
