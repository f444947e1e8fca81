"""When a parameter exists: inferred from runs of a builder that asked for it, or did not."""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

from tuning.space.alternatives import alternative
from tuning.space.domains import Choice, Conditions, Domain, Int
from tuning.space.recorder import Request
from tuning.trial import Params

MOST_LISTED = 1000
"""Values of a whole-number parent that a condition lists at most."""


@dataclass(frozen=True)
class Run:
    """One run of a builder.

    Attributes:
        values: What it was told, of its parameters alone, in the order of its requests.
        requests: By name.
    """

    values: Params
    requests: Mapping[str, Request]

    def domain_of(self, name: str) -> Domain | None:
        """Return what it asked for under a name; None: it did not."""
        request = self.requests.get(name)
        return None if request is None else request.domain


_Leaf: TypeAlias = tuple[Conditions, Domain]


class _Unexplained(Exception):
    """No conditions on earlier parameters tell the runs apart."""


def domain_with_conditions(
    name: str, runs: Sequence[Run], domains: Mapping[str, Domain]
) -> tuple[Domain, bool]:
    """Return a parameter's domain with the conditions under which the runs asked for it.

    Args:
        name: Of a parameter that at least one run has asked for.
        runs: All there are.
        domains: Of the parameters before it, which may be its parents.

    Returns:
        The domain, and whether its conditions are certain. Where no conditions explain the runs it
        has none: it is searched always, with its first domain.
    """
    asked = [run for run in runs if name in run.requests]
    stated = _stated(name, runs, asked)
    if stated is not None:
        return stated, True

    # A parent is asked for before its child in every run that has the child.
    parents = [
        parent
        for parent in domains
        if all(_comes_before(parent, name, run) for run in asked) or parent in _before(name, asked)
    ]
    try:
        leaves = _leaves(name, list(runs), parents, domains)
    except _Unexplained:
        return asked[0].requests[name].domain, False
    found = [domain.under(conditions) for conditions, domain in leaves]
    return alternative(found), True


def _before(name: str, asked: Sequence[Run]) -> set[str]:
    """Return the names that some run asked for before `name`."""
    return {other for run in asked for other in run.requests if _comes_before(other, name, run)}


def _comes_before(other: str, name: str, run: Run) -> bool:
    order = list(run.requests)
    return other in run.requests and order.index(other) < order.index(name)


def _stated(name: str, runs: Sequence[Run], asked: Sequence[Run]) -> Domain | None:
    """Return the domain with the conditions of the scopes around it, where they say it all."""
    requests = [run.requests[name] for run in asked]
    first = requests[0]
    if any(each.conditions != first.conditions or each.domain != first.domain for each in requests):
        return None
    conditioned: Domain = first.domain.under(first.conditions)
    if all(conditioned.exists_under(run.values) == (name in run.requests) for run in runs):
        return conditioned
    return None


def _leaves(
    name: str, runs: list[Run], parents: list[str], domains: Mapping[str, Domain]
) -> list[_Leaf]:
    """Return the domains of a parameter, each with the conditions of its own.

    A tree of decisions is grown over the runs, as a classifier is, and its leaves are read.

    Raises:
        _Unexplained: The parents do not tell the runs apart.
    """
    labels = [run.domain_of(name) for run in runs]
    if all(label == labels[0] for label in labels):
        return [] if labels[0] is None else [((), labels[0])]

    parent = _best_parent(name, runs, parents, domains)
    rest = [other for other in parents if other != parent]
    groups = _groups(parent, runs, domains[parent])

    grown: list[tuple[list[Any], list[_Leaf]]] = []  # values of the parent, leaves below
    for values, members in groups:
        leaves = _leaves(name, members, rest, domains)
        same = next((held for held, others in grown if others == leaves), None)
        if same is None:
            grown.append(([*values], leaves))
        else:
            same += values

    without = [run for run in runs if parent not in run.values]
    has_everywhere = not without and len(grown) == 1
    result: list[_Leaf] = []
    for values, leaves in grown:
        own: Conditions = () if has_everywhere else ((parent, tuple(values)),)
        result += [((*own, *conditions), domain) for conditions, domain in leaves]
    return result


def _best_parent(
    name: str, runs: list[Run], parents: list[str], domains: Mapping[str, Domain]
) -> str:
    """Return the parameter whose values tell the runs apart best, the first of equal ones."""
    best: str | None = None
    least = _impurity(name, [runs])
    for parent in parents:
        with_parent = [run for run in runs if parent in run.values]
        # What exists without its parent cannot have a condition on it.
        without = [run for run in runs if parent not in run.values]
        if not with_parent or any(run.domain_of(name) is not None for run in without):
            continue
        groups = _groups(parent, with_parent, domains[parent])
        if not groups:
            continue
        impurity = _impurity(name, [members for _, members in groups])
        # Of two that count only together neither tells anything alone: then any is a beginning.
        is_a_beginning = best is None and impurity == least
        if len(groups) > 1 and (impurity < least or is_a_beginning):
            best = parent
            least = impurity
    if best is None:
        raise _Unexplained
    return best


def _impurity(name: str, groups: Sequence[Sequence[Run]]) -> Fraction:
    """Return Gini's impurity of groups of runs, weighted by their size; exact, so that ties are."""
    impurity = Fraction(0)
    for members in groups:
        kinds = Counter(repr(run.domain_of(name)) for run in members)
        squares = sum(count**2 for count in kinds.values())
        impurity += len(members) - Fraction(squares, len(members))
    return impurity


def _groups(parent: str, runs: Sequence[Run], domain: Domain) -> list[tuple[list[Any], list[Run]]]:
    """Return runs by the parent's value, with the values that each group stands for.

    A whole number between two that were tried counts to the nearer below. Numbers that are not
    whole cannot be listed: they have no groups.
    """
    tried: list[tuple[Any, list[Run]]] = []
    for run in runs:
        if parent not in run.values:
            continue
        value = run.values[parent]
        members = next((m for v, m in tried if Choice(v).contains(value)), None)
        if members is None:
            tried.append((value, [run]))
        else:
            members.append(run)

    if isinstance(domain, Choice):
        return [([value], members) for value, members in tried]
    if not isinstance(domain, Int) or (domain.high - domain.low) // domain.step >= MOST_LISTED:
        return []

    tried.sort(key=lambda each: each[0])
    starts = [value for value, _ in tried]
    held: list[list[Any]] = [[] for _ in tried]
    for value in range(domain.low, domain.high + 1, domain.step):
        held[max(bisect.bisect_right(starts, value) - 1, 0)].append(value)
    return [(held[i] or [value], members) for i, (value, members) in enumerate(tried)]
