"""Who could change what lies in a folder, besides the user: state and caches must be the user's.

A folder that others may write to, or that is another user's, may hold anything: results that nobody
measured, and in a cache of machine code a pickle that runs.
"""

from __future__ import annotations

import os
import shlex
import stat
from pathlib import Path

_FOR_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def ownership_fault(path: Path) -> str:
    """Return why a folder or file is not the user's alone, and the command that helps; else "".

    A folder that everybody may write to, above it, counts too: there it could be replaced, unless
    the folder is sticky, as `/tmp` is.

    Args:
        path: Is there. Symbolic links are followed; `link_fault` is about those.
    """
    path = path.resolve()
    fault = _fault_of(path)
    if fault:
        return fault
    for above in path.parents:
        mode = above.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            return (
                f"everybody may write to {above}, and so replace {path}: chmod o-w "
                f"{shlex.quote(str(above))}"
            )
    return ""


def contents_fault(folder: Path) -> str:
    """Return why something within a folder is not the user's alone, else ""; links are faults.

    Where nobody else may enter the folder, its files' modes do not matter.
    """
    is_private = not stat.S_IMODE(folder.stat().st_mode) & 0o077
    for name, folders, files in os.walk(folder):
        for entry in (*folders, *files):
            path = Path(name, entry)
            if path.is_symlink():
                return f"{path} is a link"
            fault = _fault_of(path, mode_matters=not is_private)
            if fault:
                return fault
    return ""


def _fault_of(path: Path, *, mode_matters: bool = True) -> str:
    status = path.stat()
    quoted = shlex.quote(str(path))
    if status.st_uid != os.getuid():
        owner = _name_of(status.st_uid)
        return f"{path} belongs to {owner}: chown -R {_name_of(os.getuid())} {quoted}"
    if mode_matters and status.st_mode & _FOR_OTHERS:
        mode = "700" if path.is_dir() else "600"
        return f"{path} is writable for others, who could change results: chmod {mode} {quoted}"
    return ""


def _name_of(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # of another machine, or a container
        return str(uid)
