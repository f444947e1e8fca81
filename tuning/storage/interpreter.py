"""How further interpreters of ours are started, so that no file of the current folder runs in them.

A `yaml.py` that lies beside the data must not be what a library means by `import yaml`. A study's
own modules are found all the same, after the libraries.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

PYTHON = (sys.executable, "-P")
"""This interpreter, without the current folder in front of all libraries."""


def import_path(path: Sequence[str] | None = None) -> list[str]:
    """Return `sys.path` with the current folder at its end: it hides no library.

    Where the folder itself was put on the path a second time, as for a package that is installed
    as editable, its last place holds.

    Args:
        path: Instead of `sys.path`.
    """
    here = os.getcwd()
    path = list(sys.path if path is None else path)
    others = [entry for entry in path if entry and os.path.abspath(entry) != here]
    return others if len(others) == len(path) else [*others, here]


def module_command(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module in an interpreter with our `import_path`.

    So it is this very package, also where it is not installed but on our path alone.
    """
    code = (
        f"import sys; sys.path[:] = {import_path()!r}; import runpy; "
        "runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"
    )
    return [*PYTHON, "-c", code, module, *arguments]
