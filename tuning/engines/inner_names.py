"""An engine that searches a space under other names than the user's: one for each alternative."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

from tuning.engines.base import Engine
from tuning.engines.memory.memory import Entries, memory_of, restore
from tuning.engines.renamed import Renamed
from tuning.space.alternatives import MARK, Expanded
from tuning.space.domains import Domain
from tuning.space.space import Space
from tuning.study.builder_arguments import FIT_PARAMETERS
from tuning.study.study import Study
from tuning.study.unit_cube import initial_points
from tuning.trial import EpochReport, Params, Pause, Proposal, TrialResult


class InnerNamesEngine:
    """Any engine on `Space.expanded`, where a parameter with two domains is two parameters.

    Its library proposes under inner names; what passes in and out has the user's. Ledger, MLflow
    and report know nothing of inner names.

    Args:
        study: Its space has alternatives, or names that the engine's library cannot take.
        make: Makes the engine of a study.
        plain: Whether the names must be such that scikit-learn's `set_params` takes them.
    """

    def __init__(self, study: Study, make: Callable[[Study], Engine], *, plain: bool) -> None:
        self._names = _plainly_named(study.space) if plain else study.space.expanded
        starts = tuple(self._names.unfold(point) for point in study.space.starts)
        initial = study.initial
        if not isinstance(initial, int):  # whole points: which of a name's domains is meant
            known = initial_points(study)[: len(initial)]
            initial = [self._names.unfold(point) for point in known]
        inner = study.with_(
            builder=Renamed(study.builder, self._names.outer),
            space=_InnerSpace(self._names.domains, starts),
            initial=initial,
            intervals={},
        )
        self._engine = make(inner)
        self.notices = tuple(self._engine.notices)

    def ask(self, number: int) -> Proposal | Pause:
        """Return the engine's proposal under the user's names."""
        proposal = self._engine.ask(number)
        if isinstance(proposal, Pause):
            return proposal
        return replace(proposal, params=self._names.fold(proposal.params))

    def adopt(self, proposal: Proposal) -> bool:
        """Have the engine take a proposal of an earlier run."""
        return self._engine.adopt(replace(proposal, params=self._names.unfold(proposal.params)))

    def report(self, report: EpochReport) -> bool:
        """Pass one epoch on."""
        return self._engine.report(report)

    def tell(self, result: TrialResult) -> None:
        """Pass a result on."""
        self._engine.tell(result)

    def memory(self) -> Entries | None:
        """Return the engine's own memory: there is nothing else to know."""
        return memory_of(self._engine)

    def restore(self, entries: Entries) -> None:
        """Have the engine know what an earlier process knew."""
        restore(self._engine, entries)

    def artifacts(self) -> Mapping[str, str]:
        """Return the engine's own files."""
        return self._engine.artifacts()

    def close(self) -> None:
        """End the engine."""
        self._engine.close()


class _InnerSpace(Space):
    """A space under inner names, with the points that the search begins with."""

    def __init__(self, domains: Mapping[str, Domain], starts: tuple[Params, ...]) -> None:
        super().__init__(domains)
        object.__setattr__(self, "_starts", starts)

    @property
    def starts(self) -> tuple[Params, ...]:
        starts: tuple[Params, ...] = self.__dict__["_starts"]
        return starts

    def narrowed(self, intervals: Mapping[str, Any]) -> Space:
        return self  # its rates were narrowed before they were renamed


def has_plain_names(space: Space) -> bool:
    """Whether scikit-learn's `set_params` can take every name of a space."""
    return all(_plain_name(name, ()) == name for name in space.expanded.domains)


def _plainly_named(space: Space) -> Expanded:
    """Return a space under names that scikit-learn and our estimators take as parameters."""
    expanded = space.expanded
    plain: dict[str, str] = {}  # by inner name
    for name in expanded.domains:
        plain[name] = _plain_name(name, [*plain.values()])
    domains = {
        plain[name]: domain.under(
            tuple((plain[parent], values) for parent, values in domain.conditions)
        )
        for name, domain in expanded.domains.items()
    }
    return Expanded(domains, {plain[name]: outer for name, outer in expanded.outer.items()})


def _plain_name(name: str, taken: Collection[str]) -> str:
    from tuning.estimators.parameters import own_defaults
    from tuning.estimators.wrappers import KerasClassifier, KerasRegressor

    if name in FIT_PARAMETERS:
        return name
    plain = re.sub("__+", "_", name).strip("_") or "parameter"
    kinds: tuple[Any, ...] = (KerasClassifier, KerasRegressor)
    while plain in taken or any(plain in own_defaults(kind) for kind in kinds):
        plain += MARK
    return plain
