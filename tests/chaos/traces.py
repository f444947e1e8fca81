"""What trials and finalists of `moving.py` say.

Never are two on one device, and no epoch is trained again that was kept.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.nothing_lost import Findings


@dataclass
class Attempt:
    """One beginning of a fit: its process and the epochs that it trained."""

    pid: int
    epochs: list[int] = field(default_factory=list)


def attempts_of(path: Path) -> list[Attempt]:
    """Return the attempts that such a file `epochs` tells of, in their order."""
    attempts: list[Attempt] = []
    for line in path.read_text().splitlines():
        pid, word = line.split()
        if word == "begin":
            attempts.append(Attempt(int(pid)))
        else:
            attempts[-1].epochs.append(int(word))
    return attempts


def check_traces(
    traces: Path, folder: Path, findings: Findings, *, killed: Collection[int], epochs: int
) -> int:
    """Add what is wrong; return how many attempts went on from an earlier one.

    Args:
        traces: The folder `TRACES`.
        folder: Of the search.
        findings: Get it.
        killed: Processes whose last epochs may be lost: who kills them does not ask for a
            checkpoint.
        epochs: Of a whole trial.
    """
    collisions = traces / "collisions"
    if collisions.exists():
        findings.doubled += collisions.read_text().splitlines()
    n_taken_up = 0
    of_trials = folder.glob("trials/*/callbacks-0/epochs")
    of_finalists = folder.glob("finalists/*/callbacks-*/epochs")
    for path in sorted([*of_trials, *of_finalists]):
        attempts = attempts_of(path)
        what = str(path.parent.relative_to(folder))
        n_taken_up += _check_attempts(what, attempts, findings, killed)
        trained = {epoch for attempt in attempts for epoch in attempt.epochs}
        if trained != set(range(1, epochs + 1)):
            missing = sorted(set(range(1, epochs + 1)) - trained)
            findings.lost.append(f"{what}: never trained {missing}")
    return n_taken_up


def _check_attempts(
    what: str, attempts: list[Attempt], findings: Findings, killed: Collection[int]
) -> int:
    n_taken_up = 0
    kept = 0  # the last epoch that an attempt left a checkpoint of
    for attempt, following in zip(attempts, [*attempts[1:], None], strict=True):
        if attempt.epochs and attempt.epochs[0] > 1:
            n_taken_up += 1
        if attempt.epochs and attempt.pid not in killed:
            kept = attempt.epochs[-1]
        if following is None or not following.epochs:
            continue
        first = following.epochs[0]
        if first <= kept:
            findings.lost.append(f"{what}: {kept} epochs were kept, {first} trained again")
        elif first > kept + 1 and attempt.pid not in killed:
            findings.other.append(f"{what}: goes on at {first} after {kept}")
    return n_taken_up
