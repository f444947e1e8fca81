"""A search's `Space` out of the texts in its definition.

Release 0.1 kept a space as nothing else: `Float(conditions=(), low=0.001, high=0.1, log=True)`.
Since then `search.json` holds it as JSON too. No study file is imported for either.
"""

from __future__ import annotations

import ast
from typing import Any

from tuning.errors import StudyError
from tuning.schema import Json
from tuning.space.domains import Choice, Domain, Float, Int
from tuning.space.space import Space

_KINDS: dict[str, type[Int] | type[Float] | type[Choice]] = {
    "Int": Int,
    "Float": Float,
    "Choice": Choice,
}


def space_of(definition: Json) -> Space:
    """Return the space of a `Study.definition()`.

    Raises:
        StudyError: A parameter is written in a way that `Study.definition` never does.
    """
    texts = definition.get("space", {})
    return Space({name: _domain(name, text) for name, text in texts.items()})


def _domain(name: str, text: str) -> Domain:
    """Read `Int(…)`, or `Choice(…) when (('parent', ('value',)),)`."""
    try:
        return _called(text)
    except SyntaxError:
        call, _, conditions = text.rpartition(" when ")

    try:
        domain = _called(call)
        if domain.conditions:  # told twice: in the call and behind `when`
            return domain
        parents = {parent: list(values) for parent, values in ast.literal_eval(conditions)}
        return domain.when(**parents)
    except (SyntaxError, ValueError) as error:
        raise StudyError(f"cannot read '{name}': {text!r}", where="search.json") from error


def _called(text: str) -> Domain:
    """Make the call that a text spells, of one of our domains with literals alone."""
    call = ast.parse(text, mode="eval").body
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        raise _no_domain(text)
    kind = _KINDS.get(call.func.id)
    if kind is None:
        raise _no_domain(text)
    values = [_literal(node) for node in call.args]
    named = {keyword.arg: _literal(keyword.value) for keyword in call.keywords if keyword.arg}
    return kind(*values, **named)


def _no_domain(text: str) -> StudyError:
    return StudyError(f"{text!r} is no Int, Float or Choice", where="search.json")


def _literal(node: ast.expr) -> Any:
    # NumPy's scalars write themselves as np.float64(0.1).
    if isinstance(node, ast.Call) and len(node.args) == 1:
        node = node.args[0]
    return ast.literal_eval(node)
