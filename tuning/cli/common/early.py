"""What can be refused before TensorFlow is started: told from a study file's text, without it."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tuning.errors import StudyError

_ALWAYS_THERE = "optuna:tpe"
"""Most studies name it: they are not to wait for the table of engines."""


def constants_of(study: str) -> Mapping[str, Any]:
    """Return the fields of a study that its file gives as plain constants.

    Args:
        study: Its name or path. Of one that is not found, or does not parse, nothing is known:
            whoever loads it says so.
    """
    # Found as `find_study` does, which would import NumPy before TensorFlow's import has begun.
    path = Path(study) if study.endswith(".py") else Path("studies", f"{study}.py")
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return {}
    return _constants(tree)


def _constants(tree: ast.Module) -> dict[str, Any]:
    """Return the constants among the arguments of the call that makes STUDY."""
    constants: dict[str, Any] = {}
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign):
            targets = [node.target]
        names = [target.id for target in targets if isinstance(target, ast.Name)]
        value = getattr(node, "value", None)
        if "STUDY" not in names or not isinstance(value, ast.Call):
            continue
        # The last one holds.
        constants = {
            keyword.arg: keyword.value.value
            for keyword in value.keywords
            if keyword.arg and isinstance(keyword.value, ast.Constant)
        }
    return constants


def refuse_engine(study: str | None, engine: str | None) -> None:
    """Refuse an engine that is not there, or whose library is not.

    Args:
        study: Whose file names the engine where the command line does not; None: no file does.
        engine: Of the command line; None: it names none.

    Raises:
        StudyError: There is no such engine; names the nearest.
        MissingError: It needs an extra that is not installed; says which.
    """
    if engine is None and study is not None:
        named = constants_of(study).get("engine")
        engine = named if isinstance(named, str) else None
    if engine in (None, _ALWAYS_THERE):
        return
    from tuning.study.engine_spec import engine_spec, require_installed

    require_installed(engine_spec(str(engine)))


def refuse_function_study(study: str, verb: str) -> None:
    """Refuse a study that trains no network, where a verb needs one.

    Raises:
        StudyError: It is a function study.
    """
    if constants_of(study).get("trainer") == "function":
        raise StudyError(
            f"study '{study}' trains no network (trainer='function'): it has no learning rate "
            "to test; `tuning run` searches its parameters",
            where=verb,
        )
