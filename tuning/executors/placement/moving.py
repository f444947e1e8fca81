"""Which running trial is better begun anew on the other kind of slot."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tuning.executors.devices.slot import Kind
from tuning.executors.placement.model import other_kind
from tuning.executors.placement.outlook import Outlook
from tuning.executors.placement.running import RunningTrial

_LATE = 1.3  # so many times later than elsewhere, and a trial is begun anew there
_DEAR = 2.0  # so many times what it takes elsewhere, in slots' time
_CAUTION = 1.0  # standard deviations by which the other kind may be slower than is believed
_IN_THE_WAY_S = 10.0  # so long a core that feeds an idle GPU may still be busy
_LAST = 0.9  # of the time to the end of the search
_AGAIN = 2.0  # so many times more a second move has to be worth
RESTART_S = 2.0
"""What a trial loses that is begun anew, beside the epochs since its checkpoint."""


@dataclass(frozen=True, kw_only=True)
class Situation:
    """What a move depends on.

    Attributes:
        outlook: What is believed.
        lefts: (job, trial, seconds that it still takes) of all that run.
        n_used: Slots of each kind that the plan uses.
        used: Their names.
        queued_s: By kind, seconds of the waiting trials that belong there.
        horizon_s: To the end of the search.
        in_the_way: Running jobs on cores that feed GPUs which are idle though trials wait for them.
        price: Of a GPU's second, in seconds of a core; None: one kind is used.
    """

    outlook: Outlook
    lefts: Sequence[tuple[str, RunningTrial, float]]
    n_used: Mapping[Kind, int]
    used: frozenset[str]
    queued_s: Mapping[Kind, float]
    horizon_s: float
    in_the_way: frozenset[str]
    price: float | None

    def wait_s(self, kind: Kind) -> float:
        """Return the seconds until a slot of a kind is free for one more trial."""
        lefts = [left_s for _, trial, left_s in self.lefts if trial.slot.kind == kind]
        n_slots = self.n_used[kind]
        if len(lefts) < n_slots and not self.queued_s[kind]:
            return 0.0
        return (sum(lefts) + self.queued_s[kind]) / n_slots


def job_to_move(now: Situation, n_moved: Mapping[str, int]) -> str | None:
    """Return the running job that shall be begun anew on the other kind; None: none.

    Args:
        now: What runs, waits and is believed.
        n_moved: How often trials were moved before; each time it has to be worth more.
    """
    for job, _, left_s in now.lefts:
        if job in now.in_the_way and left_s > _IN_THE_WAY_S:
            return job
    # The one that ends last first.
    for job, trial, left_s in sorted(now.lefts, key=lambda each: -each[2]):
        other = other_kind(trial.slot.kind)
        if not now.n_used[other] or now.outlook.model.n_timings[other] == 0:
            continue
        caution = _AGAIN ** n_moved.get(trial.work.key, 0)
        if _pays(now, trial, left_s, caution):
            return job
    return None


def _pays(now: Situation, trial: RunningTrial, left_s: float, caution: float) -> bool:
    kind = trial.slot.kind
    other = other_kind(kind)
    believed = now.outlook.of(trial.work)
    caution *= math.exp(_CAUTION * believed.costs.spread)
    there_s = caution * (believed.seconds(other) + RESTART_S)
    # While others take as long it delays nobody.
    is_last = left_s > _LAST * now.horizon_s or trial.slot.name not in now.used
    if is_last and left_s > _LATE * (there_s + now.wait_s(other)):
        return True
    if now.price is None or there_s > now.horizon_s:
        return False
    worth = now.price if kind == "cpu" else 1 / now.price
    return left_s > _DEAR * worth * there_s
