"""The rules of the rooms, read from the source with `ast`: what may import what, and what must be
documented.
"""

from __future__ import annotations

import ast
import graphlib
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# From the top of the house to its ground. A room imports those below it, and no other.
ROOMS = (
    "cli",
    "cli/new_study",
    "cli/running",
    "cli/searches",
    "cli/after",
    "cli/state",
    "cli/ui_page",
    "cli/common",
    "simulation",
    "bench/report",
    "bench",
    "bench/statistics",
    "reproduction",
    "search",
    "search/budget",
    "search/outcome",
    "search/ended",
    "search/slots",
    "search/placed",
    "search/questions",
    "tracking/writer",
    "tracking/registry",
    "tracking/optuna_dashboard",
    "tracking",
    "tracking/servers",
    "lr_range",
    "winners",
    "reports/notebook",
    "reports/shown",
    "reports",
    "executors/cluster",
    "executors",
    "executors/sharing",
    "executors/placement",
    "executors/devices",
    "executors/supervision",
    "engines",
    "engines/memory",
    "trials",
    "trials/verdict",
    "trials/usage",
    "estimators",
    "diagnosis",
    "ledger/view",
    "ledger",
    "builders",
    "builders/inputs",
    "scoring",
    "trainer",
    "trainer/native",
    "study",
    "study/foreign",
    "study/display",
    "space",
    "data/kinds",
    "data/tables",
    "data",
    "data/intake",
    "storage",
)
AT_THE_ROOT = {"__init__", "__main__", "errors", "schema", "trial"}
MOST_FILES_IN_A_ROOM = 20
MOST_POSITIONAL = 5
# Calls whose arguments are a list, one as good as another.
CALLS_OF_A_LIST = {"options.together", "table.add_row"}

# A foreign library and the only files that may name it, wherever in the file the import stands.
HOMES = {
    "keras_tuner": ("engines/keras_tuner", "engines/memory/keras_tuner"),
    "optuna": ("engines/optuna", "engines/memory/optuna", "tracking/optuna", "reports/"),
    "mlflow": ("tracking/", "cli/ui"),
    "scikeras": ("estimators/",),
    "ray": ("executors/cluster/",),
}
TENSORFLOW_ROOMS = ("builders/", "trainer/", "estimators/", "lr_range/", "diagnosis/", "trials/")
# These cost seconds: at module level only where that module is itself imported when needed.
HEAVY = {"tensorflow": TENSORFLOW_ROOMS, "keras": TENSORFLOW_ROOMS, **HOMES}

# "package.module:name", which a process is given to call, is an import like any other.
REFERENCE = re.compile(r"(tuning(?:\.\w+)+):(\w+(?:\.\w+)*)")


@dataclass(frozen=True)
class File:
    """One file of the package: its path within `tuning/` and its tree."""

    path: str
    tree: ast.Module

    @property
    def module(self) -> str:
        return "tuning." + self.path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")

    @property
    def room(self) -> str:
        return room_of(self.module)


def room_of(module: str) -> str:
    """Return the room a module lies in; of a file at the package's root its own name."""
    parts = module.split(".")[1:]
    nested = "/".join(parts[:2])
    return nested if nested in ROOMS else parts[0]


def parse(path: str, text: str) -> File:
    return File(path, ast.parse(text))


def read_package() -> list[File]:
    folder = ROOT / "tuning"
    # The package's own __init__ only names, lazily.
    paths = sorted(p for p in folder.rglob("*.py") if p != folder / "__init__.py")
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


def references(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """The module and the name of each "package.module:name"."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found = REFERENCE.fullmatch(node.value)
            if found is not None:
                yield found[1], found[2]


def own_imports(file: File, modules: set[str]) -> Iterator[str]:
    """The modules of this package that a file imports or names; `tuning` itself for the public
    names.
    """
    for name in imports(file.tree, file.module):
        if name.startswith("tuning.") and not name.startswith(
            "tuning.__"
        ):  # `__version__` is not a room's
            known = [name, name.rpartition(".")[0]]
            yield next(
                (n for n in known if n in modules), name if name.count(".") > 1 else "tuning"
            )
    yield from (module for module, _ in references(file.tree))


def faults_of_direction(files: list[File]) -> list[str]:
    modules = {file.module for file in files}
    faults = []
    for file in files:
        if file.room not in (*ROOMS, *AT_THE_ROOT):
            faults.append(f"{file.path}: give '{file.room}' a place in ROOMS")
            continue
        for name in own_imports(file, modules):
            if name == "tuning":
                faults.append(
                    f"{file.path} imports a public name from tuning; import it from its home"
                )
            elif name not in modules:
                faults.append(f"{file.path} imports {name}, which is not there")
            elif not may_import(file.room, room_of(name)):
                faults.append(f"{file.path} imports {name}, which is above it")
    return faults


def may_import(room: str, other: str) -> bool:
    if room == "__main__" or room == other:
        return True
    if other in AT_THE_ROOT:
        return True
    return room in ROOMS and other in ROOMS and ROOMS.index(room) < ROOMS.index(other)


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


def faults_of_layout(files: list[File]) -> list[str]:
    rooms: dict[str, int] = {}
    for file in files:
        rooms[file.room] = rooms.get(file.room, 0) + 1
    return [
        f"{room} has {count} files" for room, count in rooms.items() if count > MOST_FILES_IN_A_ROOM
    ]


def faults_of_positions(files: list[File]) -> list[str]:
    """Definitions that take more than five arguments by position: a reader of a call would have to
    count.
    """
    faults = []
    for file in files:
        for node in ast.walk(file.tree):
            # A builder's parameters are named by the study.
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and file.room != "builders":
                arguments = [a.arg for a in (*node.args.posonlyargs, *node.args.args)]
                taken = [name for name in arguments if name not in ("self", "cls")]
                if len(taken) > MOST_POSITIONAL:
                    faults.append(
                        f"{file.path}: {node.name} takes {len(taken)} positional arguments"
                    )
    return faults


def faults_of_calls(files: list[File]) -> list[str]:
    """Calls with more than five arguments by position: nobody can say which is which."""
    faults = []
    for file in files:
        for node in ast.walk(file.tree):
            if isinstance(node, ast.Call) and len(node.args) > MOST_POSITIONAL:
                name = ast.unparse(node.func)
                if name not in CALLS_OF_A_LIST:
                    faults.append(f"{file.path}: {name} is given {len(node.args)} by position")
    return faults


def faults_of_docstrings(files: list[File]) -> list[str]:
    faults = [f"{file.path} says nothing" for file in files if ast.get_docstring(file.tree) is None]
    for file in files:
        faults += [
            f"{file.path}: {name} says nothing"
            for name, node in _public(file.tree)
            if not _documented(node)
        ]
    return faults


def _public(
    tree: ast.Module | ast.ClassDef,
) -> Iterator[tuple[str, ast.ClassDef | ast.FunctionDef]]:
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            yield node.name, node
            if isinstance(node, ast.ClassDef):
                yield from ((f"{node.name}.{name}", inner) for name, inner in _public(node))


def _documented(node: ast.ClassDef | ast.FunctionDef) -> bool:
    setters = [d for d in node.decorator_list if ast.unparse(d).endswith((".setter", "overload"))]
    return bool(ast.get_docstring(node)) or bool(setters)


def test_rooms_import_only_what_lies_below_them(files):
    faults = faults_of_direction(files)
    assert not faults, "\n".join(faults)


def test_no_two_modules_import_each_other_by_any_way(files):
    faults = faults_of_cycles(files)
    assert not faults, "\n".join(faults)


def test_foreign_libraries_are_named_only_in_their_own_rooms(files):
    faults = faults_of_libraries(files)
    assert not faults, "\n".join(faults)


def test_a_room_can_be_looked_over(files):
    faults = faults_of_layout(files)
    assert not faults, "\n".join(faults)


def test_the_root_holds_only_what_passes_between_all_rooms(files):
    assert {file.room for file in files} - set(ROOMS) <= AT_THE_ROOT


def test_nobody_has_to_count_arguments(files):
    faults = faults_of_positions(files)
    assert not faults, "\n".join(faults)


def test_nobody_has_to_count_the_arguments_of_a_call(files):
    faults = faults_of_calls(files)
    assert not faults, "\n".join(faults)


def test_every_public_name_has_a_docstring(files):
    faults = faults_of_docstrings(files)
    assert not faults, "\n".join(faults)


def test_every_function_named_by_a_string_is_there(files):
    named = {reference for file in files for reference in references(file.tree)}
    assert named
    for module, name in named:
        assert callable(pkgutil.resolve_name(f"{module}:{name}"))


@pytest.mark.parametrize(
    ("rule", "sources", "word"),
    [
        (
            faults_of_direction,
            {"engines/a.py": "from tuning.search import b", "search/b.py": ""},
            "above it",
        ),
        (
            faults_of_direction,
            {"study/a.py": "def f():\n    import tuning.trials.b", "trials/b.py": ""},
            "above it",
        ),
        (
            faults_of_direction,
            {"study/a.py": "B = 'tuning.trials.b:run'", "trials/b.py": ""},
            "above it",
        ),
        (faults_of_direction, {"errors.py": "import tuning.data.b", "data/b.py": ""}, "above it"),
        (
            faults_of_direction,
            {"ledger/a.py": "from ..engines import b", "engines/b.py": ""},
            "above it",
        ),
        (
            faults_of_direction,
            {"trainer/native/a.py": "import tuning.trainer.b", "trainer/b.py": ""},
            "above it",
        ),
        (faults_of_direction, {"data/a.py": "from tuning import Study"}, "from its home"),
        (faults_of_direction, {"search/a.py": "import tuning.data.gone"}, "not there"),
        (faults_of_direction, {"attic/a.py": ""}, "a place"),
        (
            faults_of_cycles,
            {"data/a.py": "import tuning.data.b", "data/b.py": "from tuning.data import a"},
            "→",
        ),
        (faults_of_libraries, {"search/a.py": "def f():\n    import mlflow"}, "mlflow"),
        (
            faults_of_libraries,
            {"search/a.py": "try:\n    import tensorflow as tf\nfinally:\n    pass"},
            "tensorflow",
        ),
        (faults_of_layout, {f"data/{i}.py": "" for i in range(21)}, "21 files"),
        (faults_of_positions, {"data/a.py": "def f(a, b, c, d, e, g): ..."}, "6 positional"),
        (faults_of_calls, {"data/a.py": "a.b(1, 2, 3, 4, 5, 6)"}, "a.b is given 6"),
        (
            faults_of_docstrings,
            {"data/a.py": '"""A."""\nclass A:\n    """B."""\n    def c(self): ...'},
            "A.c says",
        ),
    ],
)
def test_each_rule_finds_what_breaks_it(rule, sources, word):
    faults = rule([parse(path, text) for path, text in sources.items()])
    assert len(faults) == 1
    assert word in faults[0]


def test_a_heavy_library_inside_a_function_or_for_types_alone_is_fine():
    text = "if TYPE_CHECKING:\n    import keras\ndef f():\n    import tensorflow"
    assert faults_of_libraries([parse("search/a.py", text)]) == []
