"""The parts of a search: one table of their limits, and of what is done when one is gone.

Two clocks watch a part. Its *heartbeat* stops where the process is stopped (SIGSTOP) or blocked; a
process that computes in C, and so cannot beat, is told from one that is stopped by the processor
time it uses. The *limit of an answer* ends a process that lives and never comes to an end, such as
a builder with a loop in it.
"""

from __future__ import annotations

from dataclasses import dataclass

from tuning.storage.processes import WRITER_NAME

BEAT_S = 1.0
"""Seconds between two heartbeats of a child."""


@dataclass(kw_only=True)
class Part:
    """One part, a row of the table.

    Not frozen: tests shorten the limits, as nobody else does.

    Attributes:
        name: As `ps` shows it, at most 15 characters; see `name_process`.
        silence_s: So long it may say nothing and use no processor time.
        answer_s: So long one answer may take; None: as the study says, or no answer is waited for.
        restarts: How often in a row it is begun anew without an answer in between.
        gone: What the driver does then, in words.
    """

    name: str
    silence_s: float | None
    answer_s: float | None
    restarts: int
    gone: str


DRIVER = Part(
    name="python",
    silence_s=None,
    answer_s=None,
    restarts=0,
    gone="all others end with it; the same command goes on from the files",
)
WARDEN = Part(
    name="tuning-warden",
    silence_s=None,
    answer_s=None,
    restarts=3,
    gone="the forkserver ends with it, and is begun anew",
)
FORKSERVER = Part(
    name="tuning-fork",
    silence_s=15.0,
    answer_s=None,
    restarts=3,
    gone="a new one is begun; the trials of its workers are tried again, beside their attempts",
)
ENGINE = Part(
    name="tuning-engine",
    silence_s=20.0,
    answer_s=1800.0,
    restarts=3,
    gone="a new one is given its memory, or is told again what the files say; the search goes on",
)
WORKER = Part(
    name="tuning-worker",
    silence_s=20.0,
    answer_s=None,
    restarts=5,
    gone="its trial is tried again on the same slot, as often as `attempts` says",
)
EVALUATION = Part(
    name="tuning-worker",
    silence_s=20.0,
    answer_s=6 * 3600.0,
    restarts=1,
    gone="it is tried once more; then the search ends with a winner that has no test score",
)
QUESTION = Part(
    name="tuning-worker",
    silence_s=20.0,
    answer_s=6 * 3600.0,
    restarts=1,
    gone="a range test or a check of a benchmark is tried once more, then told as an error",
)
WRITER = Part(
    name=WRITER_NAME,
    silence_s=None,
    answer_s=30.0,
    restarts=1,
    gone="training never waits for it; what is missing is written later, or by `tuning sync`",
)
LINK = Part(
    name="tuning-ray",
    silence_s=20.0,
    answer_s=120.0,
    restarts=0,
    gone="the search ends with exit code 75, as where Ray's head is lost; the same command goes on",
)
NODE = Part(
    name="tuning-node",
    silence_s=None,
    answer_s=None,
    restarts=3,
    gone="the forkserver of its node ends with it; the next slot there begins another",
)
SLOT = Part(
    name="ray::SlotActor",
    silence_s=30.0,
    answer_s=None,
    restarts=5,
    gone="another is asked of Ray; its trial is tried again there, beside its attempts",
)

PARTS = {
    "driver": DRIVER,
    "warden": WARDEN,
    "forkserver": FORKSERVER,
    "engine": ENGINE,
    "worker": WORKER,
    "evaluation": EVALUATION,
    "question": QUESTION,
    "writer": WRITER,
    "link to Ray": LINK,
    "slot on Ray": SLOT,
    "node of Ray": NODE,
}


def backoff_s(failures: int) -> float:
    """Return how long to wait before a part is begun anew: 0, 0.5, 1, 2 … 8 s.

    Args:
        failures: How often it has been lost in a row, this time included; >= 1.
    """
    return 0.0 if failures <= 1 else min(8.0, 0.25 * 2 ** (failures - 1))
