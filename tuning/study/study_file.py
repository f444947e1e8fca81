"""Study files: find one by name or path, import it, and tell what its functions are made of."""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import importlib.util
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
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
        raise StudyError(
            f"no file {name_or_path!r}; give a path to a Python file or one of: {', '.join(names)}"
        )
    if name_or_path not in names:
        raise StudyError(
            f"no study '{name_or_path}' in {folder}.{did_you_mean(name_or_path, names)} There are: {', '.join(names)}"
        )
    return (folder / f"{name_or_path}.py").resolve()


def import_file(path: Path) -> ModuleType:
    """Import a Python file; raise `StudyError` with file and line where that fails."""
    # Registered under its own name, so that functions of it can be pickled to a worker that loads
    # it the same way.
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
        raise StudyError(
            f"cannot import {_line_of(error, path)}: {type(error).__name__}: {error}"
        ) from error
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
    """Return 16 hex digits over a function's name and its module's code, but for comments,
    docstrings and layout.

    The module and those it imports from its own folder, since a builder calls helpers; `STUDY = …`
    is left out, for that is compared field by field. So does what a function made by another was
    given, and what a callable object holds. A function typed at a prompt or in a notebook counts
    alone.
    """
    if isinstance(function, functools.partial):
        return _digest(
            f"{source_hash(function.func)} {plain_repr(function.args)} {plain_repr(function.keywords)}"
        )
    plain = inspect.unwrap(function)
    try:
        module = sys.modules.get(plain.__module__)
        text = inspect.getsource(
            plain if module is None or plain.__module__ == "__main__" else module
        )
        tree = _bare(ast.parse(textwrap.dedent(text)))
        return _digest(
            " ".join([_told(plain), ast.dump(tree), *_helpers(module, tree), *_given(plain)])
        )
    except (OSError, TypeError, SyntaxError, AttributeError):
        code = getattr(plain, "__code__", None)
        return _digest(repr(_plain(code)) if code else repr(type(plain)))


def _helpers(module: ModuleType | None, tree: ast.Module) -> Iterator[str]:
    """Yield the code of the files that a file imports from its own folder, and of those that they
    import.
    """
    if module is None or not getattr(module, "__file__", None):
        return
    if module.__package__ and not module.__name__.startswith("tuning_study_"):
        return
    folder, seen, trees = Path(str(module.__file__)).parent, {Path(str(module.__file__))}, [tree]
    while trees:
        for name in sorted(_imported(trees.pop())):
            path = _file_of(name)
            if path is not None and path.parent == folder and path not in seen:
                seen.add(path)
                if path.suffix == ".py":
                    trees.append(_bare(ast.parse(path.read_bytes())))
                    yield f"{name} {ast.dump(trees[-1])}"
                else:  # an extension
                    yield f"{name} {hashlib.sha256(path.read_bytes()).hexdigest()}"


def _imported(tree: ast.Module) -> set[str]:
    nodes = list(ast.walk(tree))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return {
        name.split(".")[0]
        for name in plain | {str(n.module) for n in nodes if isinstance(n, ast.ImportFrom)}
    }


def _file_of(name: str) -> Path | None:
    """Return the file a top-level module is, or would be, imported from."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    return Path(spec.origin) if spec is not None and spec.has_location and spec.origin else None


def _given(function: Any) -> Iterator[str]:
    """Yield what tells a function or object from others of the same code: what it encloses, or
    holds.
    """
    if not hasattr(function, "__code__"):
        if type(function).__module__.startswith(
            "tuning."
        ):  # a table: its rows count, not where it lies
            return
        yield from (
            f"{name}={_steady(value)}"
            for name, value in sorted(getattr(function, "__dict__", {}).items())
        )
        return
    if "<locals>" in function.__qualname__:
        yield from map(_steady, (function.__defaults__ or (), function.__kwdefaults__ or {}))
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with contextlib.suppress(ValueError):  # a cell that is empty yet
            yield f"{name}={_steady(cell.cell_contents)}"


def _steady(value: Any) -> str:
    """Return a text that is the same in every process."""
    if isinstance(value, set | frozenset):
        return f"set{sorted(map(_steady, value))}"
    if isinstance(value, dict):
        return f"dict{[(_steady(name), _steady(item)) for name, item in value.items()]}"
    if isinstance(value, list | tuple):
        return f"{type(value).__name__}{list(map(_steady, value))}"
    if isinstance(value, ModuleType | type):
        return value.__name__  # not the folder it was imported from
    if isinstance(value, Path):
        return value.name
    code = getattr(value, "__code__", None)
    return plain_repr(value) if code is None else repr(_plain(code))


def plain_repr(value: Any) -> str:
    """Return `repr(value)` without the addresses in it, which differ in every process."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))


def _told(function: Callable[..., Any]) -> str:
    """Return which function of its module it is; a lambda may stand in `STUDY = …` and says itself
    what it does.
    """
    code = getattr(function, "__code__", None)
    if code and code.co_name == "<lambda>":
        return repr(_plain(code))
    return str(getattr(function, "__qualname__", type(function).__qualname__))


def _plain(code: CodeType) -> tuple[object, ...]:
    """Return what code does, without the addresses and lines that its repr and that of its lambdas
    hold.
    """
    return code.co_code, tuple(map(_plain_const, code.co_consts)), code.co_names


def _plain_const(const: object) -> object:
    if isinstance(const, CodeType):
        return _plain(const)
    return (
        sorted(map(repr, const)) if isinstance(const, frozenset) else const
    )  # its order differs in every process


def _bare(tree: ast.Module) -> ast.Module:
    def defines_study(node: ast.stmt) -> bool:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        return any(isinstance(t, ast.Name) and t.id == "STUDY" for t in targets)

    tree.body = [node for node in tree.body if not defines_study(node)]
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module)
            and ast.get_docstring(node) is not None
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return tree


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
