"""Study files: find one by name or path and import it."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

from tuning.errors import StudyError, did_you_mean
from tuning.study.fingerprint import STUDY_MODULE_PREFIX

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


def find_study(name_or_path: str, root: Path | None = None) -> Path:
    """Return the file of a study: a path to a Python file, or the name of one in `studies/`.

    Raises:
        StudyError: There is no such file; names the nearest.
    """
    path = Path(name_or_path)
    if path.suffix == ".py" and path.is_file():
        return path.resolve()

    folder = (root or Path.cwd()) / "studies"
    names = sorted(file.stem for file in folder.glob("*.py") if not file.stem.startswith("_"))
    listed = ", ".join(names)
    if path.suffix == ".py" or not NAME.fullmatch(name_or_path):
        raise StudyError(
            f"no file {name_or_path!r}; give a path to a Python file or one of: {listed}"
        )
    if name_or_path not in names:
        guess = did_you_mean(name_or_path, names)
        raise StudyError(f"no study '{name_or_path}' in {folder}.{guess} There are: {listed}")
    return (folder / f"{name_or_path}.py").resolve()


def import_file(path: Path) -> ModuleType:
    """Import a Python file; raise `StudyError` with file and line where that fails."""
    # Registered under a name of its own, so that its functions can be pickled to a worker that
    # loads it the same way.
    path_digest = hashlib.sha256(str(path).encode()).hexdigest()[:8]
    name = f"{STUDY_MODULE_PREFIX}{path.stem}_{path_digest}"

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
    """Return "file:line" of an error, by the innermost frame that lies in the file itself."""
    if isinstance(error, SyntaxError) and error.lineno:
        return f"{error.filename}:{error.lineno}"

    lines = []
    traceback = error.__traceback__
    while traceback is not None:
        if Path(traceback.tb_frame.f_code.co_filename) == path:
            lines.append(traceback.tb_lineno)
        traceback = traceback.tb_next
    return f"{path}:{lines[-1]}" if lines else str(path)
