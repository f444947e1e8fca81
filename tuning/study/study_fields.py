"""`StudyFields`: the names, types and defaults of what a study says; `Study` checks them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from tuning.data.dataset import Dataset
from tuning.data.folds import Cv
from tuning.data.row_keys import SplitKind
from tuning.space.domains import Domain
from tuning.space.space import Space
from tuning.study.builder_arguments import Builder, ClassWeight
from tuning.study.objective import Objective

PRUNERS = ("none", "median", "asha", "hyperband")
BATCH_SIZES = ("global", "per_replica")
TRAINERS = ("auto", "compiled", "fit", "function")
NO_OBJECTIVE = Objective("", "minimize")
"""Stands in the signature for an objective that `objectives` gives; no study has it."""

if TYPE_CHECKING:

    class _SpaceField:
        """What type checkers see of `space`: it takes a mapping too, and is always a `Space`.

        They infer the argument's type only for a field with a default, so that to them `space` may
        be left out; a study without one is refused when it is made.
        """

        def __get__(self, study: object, owner: type | None = None) -> Space:
            raise NotImplementedError

        def __set__(self, study: object, space: Mapping[str, Domain | str] | Space) -> None:
            raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class StudyFields:
    """The fields of a `Study`, where each is explained; nothing is checked here.

    A class of its own, so that editors and type checkers read the arguments of `Study(…)` from it,
    and so that the checks need not import `Study`.
    """

    name: str
    builder: Builder
    data: Callable[..., Dataset]
    objective: Objective = NO_OBJECTIVE
    if TYPE_CHECKING:
        space: _SpaceField = _SpaceField()
    else:
        space: Space
    fixed: Mapping[str, Any] = field(default_factory=dict)
    intervals: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    engine: str = "optuna:tpe"
    engine_options: Mapping[str, Any] = field(default_factory=dict)
    pruner: str = "none"
    trials: int | None = 20
    epochs: int = 30
    batch_size: int = 32
    initial: int | Sequence[Mapping[str, Any]] = 0
    patience: int | None = None
    class_weight: ClassWeight = None
    callbacks: Callable[..., Sequence[Any]] | None = None
    repeats: int = 1
    cv: Cv | None = None
    threshold: float | Literal["tuned"] | None = None
    seed: int = 0
    top_k: int = 3
    seeds: int = 3
    timeout: float | None = None
    trial_timeout: float | None = None
    no_progress_timeout: float = 600.0
    attempts: int = 3
    max_failures: int = 10
    test_size: float = 0.25
    validation_size: float = 0.25
    split: SplitKind | None = None
    gpus_per_trial: int = 1
    batch_size_is: Literal["global", "per_replica"] = "global"
    scale_lr: bool = False
    trainer: Literal["auto", "compiled", "fit", "function"] = "auto"
    objectives: Sequence[Objective] = ()
    constraints: Sequence[str] = ()
    winner_by: str = "knee"


def with_first_objective(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a study so that one objective stands in `objective`, alone or first.

    A list of one objective is that objective.
    """
    fields = dict(values)
    for name in ("objectives", "constraints"):
        if isinstance(fields.get(name), list):
            fields[name] = tuple(fields[name])

    objectives = fields.get("objectives")
    if not isinstance(objectives, tuple) or not objectives:
        return fields
    if fields.get("objective", NO_OBJECTIVE) == NO_OBJECTIVE:
        fields["objective"] = objectives[0]
        if len(objectives) == 1:
            fields["objectives"] = ()
    return fields
