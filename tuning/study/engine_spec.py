"""`EngineSpec`: what an engine can do, one row an engine; `engine_specs()`: all of them.

A package adds engines by an entry point of the group `tuning.engines` that loads to some rows; this
package's own come in just the same way. Nobody compares the names of engines: they ask the row.
"""

from __future__ import annotations

import enum
import functools
import importlib.util
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tuning.errors import MissingError, StudyError, did_you_mean
from tuning.study.engine_option import EngineOption
from tuning.study.plugins import OWN_PACKAGE, load_rows

GROUP = "tuning.engines"


class Ends(enum.Enum):
    """What ends the search of an engine."""

    BY_BUDGET = "only trials or a timeout end it"
    BY_ITSELF = "it ends by itself"
    WHERE_FINITE = "it ends by itself where the space is finite"


@dataclass(frozen=True, kw_only=True)
class EngineSpec:
    """One engine and what the rest of the package must know of it.

    Attributes:
        name: As a study gives it, e.g. `optuna:tpe`.
        family: The library that proposes, as a reader calls it.
        summary: One line for people.
        make: Called with the checked study and a function that gives its `Parts`; returns a fresh
            `tuning.engines.base.Engine`. It imports its library only now, and raises `MissingError`
            where that is not installed, `StudyError` where the engine cannot search this space.
        learns: Proposals depend on results: it is asked as late as possible.
        ends: What ends it.
        trials_shape_proposals: `trials` shapes what is proposed (sampled grids, random starts,
            generations) and is part of the definition; else a later run may extend it.
        takes_initial: Begins with the points of `Study.initial`; others plan themselves.
        takes_points: Begins with known points, though not with a sample: a grid, which is whole
            without one.
        prunes: Works with `Study.pruner`.
        several_objectives: Works with `Study.objectives`.
        continues_trials: A proposal may go on from an earlier trial, so each keeps its last epoch.
        plans_rates_apart: Plans learning rates apart from structures: a rate cannot have an
            interval for each structure.
        one_data_set: Gives every trial the same rows, so that no argument of the data function can
            be searched.
        trial_function: What a worker calls for one of its trials, "package.module:function" of
            `(TrialJob, Context) -> TrialResult`; None: our own training.
        trials_within: Called with a number of epochs and the epochs of a whole trial; returns the
            most trials that end within. None: every trial trains for all of its epochs.
        options: The settings of its library that a study's `engine_options` may give.
        plain_names: Parameters are keyword arguments to it: names of others' builders that are not
            fit for that go by other names there.
        extra: What `pip install tuning[…]` must name for it; "": nothing.
        needs: What that installs: modules, each with the name that people know it by.
        package: The distribution that the row came from, put in by `engine_specs()`.
    """

    name: str
    family: str
    summary: str
    make: Callable[[Any, Callable[[], Any]], Any]
    learns: bool = True
    ends: Ends = Ends.BY_BUDGET
    trials_shape_proposals: bool = False
    takes_initial: bool = False
    takes_points: bool = False
    prunes: bool = False
    several_objectives: bool = False
    continues_trials: bool = False
    plans_rates_apart: bool = False
    one_data_set: bool = False
    trial_function: str | None = None
    trials_within: Callable[[float, int], int] | None = None
    options: Mapping[str, EngineOption] = field(default_factory=dict)
    plain_names: bool = False
    extra: str = ""
    needs: Mapping[str, str] = field(default_factory=dict)
    package: str = ""

    @property
    def rations_epochs(self) -> bool:
        """Whether it decides itself how long a trial trains."""
        return self.continues_trials or self.trials_within is not None

    def never_ends(self, *, finite_space: bool) -> bool:
        """Whether it goes on until trials or a timeout end it."""
        if self.ends is Ends.WHERE_FINITE:
            return not finite_space
        return self.ends is Ends.BY_BUDGET


def _refuse(*_: Any) -> Any:
    raise StudyError("these trials are proposed by no engine")


NO_ENGINE = EngineSpec(
    name="recording",
    family="this package",
    summary="a fixed list of points, as `record` trains",
    make=_refuse,
)
"""The row of trials that no engine proposes; not in the table, so no study can name it."""


@functools.cache
def engine_specs() -> Mapping[str, EngineSpec]:
    """Return every installed engine by its name, this package's own first.

    Raises:
        MissingError: No package offers engines, one that does cannot be loaded, or two offer the
            same name.
    """
    return load_rows(GROUP, EngineSpec, "engine")


def engine_spec(name: str) -> EngineSpec:
    """Return the row of one engine.

    Raises:
        StudyError: There is none of this name; says which there are.
    """
    spec = engine_specs().get(name)
    if spec is None:
        raise StudyError(unknown_engine(name))
    return spec


def require_installed(spec: EngineSpec) -> None:
    """Check that what an engine needs is there; nothing is imported.

    Raises:
        MissingError: Names what is missing, and the command that installs it.
    """
    for module, known_as in spec.needs.items():
        if importlib.util.find_spec(module) is None:
            raise MissingError(
                f"engine '{spec.name}' needs {known_as}: pip install -e '.[{spec.extra}]'"
            )


def unknown_engine(name: object) -> str:
    """Return the sentence for a name that no engine has."""
    specs = engine_specs()
    return f"engine '{name}' is unknown.{_guess(str(name))} There are: {', '.join(specs)}"


def _guess(name: str) -> str:
    """Return the engine that somebody means; of a library's the first, never one that may miss.

    `optuna` is nearest to `optuna:gp` by its letters, the only one that needs an extra.
    """
    specs = engine_specs()
    word = name.lower().replace("_", "-")
    for known, spec in specs.items():
        family, _, kind = known.partition(":")
        if word in (family, family.replace("-", ""), kind) and not spec.extra:
            return f" Did you mean '{known}'?"
    plain = [known for known, spec in specs.items() if not spec.extra]
    return did_you_mean(word, plain) or did_you_mean(word, specs)


def require_kinds(family: str, kinds: Iterable[str]) -> None:
    """Check that an adapter implements every row of its family that its own package has.

    Called where an adapter is imported: a row without its implementation must not be searched with
    another's, without a word.

    Args:
        family: `EngineSpec.family` of its rows, whose names are `library:kind` or the kind alone.
        kinds: What is implemented.

    Raises:
        MissingError: Names the rows that are not.
    """
    implemented = set(kinds)
    missing = [
        spec.name
        for spec in engine_specs().values()
        if spec.family == family
        and spec.package == OWN_PACKAGE
        and spec.name.rpartition(":")[2] not in implemented
    ]

    if missing:
        raise MissingError(
            f"listed as engines of {family}, but not implemented: {', '.join(missing)}"
        )
