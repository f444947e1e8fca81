"""A searched parameter in words, as a notebook shows it."""

from __future__ import annotations

from collections.abc import Iterator

from tuning.space.domains import Choice, Domain, FromRangeTest, Int


def domain_rows(name: str, domain: Domain) -> Iterator[tuple[str, str, str]]:
    """Yield name, values and condition of a parameter; a line for each of its alternatives."""
    for each in domain.alternatives or (domain,):
        yield name, values_words(each), condition_words(each)


def values_words(domain: Domain) -> str:
    """Return what a parameter may be: `1 … 3`, `0.0003 … 0.01, log`, `32, 64, 128`."""
    if isinstance(domain, Choice):
        return ", ".join(domain.labels)
    words = f"{domain.low:.6g} … {domain.high:.6g}"
    if isinstance(domain, FromRangeTest):
        return f"{words}, from a range test"
    if domain.log:
        return f"{words}, log"
    if isinstance(domain, Int) and domain.step != 1:
        return f"{words}, steps of {domain.step}"
    return words


def condition_words(domain: Domain) -> str:
    """Return under which values of others it exists; "" where it always does."""
    parts = [f"{parent} is {' or '.join(map(str, values))}" for parent, values in domain.conditions]
    return " and ".join(parts)
