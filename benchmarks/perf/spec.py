"""`Spec`: one measurement of epochs per second."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

HOUSING_ROWS = 11_610
"""Rows of California housing's training part; random data has as many."""

HOUSING_SCORED = 3_870
"""Rows of its validation part."""


@dataclass(frozen=True, kw_only=True)
class Spec:
    """One measurement.

    Attributes:
        side: Who trains; "graph" is ours where it may not use machine code.
        widths: Units of the hidden layers.
        inputs: Features: 8 are California housing, 784 random data in MNIST's shape.
        outputs: Units of the last layer: 1 for housing, 10 for MNIST's shape.
        batch: Rows a step.
        epochs: Of one fit; our trainer chooses its compiler by them.
        seconds: Fits are repeated until this much time has passed since the end of the second
            epoch.
        rows: Training rows.
        validation: Score the validation part after each epoch; with our trainer also the objective.
        optimizer: sgd or adam.
        warm_up: Fit another structure before, so that what TensorFlow does once a process is not
            counted.
        compiler: Of the hand-written loop: "xla" or "graph".
    """

    side: Literal["fit", "ours", "graph", "hand"]
    widths: tuple[int, ...]
    inputs: int = 8
    outputs: int = 1
    batch: int = 32
    epochs: int = 60
    seconds: float = 4.0
    rows: int = HOUSING_ROWS
    validation: bool = False
    optimizer: str = "sgd"
    warm_up: bool = True
    compiler: str = "graph"

    def enough(self, times: list[float]) -> bool:
        """Whether epochs that ended at `times` make a steady rate.

        It begins when the second epoch has ended.
        """
        return len(times) >= 3 and times[-1] - times[1] >= self.seconds
