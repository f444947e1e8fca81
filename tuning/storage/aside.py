"""Setting aside what is damaged: renamed where it lies, never deleted."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

from tuning.errors import DamagedFileError


def set_aside(path: Path, word: str = "damaged") -> Path:
    """Rename a file or folder to `<name>.<word>-1`, or the next number that is free.

    Returns:
        Where it lies now.
    """
    names = (path.with_name(f"{path.name}.{word}-{i}") for i in itertools.count(1))
    aside = next(name for name in names if not os.path.lexists(name))
    path.rename(aside)
    return aside


def forget(path: Path) -> None:
    """Delete a file that may be missing; what is no file is set aside."""
    if path.is_dir() and not path.is_symlink():
        set_aside(path)
    else:
        path.unlink(missing_ok=True)


def set_error_aside(error: DamagedFileError) -> str:
    """Set the file of an error aside; return what was done, in words."""
    word = "foreign" if error.foreign else "damaged"
    aside = set_aside(error.path, word)
    state = "not what belongs there" if error.foreign else "damaged"
    return f"{error.path} is {state} ({error.fault}): set aside as {aside.name}"
