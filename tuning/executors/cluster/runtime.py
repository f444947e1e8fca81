"""The runtime environment: the files that nodes need to run a study, found in the project.

One archive, which Ray brings to each node once and unpacks there:

    tuning/  tuning-*.dist-info/    this package, so that every node runs this very code
    project/                        study files, the modules of the project that they import, and
                                    small data files that lie beside them or that they name
    path-0/ …                       the same from elsewhere on the path

Equal files make an equal archive, byte for byte, which Ray knows by its digest and does not send
again.
"""

from __future__ import annotations

import ast
import io
import sys
import sysconfig
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path, PurePosixPath
from typing import TypeAlias

import tuning
from tuning.storage.durable import write_bytes

MOST_DATA_BYTES = 64 << 20
"""Of data files in all; more is left out, and said."""
PROJECT = "project"
_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the earliest that an archive can hold
_METADATA = ("METADATA", "entry_points.txt")

_Content: TypeAlias = Path | bytes


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """What travels.

    Attributes:
        files: By their name in the archive.
        sources: The study files: by their path here the name in the archive.
        folder: Which was taken as the project's.
        import_path: Where modules are looked for, as names in the archive.
        left_out: Data files that are too large in all, as paths.
    """

    files: Mapping[str, _Content]
    sources: Mapping[str, str]
    folder: Path
    import_path: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def sources_by_name(self) -> Mapping[str, str]:
        """The study files: by their name in the archive their path here."""
        return {name: path for path, name in self.sources.items()}

    def archive(self) -> bytes:
        """Return the files as a ZIP archive; equal files give equal bytes."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
            for name in sorted(self.files):
                entry = zipfile.ZipInfo(name, _LONG_AGO)
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = 0o600 << 16
                archive.writestr(entry, _bytes_of(self.files[name]))
        return buffer.getvalue()

    def write(self, folder: Path) -> Path:
        """Write the archive into a folder; return its path."""
        data = self.archive()
        path = folder / f"tuning-{sha256(data).hexdigest()[:16]}.zip"
        write_bytes(path, data)
        return path

    def notice(self) -> str:
        """Return what the user should know, or ""."""
        if not self.left_out:
            return ""
        names = ", ".join(self.left_out[:3])
        more = "" if len(self.left_out) <= 3 else f" and {len(self.left_out) - 3} more"
        return (
            f"{names}{more} do not travel to the nodes: data files of a project may have "
            f"{MOST_DATA_BYTES >> 20} MB in all. Put them where each node finds them"
        )


def runtime_of(
    sources: Sequence[str | bytes], *, project: Path | None = None, path: Sequence[str] = ()
) -> Runtime:
    """Return what nodes need for these studies.

    Args:
        sources: Study files; or pickled studies, which hold the functions of their notebook: then
            the project's modules that this process has imported travel too.
        project: The project's folder; None: the current one.
        path: Where modules are looked for besides, as `sys.path`.
    """
    finder = _Finder((project or Path.cwd()).resolve(), path)
    study_files = [Path(source) for source in sources if isinstance(source, str)]
    for file in study_files:
        finder.add_study(file)
    if len(study_files) < len(sources):
        finder.add_loaded()
    data, left_out = _within_limit(finder.data)

    names = finder.names()
    files: dict[str, _Content] = dict(_own_package())
    files |= {names[file]: file for file in (*finder.modules, *data)}
    folders = {name.split("/", 1)[0] for name in files if not name.startswith("tuning")}
    beside = {names[file].rpartition("/")[0] for file in study_files}
    return Runtime(
        files=files,
        sources={str(file): names[file] for file in study_files},
        folder=finder.project,
        import_path=tuple(sorted(folders | beside)),
        left_out=tuple(str(file) for file in left_out),
    )


class _Finder:
    """Finds the project's files that studies need."""

    def __init__(self, project: Path, path: Sequence[str]) -> None:
        self.project = project
        self.modules: dict[Path, None] = {}
        self.data: dict[Path, None] = {}
        self._path = [Path(entry).resolve() for entry in path if entry]
        self._roots = [project]
        self._read: set[Path] = set()

    def add_study(self, file: Path) -> None:
        """Add a study's file, what it imports, and the data that belong to it."""
        if not file.is_relative_to(self.project) and file.parent not in self._roots:
            self._roots.append(file.parent)
        self._add_module(file, [file.parent])
        # `new` puts a study's own data beside it, under its name.
        for each in sorted(file.parent.glob(f"{file.stem}[-._]*")):
            self._add_data(each)

    def add_loaded(self) -> None:
        """Add the project's modules that this process has imported."""
        for module in list(sys.modules.values()):
            file = getattr(module, "__file__", None)
            if isinstance(file, str) and file.endswith(".py"):
                path = Path(file).resolve()
                if path.is_relative_to(self.project) and not _is_installed(path):
                    self._add_module(path, [path.parent])

    def names(self) -> dict[Path, str]:
        """Return the name of each file in the archive."""
        names = {}
        for file in (*self.modules, *self.data):
            root = next(root for root in self._roots if file.is_relative_to(root))
            number = self._roots.index(root)
            top = PROJECT if number == 0 else f"path-{number - 1}"
            names[file] = str(PurePosixPath(top, *file.relative_to(root).parts))
        return names

    def _add_module(self, file: Path, beside: Sequence[Path]) -> None:
        """Add a module, the modules of ours that it imports, the files that it names."""
        if file in self._read:
            return
        self._read.add(file)
        self.modules[file] = None
        try:
            tree = ast.parse(file.read_bytes())
        except (OSError, SyntaxError, ValueError):  # whoever imports it is told
            return
        for name in _imported(tree):
            for found in self._module(name, beside):
                self._add_module(found, [*beside, found.parent])
        for text in _texts(tree):
            for folder in (file.parent, self.project):
                self._add_data(folder / text)

    def _module(self, name: str, beside: Sequence[Path]) -> Iterator[Path]:
        """Yield the files of a module of the project, with the packages that it lies in."""
        top = name.partition(".")[0]
        if top == "tuning" or top in sys.stdlib_module_names:
            return
        for entry in (*beside, self.project, *self._path):
            module = entry / f"{top}.py"
            package = entry / top
            if _is_installed(entry):
                continue
            if module.is_file():
                self._know(entry)
                yield module
                return
            if package.is_dir() and any(package.rglob("*.py")):
                self._know(entry)
                # Whole: what a package imports by itself cannot be told from outside.
                yield from sorted(package.rglob("*.py"))
                return

    def _know(self, entry: Path) -> None:
        if not any(entry.is_relative_to(root) for root in self._roots):
            self._roots.append(entry)

    def _add_data(self, path: Path) -> None:
        """Add a file of the project, or all that lies in a folder of it."""
        inside = any(path.is_relative_to(root) and path != root for root in self._roots)
        if not inside or path in self._roots:
            return
        candidates = sorted(path.rglob("*")) if path.is_dir() else [path]
        for each in candidates:
            if each.is_file() and each.suffix not in (".py", ".pyc"):
                self.data[each] = None


def _imported(tree: ast.AST) -> Iterator[str]:
    """Yield the modules that a file imports, relative ones by their last part."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.module:
                yield node.module
            else:
                yield from (alias.name for alias in node.names)


def _texts(tree: ast.AST) -> Iterator[str]:
    """Yield the strings of a file that may be the path of a data file of the project."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            continue
        text = node.value
        is_path = "." in text or "/" in text
        if not is_path or len(text) > 200 or not text.isprintable():
            continue
        path = PurePosixPath(text)
        if path.parts and not path.is_absolute() and ".." not in path.parts:
            yield text


def _is_installed(path: Path) -> bool:
    """Whether something is of Python itself, of an installed package, or ours."""
    return any(path.is_relative_to(folder) for folder in _installed_folders())


@cache
def _installed_folders() -> tuple[Path, ...]:
    paths = sysconfig.get_paths()
    folders = [Path(paths[name]) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    return tuple(folder.resolve() for folder in (*folders, Path(tuning.__file__).parent))


def _within_limit(files: Mapping[Path, None]) -> tuple[list[Path], list[Path]]:
    """Return the files that travel and those that do not: the largest are left out first."""
    sizes = {file: file.stat().st_size for file in files}
    total = sum(sizes.values())
    left_out = []
    for file in sorted(sizes, key=lambda file: (-sizes[file], str(file))):
        if total <= MOST_DATA_BYTES:
            break
        left_out.append(file)
        total -= sizes[file]
    return [file for file in files if file not in left_out], sorted(left_out)


def _own_package() -> Iterator[tuple[str, _Content]]:
    """Yield the files of this package, and what tells an interpreter that it is installed."""
    folder = Path(tuning.__file__).parent
    for file in sorted(folder.rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            yield f"tuning/{file.relative_to(folder).as_posix()}", file
    try:
        found = distribution("tuning")
    except PackageNotFoundError:
        return
    for name in _METADATA:
        text = found.read_text(name)
        if text is not None:
            yield f"tuning-{found.version}.dist-info/{name}", text.encode()


def _bytes_of(content: _Content) -> bytes:
    return content if isinstance(content, bytes) else content.read_bytes()
