"""`fingerprint`: 16 hex digits of what a builder or a data function does, to know a study again."""

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

from tuning.study.foreign.foreign_builder import ForeignBuilder
from tuning.study.released_fingerprints import RELEASED
from tuning.study.scorer_internals import is_scorer, scored_function

_OWN_PACKAGE = "tuning."
# Study files are imported under this prefix (`study_file.import_file`).
STUDY_MODULE_PREFIX = "tuning_study_"


def fingerprint(function: Callable[..., Any]) -> str:
    """Return 16 hex digits over a function's name and its module's code.

    Comments, docstrings and layout do not count, nor does `STUDY = …`, which is compared field by
    field. What counts beside the module itself:

    - the modules it imports from its own folder, since a builder calls helpers;
    - what a function made by another function encloses, and what a callable object holds;
    - the arguments bound by `functools.partial`.

    A function typed at a prompt or in a notebook counts alone. Builders and data functions of this
    package have the fingerprint of the release that brought them (`RELEASED`), so that a search
    over them is resumed after their files were rewritten.
    """
    if isinstance(function, functools.partial):
        inner = fingerprint(function.func)
        return _digest(f"{inner} {plain_repr(function.args)} {plain_repr(function.keywords)}")

    if isinstance(function, ForeignBuilder):
        texts = [fingerprint(function.inner), *_object_texts(function.inner)]
        return _digest(" ".join(texts)) if len(texts) > 1 else texts[0]

    plain = inspect.unwrap(function)
    module_name = getattr(plain, "__module__", None)
    released = RELEASED.get(f"{module_name}.{_name_within_module(plain)}")
    if released is not None:
        return released

    try:
        return _digest(_source_text(plain))
    except (OSError, TypeError, SyntaxError, AttributeError):
        # There is no source, as for a builtin or what `exec` made.
        code = getattr(plain, "__code__", None)
        return _digest(repr(_code_facts(code)) if code else repr(type(plain)))


def metric_fingerprint(function: Callable[..., Any]) -> str:
    """Return 16 hex digits of what an objective of the user's own computes.

    A metric of scikit-learn's counts by its name, so that another release is no other study; a
    scorer by its function and what `make_scorer` was given.
    """
    if is_scorer(function):
        inner = metric_fingerprint(scored_function(function))
        return _digest(f"{inner} {plain_repr(function)}")
    if isinstance(function, functools.partial):
        inner = metric_fingerprint(function.func)
        return _digest(f"{inner} {plain_repr(function.args)} {plain_repr(function.keywords)}")
    if str(getattr(function, "__module__", "")).startswith("sklearn."):
        return _digest(f"sklearn {_name_within_module(function)}")
    return fingerprint(function)


def plain_repr(value: Any) -> str:
    """Return `repr(value)` without the addresses in it, which differ in every process."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _name_within_module(function: Callable[..., Any]) -> str:
    """Return which function of its module it is; an object that is called is known by its class.

    A lambda may stand in `STUDY = …`, which is left out of the source, so its code is its name.
    """
    code = getattr(function, "__code__", None)
    if code and code.co_name == "<lambda>":
        return repr(_code_facts(code))
    return str(getattr(function, "__qualname__", type(function).__qualname__))


def _source_text(function: Callable[..., Any]) -> str:
    """Return the text that the digest is over.

    Raises:
        OSError, TypeError, SyntaxError, AttributeError: There is no source to be read.
    """
    module = sys.modules.get(function.__module__)
    at_a_prompt = module is None or function.__module__ == "__main__"
    code_object: Any = function if at_a_prompt else module
    source = inspect.getsource(code_object)

    # A function of a notebook may be indented; the tree forgets layout and comments.
    tree = _without_remarks(ast.parse(textwrap.dedent(source)))
    parts = [
        _name_within_module(function),
        ast.dump(tree),
        *_helper_texts(module, tree),
        *_state_texts(function),
    ]
    return " ".join(parts)


def _without_remarks(tree: ast.Module) -> ast.Module:
    """Return `tree` without its docstrings and without `STUDY = …`."""
    tree.body = [node for node in tree.body if not _defines_study(node)]
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
            continue
        if ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return tree


def _defines_study(node: ast.stmt) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return any(isinstance(target, ast.Name) and target.id == "STUDY" for target in targets)


def _helper_texts(module: ModuleType | None, tree: ast.Module) -> Iterator[str]:
    """Yield the code of the files that a file imports from its own folder, and of theirs."""
    file = getattr(module, "__file__", None)
    if module is None or not file:
        return
    if module.__package__ and not module.__name__.startswith(STUDY_MODULE_PREFIX):
        return  # a file of an installed package: its neighbours are not a study's helpers

    seen = {Path(file)}
    unread_trees = [tree]
    while unread_trees:
        # Sorted: a set's order of texts differs in every process.
        for name in sorted(_imported_modules(unread_trees.pop())):
            path = _file_of(name)
            if path is None or path.parent != Path(file).parent or path in seen:
                continue
            seen.add(path)
            if path.suffix == ".py":
                helper = _without_remarks(ast.parse(path.read_bytes()))
                unread_trees.append(helper)
                yield f"{name} {ast.dump(helper)}"
            else:  # a compiled extension
                yield f"{name} {hashlib.sha256(path.read_bytes()).hexdigest()}"


def _imported_modules(tree: ast.Module) -> set[str]:
    """Return the top-level modules that a file imports, wherever in it."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(str(node.module))
    return {name.split(".")[0] for name in names}


def _file_of(module_name: str) -> Path | None:
    """Return the file a top-level module is, or would be, imported from."""
    try:
        spec = importlib.util.find_spec(module_name)
    except (ImportError, ValueError):
        return None
    if spec is None or not spec.has_location or not spec.origin:
        return None
    return Path(spec.origin)


def _state_texts(function: Any) -> Iterator[str]:
    """Yield what a function encloses or an object holds, which others of the same code do not."""
    if not hasattr(function, "__code__"):
        # A `Table` of ours counts by its rows (the data's digest), not by where its file lies.
        if not type(function).__module__.startswith(_OWN_PACKAGE):
            attributes = getattr(function, "__dict__", {})
            for name, value in sorted(attributes.items()):
                yield f"{name}={_steady_text(value)}"
        return

    # Defaults of a function at module level stand in its source; those of an inner one are values.
    if "<locals>" in function.__qualname__:
        yield _steady_text(function.__defaults__ or ())
        yield _steady_text(function.__kwdefaults__ or {})
    cells = function.__closure__ or ()
    for name, cell in zip(function.__code__.co_freevars, cells, strict=True):
        with contextlib.suppress(ValueError):  # a cell that is still empty
            yield f"{name}={_steady_text(cell.cell_contents)}"


def _object_texts(builder: Any) -> Iterator[str]:
    """Yield what `fingerprint` leaves out of objects: releases before had it so.

    That is the state of the object whose method it is, and the code of a notebook's classes.
    """
    owner = getattr(builder, "__self__", builder)
    if owner is not builder:
        yield from _state_texts(owner)
    if type(owner).__module__ != "__main__":
        return
    for base in type(owner).__mro__:
        for name, member in sorted(vars(base).items()):
            code = getattr(member, "__code__", None)
            if code is not None and base.__module__ == "__main__":
                yield f"{base.__qualname__}.{name}={_code_facts(code)!r}"


def _steady_text(value: Any) -> str:
    """Return a text of a value that is the same in every process."""
    if isinstance(value, set | frozenset):
        return f"set{sorted(map(_steady_text, value))}"
    if isinstance(value, dict):
        return f"dict{[(_steady_text(name), _steady_text(item)) for name, item in value.items()]}"
    if isinstance(value, list | tuple):
        return f"{type(value).__name__}{list(map(_steady_text, value))}"
    if isinstance(value, ModuleType | type):
        return value.__name__  # not the folder it was imported from
    if isinstance(value, Path):
        return value.name
    code = getattr(value, "__code__", None)
    return plain_repr(value) if code is None else repr(_code_facts(code))


def _code_facts(code: CodeType) -> tuple[object, ...]:
    """Return what code does, without the addresses and lines that its repr holds."""
    return code.co_code, tuple(map(_constant_facts, code.co_consts)), code.co_names


def _constant_facts(constant: object) -> object:
    if isinstance(constant, CodeType):
        return _code_facts(constant)
    if isinstance(constant, frozenset):
        return sorted(map(repr, constant))  # its order differs in every process
    return constant
