"""A study without training, for faults: an epoch is some hundredths of a second of sleep.

The value depends on the point, the epoch and the training seed, and on nothing else: a search that
was disturbed must come to the same as one that was not.
"""

from __future__ import annotations

import random
import time

from tuning import Choice, Float, Int, Minimize, Study
from tuning.trials.functions import no_data

EPOCH_S = 0.04


def valley(
    x: float = 0.0, n: int = 1, kind: str = "a", fidelity: float = 1.0, seed: int = 0
) -> float:
    """Return a bowl's height with noise that shrinks as the epochs go by."""
    time.sleep(EPOCH_S)
    noise = random.Random(f"{seed} {x!r} {n} {kind} {fidelity!r}").gauss(0.0, 0.05 / fidelity)
    return (x - 0.3) ** 2 + 0.1 * abs(n - 4) + 0.2 * (kind == "b") + noise


STUDY = Study(
    name="quick",
    builder=valley,
    data=no_data,
    objective=Minimize("val_value"),
    space={"x": Float(-1.0, 1.0), "n": Int(1, 9), "kind": Choice("a", "b", "c")},
    trainer="function",
    trials=40,
    epochs=3,
    top_k=2,
    seeds=2,
    seed=7,
    attempts=1000,  # only a fault that was meant to may end a trial
)
