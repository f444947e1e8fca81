"""`RunOptions`: what a run is told besides its study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tuning.study.engine_spec import engine_spec


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What a run is told besides its study.

    Attributes:
        home: State folder; None: TUNING_HOME or ./mlruns.
        devices: `auto`, `cpu`, `cpu:2`, `gpu`, `0,1`.
        executor: Who runs the trials, by name; see `executors.executor_spec`.
        fresh: Set an earlier search aside and begin anew.
        allow_change: Go on although the study changed.
        deterministic: Tell results in the order of their numbers; the same devices then give the
            same trials. With a pruner one trial runs at a time.
        variant: What was changed of the study file by the command line, for the search's key and
            for the study.
        intervals: Put in by the run itself: bounds that a range test found.
        budget: Changes of fields that are no part of the key, e.g. `trials`; see
            `Study.definition`.
    """

    home: str | None = None
    devices: str = "auto"
    executor: str = "local"
    fresh: bool = False
    allow_change: bool = False
    deterministic: bool = False
    variant: Mapping[str, Any] = field(default_factory=dict)
    budget: Mapping[str, Any] = field(default_factory=dict)
    intervals: Mapping[str, Any] = field(default_factory=dict)

    @property
    def overrides(self) -> dict[str, Any]:
        """All changes of the study's fields."""
        measured = {"intervals": dict(self.intervals)} if self.intervals else {}
        return {**self.variant, **self.budget, **measured}

    def variant_of(self, engine: str) -> dict[str, Any]:
        """Return what tells this search from others of the same study.

        `trials` is part of it where it shapes what the engine proposes.
        """
        variant = dict(self.variant)
        if "trials" in self.budget and engine_spec(engine).trials_shape_proposals:
            variant["trials"] = self.budget["trials"]
        return variant
