"""Asks of an earlier run in one message for hundreds: a round trip for each is most of the time.

An engine that is asked again computes what it did before; only the way to its process is shorter.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from tuning.trial import EpochReport, Params, Pause, Proposal, TrialResult

MOST_STEPS = 200
"""In one message; each may bring the curves of some trials."""
MOST_S = 5.0
"""Then an answer is given, whatever is left: who waits for it knows that the engine works."""


class Told(NamedTuple):
    """How a trial ended, and its epochs where the engine has not heard of them."""

    result: TrialResult
    reports: tuple[EpochReport, ...]


class Step(NamedTuple):
    """One ask of an earlier run: what the engine had been told since the one before."""

    told: tuple[Told, ...]
    before: Proposal


class Asked(Protocol):
    """What is needed of an engine."""

    def ask(self, number: int) -> Proposal | Pause:
        """Return the proposal that will carry `number`."""

    def report(self, report: EpochReport) -> bool:
        """Take one epoch of an open trial."""

    def tell(self, result: TrialResult) -> None:
        """Take how a trial ended."""


def replay(engine: Asked, steps: Sequence[Step]) -> list[Proposal | Pause]:
    """Tell and ask an engine again, in order.

    Returns:
        What it proposes now, for the first steps. The last of these may be something else than
        before: no further step is taken until somebody has decided what comes of it.
    """
    until = time.monotonic() + MOST_S
    answers: list[Proposal | Pause] = []
    for step in steps:
        for told in step.told:
            for report in told.reports:
                engine.report(report)
            engine.tell(told.result)
        now = engine.ask(step.before.number)
        answers.append(now)
        if not is_same(now, step.before) or time.monotonic() >= until:
            break
    return answers


def is_same(now: Proposal | Pause, before: Proposal) -> bool:
    """Whether an engine proposes what it did, but for the last digits, in which processors differ.

    The epochs of a proposal do not count: a trial keeps those that it was trained for.
    """
    if not isinstance(now, Proposal) or now.parent != before.parent:
        return False
    return _are_near(now.params, before.params)


def _are_near(now: Params, before: Params) -> bool:
    if now.keys() != before.keys():
        return False
    return all(_is_near(value, before[name]) for name, value in now.items())


def _is_near(value: Any, other: Any) -> bool:
    if isinstance(value, float) and isinstance(other, float):
        return value == other or math.isclose(value, other)
    return bool(value == other)
