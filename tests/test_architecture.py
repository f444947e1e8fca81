"""The rules of the rooms, read from the source with `ast`: what may import what, and how large things may be."""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# A room or a file of the package's root, and its floor. An import goes to the same floor or down.
FLOORS = {
    "__main__": 8, "cli": 7,
    "run": 6, "options": 5, "loop": 6, "finals": 6, "roster": 6, "rounds": 6, "attempts": 6, "workshop": 6,
    "joblib_backend": 6, "rates": 6, "pool": 6, "writer": 6, "service": 6, "bench": 6,
    "reports": 5, "tracking": 5, "ledger": 5, "executors": 5, "engines": 5,
    "training": 4, "builders": 3, "data": 3,
    "header": 3, "record": 2, "study": 2, "studyfile": 2, "unitcube": 2,
    "results": 1, "sqlitefile": 1, "dataset": 1, "trial": 1, "space": 1, "positions": 1, "domains": 1, "durable": 1,
    "home": 1, "stopping": 1, "objective": 1, "errors": 1, "names": 1,
}  # fmt: skip
STRANGERS = {"reports", "tracking", "ledger", "executors", "engines"}  # none imports another
# A foreign library and the only files that may name it, wherever in the file the import stands.
PLAIN = "bench/perf/plain/"  # the libraries without us, to be compared with: programs that nothing imports
HOMES = {
    "keras_tuner": ("engines/keras_tuner", PLAIN),
    "optuna": ("engines/optuna", "ledger/optuna", "reports/", PLAIN),
    "mlflow": ("tracking/", "cli/ui"),
    "scikeras": ("training/estimator", PLAIN),
}
# These cost seconds: at module level only where that module is itself imported when needed.
HEAVY = {"tensorflow": ("builders/", "training/"), "keras": ("builders/", "training/", PLAIN), **HOMES}
MOST_LINES, MOST_BODY, MOST_POSITIONAL = 300, 50, 5


@dataclass(frozen=True)
class File:
    """One file of the package: its path within `tuning/` and its tree."""

    path: str
    tree: ast.Module
    lines: int

    @property
    def module(self) -> str:
        return "tuning." + self.path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")

    @property
    def room(self) -> str:
        return self.path.partition("/")[0].removesuffix(".py")


def parse(path: str, text: str) -> File:
    return File(path, ast.parse(text), len(text.splitlines()))


def read_package() -> list[File]:
    folder = ROOT / "tuning"
    paths = sorted(p for p in folder.rglob("*.py") if p != folder / "__init__.py")  # it only names, lazily
    return [parse(p.relative_to(folder).as_posix(), p.read_text(encoding="utf-8")) for p in paths]


@pytest.fixture(scope="module")
def files() -> list[File]:
    return read_package()


def imports(tree: ast.AST, module: str = "") -> Iterator[str]:
    """Every imported name in full, those in functions and under TYPE_CHECKING included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = module.split(".")[: -node.level] if node.level else []
            home = ".".join([*parents, *([node.module] if node.module else [])])
            yield from (f"{home}.{alias.name}" for alias in node.names)


def own_imports(file: File, modules: set[str]) -> Iterator[str]:
    """The modules of this package that a file imports; `tuning` itself for the public names."""
    for name in imports(file.tree, file.module):
        if name.startswith("tuning.") and not name.startswith("tuning.__"):  # `__version__` is not a room's
            known = [name, name.rpartition(".")[0]]
            yield next((n for n in known if n in modules), name if name.count(".") > 1 else "tuning")


def faults_of_direction(files: list[File]) -> list[str]:
    modules = {file.module for file in files}
    faults = [f"{f.path}: give '{f.room}' a floor in FLOORS" for f in files if f.room not in FLOORS]
    for file in files:
        for name in own_imports(file, modules):
            room = name.split(".")[1] if name != "tuning" else ""
            if name != "tuning" and name not in modules:
                faults.append(f"{file.path} imports {name}, which is not there")
            elif not room:
                faults.append(f"{file.path} imports a public name from tuning; import it from its home")
            elif FLOORS.get(room, 0) > FLOORS.get(file.room, 9):
                faults.append(f"{file.path} imports {name}, which is above it")
            elif room != file.room and {room, file.room} <= STRANGERS:
                faults.append(f"{file.path} imports {name}; {file.room} and {room} never import each other")
    return faults


def faults_of_cycles(files: list[File]) -> list[str]:
    modules = {file.module for file in files}
    graph = {f.module: set(own_imports(f, modules)) - {f.module, "tuning"} for f in files}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return [" → ".join(error.args[1])]
    return []


def faults_of_libraries(files: list[File]) -> list[str]:
    faults = []
    for file in files:
        anywhere = {name.split(".")[0] for name in imports(file.tree, file.module)}
        at_start = {name.split(".")[0] for name in _at_import(file)}
        for library, homes in HEAVY.items():
            named = anywhere if library in HOMES else at_start
            if library in named and not file.path.startswith(homes):
                faults.append(f"{file.path} imports {library}, which is for {', '.join(homes)}")
    return faults


def _at_import(file: File) -> Iterator[str]:
    """What is imported when the module is: not in functions, not under TYPE_CHECKING."""
    nodes: list[ast.AST] = [*file.tree.body]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            nodes += node.orelse
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from imports(ast.Module([node], []), file.module)
        else:
            nodes += ast.iter_child_nodes(node)


def functions(file: File) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    yield from (n for n in ast.walk(file.tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def faults_of_size(files: list[File]) -> list[str]:
    faults = [f"{file.path} has {file.lines} lines" for file in files if file.lines > MOST_LINES]
    for file in files:
        for function in functions(file):
            if body_lines(function) > MOST_BODY:
                faults.append(f"{file.path}: {function.name} has {body_lines(function)} lines")
            given = [a.arg for a in (*function.args.posonlyargs, *function.args.args) if a.arg not in ("self", "cls")]
            if len(given) > MOST_POSITIONAL and file.room != "builders":  # a builder's are named by the study
                faults.append(f"{file.path}: {function.name} takes {len(given)} positional arguments")
    return faults


def faults_of_docstrings(files: list[File]) -> list[str]:
    faults = [f"{file.path} says nothing" for file in files if ast.get_docstring(file.tree) is None]
    for file in files:
        faults += [f"{file.path}: {name} says nothing" for name, node in _public(file.tree) if not _documented(node)]
    return faults


def _public(tree: ast.Module | ast.ClassDef) -> Iterator[tuple[str, ast.ClassDef | ast.FunctionDef]]:
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            yield node.name, node
            if isinstance(node, ast.ClassDef):
                yield from ((f"{node.name}.{name}", inner) for name, inner in _public(node))


def _documented(node: ast.ClassDef | ast.FunctionDef) -> bool:
    setters = [d for d in node.decorator_list if ast.unparse(d).endswith((".setter", "overload"))]
    return bool(ast.get_docstring(node)) or bool(setters)


def test_imports_point_down_and_rooms_of_one_floor_stay_strangers(files):
    faults = faults_of_direction(files)
    assert not faults, "\n".join(faults)


def test_no_two_modules_import_each_other_by_any_way(files):
    faults = faults_of_cycles(files)
    assert not faults, "\n".join(faults)


def test_foreign_libraries_are_named_only_in_their_own_rooms(files):
    faults = faults_of_libraries(files)
    assert not faults, "\n".join(faults)


def test_files_and_functions_fit_a_reader(files):
    faults = faults_of_size(files)
    assert not faults, "\n".join(faults)


def test_every_public_name_has_a_docstring(files):
    faults = faults_of_docstrings(files)
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    ("rule", "sources", "word"),
    [
        (faults_of_direction, {"engines/a.py": "from tuning.run import go", "run.py": ""}, "above it"),
        (faults_of_direction, {"study.py": "def f():\n    import tuning.data.b", "data/b.py": ""}, "above it"),
        (faults_of_direction, {"ledger/a.py": "from tuning.engines import b", "engines/b.py": ""}, "never import"),
        (faults_of_direction, {"engines/a.py": "from ..ledger import b", "ledger/b.py": ""}, "never import"),
        (faults_of_direction, {"data/a.py": "from tuning import Study"}, "from its home"),
        (faults_of_direction, {"run.py": "import tuning.data.gone"}, "not there"),
        (faults_of_direction, {"attic/a.py": ""}, "a floor"),
        (faults_of_cycles, {"data/a.py": "import tuning.data.b", "data/b.py": "from tuning.data import a"}, "→"),
        (faults_of_libraries, {"run.py": "def f():\n    import mlflow"}, "mlflow"),
        (faults_of_libraries, {"run.py": "try:\n    import tensorflow as tf\nfinally:\n    pass"}, "tensorflow"),
        (faults_of_size, {"run.py": "\n" * 301}, "301 lines"),
        (faults_of_size, {"run.py": "def f():\n" + "    x = 1\n" * 51}, "51 lines"),
        (faults_of_size, {"run.py": "def f(a, b, c, d, e, g): ..."}, "6 positional"),
        (faults_of_docstrings, {"run.py": '"""A."""\nclass A:\n    """B."""\n    def c(self): ...'}, "A.c says"),
    ],
)  # fmt: skip
def test_each_rule_finds_what_breaks_it(rule, sources, word):
    faults = rule([parse(path, text) for path, text in sources.items()])
    assert len(faults) == 1
    assert word in faults[0]


def test_a_heavy_library_inside_a_function_or_for_types_alone_is_fine():
    text = "if TYPE_CHECKING:\n    import keras\ndef f():\n    import tensorflow"
    assert faults_of_libraries([parse("run.py", text)]) == []
