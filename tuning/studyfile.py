"""Study files: find one by name or path, import it, and tell what its functions are made of."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import inspect
import re
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from tuning.errors import StudyError, did_you_mean

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


def find_study(name_or_path: str, root: Path | None = None) -> Path:
    """Return the file of a study: a path to a Python file, or the name of one in `studies/`.

    Raises:
        StudyError: There is no such file; names the nearest.
    """
    given = Path(name_or_path)
    if given.suffix == ".py" and given.is_file():
        return given.resolve()
    folder = (root or Path.cwd()) / "studies"
    names = sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("_"))
    if given.suffix == ".py" or not NAME.fullmatch(name_or_path):
        raise StudyError(f"no file {name_or_path!r}; give a path to a Python file or one of: {', '.join(names)}")
    if name_or_path not in names:
        raise StudyError(
            f"no study '{name_or_path}' in {folder}.{did_you_mean(name_or_path, names)} There are: {', '.join(names)}"
        )
    return (folder / f"{name_or_path}.py").resolve()


def import_file(path: Path) -> ModuleType:
    """Import a Python file; raise `StudyError` with file and line where that fails."""
    # Registered under its own name, so that functions of it can be pickled to a worker that loads it the same way.
    name = f"tuning_study_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None  # noqa: S101 - always so for a path that ends in .py
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # a study's helpers lie beside it
    try:
        spec.loader.exec_module(module)
    except StudyError:
        raise
    except Exception as error:
        raise StudyError(f"cannot import {_line_of(error, path)}: {type(error).__name__}: {error}") from error
    return module


def _line_of(error: BaseException, path: Path) -> str:
    if isinstance(error, SyntaxError) and error.lineno:
        return f"{error.filename}:{error.lineno}"
    lines = []
    traceback = error.__traceback__
    while traceback is not None:
        if Path(traceback.tb_frame.f_code.co_filename) == path:
            lines.append(traceback.tb_lineno)
        traceback = traceback.tb_next
    return f"{path}:{lines[-1]}" if lines else str(path)


def source_hash(function: Callable[..., Any]) -> str:
    """Return 16 hex digits over a function's name and its module's code, but for comments, docstrings and layout.

    The module, since a builder calls helpers; its `STUDY = …` is left out, for that is compared field by field.
    A function typed at a prompt or in a notebook counts alone.
    """
    if isinstance(function, functools.partial):
        return _digest(f"{source_hash(function.func)} {plain_repr(function.args)} {plain_repr(function.keywords)}")
    plain = inspect.unwrap(function)
    try:
        module = sys.modules.get(plain.__module__)
        text = inspect.getsource(plain if module is None or plain.__module__ == "__main__" else module)
        return _digest(f"{_told(plain)} {ast.dump(_bare(ast.parse(textwrap.dedent(text))))}")
    except (OSError, TypeError, SyntaxError, AttributeError):
        code = getattr(plain, "__code__", None)
        return _digest(repr(_plain(code)) if code else repr(type(plain)))


def plain_repr(value: Any) -> str:
    """Return `repr(value)` without the addresses in it, which differ in every process."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))


def _told(function: Callable[..., Any]) -> str:
    """Return which function of its module it is; a lambda may stand in `STUDY = …` and says itself what it does."""
    code = getattr(function, "__code__", None)
    if code and code.co_name == "<lambda>":
        return repr(_plain(code))
    return str(getattr(function, "__qualname__", type(function).__qualname__))


def _plain(code: CodeType) -> tuple[object, ...]:
    """Return what code does, without the addresses and lines that its repr and that of its lambdas hold."""
    return code.co_code, tuple(map(_plain_const, code.co_consts)), code.co_names


def _plain_const(const: object) -> object:
    if isinstance(const, CodeType):
        return _plain(const)
    return sorted(map(repr, const)) if isinstance(const, frozenset) else const  # its order differs in every process


def _bare(tree: ast.Module) -> ast.Module:
    def defines_study(node: ast.stmt) -> bool:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        return any(isinstance(t, ast.Name) and t.id == "STUDY" for t in targets)

    tree.body = [node for node in tree.body if not defines_study(node)]
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return tree


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
