"""`LRRangeTest`: the range test for those who have a `model.fit` call and no arrays at hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from tuning.errors import StudyError
from tuning.lr_range.result import LRRange
from tuning.lr_range.steps import row_counts
from tuning.lr_range.sweep import Sweep, measure_copies

MOST_BYTES = 256 * 2**20
"""Rows that are kept for the test; of larger data the first batches of the first epoch are used."""


class LRRangeTest(keras.callbacks.Callback):  # type: ignore[misc]
    """Turns one `model.fit(…, callbacks=[LRRangeTest()])` into a range test; see `result`.

    The model is not trained: what `fit` would train on is collected for one epoch (256 MB at most),
    the test runs on a throw-away copy, then `fit` ends. Weights, optimizer and statistics are as
    before, also after an error or Ctrl-C; random states too, but for what `fit` itself draws to
    shuffle.

    Args:
        lr_min, lr_max, steps, seeds: As for `lr_range_test`; the batch size is that of `fit`.

    Attributes:
        result: The `LRRange`; None until there is one.
    """

    def __init__(
        self, *, lr_min: float = 1e-5, lr_max: float = 1.0, steps: int = 500, seeds: int = 1
    ) -> None:
        super().__init__()
        self.result: LRRange | None = None
        self._settings = Sweep(lr_min=lr_min, lr_max=lr_max, steps=steps, seeds=seeds)
        self._batches: list[Any] = []
        self._own_function: Any = None
        self._due = False

        faults = list(self._settings.faults())
        if faults:
            raise StudyError(faults, where="LRRangeTest")

    def on_train_begin(self, logs: Any = None) -> None:
        """Take the place of the model's training step.

        Raises:
            StudyError: `fit` would change the weights by itself, at its end.
        """
        if getattr(self.model.optimizer, "use_ema", False):
            raise StudyError(
                "an optimizer with use_ema=True changes the weights when fit ends; "
                "use lr_range_test()"
            )

        self.result = None
        self._batches = []
        self._due = False
        # `fit` makes its step before it calls us, and looks it up again for each batch.
        self._own_function = self.model.train_function
        self.model.train_function = self._collect

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Note that the step to come belongs to a `fit` that this callback watches."""
        self._due = True

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Test with what there is: another epoch brings no new rows."""
        self._test()

    def on_train_end(self, logs: Any = None) -> None:
        """Give the training step back."""
        self._release()

    def _collect(self, iterator: Iterator[Any]) -> dict[str, float]:
        """Stand in for `train_function`: keep the batch, train nothing."""
        if not self._due:  # another fit, after one that was broken off between two steps
            self._release()
            return dict(self.model.train_function(iterator))

        self._due = False
        try:
            self._batches.append(keras.tree.map_structure(np.asarray, next(iterator)))
            full = _bytes_of(self._batches) >= MOST_BYTES
            if full or len(self._batches) >= self._settings.steps:
                self._test()
        except BaseException:  # Ctrl-C too: the next `fit` must train
            self._release()
            raise
        return {}

    def _test(self) -> None:
        """Test on the batches collected, once; `fit` ends after it."""
        self.model.stop_training = True
        if self.result is not None or not self._batches:
            return

        # The last batch of an epoch may be smaller.
        batch_size = max(row_counts(batch)[0] for batch in self._batches)
        data = keras.tree.map_structure(lambda *parts: np.concatenate(parts), *self._batches)
        self._batches = []  # `data` is a copy: two at a time would be twice the memory
        try:
            sweep = replace(self._settings, batch_size=batch_size)
            self.result = measure_copies(self.model, tuple(data), sweep)
        finally:
            self._release()

    def _release(self) -> None:
        if self.model.train_function == self._collect:
            self.model.train_function = self._own_function
        self._batches = []


def _bytes_of(batches: list[Any]) -> int:
    return sum(array.nbytes for array in keras.tree.flatten(batches))
