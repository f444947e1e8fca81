"""A search's `Space`, read back from the definition in `search.json`; no study file is imported for
it.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from tuning.errors import StudyError
from tuning.study.domains import Choice, Domain, Float, Int
from tuning.study.space import Space

_KINDS: dict[str, type[Int] | type[Float] | type[Choice]] = {
    "Int": Int,
    "Float": Float,
    "Choice": Choice,
}


def space_of(definition: Mapping[str, Any]) -> Space:
    """Return the space of a `Study.definition()`.

    Raises:
        StudyError: A parameter is written in a way that `Study.definition` never does.
    """
    return Space({name: _domain(name, text) for name, text in definition.get("space", {}).items()})


def _domain(name: str, text: str) -> Domain:
    try:
        return _called(text)
    except SyntaxError:
        head, _, conditions = text.rpartition(" when ")
    try:
        domain = _called(head)
        parents = {parent: list(values) for parent, values in ast.literal_eval(conditions)}
        return domain if domain.conditions else domain.when(**parents)
    except (SyntaxError, ValueError) as error:
        raise StudyError(f"cannot read '{name}': {text!r}", where="search.json") from error


def _called(text: str) -> Domain:
    call = ast.parse(text, mode="eval").body
    if (
        not isinstance(call, ast.Call)
        or not isinstance(call.func, ast.Name)
        or call.func.id not in _KINDS
    ):
        raise StudyError(f"{text!r} is no Int, Float or Choice", where="search.json")
    values = [_literal(node) for node in call.args]
    named = {keyword.arg: _literal(keyword.value) for keyword in call.keywords if keyword.arg}
    return _KINDS[call.func.id](*values, **named)


def _literal(node: ast.expr) -> Any:
    # NumPy's scalars write themselves as np.float64(0.1).
    plain = node.args[0] if isinstance(node, ast.Call) and len(node.args) == 1 else node
    return ast.literal_eval(plain)
