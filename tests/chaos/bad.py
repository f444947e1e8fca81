"""Trials that fail in each way there is, three of a kind, without training."""

from __future__ import annotations

import math
import os
import signal
import time

from tuning import Choice, Minimize, Study
from tuning.trials.functions import no_data

EXPECTED = {
    "none": "completed",
    "raise": "failed",
    "exit": "failed",
    "nan": "diverged",
    "abort": "failed",
    "flood": "completed",
    "hang": "failed",
    "inf": "diverged",
    "stop": "failed",
}
"""How a trial of each kind has to end; the first one is what the study is checked with."""
FLOOD_MB = 20


def misbehave(a: float = 0.0, fault: str = "none") -> float:
    """Do what the trial is named after; return `a` where that is possible."""
    if fault == "nan":
        return math.nan
    if fault == "inf":
        return math.inf
    if fault == "raise":
        raise RuntimeError("No space left on device, says a trial that has nothing to do with it")
    if fault == "exit":
        os._exit(0)
    if fault == "abort":
        os.abort()
    if fault == "hang":
        time.sleep(600.0)
    if fault == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    if fault == "flood":
        for _ in range(FLOOD_MB * 16):
            print("x" * 65535)
    return a


STUDY = Study(
    name="bad",
    builder=misbehave,
    data=no_data,
    objective=Minimize("val_value"),
    space={"a": Choice(1.0, 2.0, 3.0), "fault": Choice(*EXPECTED)},
    engine="gridsearchcv",
    trainer="function",
    trials=27,
    epochs=1,
    top_k=1,
    seeds=1,
    seed=1,
    attempts=1,
    trial_timeout=10.0,
)
