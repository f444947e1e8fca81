"""A study whose trials sleep: whatever delays them is not the arithmetic of other processes."""

from __future__ import annotations

import time

from tuning import Float, Int, Minimize, Study
from tuning.trials.functions import no_data

EPOCH_S = 0.2


def bowl(x: float = 0.0, n: int = 1, fidelity: float = 1.0) -> float:
    """Return the height of a bowl, after a while."""
    time.sleep(EPOCH_S)
    return (x - 0.3) ** 2 + 0.1 * abs(n - 4) + 0.05 / fidelity


STUDY = Study(
    name="served",
    builder=bowl,
    data=no_data,
    objective=Minimize("val_value"),
    space={"x": Float(-1.0, 1.0), "n": Int(1, 9)},
    trainer="function",
    engine="optuna:random",
    trials=200,
    epochs=3,
    top_k=1,
    seeds=1,
)
