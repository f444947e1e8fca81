"""`RunOptions`: what a run is told besides its study.

The command line makes it before TensorFlow's import begins, so this module imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tuning.trials.jobs import Overrides


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What a run is told besides its study.

    Attributes:
        home: State folder; None: TUNING_HOME or ./mlruns.
        devices: `auto`, `cpu`, `cpu:2`, `gpu`, `0,1`.
        executor: Who runs the trials, by name; see `executors.executor_spec`.
        ray_address: Of the cluster, for the executor "ray": `auto`, `HOST:PORT`, `ray://HOST:PORT`;
            None: as RAY_ADDRESS says, else a Ray of our own is started.
        fresh: Set an earlier search aside and begin anew.
        allow_change: Go on although the study changed.
        engine_timeout: Seconds that one answer of the engine may take, the check of the study among
            them; None: half an hour.
        deterministic: Tell results in the order of their numbers; the same devices then give the
            same trials. With a pruner one trial runs at a time.
        memory_per_slot: Bytes that the trial of a slot may use; None: what there is.
        gpu_hours: Begin no trial that cannot end before the trials of this search, those of earlier
            runs included, have used so many hours of GPUs; None: no limit. Finals come on top.
        cpu_hours: The same of processor time.
        quota: Most bytes of the state folder; None: what the disk holds.
        until: The moment at which the run ends, as `Until` takes it: `08:00`; None: none.
        yields: Leave GPUs on which processes run that are no part of this search, until those are
            gone.
        variant: What was changed of the study file by the command line, for the search's key and
            for the study.
        source: Another search to begin with, as `tuning.ledger.catalog.find` names one: its best
            points come first, and results of equal trials are told.
        intervals: Put in by the run itself: bounds that a range test found.
        initial: Put in by the run itself: points of `source` and of the study.
        budget: Changes of fields that are no part of the key, e.g. `trials`; see
            `Study.definition`.
    """

    home: str | None = None
    devices: str = "auto"
    executor: str = "local"
    ray_address: str | None = None
    fresh: bool = False
    allow_change: bool = False
    deterministic: bool = False
    engine_timeout: float | None = None
    memory_per_slot: int | None = None
    quota: int | None = None
    gpu_hours: float | None = None
    cpu_hours: float | None = None
    until: str | None = None
    yields: bool = False
    variant: Overrides = field(default_factory=dict)
    budget: Overrides = field(default_factory=dict)
    source: str | None = None
    intervals: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    initial: Sequence[Mapping[str, Any]] = ()

    @property
    def goes_on(self) -> bool:
        """Whether nothing says that the search is to begin anew, or to become another one."""
        return not (self.fresh or self.allow_change or self.source is not None)

    @property
    def overrides(self) -> Overrides:
        """All changes of the study's fields."""
        overrides = {**self.variant, **self.budget}
        if self.intervals:
            overrides["intervals"] = dict(self.intervals)
        if self.initial:
            overrides["initial"] = list(self.initial)
        return overrides

    def variant_of(self, engine: str) -> Overrides:
        """Return what tells this search from others of the same study.

        `trials` is part of it where it shapes what the engine proposes.
        """
        variant = dict(self.variant)
        from tuning.study.engine_spec import engine_spec

        if "trials" in self.budget and engine_spec(engine).trials_shape_proposals:
            variant["trials"] = self.budget["trials"]
        return variant
