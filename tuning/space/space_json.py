"""Domains as JSON and back, as `search.json` keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tuning.errors import StudyError
from tuning.schema import WRONG_SHAPE
from tuning.space.alternatives import alternative
from tuning.space.domains import Choice, Conditions, Domain, Float, FromRangeTest, Int, as_tuple


def domain_to_json(domain: Domain) -> dict[str, Any]:
    """Return a domain as plain JSON types; tuples become lists."""
    if isinstance(domain, Int):
        stored: dict[str, Any] = {
            "kind": "int",
            "low": domain.low,
            "high": domain.high,
            "step": domain.step,
            "log": domain.log,
        }
    elif isinstance(domain, FromRangeTest):
        stored = {
            "kind": "from_range_test",
            "low": domain.low,
            "high": domain.high,
            "within": None if domain.within is None else list(domain.within),
            "per_structure": domain.per_structure,
            "rows": [list(row) for row in domain.rows],
        }
    elif isinstance(domain, Float):
        stored = {"kind": "float", "low": domain.low, "high": domain.high, "log": domain.log}
        if domain.step is not None:
            stored["step"] = domain.step
    else:
        stored = {"kind": "choice", "values": [_to_json(value) for value in domain.values]}

    if domain.conditions:
        stored["conditions"] = [[parent, list(values)] for parent, values in domain.conditions]
    if domain.alternatives:
        stored["alternatives"] = [domain_to_json(each) for each in domain.alternatives]
    return stored


def domain_from_json(name: str, stored: Mapping[str, Any]) -> Domain:
    """Return what `domain_to_json` was called on.

    Args:
        name: Of the parameter, for the error.
        stored: A JSON object.

    Raises:
        StudyError: The kind is none of this release, or a field is missing.
    """
    try:
        return _domain(stored)
    except StudyError:
        raise
    except WRONG_SHAPE as error:
        raise StudyError(f"cannot read '{name}': {stored!r:.200}", where="space") from error


def _domain(stored: Mapping[str, Any]) -> Domain:
    if "alternatives" in stored:
        return alternative([_domain(each) for each in stored["alternatives"]])
    conditions = _conditions(stored)

    match stored["kind"]:
        case "int":
            return Int(
                stored["low"],
                stored["high"],
                step=stored["step"],
                log=stored["log"],
                conditions=conditions,
            )
        case "float":
            return Float(
                stored["low"],
                stored["high"],
                log=stored["log"],
                step=stored.get("step"),
                conditions=conditions,
            )
        case "from_range_test":
            return FromRangeTest(
                stored["low"],
                stored["high"],
                log=True,
                within=as_tuple(stored["within"]),
                per_structure=stored["per_structure"],
                rows=as_tuple(stored["rows"]),
                conditions=conditions,
            )
        case "choice":
            # Of lists within lists, too: a Choice holds tuples, which JSON gives back as lists.
            values = [_from_json(value) for value in stored["values"]]
            return Choice(*as_tuple(values), conditions=conditions)
        case kind:
            raise ValueError(f"{kind!r} is no kind of domain")


def _conditions(stored: Mapping[str, Any]) -> Conditions:
    return tuple((parent, as_tuple(values)) for parent, values in stored.get("conditions", []))


_ITEMS = "items"
"""In the place of a mapping: pairs of its keys and values, for JSON makes text of any key."""


def _to_json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_ITEMS: [[key, _to_json(item)] for key, item in value.items()]}
    return value


def _from_json(stored: Any) -> Any:
    if isinstance(stored, Mapping):
        return {key: _from_json(item) for key, item in stored[_ITEMS]}
    return stored
