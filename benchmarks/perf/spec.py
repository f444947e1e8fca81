"""`Spec`: one measurement of epochs per second."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

HOUSING_ROWS, HOUSING_SCORED = 11_610, 3_870
"""Rows of California housing's training and validation part; random data has as many."""


@dataclass(frozen=True)
class Spec:
    """One measurement.

    Attributes:
        side: Who trains; "graph" is ours where it may not use machine code.
        widths: Units of the hidden layers.
        inputs, outputs: 8 and 1 are California housing; 784 and 10 random data in MNIST's shape.
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
        """Whether epochs that ended at `times` make a steady rate, which begins when the second has
        ended.
        """
        return len(times) >= 3 and times[-1] - times[1] >= self.seconds
