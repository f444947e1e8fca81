"""`Planning`: which slots a search is given, what its plan says, and the file that keeps it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from tuning.executors.devices.gpus import discover
from tuning.executors.devices.slot import Slot
from tuning.executors.placement.policy import Placement
from tuning.ledger.placement import PlanRecord, read_plan
from tuning.ledger.records import write_record
from tuning.search.placed.plan import plan_of, timings_of, timings_of_others
from tuning.study.info import StudyInfo

_WRITE_S = 10.0  # at most so often, once it is decided


def planned_devices(
    devices: str,
    study: StudyInfo,
    *,
    executor: str = "local",
    deterministic: bool = False,
    notice: Callable[[str], None] = lambda words: None,
) -> str:
    """Return what `--devices` stands for: `auto` on a box with GPUs is both kinds, planned.

    `auto/4` is `both/4`. Not where a trial wants several GPUs, and not with `--deterministic`:
    figures differ a little between the kinds. Stand-ins for GPUs are no GPUs that anything could be
    timed on.

    Args:
        devices, study, executor, deterministic: Of the search.
        notice: Told which kind is used, and why, where both might have been.
    """
    word, slash, shares = devices.strip().partition("/")
    if word != "auto" or executor != "local" or study.gpus_per_trial > 1:
        return devices
    # Without a GPU nothing is planned, and nothing is another than it was.
    if os.environ.get("TUNING_DEVICES") is not None or not discover():
        return devices
    if deterministic:
        notice(
            "--deterministic: trials run on GPUs alone, for figures differ a little between GPUs "
            "and CPU cores; --devices cpu runs them on cores alone"
        )
        return devices
    return f"both{slash}{shares}"


def placement_of(slots: Sequence[Slot], study: StudyInfo, folder: Path) -> Placement | None:
    """Return who plans, with what was measured before; None where nothing is to be planned.

    Measured by an earlier run of this search, or else by another search of the study on this box.

    Args:
        slots: Of the search.
        study: What is searched.
        folder: Of the search.
    """
    if len({slot.kind for slot in slots}) < 2:
        return None
    plan = read_plan(folder)
    if plan is None:
        timings = timings_of_others(folder, slots, study.space)
    else:
        timings = timings_of(plan, study.space)
    return Placement(slots, study.space.domains, timings)


class Planning:
    """Tells the plan once it is decided, and keeps it.

    Args:
        placement: What plans; None: nothing is planned.
        folder: Of the search.
        notice: Told the plan in words.
    """

    def __init__(
        self, placement: Placement | None, folder: Path, notice: Callable[[str], None]
    ) -> None:
        self.placement = placement
        self._folder = folder
        self._notice = notice
        self._told: PlanRecord | None = None
        self._write_at = 0.0

    def ahead(self) -> int:
        """Return how many trials more may be asked for: those that wait are for other slots."""
        return 0 if self.placement is None else self.placement.ahead

    def look(self, *, at_end: bool = False) -> None:
        """Tell and keep the plan where there is one; called after each trial.

        Args:
            at_end: Of the search: what is not in the file yet is written now.
        """
        placement = self.placement
        if placement is None or placement.mode == "timing":
            return
        now = time.monotonic()
        is_news = self._told is None or self._told.mode != placement.mode
        if not is_news and now < self._write_at and not at_end:
            return
        plan = plan_of(placement)
        if self._told is not None and replace(plan, decided_at=0.0) == self._told:
            return
        self._write_at = now + _WRITE_S
        write_record(self._folder / PlanRecord.FILE, plan)
        if is_news:
            self._notice("\n".join([plan.words, *(row.words for row in plan.rows)]))
        self._told = replace(plan, decided_at=0.0)
