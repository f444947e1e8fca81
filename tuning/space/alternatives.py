"""Parameters that have another domain under other conditions, as a builder's code may ask for them.

`trial.suggest_categorical("units", [8, 16] if deep else [64, 128])` is one parameter, `units`, with
two domains. The user sees the one name everywhere. No engine's library knows such a parameter: to
it each domain is a parameter of its own (`units`, `units#2`), of which one exists at a time.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tuning.space.domains import Choice, Conditions, Domain, Float, Int
from tuning.trial import Params

MOST_LISTED = 1000
"""Whole numbers of a range that become the values of a choice, at most."""
MARK = "#"
"""Between the name of a parameter and the number of its alternative, from 2."""


@dataclass(frozen=True)
class Expanded:
    """A space in which every alternative is a parameter of its own.

    Attributes:
        domains: By the inner name; the first alternative keeps the parameter's own.
        outer: The name of the parameter that each inner name stands for.
    """

    domains: Mapping[str, Domain]
    outer: Mapping[str, str]

    def fold(self, params: Params) -> dict[str, Any]:
        """Return a point of the expanded space under the users' names."""
        return {self.outer[name]: value for name, value in params.items()}

    def unfold(self, params: Params) -> dict[str, Any]:
        """Return a point of the users' as one of the expanded space; what is no value stays out."""
        inner: dict[str, Any] = {}
        for name, domain in self.domains.items():
            outer = self.outer[name]
            exists = outer in params and domain.exists_under(inner)
            if exists and domain.contains(params[outer]):
                inner[name] = params[outer]
        return inner


def alternative(domains: Sequence[Domain]) -> Domain:
    """Return one domain that is each of `domains` under its conditions.

    Args:
        domains: At least one; no point fulfils the conditions of two of them.
    """
    if len(domains) == 1:
        return domains[0]
    same_kind = _of_one_kind(domains)
    hull = _hull(same_kind)
    if isinstance(hull, Choice):
        return Choice(*hull.values, alternatives=tuple(same_kind))
    return replace(hull, alternatives=tuple(same_kind))


def described(domain: Domain) -> str:
    """Return a domain as a study's definition has it, conditions and alternatives included."""
    if domain.alternatives:
        return " or ".join(described(each) for each in domain.alternatives)
    return repr(domain) + (f" when {domain.conditions}" if domain.conditions else "")


def expand(domains: Mapping[str, Domain]) -> Expanded:
    """Return the space that engines search in the place of `domains`, parents before children."""
    inner: dict[str, Domain] = {}
    outer: dict[str, str] = {}
    names: dict[str, list[str]] = {}  # of a parameter, its inner names

    for name, domain in domains.items():
        names[name] = []
        for each in domain.alternatives or (domain,):
            for conditions in _by_inner_names(each.conditions, names, inner):
                number = len(names[name]) + 1
                inner_name = name if number == 1 else f"{name}{MARK}{number}"
                inner[inner_name] = each.under(conditions)
                outer[inner_name] = name
                names[name].append(inner_name)
    return Expanded(inner, outer)


def _by_inner_names(
    conditions: Conditions, names: Mapping[str, list[str]], inner: Mapping[str, Domain]
) -> Iterator[Conditions]:
    """Yield conditions on users' parameters as conditions on the inner ones: any of them holds."""
    choices = []
    for parent, values in conditions:
        possible = []
        for inner_name in names.get(parent, [parent]):
            domain = inner.get(inner_name)
            held = tuple(v for v in values if domain is None or domain.contains(v))
            if held:
                possible.append((inner_name, held))
        choices.append(possible)
    yield from itertools.product(*choices)


def _of_one_kind(domains: Sequence[Domain]) -> list[Domain]:
    """Return the domains as choices where one of them is, since no range holds labels."""
    if not any(isinstance(domain, Choice) for domain in domains):
        return list(domains)
    return [Choice(*listed(domain), conditions=domain.conditions) for domain in domains]


def listed(domain: Domain) -> list[Any]:
    """Return the values of a domain that stands beside a choice: of endless numbers three.

    Of whole numbers all, or a thousand where there are more.
    """
    if isinstance(domain, Int) and domain.step == 1:
        return domain.cut(MOST_LISTED)
    return domain.cut()


def _hull(domains: Sequence[Domain]) -> Domain:
    """Return the least domain that holds all values of all of them."""
    if isinstance(domains[0], Choice):
        values: list[Any] = []
        for domain in domains:
            known = Choice(*values)
            values += [value for value in domain.cut() if not known.contains(value)]
        return Choice(*values)

    numbers = [domain for domain in domains if not isinstance(domain, Choice)]
    low = min(domain.low for domain in numbers)
    high = max(domain.high for domain in numbers)
    log = all(domain.log for domain in numbers)
    if all(isinstance(domain, Int) for domain in numbers):
        return Int(int(low), int(high), log=log)
    return Float(float(low), float(high), log=log)
