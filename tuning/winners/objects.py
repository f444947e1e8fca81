"""The user's own layers and functions that a winner's model is made of."""

from __future__ import annotations

import importlib
import re
from typing import Any

from tuning.ledger.view.search_view import SearchView

_IMPORT = re.compile(r"from ([\w.]+) import (.+)")


def objects_of(view: SearchView) -> dict[str, Any]:
    """Return what the winner's own classes are, by name: imported, or of the study file.

    Those that are not found are left out; Keras then says which it misses.
    """
    imports = () if view.winner is None else view.winner.evaluation.imports
    if not imports:
        return {}
    objects = _of_study_file(view)
    for line in imports:
        objects |= _imported(line)
    return objects


def _imported(line: str) -> dict[str, Any]:
    """Return what a line `from module import A, B` imports; nothing where there is no module."""
    match = _IMPORT.fullmatch(line)
    if match is None:
        return {}
    try:
        module = importlib.import_module(match[1])
    except ImportError:
        return {}
    names = match[2].split(", ")
    return {name: getattr(module, name) for name in names if hasattr(module, name)}


def _of_study_file(view: SearchView) -> dict[str, Any]:
    from tuning.builders.inputs.own_objects import module_objects
    from tuning.study.study import load_study

    file = view.header.study_file
    if not file.endswith(".py"):
        return {}
    return module_objects(load_study(file).builder)
